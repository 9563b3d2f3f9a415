package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/assert"
)

// TestMain lets the scripts in testdata run smtpfeed as a program.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"smtpfeed": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "dns": serveZone, "occupy": occupy, "expand": expand, "crlf": crlf, "sources": appendSources, "lossy": serveLossy},
	})
}

// exits CODE PROGRAM ARG... runs a program and wants it to end with CODE.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("%s ended with exit code %d, not %d", strings.Join(args[1:], " "), code, want)
	}
}

// dns FILE serves a zone file for the rest of the script, at $DNS.
func serveZone(ts *testscript.TestScript, _ bool, args []string) {
	s, err := listenZone(ts.ReadFile(args[0]))
	ts.Check(err)
	ts.Defer(func() { s.Close() })
	ts.Setenv("DNS", s.Addr())
}

// occupy PATH listens on a unix socket for the rest of the script.
func occupy(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("unix", ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { l.Close() })
}

// expand FILE replaces $WORK and $DNS in a file of the script.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	text := strings.NewReplacer("$WORK", ts.Getenv("WORK"), "$DNS", ts.Getenv("DNS")).Replace(ts.ReadFile(args[0]))
	ts.Check(writeFile(ts.MkAbs(args[0]), text))
}

// crlf FILE gives a file of the script the line ends of SMTP.
func crlf(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(writeFile(ts.MkAbs(args[0]), strings.ReplaceAll(ts.ReadFile(args[0]), "\n", "\r\n")))
}

func TestExitCodes(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.toml")
	for _, c := range []struct {
		rule string
		args []string
		code int
		says string
	}{
		{"no command", nil, exitUsage, "smtpfeed --help"},
		{"an unknown command", []string{"serv"}, exitUsage, "serv"},
		{"an unknown flag", []string{"serve", "--confg", "x"}, exitUsage, "--confg"},
		{"a configuration that is not there", []string{"serve", "-c", missing}, exitConfig, "none.toml: no such file or directory; create it"},
		{"the same for check", []string{"check", "-c", missing}, exitConfig, "none.toml"},
		{"the same for status", []string{"status", "-c", missing}, exitConfig, "none.toml"},
		{"--via without a network", []string{"stdio", "--via", "/run/x"}, exitTemporary, `write "unix:`},
		{"version", []string{"version"}, 0, ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			var out, err bytes.Buffer
			code := run(c.args, streams{strings.NewReader(""), &out, &err})
			assert.Equal(t, c.code, code, "the exit code is that of sysexits")
			assert.Contains(t, err.String(), c.says, "the error says what is wrong")
		})
	}
}

func TestReport(t *testing.T) {
	var w bytes.Buffer
	assert.Equal(t, exitConfig, report(&w, &failure{exitConfig, Problems{{File: "f", Line: 1, Column: 2, Reason: "x"}}}), "problems of a file are 78")
	assert.Equal(t, "f:1:2: x\n", w.String(), "their lines begin with the file, for editors to jump to")
	assert.Equal(t, exitSoftware, report(&w, fmt.Errorf("whatever")), "an error nobody thought of is a fault of ours")
}

package main

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/cmd/smtpfeed/hostcheck"
)

// script makes a program of the shell.
func script(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700), "a program is made")
	return path
}

func TestOutput(t *testing.T) {
	got, err := output(time.Minute, script(t, `echo "$1"; echo warning >&2`), "x = y")
	require.NoError(t, err, "the program works")
	assert.Equal(t, "x = y\n", got, "warnings are no output")

	_, err = output(time.Minute, script(t, "echo garbage; echo first >&2; echo second >&2; exit 3"))
	require.Error(t, err, "a program that fails is an error")
	assert.Contains(t, err.Error(), "exit status 3: first", "which tells its first complaint")
	assert.NotContains(t, err.Error(), "second", "and no more")

	_, err = output(50*time.Millisecond, script(t, "exec sleep 60"))
	assert.ErrorContains(t, err, "no answer in 50ms", "a program that hangs is an error")

	_, err = output(time.Minute, "/nonexistent/postconf")
	assert.Error(t, err, "a program that is not there is an error")
}

func TestBounded(t *testing.T) {
	var b bounded
	for range 3 {
		n, err := b.Write(make([]byte, mostText/2))
		require.NoError(t, err, "everything is taken")
		assert.Equal(t, mostText/2, n, "as if it were kept")
	}
	assert.Len(t, b.String(), mostText, "and the beginning is kept")
}

// TestExamineHostsFailure: what cannot be read is a finding, and a problem, because nobody can say that it is safe.
func TestExamineHostsFailure(t *testing.T) {
	dir := t.TempDir()
	for name, h := range map[string]hostFlags{
		"postfix":   {Hosts: true, Postfix: filepath.Join(dir, "none")},
		"sendmail":  {Hosts: true, Sendmail: filepath.Join(dir, "none")},
		"exim":      {Hosts: true, Exim: dir},
		"opensmtpd": {Hosts: true, OpenSMTPD: filepath.Join(dir, "none")},
	} {
		found := h.examineHosts(defaults())
		require.Len(t, found, 1, "%s is reported", name)
		assert.Equal(t, hostcheck.Wrong, found[0].Severity, "as a problem")
		assert.Equal(t, name, found[0].Where, "of its own")
	}
	assert.Empty(t, hostFlags{Postfix: dir}.examineHosts(defaults()), "with --no-hosts nothing is looked at")
}

func TestExaminePostfixCommands(t *testing.T) {
	f := defaults().forHosts()
	assert.Equal(t, 540*time.Second, f.Budget, "a host MTA has to know the budget")
	assert.Equal(t, []string{"unix:/run/smtpfeed/lmtp.sock"}, f.Listen, "and the sockets")

	found := examinePostfix("", "", f)
	require.Len(t, found, 1, "a Postfix without postconf is reported")
	found = examinePostfix(script(t, "echo 'postconf: fatal: bad' >&2; exit 1"), "", f)
	require.Len(t, found, 1, "a postconf that fails is reported")
	assert.Contains(t, found[0].Text, "postconf: fatal: bad", "with what it says")
	found = examinePostfix(script(t, "head -c 100000 /dev/urandom"), "", f)
	require.Len(t, found, 1, "rubbish is survived")
	assert.Equal(t, hostcheck.Note, found[0].Severity, "and has nothing of ours")

	// A table that cannot be read may have our transport in it.
	found = examinePostfix(script(t, "echo 'transport_maps = hash:/nonexistent/transport'"), "", f)
	require.Len(t, found, 2, "it is noted")
	assert.Contains(t, found[0].Text, "a table cannot be searched", "in words")
}

func TestReadText(t *testing.T) {
	dir := t.TempDir()
	_, err := readText(dir)
	assert.Error(t, err, "a directory is no text")
	file := filepath.Join(dir, "f")
	require.NoError(t, writeFile(file, "x"), "a file is made")
	text, err := readText(file)
	require.NoError(t, err, "a file is read")
	assert.Equal(t, "x", text, "as it is")
	assert.Empty(t, included(filepath.Join(dir, "none")), "an included file that is not there says nothing")
	assert.Empty(t, ifThere(filepath.Join(dir, "none")), "a file that is not there is not looked at")
	assert.Equal(t, file, ifThere(file), "one that is there is")
}

func TestAccount(t *testing.T) {
	me, err := user.Current()
	require.NoError(t, err, "the test runs as somebody")
	a := account(me.Username)
	assert.Equal(t, me.Username, a.Name, "the user is found")
	assert.NotEmpty(t, a.Group, "with a group")
	assert.Zero(t, account("no such user at all"), "nobody's rights are not examined")
	assert.Zero(t, account(""), "nor those of a Postfix without an owner")
}

func TestProgram(t *testing.T) {
	path := script(t, "")
	t.Setenv("PATH", filepath.Dir(path))
	assert.Equal(t, path, program("nosuchprogram", filepath.Base(path)), "the first that is there is taken")
	assert.Empty(t, program("nosuchprogram"), "none is none")
	assert.True(t, strings.HasPrefix(absolute("x"), "/"), "paths in advice begin at the root")
}

// TestUsualTLS: a host MTA has to know how much TLS mail has whose domain has no rule of its own.
func TestUsualTLS(t *testing.T) {
	const smart, other = "[[route]]\ndomain = \"*\"\nhosts = [\"smart.example.net\"]\n", "[[route]]\ndomain = \"example.org\"\nhosts = [\"a.example.net\"]\ntls = \"off\"\n"
	for _, c := range []struct{ rule, text, want string }{
		{"opportunistic by default", "", "opportunistic"},
		{"tls.mode", "[tls]\nmode = \"required\"\n", "required"},
		{"a route that says nothing of TLS", smart, "opportunistic"},
		{"a route for all mail", smart + "tls = \"required\"\n", "required"},
		{"a route with a password", smart + "auth = \"/etc/smtpfeed/a\"\n", "verified"},
		{"a route for all mail, in plaintext", "[tls]\nmode = \"required\"\n" + smart + "tls = \"off\"\n", "off"},
		{"a route for one domain", "[tls]\nmode = \"required\"\n" + other, "required"},
		{"a destination for all mail", "[[tls.destination]]\ndomain = \"*\"\nmode = \"off\"\n", "off"},
		{"a destination for one domain", "[[tls.destination]]\ndomain = \"a.example\"\nmode = \"off\"\n", "opportunistic"},
		{"fallback hosts know nothing of a route", "[smtp]\nfallback = [\"b.example.net\"]\n" + smart + "tls = \"required\"\n", "opportunistic"},
		{"nor does a route of them", "[tls]\nmode = \"required\"\n[smtp]\nfallback = [\"b.example.net\"]\n" + smart + "tls = \"off\"\n", "off"},
	} {
		conf, err := Parse("test", []byte(c.text))
		require.NoError(t, err, "%s: the configuration is one", c.rule)
		assert.Equal(t, c.want, conf.forHosts().TLSMode, "%s", c.rule)
	}
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConfigurationIsTheDefaultsButForTheShape(t *testing.T) {
	d := &daemon{dir: "/d", socket: "/d/lmtp.sock"}
	w := &world{dns: "127.0.0.1:5353", port: "2525"}
	plain := d.config(shape{}, w)
	assert.Contains(t, plain, "servers = [\"127.0.0.1:5353\"]\n", "it asks the world")
	assert.Contains(t, plain, "port = 2525\n", "and goes there")
	assert.NotContains(t, plain, "verp", "everybody has one sender by default")
	assert.Contains(t, d.config(shape{verp: true}, w), "[[verp]]\nsender = \""+sender+"\"\ntemplate = \""+verpSender+"\"\n", "or each an own one")
}

// program is a shell script in the place of smtpfeed.
func program(t *testing.T, script string) string {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no shell")
	}
	file := filepath.Join(t.TempDir(), "smtpfeed")
	require.NoError(t, os.WriteFile(file, []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	return file
}

func TestAnSmtpfeedThatDoesNotStartSaysWhy(t *testing.T) {
	f := feeder{program: program(t, "echo smtpfeed.toml:13:3: unknown key verp; exit 78")}
	_, err := f.begin(shape{key: "v", verp: true}, &world{})
	require.Error(t, err)
	assert.ErrorContains(t, err, "unknown key verp", "with its own words")
	assert.ErrorContains(t, err, "exit status 78", "and its status")
	_, err = feeder{program: "/nowhere/smtpfeed"}.begin(shape{}, &world{})
	assert.ErrorContains(t, err, "make bench", "who is not built is")
}

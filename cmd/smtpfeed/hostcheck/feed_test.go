package hostcheck

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSamePlace(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"unix:/run/s", "unix:/run/s", true},
		{"unix:/run/s", "unix:/run//x/../s", true},
		{"unix:/run/s", "unix:/var/run/s", true},
		{"unix:/run/s", "unix:/run/t", false},
		{"unix:/run/s", "tcp:127.0.0.1:24", false},
		{"tcp:127.0.0.1:24", "tcp:localhost:24", true},
		{"tcp:[::1]:24", "tcp:localhost:24", true},
		{"tcp:127.0.0.1:24", "tcp:[::1]:24", false},
		{"tcp:127.0.0.1:24", "tcp:127.0.0.2:24", false},
		{"tcp:127.0.0.1:24", "tcp:127.0.0.1:25", false},
		{"tcp:127.0.0.1:24", "tcp:192.0.2.1:24", false},
		{"tcp:127.0.0.1:24", "", false},
	} {
		assert.Equal(t, c.same, samePlace(c.a, c.b), "%s and %s", c.a, c.b)
	}
}

func TestParseLength(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"600s": 10 * time.Minute, "600": 10 * time.Minute, "1h": time.Hour, "1h30m": 90 * time.Minute, "2D": 48 * time.Hour, "1w": 168 * time.Hour, "0": 0,
	} {
		d, ok := parseLength(text)
		assert.True(t, ok, "%s is a length of time", text)
		assert.Equal(t, want, d, "%s", text)
	}
	for _, text := range []string{"", "x", "5x", "h", "-5s", "$x", "99999999999999999999s", "2000000000w"} {
		_, ok := parseLength(text)
		assert.False(t, ok, "%q is none", text)
	}
}

func TestFindings(t *testing.T) {
	a, b, c := Finding{Severity: Note, Where: "x"}, Finding{Severity: Unsafe, Where: "y"}, Finding{Severity: Unsafe, Where: "z"}
	assert.Equal(t, []Finding{b, c, a}, Sort([]Finding{a, b, b, c, a}), "the worst come first, in their order, each once")
	evil := Finding{Slow, "postfix", "a\x1b[2J\nsmtpfeed: b\u0085\xff", "c\rd"}
	assert.Equal(t, "slow: postfix: a?[2J?smtpfeed: b??\n    c?d", evil.String(), "a configuration cannot write to the terminal")
	assert.Equal(t, "'a b'", quote("a b"), "commands are words of the shell")
	assert.Equal(t, `'a'\''b'`, quote("a'b"), "also with a quote in them")
	assert.Equal(t, "''", quote(""), "or nothing")
}

// TestBarrier looks at permissions. The account is nobody of this machine, so that it does not matter who runs the test.
func TestBarrier(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "reach")
	require.NoError(t, err, "a directory is made")
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	stranger := Account{"stranger", "strangers", 54321, 54321}
	member := Account{"member", "members", 54321, uint32(os.Getgid())}
	owner := Account{"owner", "owners", uint32(os.Getuid()), 54321}
	chmod := func(path string, mode os.FileMode) { require.NoError(t, os.Chmod(path, mode), "the mode is set") }

	chmod(dir, 0o700)
	assert.Equal(t, &barrier{dir, true, 0o700}, barrierTo(socket, stranger, 0o666), "a closed directory is in the way")
	assert.Nil(t, barrierTo(socket, Account{"root", "root", 0, 0}, 0), "not for root")
	chmod(dir, 0o711)
	assert.Equal(t, &barrier{socket, false, 0o660}, barrierTo(socket, stranger, 0o660), "a socket that is to come will have this mode")
	assert.Nil(t, barrierTo(socket, member, 0o660), "and the group of its directory")
	assert.Nil(t, barrierTo(filepath.Join(dir, "none", "s"), stranger, 0), "a directory that is not there is reported elsewhere")

	l, err := net.Listen("unix", socket)
	require.NoError(t, err, "there is a socket")
	defer l.Close()
	chmod(socket, 0o660)
	assert.Equal(t, &barrier{socket, false, 0o660}, barrierTo(socket, stranger, 0o666), "the mode of the one that is there counts")
	assert.Nil(t, barrierTo(socket, member, 0), "its group may write")
	chmod(socket, 0o606)
	assert.Nil(t, barrierTo(socket, stranger, 0), "everybody may write")
	if os.Getuid() != 0 {
		assert.Nil(t, barrierTo(socket, owner, 0), "the owner may write")
	}
	assert.NotNil(t, barrierTo(socket, member, 0), "the first class that matches decides")
}

// TestPostfixPermissions tells the three ways in which Postfix cannot get at the socket, each with its command.
func TestPostfixPermissions(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "reach")
	require.NoError(t, err, "a directory is made")
	defer os.RemoveAll(dir)
	f := ourFeed()
	f.Listen = []string{"unix:" + dir + "/lmtp.sock"}
	main := strings.Replace(tuned, "/run/smtpfeed", dir, 1)
	p := readReal(t, main, tunedServices)
	p.Account = Account{"stranger", "strangers", 54321, 54321}
	for _, c := range []struct {
		dir, socket os.FileMode
		says, mend  string
	}{
		{0o700, 0o660, "unsafe: postfix: the user stranger may not pass the directory " + dir, "chmod o+x " + dir},
		{0o755, 0o600, "unsafe: postfix: the user stranger may not write to the socket", `socket_mode = "0660"`},
		{0o755, 0o660, "unsafe: postfix: the user stranger may not connect to the socket", "chgrp strangers " + dir},
		{0o755, 0o666, "", ""},
	} {
		require.NoError(t, os.Chmod(dir, c.dir), "the mode is set")
		f.Mode = c.socket
		said := summary(p.Check(f))
		wants(t, c.says, said)
		assert.Contains(t, said, c.mend, "and it says what to do")
	}
	f.Mode, p.services["smtpfeed/unix"] = 0, service{"smtpfeed/unix", "n", "n", "200", "lmtp"}
	assert.Empty(t, summary(p.Check(f)), "a privileged service gets everywhere")
}

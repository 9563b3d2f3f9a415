package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// writeFile writes a text file.
func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

// A world is a DNS server, a mail exchanger for example.test and example.com, and a configuration that uses them.
type world struct {
	dir  string
	dns  *dnssim.Server
	mx   *mxsim.Server
	port int
}

const worldZone = `
example.test.    MX 10 mx.example.test.
example.com.     MX 10 mx.example.test.
mx.example.test. A 127.0.0.1
null.test.       MX 0 .
`

func newWorld(t *testing.T, mx mxsim.Config) *world {
	d, err := listenZone(worldZone)
	require.NoError(t, err, "the DNS server listens")
	t.Cleanup(func() { d.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err, "the mail host listens")
	m := mxsim.New(mx)
	m.Start(l)
	t.Cleanup(m.Close)
	return &world{dir: t.TempDir(), dns: d, mx: m, port: l.Addr().(*net.TCPAddr).Port}
}

// listenZone serves a zone.
func listenZone(text string) (*dnssim.Server, error) {
	zone, err := dnssim.Zone(text)
	if err != nil {
		return nil, err
	}
	return dnssim.Listen("127.0.0.1:0", zone)
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// config writes the configuration file, with more lines in [log] at its end, and returns its path.
func (w *world) config(t *testing.T, more string) string {
	text := fmt.Sprintf(`hostname = "feed.example.test"
[lmtp]
listen = ["unix:%[1]s/lmtp.sock"]
[dns]
servers = [%[2]q]
[smtp]
port = %[3]d
sessions = 100
prohibited = []
[ledger]
path = "%[1]s/ledger.db"
[admin]
listen = "unix:%[1]s/admin.sock"
[log]
deliveries = "%[1]s/deliveries.jsonl"
%[4]s
`, w.dir, w.dns.Addr(), w.port, more)
	path := w.path("smtpfeed.toml")
	require.NoError(t, writeFile(path, text), "the configuration is written")
	return path
}

// A running is a daemon in this process.
type running struct {
	*daemon
	signals chan os.Signal
	ended   chan error
	log     *lockedBuffer
}

// start runs the daemon as serve does.
func (w *world) start(t *testing.T, file string) *running {
	r := &running{signals: make(chan os.Signal), ended: make(chan error, 1), log: new(lockedBuffer)}
	var err error
	r.daemon, err = newDaemon(file, streams{err: r.log, out: r.log}, nil)
	require.NoError(t, err, "the daemon starts")
	go func() { r.ended <- r.run(r.signals) }()
	t.Cleanup(func() {
		select {
		case <-r.ended:
		case r.signals <- syscall.SIGTERM:
			<-r.ended
		}
	})
	return r
}

// looksUp waits until n domains have been looked up: those who come together then go together, however slow the DNS is.
func (r *running) looksUp(n uint64) {
	for s := r.status(context.Background()).Feed; s.Lookups < n || s.Resolving > 0; s = r.status(context.Background()).Feed {
		runtime.Gosched()
	}
}

// A host is a host MTA that speaks LMTP line by line.
type host struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (w *world) host(t *testing.T) *host {
	conn, err := net.Dial("unix", w.path("lmtp.sock"))
	require.NoError(t, err, "the daemon takes a connection")
	t.Cleanup(func() { conn.Close() })
	h := &host{t: t, conn: conn, in: bufio.NewReader(conn)}
	h.expect("220")
	h.say("LHLO host.example.test", "250")
	return h
}

// say sends a line and expects a reply with this code.
func (h *host) say(line, code string) string {
	h.t.Helper()
	h.send(line + "\r\n")
	return h.expect(code)
}

func (h *host) send(text string) {
	h.t.Helper()
	_, err := h.conn.Write([]byte(text))
	require.NoError(h.t, err, "the daemon reads")
}

// expect reads one reply and returns its last line.
func (h *host) expect(code string) string {
	h.t.Helper()
	for {
		line, err := h.in.ReadString('\n')
		require.NoError(h.t, err, "the daemon replies")
		line = strings.TrimRight(line, "\r\n")
		require.GreaterOrEqual(h.t, len(line), 4, "a reply has a code and a text: %q", line)
		require.Equal(h.t, code, line[:len(code)], "the reply is %q", line)
		if line[3] != '-' {
			return line
		}
	}
}

// envelope sends everything of a transaction but the final dot.
func (h *host) envelope(recipients ...string) {
	h.t.Helper()
	h.say("MAIL FROM:<list@example.net>", "250")
	for _, r := range recipients {
		h.say("RCPT TO:<"+r+">", "250")
	}
	h.say("DATA", "354")
	h.send("Subject: hello\r\n\r\nhello\r\n")
}

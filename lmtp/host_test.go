package lmtp

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// realTimeout ends a test on real sockets that would hang; no test depends on its length.
const realTimeout = 2 * time.Minute

// A mailer is the Mailer of a test: it notes what it is told, and its envelopes are settled by the test.
type mailer struct {
	refuse map[string]*feed.Outcome
	onSend func(*feed.Envelope) // nil: the test takes it from sent

	sent      chan *feed.Envelope
	cancelled chan *feed.Envelope
	parted    chan string // "1 taken"

	mu       sync.Mutex
	hints    []string
	expected []string
	coming   map[announced]int // and not withdrawn
}

func newMailer() *mailer {
	return &mailer{sent: make(chan *feed.Envelope, 100), cancelled: make(chan *feed.Envelope, 100), parted: make(chan string, 1000)}
}

func (m *mailer) Hint(domain string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hints = append(m.hints, domain)
}

func (m *mailer) Expect(domain string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expected = append(m.expected, domain)
}

// An announced envelope is one of which the Mailer knows what it is told before the content.
type announced struct {
	from   wire.Address
	params feed.Params
}

func (m *mailer) Announce(from wire.Address, p feed.Params) { m.announce(announced{from, p}, 1) }
func (m *mailer) Withdraw(from wire.Address, p feed.Params) { m.announce(announced{from, p}, -1) }

func (m *mailer) announce(a announced, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.coming == nil {
		m.coming = make(map[announced]int)
	}
	m.coming[a] += n
}

// comingFrom is how many envelopes of a sender are announced and not withdrawn.
func (m *mailer) comingFrom(from wire.Address) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for a, k := range m.coming {
		if a.from == from {
			n += k
		}
	}
	return n
}

func (m *mailer) expectedSoFar() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.expected)
}

func (m *mailer) hinted() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.hints...)
}

func (m *mailer) Refusal(domain string) *feed.Outcome { return m.refuse[domain] }

func (m *mailer) Send(e *feed.Envelope) {
	if m.onSend != nil {
		m.onSend(e)
		return
	}
	m.sent <- e
}

func (m *mailer) Cancel(e *feed.Envelope) { m.cancelled <- e }

func (m *mailer) Taken(envelope string)     { m.parted <- envelope + " taken" }
func (m *mailer) Abandoned(envelope string) { m.parted <- envelope + " abandoned" }

// deliverAll settles every envelope at once as delivered.
func deliverAll(e *feed.Envelope) { settle(e, delivered("250 2.0.0 Ok"), all(e)...) }

func all(e *feed.Envelope) []int {
	list := make([]int, len(e.Recipients))
	for i := range list {
		list[i] = i
	}
	return list
}

func settle(e *feed.Envelope, o *feed.Outcome, recipients ...int) {
	list := make([]feed.Settlement, 0, len(recipients))
	for _, r := range recipients {
		list = append(list, feed.Settlement{Recipient: r, Outcome: o, Attempts: 1})
	}
	e.Sink.Settle(list)
}

var mx1 = &feed.Via{MX: "mx1.example", Addr: netip.MustParseAddrPort("192.0.2.1:25")}

// reply parses "550 5.1.1 no such user".
func reply(text string) wire.Reply {
	var r wire.Reply
	n, _ := fmt.Sscanf(text, "%d %d.%d.%d", &r.Code, &r.Enhanced.Class, &r.Enhanced.Subject, &r.Enhanced.Detail)
	r.Text = strings.Join(strings.Fields(text)[min(n, 2):], " ")
	return r
}

func remote(class feed.Class, text string) *feed.Outcome {
	r := reply(text)
	return &feed.Outcome{Class: class, Status: r.Enhanced, Reply: r, Via: mx1}
}

func delivered(text string) *feed.Outcome { return remote(feed.Delivered, text) }
func failed(text string) *feed.Outcome    { return remote(feed.Failed, text) }
func deferred(text string) *feed.Outcome  { return remote(feed.Deferred, text) }

// ours is an outcome without a remote's words.
func ours(class feed.Class, status wire.Enhanced, why string) *feed.Outcome {
	return &feed.Outcome{Class: class, Status: status, Err: errors.New(why), Via: mx1}
}

// A host is the host MTA of a test.
type host struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func newHost(t testing.TB, c net.Conn) *host {
	t.Cleanup(func() { c.Close() })
	return &host{t: t, conn: c, in: bufio.NewReader(c)}
}

// send writes lines, each ended by CRLF.
func (h *host) send(lines ...string) {
	h.t.Helper()
	h.raw(strings.Join(lines, "\r\n") + "\r\n")
}

func (h *host) raw(octets string) {
	h.t.Helper()
	_, err := h.conn.Write([]byte(octets))
	require.NoError(h.t, err, "the host can write")
}

// line reads one line.
func (h *host) line() string {
	h.t.Helper()
	line, err := h.in.ReadString('\n')
	require.NoError(h.t, err, "a reply comes; so far: %q", line)
	require.True(h.t, strings.HasSuffix(line, "\r\n"), "a reply ends in CRLF: %q", line)
	return strings.TrimSuffix(line, "\r\n")
}

// expect reads one reply for each prefix.
func (h *host) expect(prefixes ...string) {
	h.t.Helper()
	for _, p := range prefixes {
		line := h.line()
		for len(line) > 3 && line[3] == '-' {
			line = h.line()
		}
		require.True(h.t, strings.HasPrefix(line, p), "the reply begins with %q: %q", p, line)
	}
}

// closed expects the end of the connection.
func (h *host) closed() {
	h.t.Helper()
	line, err := h.in.ReadString('\n')
	require.Error(h.t, err, "the connection ends, without a reply more: %q", line)
	require.Empty(h.t, line, "the connection ends behind a complete reply")
	var timeout net.Error
	require.False(h.t, errors.As(err, &timeout) && timeout.Timeout(), "the connection ends, and does not just stay silent")
}

// hello passes greeting and LHLO.
func (h *host) hello() *host {
	h.t.Helper()
	h.expect("220 ")
	h.send("LHLO host.example")
	h.expect("250 ")
	return h
}

// envelope passes MAIL, RCPT and DATA up to 354.
func (h *host) envelope(recipients ...string) {
	h.t.Helper()
	h.send("MAIL FROM:<sender@example.org>")
	h.expect("250 2.1.0 ")
	for _, r := range recipients {
		h.send("RCPT TO:<" + r + ">")
		h.expect("250 2.1.5 ")
	}
	h.send("DATA")
	h.expect("354 ")
}

// content sends a message.
func (h *host) content(lines ...string) { h.t.Helper(); h.send(append(lines, ".")...) }

// A fixture is a Server with its Mailer, reached through a real unix socket.
type fixture struct {
	t      testing.TB
	server *Server
	mailer *mailer
	listen string
}

func newFixture(t testing.TB, c Config) *fixture {
	m := newMailer()
	c.Mailer = m
	if c.Hostname == "" {
		c.Hostname = "feed.example"
	}
	f := &fixture{t: t, server: New(c), mailer: m, listen: filepath.Join(t.TempDir(), "lmtp.sock")}
	l, err := Listen("unix:"+f.listen, 0o600)
	require.NoError(t, err, "the socket can be made")
	f.serve(l)
	return f
}

// serve runs Serve until the test ends.
func (f *fixture) serve(l net.Listener) {
	done := make(chan error, 1)
	go func() { done <- f.server.Serve(l) }()
	f.t.Cleanup(func() {
		f.server.Close()
		assert.NoError(f.t, <-done, "Serve returns nil after Close")
	})
}

// host connects, and passes LHLO.
func (f *fixture) host() *host { f.t.Helper(); return f.connect().hello() }

func (f *fixture) connect() *host {
	f.t.Helper()
	c, err := net.Dial("unix", f.listen)
	require.NoError(f.t, err, "the host can connect")
	require.NoError(f.t, c.SetDeadline(time.Now().Add(realTimeout)), "a deadline can be set")
	return newHost(f.t, c)
}

// envelope waits for the next one that was handed over.
func (f *fixture) envelope() *feed.Envelope {
	f.t.Helper()
	select {
	case e := <-f.mailer.sent:
		return e
	case <-time.After(realTimeout):
		require.FailNow(f.t, "an envelope is handed over")
		return nil
	}
}

// nothingSent says that no envelope was handed over. It is for tests that have seen the reply behind which one would have been.
func (f *fixture) nothingSent() {
	f.t.Helper()
	assert.Empty(f.t, f.mailer.sent, "no envelope is handed over")
}

// simulated is a fixture in a synctest bubble: hosts come over a network in memory, and time is the bubble's.
func simulated(t *testing.T, c Config) (f *fixture, connect func() *host) {
	m := newMailer()
	c.Mailer = m
	c.Hostname = "feed.example"
	f = &fixture{t: t, server: New(c), mailer: m}
	n, at := netsim.New(), netip.MustParseAddrPort("127.0.0.1:2424")
	l, err := n.Listen(at)
	require.NoError(t, err, "the simulated network has the port")
	f.serve(l)
	return f, func() *host {
		t.Helper()
		c, err := n.Dial(t.Context(), at)
		require.NoError(t, err, "the host can connect")
		return newHost(t, c)
	}
}

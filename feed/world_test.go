package feed

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The exchangers of most tests. Both domains name them in this order.
const (
	best   = "192.0.2.1"
	backup = "192.0.2.2"
)

// budget is what an envelope gets unless a test says otherwise: the default of the configuration.
const budget = 540 * time.Second

// A world is one Feeder among simulated exchangers. It lives in a synctest bubble, so that its minutes cost nothing.
type world struct {
	t       *testing.T
	net     *netsim.Net
	table   *table
	feeder  *Feeder
	halt    context.CancelFunc // stops Run at once
	over    chan struct{}      // closed when Run has returned
	closers []func()
	sent    int

	mu   sync.Mutex
	taps []*tap // what the Feeder wrote on each connection, in the order of the dials
}

// newWorld starts a Feeder that knows no domain and whose hosts are 10 ms away. By default a host gets one session, so that
// scripts know which connection comes first.
func newWorld(t *testing.T, configure ...func(*Config)) *world {
	w := &world{t: t, net: netsim.New(), table: &table{}, over: make(chan struct{})}
	w.net.Default(netsim.Link{Latency: 10 * time.Millisecond})
	c := Config{Resolver: w.table, Dial: w.dial, Seed: 1, SessionsPerHost: 1}
	for _, f := range configure {
		if f != nil {
			f(&c)
		}
	}
	w.feeder = New(c)
	ctx, halt := context.WithCancel(context.Background())
	w.halt = halt
	go func() {
		defer close(w.over)
		w.feeder.Run(ctx)
	}()
	t.Cleanup(w.finish)
	return w
}

// finish drains the Feeder and checks that it left nothing behind. It may be called more than once.
func (w *world) finish() {
	w.feeder.Drain()
	<-w.over
	w.halt()
	time.Sleep(time.Second) // what the Feeder wrote last arrives
	for _, c := range w.closers {
		c()
	}
	w.closers = nil
	assert.Zero(w.t, w.net.Open(), "no connection is left open on either side")
}

// twoDomains makes one.test and two.test share their exchanger, and with next also a second one behind it.
func (w *world) twoDomains(next bool) {
	for _, domain := range []string{"one.test", "two.test"} {
		mx := []string{"10 mx1.test " + best}
		if next {
			mx = append(mx, "20 mx2.test "+backup)
		}
		w.table.set(domain, mx...)
	}
}

func (w *world) listen(addr string) net.Listener {
	l, err := w.net.Listen(at(addr))
	require.NoError(w.t, err)
	return &listener{Listener: l, world: w}
}

// play puts a scripted exchanger at an address, with a script for each connection.
func (w *world) play(addr string, scripts ...mxsim.Script) *mxsim.Player {
	p := mxsim.Play(w.listen(addr), scripts...)
	w.closers = append(w.closers, p.Close)
	return p
}

// serve puts a polite exchanger at an address.
func (w *world) serve(addr string, c mxsim.Config) *mxsim.Server {
	s := mxsim.New(c)
	s.Start(w.listen(addr))
	w.closers = append(w.closers, s.Close)
	return s
}

// send hands a message over, in an envelope of its own. Equal contents are one message.
func (w *world) send(content string, to ...string) *delivery {
	return w.sendIn(budget, content, to...)
}

func (w *world) sendIn(budget time.Duration, content string, to ...string) *delivery {
	d := w.prepare(budget, content, to...)
	w.feeder.Send(d.envelope)
	return d
}

// prepare makes a delivery whose envelope is yet to be sent.
func (w *world) prepare(budget time.Duration, content string, to ...string) *delivery {
	w.sent++
	d := &delivery{t: w.t, left: len(to), settled: make([]*Settlement, len(to)), done: make(chan struct{})}
	d.envelope = &Envelope{ID: fmt.Sprint("e", w.sent), From: mustAddress(w.t, "list@example.org"), Body: bodyOf(content),
		Deadline: time.Now().Add(budget), Sink: d}
	for _, a := range to {
		address := mustAddress(w.t, a)
		d.envelope.Recipients = append(d.envelope.Recipients, address)
		d.envelope.Routes = append(d.envelope.Routes, address.Domain())
	}
	return d
}

func (w *world) snapshot() Snapshot {
	s, err := w.feeder.Snapshot(context.Background())
	require.NoError(w.t, err)
	return s
}

// dials is how often an address was dialled.
func (w *world) dials(addr string) int { return w.net.Dials()[at(addr)] }

func at(addr string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(addr), 25) }

// dial is the Feeder's way into the net.
func (w *world) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	c, err := w.net.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	tap := &tap{Conn: c, to: to, fault: -1}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taps = append(w.taps, tap)
	return tap, nil
}

// tapsTo are the taps of the connections to an address.
func (w *world) tapsTo(addr string) []*tap {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []*tap
	for _, tap := range w.taps {
		if tap.to == at(addr) {
			found = append(found, tap)
		}
	}
	return found
}

// addresses are u0@domain to u(n-1)@domain.
func addresses(n int, domain string) []string {
	to := make([]string, n)
	for i := range to {
		to[i] = fmt.Sprintf("u%d@%s", i, domain)
	}
	return to
}

// repeated is the same word for n recipients.
func repeated(word string, n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = word
	}
	return words
}

// text is size octets of lines of text without a dot in front.
func text(size int) string {
	line := strings.Repeat("x", 70) + "\r\n"
	return strings.Repeat(line, size/len(line)+1)[:size-2] + "\r\n"
}

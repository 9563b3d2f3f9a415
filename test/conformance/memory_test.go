package conformance

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// A memory world is one in a synctest bubble, for one row.
type memory struct {
	net *netsim.Net
	dns *dnssim.Host
}

// nameServer is where its DNS server is.
const nameServer = "192.0.2.53:53"

func newMemory(best netsim.Link) *memory {
	w := &memory{net: netsim.New(), dns: &dnssim.Host{Latency: time.Millisecond}}
	w.net.Default(netsim.Link{Latency: 10 * time.Millisecond})
	if best != (netsim.Link{}) {
		w.net.Host(netip.MustParseAddr("192.0.2.1"), best)
	}
	return w
}

func (w *memory) serve(_ names, h dnssim.Handler) {
	if h != nil {
		w.dns.Handler = h
	}
}

func (w *memory) listen(addr netip.Addr) (net.Listener, error) {
	return w.net.Listen(netip.AddrPortFrom(addr, 25))
}

func (w *memory) scaled(d time.Duration) time.Duration { return d }
func (w *memory) gated() bool                          { return false }
func (w *memory) large() int                           { return 300 << 10 }
func (w *memory) tick()                                { time.Sleep(10 * time.Millisecond) }

// An engine is package feed with its resolver, without the process and LMTP around it.
type engine struct {
	t        *testing.T
	feeder   *feed.Feeder
	resolver *resolver.Resolver
	over     chan struct{} // closed when Run has returned
	halt     context.CancelFunc
	sent     int
}

// startEngine starts the engine in a world of memory.
func startEngine(t *testing.T, w *memory, s setup) *engine {
	network := &dnssim.Network{}
	network.Add(nameServer, w.dns)
	r, err := resolver.New(resolver.Config{Servers: []string{nameServer}, Dial: network.Dial})
	require.NoError(t, err, "there is a resolver")
	c := feed.Config{Hostname: "feed.conformance.test", Resolver: r, Seed: 1, SessionsPerHost: s.sessionsPerHost,
		RecipientsPerTransaction: s.perTransaction, ChunkingFrom: s.chunkingFrom, IdleTimeout: s.idle,
		Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) { return w.net.Dial(ctx, to) }}
	if s.always {
		c.Piggyback = feed.PiggybackAlways
	}
	e := &engine{t: t, feeder: feed.New(c), resolver: r, over: make(chan struct{})}
	ctx, halt := context.WithCancel(context.Background())
	e.halt = halt
	go func() {
		defer close(e.over)
		e.feeder.Run(ctx)
	}()
	return e
}

// end ends it in good order.
func (e *engine) end() {
	e.feeder.Drain()
	<-e.over
	e.halt()
	e.resolver.Close()
}

func (e *engine) told() bool { return true }

func (e *engine) learned(exchanger string) (text string, known bool) {
	s, err := e.feeder.Snapshot(context.Background())
	require.NoError(e.t, err, "the engine answers")
	for _, h := range s.HostStates {
		if h.Name == exchanger {
			return h.Learned, true
		}
	}
	return "", true
}

// ordinary is the budget of a message, as the configuration has it.
const ordinary = 540 * time.Second

// deliver hands a message over as package lmtp does.
func (e *engine) deliver(m message) ([]outcome, error) {
	e.sent++
	from, err := wire.ParseAddress(m.from)
	require.NoError(e.t, err, "the sender is one")
	var body wire.BodyWriter
	_, err = body.Write([]byte(m.content))
	require.NoError(e.t, err, "the content is taken")
	if m.budget == 0 {
		m.budget = ordinary
	}
	d := &delivery{t: e.t, outcomes: make([]outcome, len(m.to)), left: len(m.to), done: make(chan struct{})}
	envelope := &feed.Envelope{ID: "e" + string(rune('0'+e.sent)), From: from, Body: body.Body(), Sink: d}
	for _, to := range m.to {
		a, err := wire.ParseAddress(to)
		require.NoError(e.t, err, "%s is an address", to)
		envelope.Recipients, envelope.Routes = append(envelope.Recipients, a), append(envelope.Routes, a.Domain())
		e.feeder.Hint(a.Domain())
	}
	time.Sleep(50 * time.Millisecond) // the host MTA's content takes its time
	envelope.Deadline = time.Now().Add(m.budget)
	e.feeder.Send(envelope)
	<-d.done
	return d.outcomes, nil
}

// A delivery is the Sink of one envelope.
type delivery struct {
	t    *testing.T
	done chan struct{} // closed by Settle when nobody is left

	mu       sync.Mutex
	left     int
	outcomes []outcome
}

// Settle is called by the engine's loop.
func (d *delivery) Settle(settlements []feed.Settlement) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range settlements {
		assert.Empty(d.t, d.outcomes[s.Recipient].class, "recipient %d is settled once", s.Recipient)
		d.outcomes[s.Recipient] = outcomeOf(s)
		d.left--
	}
	if d.left == 0 {
		close(d.done)
	}
}

func outcomeOf(s feed.Settlement) outcome {
	o := outcome{status: s.Outcome.Status.String(), text: s.Outcome.Reason(), latency: s.Total}
	switch s.Outcome.Class {
	case feed.Delivered:
		o.class = "OK"
	case feed.Failed:
		o.class = "P"
	default:
		o.class = "T"
		if s.Outcome.Uncertain {
			o.class = "U"
		}
	}
	return o
}

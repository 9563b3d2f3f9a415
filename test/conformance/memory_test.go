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
	"github.com/smtpfeed/smtpfeed/resolver/sts"
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

func (w *memory) listenHTTPS(addr netip.Addr) (net.Listener, error) {
	return w.net.Listen(netip.AddrPortFrom(addr, 443))
}

func (w *memory) scaled(d time.Duration) time.Duration { return d }
func (w *memory) port() int                            { return 25 }
func (w *memory) gated() bool                          { return false }
func (w *memory) large() int                           { return 300 << 10 }
func (w *memory) tick()                                { time.Sleep(10 * time.Millisecond) }

// An engine is package feed with its resolver, without the process and LMTP around it.
type engine struct {
	t        *testing.T
	feeder   *feed.Feeder
	resolver *resolver.Resolver
	store    *sts.Store
	over     chan struct{} // closed when Run has returned
	halt     context.CancelFunc
	sent     int
}

// startEngine starts the engine in a world of memory.
func startEngine(t *testing.T, w *memory, s setup) *engine {
	network := &dnssim.Network{}
	network.Add(nameServer, w.dns)
	rc := resolver.Config{Servers: []string{nameServer}, Dial: network.Dial, DANE: s.dane, TrustAD: []netip.Prefix{netip.MustParsePrefix("192.0.2.53/32")}}
	store := startStore(t, w, s)
	rc.STS = store
	r, err := resolver.New(rc)
	require.NoError(t, err, "there is a resolver")
	c := feed.Config{Hostname: "feed.conformance.test", Resolver: r, Seed: 1, SessionsPerHost: s.sessionsPerHost, Prohibited: s.prohibited(),
		RecipientsPerTransaction: s.perTransaction, ChunkingFrom: s.chunkingFrom, IdleTimeout: s.idle,
		Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) { return w.net.Dial(ctx, to) }}
	if s.always {
		c.Piggyback = feed.PiggybackAlways
	}
	c.TLS = s.engineTLS()
	e := &engine{t: t, feeder: feed.New(c), resolver: r, store: store, over: make(chan struct{})}
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
	if e.store != nil {
		assert.NoError(e.t, e.store.Close(), "the policies' store ends well")
	}
}

// startStore starts the store of policies, if the setup wants them; else it is nil.
func startStore(t *testing.T, w *memory, s setup) *sts.Store {
	if !s.sts {
		return nil
	}
	store, err := sts.Open(sts.Config{Roots: authority().Pool(), Prohibited: s.prohibited(), Dial: func(ctx context.Context, _, addr string) (net.Conn, error) {
		to, err := netip.ParseAddrPort(addr)
		if err != nil {
			return nil, err
		}
		return w.net.Dial(ctx, to)
	}})
	require.NoError(t, err, "there is a store of policies")
	return store
}

// engineTLS is a setup's TLS.
func (s setup) engineTLS() feed.TLS {
	c := feed.TLS{Mode: feed.TLSOpportunistic, Roots: authority().Pool()}
	switch s.tls {
	case "off":
		c.Mode = feed.TLSOff
	case "required":
		c.Mode = feed.TLSRequired
	case "verified":
		c.Destinations = []feed.Destination{{Domain: ".test", Mode: feed.TLSVerified, Names: []string{".test"}}}
	}
	return c
}

// prohibited are the addresses that must not be dialled: none of 192.0.2.0/24 but what a setup names.
func (s setup) prohibited() []netip.Prefix {
	if s.internal == "" {
		return nil
	}
	return []netip.Prefix{netip.MustParsePrefix(s.internal)}
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
	envelope := &feed.Envelope{ID: "e" + string(rune('0'+e.sent)), From: from, Body: body.Body(), Sink: d,
		Params: feed.Params{RequireTLS: m.private, TLSOptional: m.lax}}
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

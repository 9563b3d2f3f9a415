package feed

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	largeDomains = 12_500 // 80 recipients each of a million: transactions are shared
	largeHosts   = 100
	// stateLimit is how many octets of memory a waiting recipient may take, beside its address.
	stateLimit = 300
)

// A perfect is a world of perfect hosts around an engine, which counts what is settled and how much was under way.
type perfect struct {
	t        *testing.T
	now      time.Time
	engine   *engine
	settled  []bool // by recipient
	left     int
	most     int // recipients in transactions at once
	flying   int
	sessions int
}

// round carries out what the engine orders, with nothing but success; false when there was nothing.
func (p *perfect) round() bool {
	acts := slices.Clone(p.engine.take())
	for _, a := range acts {
		switch a := a.(type) {
		case dial:
			p.sessions++
			p.engine.step(p.now, opened{session: a.session, caps: wire.Caps{Pipelining: true}})
		case transmit:
			p.flying += len(a.order.to)
			p.most = max(p.most, p.flying)
		case hangup:
			p.engine.step(p.now, ended{session: a.session})
		case settle:
			p.settle(a)
		}
	}
	for _, a := range acts { // all transactions of a round are under way at once
		if a, ok := a.(transmit); ok {
			p.engine.step(p.now, finished{session: a.session, report: p.finish(a.order)})
			p.flying -= len(a.order.to)
		}
	}
	return len(acts) > 0
}

// finish is the report of a transaction in which everything went well.
func (p *perfect) finish(o *order) *report {
	r := &report{transaction: o.transaction, mail: wire.Reply{Code: 250}, data: wire.Reply{Code: 354}, final: wire.Reply{Code: 250}, dotted: true}
	r.rcpts = slices.Repeat([]wire.Reply{{Code: 250}}, len(o.to))
	return r
}

func (p *perfect) settle(a settle) {
	for _, s := range a.settlements {
		if p.settled[s.Recipient] || s.Outcome.Class != Delivered {
			assert.Fail(p.t, "recipient settled twice or not delivered", "%d", s.Recipient)
		}
		p.settled[s.Recipient] = true
		p.left--
	}
}

// largeRecipients are n addresses spread over the domains, as a list that is sorted by people.
func largeRecipients(t *testing.T, n int) []wire.Address {
	to := make([]wire.Address, n)
	for i := range to {
		to[i] = mustAddress(t, fmt.Sprintf("subscriber%d@d%d.example", i, i%largeDomains))
	}
	return to
}

// largeRoute is the i-th domain's: 125 domains share a host.
func largeRoute(i int) resolved {
	host := i % largeHosts
	addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(host)})
	domain := fmt.Sprintf("d%d.example", i)
	mx := resolver.MX{Preference: 10, Name: fmt.Sprintf("mx%d.example", host), Addrs: []netip.Addr{addr}}
	return resolved{domain: domain, route: resolver.Route{Domain: domain, MX: []resolver.MX{mx}, Expires: time.Now().Add(time.Hour)}}
}

// inUse is how much memory is in use when nothing is left to collect.
func inUse() uint64 {
	runtime.GC()
	runtime.GC() // what has a finalizer is freed by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// An envelope of a million recipients is taken in and settled. While it waits for lookups, and then for hosts, a recipient takes a
// few words beside its address.
func TestAMillionRecipients(t *testing.T) {
	n := 1_000_000
	if raceEnabled {
		n = 200_000
	}
	now := time.Now()
	p := &perfect{t: t, now: now, engine: newEngine(Config{}.withDefaults()), settled: make([]bool, n), left: n}
	env := &Envelope{ID: "e1", From: mustAddress(t, "list@example.org"), Recipients: largeRecipients(t, n), Body: bodyOf(shortContent), Deadline: now.Add(budget)}
	before := inUse()

	env.Routes = make([]string, n)
	for i := range env.Routes {
		env.Routes[i] = env.Recipients[i].Domain()
	}
	p.engine.step(now, sent{envelope: env})
	assert.Len(t, p.engine.take(), largeDomains, "each domain is looked up once")
	waiting := perRecipient(inUse(), before, n)
	t.Logf("a recipient that waits for its lookup takes %d octets", waiting)
	assert.LessOrEqual(t, waiting, stateLimit, "octets of a recipient that waits for its lookup")

	for i := range largeDomains {
		p.engine.step(now, largeRoute(i))
	}
	queued := perRecipient(inUse(), before, n)
	t.Logf("a recipient that waits for its host takes %d octets", queued)
	assert.LessOrEqual(t, queued, stateLimit, "octets of a recipient that waits for its host")

	for p.round() {
	}
	assert.Zero(t, p.left, "everybody is settled")
	s := p.engine.snapshot(now)
	assert.EqualValues(t, n, s.Delivered, "as delivered")
	assert.EqualValues(t, n/100, s.Transactions, "every transaction is full")
	assert.Positive(t, s.Piggybacked, "with recipients of many domains")
	require.Empty(t, p.engine.envelopes, "the envelope is forgotten")
	assert.Empty(t, p.engine.messages, "and so is the message")
	env.Routes = nil
	left := perRecipient(inUse(), before, n)
	t.Logf("what is left of a recipient is %d octets; at most %d recipients were under way at once, on %d sessions", left, p.most, p.sessions)
	assert.LessOrEqual(t, left, 30, "what is left are the routes")
	runtime.KeepAlive(env)
}

func perRecipient(after, before uint64, n int) int { return int(int64(after)-int64(before)) / n }

package feed

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// crowdResolver answers every lookup at the same instant: the loop finds more events waiting than it takes at once.
type crowdResolver struct{ at time.Time }

func (c crowdResolver) Start(domains []string, done func([]resolver.Result)) []resolver.Result {
	for _, domain := range domains {
		time.AfterFunc(time.Until(c.at), func() { done([]resolver.Result{noSuchDomain(domain)}) })
	}
	return nil
}

func (c crowdResolver) Verify(domains []string, done func([]resolver.Result)) []resolver.Result {
	return c.Start(domains, done)
}

func (crowdResolver) Cached(string) (resolver.Route, bool, error) {
	return resolver.Route{}, false, nil
}

// countingSink counts outcomes.
type countingSink struct {
	mu     sync.Mutex
	counts map[Class]int
	left   int
	done   chan struct{} // closed when all are settled
}

func newCountingSink(n int) *countingSink {
	return &countingSink{counts: map[Class]int{}, left: n, done: make(chan struct{})}
}

func (s *countingSink) Settle(settlements []Settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range settlements {
		s.counts[st.Outcome.Class]++
	}
	s.left -= len(settlements)
	if s.left == 0 {
		close(s.done)
	}
}

func TestLoopLosesNoEventOfACrowd(t *testing.T) { synctest.Test(t, loopLosesNoEventOfACrowd) }

func loopLosesNoEventOfACrowd(t *testing.T) {
	const n = 7*stepsPerTake + 3
	f := New(Config{Resolver: crowdResolver{at: time.Now().Add(time.Second)},
		Dial: nil})
	go f.Run(t.Context())
	e := &Envelope{ID: "e", Body: bodyOf("x"), Deadline: time.Now().Add(time.Minute)}
	for i := range n {
		domain := fmt.Sprintf("d%d.test", i)
		e.Recipients = append(e.Recipients, mustAddress(t, "u@"+domain))
		e.Routes = append(e.Routes, domain)
	}
	sink := newCountingSink(n)
	e.Sink = sink
	f.Send(e)
	<-sink.done
	assert.Equal(t, map[Class]int{Failed: n}, sink.counts, "every domain's answer reached the engine")
	f.Drain()
	synctest.Wait()
}

func TestPredict(t *testing.T) {
	table := tableResolver{
		"one.test":   {MX: []resolver.MX{{Preference: 10, Name: "mx.shared.test", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}}},
		"two.test":   {MX: []resolver.MX{{Preference: 10, Name: "mx2.shared.test", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}}},
		"three.test": {MX: []resolver.MX{{Preference: 5, Name: "mx.three.test", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.3")}}}},
	}
	domains := []string{"one.test", "two.test", "three.test", "gone.test", "gone.test"}
	for range 250 {
		domains = append(domains, "one.test")
	}
	p, err := Predict(t.Context(), Config{Resolver: table, RecipientsPerTransaction: 100}, domains)
	require.NoError(t, err)
	require.Len(t, p.Groups, 2, "domains whose exchangers have one address are one group")
	assert.Equal(t, Group{Host: p.Groups[0].Host, Addrs: []string{"192.0.2.1:25"}, Policy: "no TLS", Domains: []string{"one.test", "two.test"},
		Recipients: 252, Sessions: p.Groups[0].Sessions, Transactions: 3}, p.Groups[0], "252 recipients are three transactions")
	assert.Equal(t, 4, p.Transactions, "one more for the other host")
	require.Len(t, p.Unroutable, 1)
	assert.Equal(t, 2, p.Unroutable[0].Recipients, "both recipients without a route are told of")
	assert.Equal(t, Failed, p.Unroutable[0].Outcome.Class)
}

// tableResolver knows its table; every other domain does not exist.
type tableResolver map[string]resolver.Route

func (t tableResolver) Start(domains []string, _ func([]resolver.Result)) (known []resolver.Result) {
	for _, domain := range domains {
		rt, ok := t[domain]
		if !ok {
			known = append(known, noSuchDomain(domain))
			continue
		}
		rt.Domain, rt.Expires = domain, time.Now().Add(time.Hour)
		known = append(known, resolver.Result{Domain: domain, Route: rt})
	}
	return known
}

func (t tableResolver) Verify(domains []string, done func([]resolver.Result)) []resolver.Result {
	return t.Start(domains, done)
}

func (t tableResolver) Cached(string) (resolver.Route, bool, error) {
	return resolver.Route{}, false, nil
}

// TestPeersLeaveAsTheyAreHungUp: hosts close their idle sessions in the very moment in which the idle timeout hangs them up, so that
// the loop finds the end of a session behind the order to end it.
func TestPeersLeaveAsTheyAreHungUp(t *testing.T) { synctest.Test(t, peersLeaveAsTheyAreHungUp) }

func peersLeaveAsTheyAreHungUp(t *testing.T) {
	const hosts = 100
	n, table := netsim.New(), tableResolver{}
	e := &Envelope{ID: "e", Body: bodyOf("x"), Deadline: time.Now().Add(time.Minute)}
	for i := range hosts {
		addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		l, err := n.Listen(netip.AddrPortFrom(addr, 25))
		require.NoError(t, err)
		p := mxsim.Play(l, mxsim.Script{mxsim.Hello("mx.test", "PIPELINING"), mxsim.Deliver(1), mxsim.Stall(30 * time.Second), mxsim.Drop()})
		defer p.Close()
		domain := fmt.Sprintf("d%d.test", i)
		table[domain] = resolver.Route{MX: []resolver.MX{{Name: "mx.test", Addrs: []netip.Addr{addr}}}}
		e.Recipients = append(e.Recipients, mustAddress(t, "u@"+domain))
		e.Routes = append(e.Routes, domain)
	}
	f := New(Config{Resolver: table, Dial: n.Dial, IdleTimeout: 30 * time.Second})
	go f.Run(t.Context())
	sink := newCountingSink(hosts)
	e.Sink = sink
	f.Send(e)
	<-sink.done
	assert.Equal(t, map[Class]int{Delivered: hosts}, sink.counts)
	time.Sleep(40 * time.Second)
	s, err := f.Snapshot(t.Context())
	require.NoError(t, err)
	assert.Zero(t, s.Sessions, "every session has ended, whoever was first")
	assert.Zero(t, n.Open(), "no connection is left")
	f.Drain()
	synctest.Wait()
}

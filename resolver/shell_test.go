package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

const (
	first  = "192.0.2.53:53"
	second = "192.0.2.54:53"
)

// A lab is a resolver in a synctest bubble with servers in memory.
type lab struct {
	t       *testing.T
	network dnssim.Network
	servers []string
	*resolver.Resolver
}

// newLab adds the servers in order at first and second, and starts a resolver that asks them.
func newLab(t *testing.T, c resolver.Config, hosts ...*dnssim.Host) *lab {
	t.Helper()
	l := &lab{t: t}
	for i, h := range hosts {
		addr := []string{first, second}[i]
		l.network.Add(addr, h)
		l.servers = append(l.servers, addr)
	}
	c.Servers = l.servers
	if c.Dial == nil {
		c.Dial = l.network.Dial
	}
	r, err := resolver.New(c)
	require.NoError(t, err, "the resolver should start")
	t.Cleanup(func() { assert.NoError(t, r.Close(), "the resolver should close") })
	l.Resolver = r
	return l
}

// host is a server of a zone, 30 ms away.
func host(t *testing.T, zone string) *dnssim.Host {
	t.Helper()
	h, err := dnssim.Zone(zone)
	require.NoError(t, err, "the zone should be read")
	return &dnssim.Host{Handler: h, Latency: 30 * time.Millisecond}
}

func rcode(code int) *dnssim.Host {
	return &dnssim.Host{Latency: 30 * time.Millisecond, Handler: func(dns.Question, bool) dnssim.Answer { return dnssim.Answer{RCode: code} }}
}

func silent() *dnssim.Host {
	return &dnssim.Host{Handler: func(dns.Question, bool) dnssim.Answer { return dnssim.Answer{Drop: true} }}
}

// route resolves and requires a route.
func (l *lab) route(domain string) resolver.Route {
	l.t.Helper()
	r, err := l.Resolve(l.t.Context(), domain)
	require.NoError(l.t, err, "%s should have a route", domain)
	return r
}

// failure resolves and requires an *Error.
func (l *lab) failure(domain string) *resolver.Error {
	l.t.Helper()
	_, err := l.Resolve(l.t.Context(), domain)
	var e *resolver.Error
	require.True(l.t, errors.As(err, &e), "%s should fail with an *Error, and is %v", domain, err)
	return e
}

const zone = `
. 900 SOA ns. root. 1 2 3 4 60
one.example. 300 MX 10 mx1.example.
mx1.example. 300 A 192.0.2.1
mx1.example. 300 AAAA 2001:db8::1
alias.example. 300 CNAME one.example.
`

func TestResolveAndCache(t *testing.T) { synctest.Test(t, testResolveAndCache) }
func testResolveAndCache(t *testing.T) {
	h := host(t, zone)
	l := newLab(t, resolver.Config{}, h)
	_, ok, err := l.Cached("one.example")
	assert.False(t, ok, "nothing should be known at first")
	require.NoError(t, err, "ignorance is no error")

	route := l.route("one.example")
	assert.Equal(t, "one.example", route.Domain, "the route should name its domain")
	require.Len(t, route.MX, 1, "there should be one exchanger")
	assert.Len(t, route.MX[0].Addrs, 2, "with both addresses")
	assert.Equal(t, 1, h.Asked("one.example", dns.TypeMX), "MX should be asked once")
	assert.Zero(t, h.Queries()[dns.TypeA], "the additional section should save the rest")

	again, ok, err := l.Cached("one.example")
	assert.True(t, ok, "the route should be known")
	require.NoError(t, err, "and be a route")
	assert.Equal(t, route, again, "the same route")

	time.Sleep(time.Until(route.Expires))
	_, ok, _ = l.Cached("one.example")
	assert.False(t, ok, "an expired route should not be known")
	l.route("one.example")
	assert.Equal(t, 2, h.Asked("one.example", dns.TypeMX), "and be asked again")

	l.failure("gone.example")
	_, ok, err = l.Cached("gone.example")
	assert.True(t, ok, "NXDOMAIN should be known")
	assert.Error(t, err, "as the error it is")
}

func TestUnfoldedDomainIsRefused(t *testing.T) { synctest.Test(t, testUnfoldedDomainIsRefused) }
func testUnfoldedDomainIsRefused(t *testing.T) {
	l := newLab(t, resolver.Config{}, host(t, zone))
	for _, domain := range []string{"", "A.example", "a..example", "a.example.", "[192.0.2", strings.Repeat("a", 64)} {
		assert.Equal(t, resolver.Malformed, l.failure(domain).Kind, "%q should be malformed", domain)
	}
	assert.Zero(t, l.Stats().Questions, "nothing should be asked")
}

func TestManyDomainsWithLoss(t *testing.T) { synctest.Test(t, testManyDomainsWithLoss) }
func testManyDomainsWithLoss(t *testing.T) {
	h := &dnssim.Host{Handler: list{hosts: 200}.answer, Latency: 30 * time.Millisecond, Lose: func(n int) bool { return n%100 == 42 }}
	l := newLab(t, resolver.Config{}, h)
	start := time.Now()
	assert.Zero(t, resolveAll(t.Context(), l.Resolver, 5000), "every domain should have a route")
	assert.Less(t, time.Since(start), 600*time.Millisecond, "a lost question should be repaired by round trips, not seconds")
	s := l.Stats()
	assert.Equal(t, uint64(5000), s.MXQuestions, "each domain should be asked about once")
	assert.Equal(t, uint64(200), s.AQuestions, "each host should be asked about once")
	assert.Equal(t, uint64(200), s.AAAAQuestions, "each host should be asked about once")
	assert.Zero(t, s.InFlight, "nothing should be left in flight")
	assert.Zero(t, s.Timeouts, "no question should time out")
	assert.Greater(t, s.Window, 1000, "single losses should not close the window")
}

func TestDeadFirstServer(t *testing.T) {
	for name, dead := range map[string]func() *dnssim.Host{
		"silent":  silent,
		"refused": func() *dnssim.Host { return &dnssim.Host{NoUDP: true} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, resolver.Config{}, dead(), &dnssim.Host{Handler: list{hosts: 200}.answer, Latency: 30 * time.Millisecond})
				start := time.Now()
				assert.Zero(t, resolveAll(t.Context(), l.Resolver, 5000), "every domain should have a route")
				assert.Less(t, time.Since(start), 1500*time.Millisecond, "the dead server should cost one wait, not one per window")
			})
		})
	}
}

func TestSecondServerTakesOver(t *testing.T) {
	for _, c := range []struct {
		rule  string
		first *dnssim.Host
	}{
		{"DNS-06 SERVFAIL", rcode(dns.RcodeServerFailure)},
		{"DNS-07 REFUSED", rcode(dns.RcodeRefused)},
		{"DNS-07 NOTIMP", rcode(dns.RcodeNotImplemented)},
		{"DNS-07 FORMERR with and without EDNS", rcode(dns.RcodeFormatError)},
		{"DNS-18 an answer that cannot be unpacked", &dnssim.Host{Handler: lyingLength}},
		{"a server that does not recurse", &dnssim.Host{Handler: referral}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, resolver.Config{}, c.first, host(t, zone))
				l.route("one.example")
				assert.Equal(t, uint64(1), l.Stats().Questions, "it should be one question all the same")
			})
		})
		t.Run(c.rule+", and no other server", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newLab(t, resolver.Config{}, c.first).failure("one.example")
				assert.Equal(t, resolver.Temporary, e.Kind, "trouble of the server should be temporary")
				assert.Equal(t, first, e.Server, "the error should name the server")
				assert.Equal(t, "MX one.example", e.Question, "and the question")
			})
		})
	}
}

// lyingLength answers with a record whose length runs past the message.
func lyingLength(q dns.Question, _ bool) dnssim.Answer {
	m := new(dns.Msg)
	m.SetQuestion(q.Name, q.Qtype)
	m.Response = true
	m.Answer = []dns.RR{&dns.MX{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeMX, Class: dns.ClassINET}, Preference: 1, Mx: "mx.example."}}
	wire, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return dnssim.Answer{Raw: wire[:len(wire)-3]}
}

func referral(dns.Question, bool) dnssim.Answer {
	ns := &dns.NS{Hdr: dns.RR_Header{Name: "example.", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 300}, Ns: "ns.example."}
	return dnssim.Answer{Ns: []dns.RR{ns}}
}

func TestServerWithoutEDNS(t *testing.T) { synctest.Test(t, testServerWithoutEDNS) }
func testServerWithoutEDNS(t *testing.T) {
	answer, err := dnssim.Zone(zone)
	require.NoError(t, err, "the zone should be read")
	asked := 0
	l := newLab(t, resolver.Config{}, &dnssim.Host{Handler: func(q dns.Question, tcp bool) dnssim.Answer {
		if asked++; asked == 1 {
			return dnssim.Answer{RCode: dns.RcodeFormatError}
		}
		return answer(q, tcp)
	}})
	l.route("one.example")
	assert.Equal(t, 2, asked, "FORMERR should be answered by asking once without EDNS")
}

func TestServfailIsRememberedForAWhile(t *testing.T) {
	synctest.Test(t, testServfailIsRememberedForAWhile)
}
func testServfailIsRememberedForAWhile(t *testing.T) {
	h := rcode(dns.RcodeServerFailure)
	l := newLab(t, resolver.Config{}, h)
	l.failure("one.example")
	asked := h.Asked("one.example", dns.TypeMX)
	l.failure("one.example")
	assert.Equal(t, asked, h.Asked("one.example", dns.TypeMX), "a failure should not be asked again at once (RFC 9520)")
	time.Sleep(31 * time.Second)
	l.failure("one.example")
	assert.Greater(t, h.Asked("one.example", dns.TypeMX), asked, "but half a minute later")
}

func TestForgedAnswersAreIgnored(t *testing.T) { synctest.Test(t, testForgedAnswersAreIgnored) }
func testForgedAnswersAreIgnored(t *testing.T) {
	h := host(t, zone)
	answer := h.Handler
	h.Handler = func(q dns.Question, tcp bool) dnssim.Answer {
		a := answer(q, tcp)
		a.Garbage = [][]byte{{1, 2, 3}, {}, packed(t, q.Name, q.Qtype, true)}
		a.Forged = [][]byte{
			packed(t, "evil.example.", q.Qtype, true),
			packed(t, q.Name, dns.TypeA, true),
			packed(t, q.Name, q.Qtype, false),
			{0, 0, 0x80},
		}
		return a
	}
	l := newLab(t, resolver.Config{}, h)
	route := l.route("one.example")
	assert.Equal(t, "mx1.example", route.MX[0].Name, "the real answer should be used")
	assert.GreaterOrEqual(t, l.Stats().Spoofed, uint64(6), "the forged ones should be counted")
	assert.Equal(t, 1, h.Asked("one.example", dns.TypeMX), "garbage should not end the wait")
}

// packed is an answer that says NXDOMAIN.
func packed(t *testing.T, name string, qtype uint16, response bool) []byte {
	m := new(dns.Msg).SetQuestion(name, qtype)
	m.Response, m.Rcode = response, dns.RcodeNameError
	wire, err := m.Pack()
	require.NoError(t, err, "the forged answer should be packed")
	return wire
}

func TestSlowAnswerIsTaken(t *testing.T) { synctest.Test(t, testSlowAnswerIsTaken) }
func testSlowAnswerIsTaken(t *testing.T) {
	h := host(t, zone)
	h.Latency = 3 * time.Second
	l := newLab(t, resolver.Config{}, h)
	start := time.Now()
	l.route("one.example")
	assert.Equal(t, 3*time.Second, time.Since(start), "the answer to the first transmission should be taken")
	assert.Less(t, l.Stats().Retries, uint64(6), "retransmissions should back off")
}

func TestNoAnswer(t *testing.T) { synctest.Test(t, testNoAnswer) }
func testNoAnswer(t *testing.T) {
	l := newLab(t, resolver.Config{}, silent())
	start := time.Now()
	e := l.failure("one.example")
	assert.Equal(t, 5*time.Second, time.Since(start), "all retries together should take the timeout")
	assert.Equal(t, "resolver: MX one.example: no answer in 5s (asked 192.0.2.53:53)", e.Error(), "the error should say it all")
	assert.Equal(t, resolver.Temporary, e.Kind, "silence should be temporary")
}

func TestDeadServersDoNotHoldALongQueue(t *testing.T) {
	synctest.Test(t, testDeadServersDoNotHoldALongQueue)
}
func testDeadServersDoNotHoldALongQueue(t *testing.T) {
	l := newLab(t, resolver.Config{Window: 10}, silent())
	start := time.Now()
	assert.Equal(t, 5000, resolveAll(t.Context(), l.Resolver, 5000), "every domain should fail")
	assert.Less(t, time.Since(start), 11*time.Second, "and not one window after the other")
}

func TestSingleFlight(t *testing.T) { synctest.Test(t, testSingleFlight) }
func testSingleFlight(t *testing.T) {
	h := host(t, zone)
	l := newLab(t, resolver.Config{}, h)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() { l.route([]string{"one.example", "alias.example"}[i%2]) })
	}
	wg.Wait()
	assert.Equal(t, 1, h.Asked("one.example", dns.TypeMX), "callers of one domain should share its question")
	assert.Equal(t, 1, h.Asked("alias.example", dns.TypeMX), "callers of one domain should share its question")
}

func TestContextEndsOneCallerOnly(t *testing.T) { synctest.Test(t, testContextEndsOneCallerOnly) }
func testContextEndsOneCallerOnly(t *testing.T) {
	h := host(t, zone)
	l := newLab(t, resolver.Config{}, h)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := l.Resolve(ctx, "one.example")
		assert.ErrorIs(t, err, context.DeadlineExceeded, "the context's error should be returned as it is")
	})
	wg.Go(func() { l.route("one.example") })
	wg.Wait()
	assert.Equal(t, 1, h.Asked("one.example", dns.TypeMX), "the question should go on for the other")
}

func TestClose(t *testing.T) { synctest.Test(t, testClose) }
func testClose(t *testing.T) {
	l := newLab(t, resolver.Config{Window: 5}, silent())
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			assert.Equal(t, resolver.Temporary, l.failure(fmt.Sprintf("d%d.example", i)).Kind, "a closed resolver's questions should be temporary")
		})
	}
	synctest.Wait()
	start := time.Now()
	require.NoError(t, l.Close(), "the resolver should close")
	wg.Wait()
	assert.Zero(t, time.Since(start), "at once")
	assert.Equal(t, resolver.Temporary, l.failure("later.example").Kind, "later questions should be temporary")
	assert.NoError(t, l.Close(), "closing twice should do no harm")
}

func TestWindowBoundsWhatIsInFlight(t *testing.T) { synctest.Test(t, testWindowBoundsWhatIsInFlight) }
func testWindowBoundsWhatIsInFlight(t *testing.T) {
	start, asked := time.Now(), 0
	var mu sync.Mutex
	h := &dnssim.Host{Latency: 30 * time.Millisecond, Handler: func(q dns.Question, tcp bool) dnssim.Answer {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(start) < 30*time.Millisecond {
			asked++
		}
		return list{hosts: 10}.answer(q, tcp)
	}}
	l := newLab(t, resolver.Config{Window: 50}, h)
	assert.Zero(t, resolveAll(t.Context(), l.Resolver, 2000), "every domain should have a route")
	assert.Equal(t, 50, asked, "before the first answer no more than the window should be asked")
	assert.Greater(t, l.Stats().Window, 500, "and the window should have opened since")
}

func TestBrokenSocketsAreReplaced(t *testing.T) { synctest.Test(t, testBrokenSocketsAreReplaced) }
func testBrokenSocketsAreReplaced(t *testing.T) {
	r := &recorder{}
	l := newLab(t, resolver.Config{Dial: r.dial}, host(t, zone))
	r.network = &l.network
	l.route("one.example")
	r.closeAll()
	synctest.Wait()
	start := time.Now()
	l.failure("gone.example")
	assert.Less(t, time.Since(start), 2*time.Second, "new sockets should be opened and the question answered")
	assert.Equal(t, 8, r.count("udp"), "one for one")
}

func TestNoSocket(t *testing.T) { synctest.Test(t, testNoSocket) }
func testNoSocket(t *testing.T) {
	refuse := func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("network is unreachable")
	}
	l := newLab(t, resolver.Config{Dial: refuse}, silent(), silent())
	start := time.Now()
	e := l.failure("one.example")
	assert.Equal(t, resolver.Temporary, e.Kind, "a machine without network should wait")
	assert.Equal(t, "cannot open a socket: network is unreachable", e.Reason, "and say why")
	assert.Empty(t, e.Server, "no single server is to blame")
	assert.Equal(t, 5*time.Second, time.Since(start), "it should have tried to the end")
}

func TestServersThatAllRefuse(t *testing.T) { synctest.Test(t, testServersThatAllRefuse) }
func testServersThatAllRefuse(t *testing.T) {
	l := newLab(t, resolver.Config{}, &dnssim.Host{NoUDP: true}, &dnssim.Host{NoUDP: true})
	e := l.failure("one.example")
	assert.Equal(t, resolver.Temporary, e.Kind, "nobody listening should be temporary")
	assert.Equal(t, "connection refused", e.Reason, "and say why")
	assert.Less(t, l.Stats().Retries, uint64(20), "and not end in a busy loop")
}

func TestServerThatComesBack(t *testing.T) { synctest.Test(t, testServerThatComesBack) }
func testServerThatComesBack(t *testing.T) {
	back := time.Now().Add(10 * time.Second)
	world := list{hosts: 10}
	h := &dnssim.Host{Latency: 30 * time.Millisecond, Handler: func(q dns.Question, tcp bool) dnssim.Answer {
		a := world.answer(q, tcp)
		a.Drop = time.Now().Before(back)
		return a
	}}
	other := &dnssim.Host{Latency: 30 * time.Millisecond, Handler: world.answer}
	l := newLab(t, resolver.Config{}, h, other)
	for i := range 200 {
		l.route(fmt.Sprintf("d%d.example", i))
		time.Sleep(100 * time.Millisecond)
	}
	assert.Equal(t, 1, h.Asked("d199.example", dns.TypeMX), "the first server should be asked first again")
	assert.Zero(t, other.Asked("d199.example", dns.TypeMX), "and the second no more")
}

func TestConfiguredRoutes(t *testing.T) { synctest.Test(t, testConfiguredRoutes) }
func testConfiguredRoutes(t *testing.T) {
	h := host(t, zone)
	l := newLab(t, resolver.Config{
		Static:   []resolver.StaticRoute{{Domain: ".internal.example", Hosts: []string{"mx1.example:2525"}}},
		Fallback: []string{"[192.0.2.99]"},
		Families: resolver.OnlyIPv4,
	}, h)
	route := l.route("a.internal.example")
	require.Len(t, route.MX, 2, "the configured host and the fallback host")
	assert.Equal(t, uint16(2525), route.MX[0].Port, "the configured port")
	assert.True(t, route.MX[0].Configured && route.MX[1].Configured, "both are the operator's choice")
	assert.Equal(t, resolver.FallbackPreference, route.MX[1].Preference, "fallback behind")
	assert.Equal(t, map[uint16]int{dns.TypeA: 1}, h.Queries(), "only the configured host's address should be asked")
}

func TestSmallCacheStillResolves(t *testing.T) { synctest.Test(t, testSmallCacheStillResolves) }
func testSmallCacheStillResolves(t *testing.T) {
	l := newLab(t, resolver.Config{CacheEntries: 1}, &dnssim.Host{Handler: list{hosts: 3}.answer, Latency: 30 * time.Millisecond})
	assert.Zero(t, resolveAll(t.Context(), l.Resolver, 100), "what a call learned should not be lost to it")
	assert.Equal(t, 1, l.Stats().Entries, "and the bound should hold")
}

func TestPermanent(t *testing.T) {
	for kind, want := range map[resolver.Kind]bool{
		resolver.Temporary: false, resolver.LoopUnsure: false, resolver.NoSuchDomain: true, resolver.NullMX: true,
		resolver.NoAddress: true, resolver.Loop: true, resolver.Malformed: true,
	} {
		assert.Equal(t, want, kind.Permanent(), "kind %d", kind)
	}
}

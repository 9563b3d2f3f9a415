package resolver_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// A shelf is a store of policies in memory whose fetches take a time and come to what the test says.
type shelf struct {
	takes time.Duration // 0: done is called before Fetch returns
	err   error         // of every fetch; nil: they succeed
	asks  bool          // a fetch looks up the policy host first

	mu      sync.Mutex
	lookup  func(context.Context, string) ([]netip.Addr, error)
	cached  map[string]*sts.Policy
	fetched []string // "domain id"
	addrs   []netip.Addr
	failure error // of lookup
}

func (s *shelf) LookupWith(lookup func(context.Context, string) ([]netip.Addr, error)) {
	s.lookup = lookup
}

func (s *shelf) Cached(now time.Time, domain string) *sts.Policy {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.cached[domain]; p != nil && now.Before(p.Expires) {
		return p
	}
	return nil
}

func (s *shelf) Fetch(domain, id string, done func(*sts.Policy, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched = append(s.fetched, domain+" "+id)
	if s.takes == 0 {
		done(s.end(domain, id))
		return
	}
	time.AfterFunc(s.takes, func() {
		if s.asks {
			s.addrs, s.failure = s.lookup(context.Background(), "mta-sts."+domain)
		}
		s.mu.Lock()
		p, err := s.end(domain, id)
		s.mu.Unlock()
		done(p, err)
	})
}

// end is what a fetch comes to.
func (s *shelf) end(domain, id string) (*sts.Policy, error) {
	if s.err != nil {
		return nil, s.err
	}
	p := &sts.Policy{Domain: domain, ID: id, Mode: sts.Enforce, Expires: time.Now().Add(time.Hour)}
	if s.cached == nil {
		s.cached = make(map[string]*sts.Policy)
	}
	s.cached[domain] = p
	return p, nil
}

func (s *shelf) fetches() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetched
}

const stsZone = `
. 900 SOA ns. root. 1 2 3 4 60
a.example. 300 MX 10 mx.example.
b.example. 300 MX 10 mx.example.
c.example. 300 MX 10 mx.example.
null.example. 300 MX 0 .
mx.example. 300 A 192.0.2.1
mx.example. 300 AAAA 2001:db8::1
_mta-sts.a.example. 200 TXT "v=STSv1; " "id=one;"
_mta-sts.b.example. 200 CNAME _mta-sts.a.example.
_mta-sts.c.example. 200 TXT "v=STSv1; id=!"
_mta-sts.null.example. 200 TXT "v=STSv1; id=null;"
_mta-sts.gone.example. 200 TXT "v=STSv1; id=gone;"
_mta-sts.relayed.example. 200 TXT "v=STSv1; id=relayed;"
mta-sts.a.example. 200 CNAME policies.example.
policies.example. 200 A 192.0.2.80
policies.example. 200 AAAA 2001:db8::80
`

// newSTSLab is a lab with a store; slow delays some answers.
func newSTSLab(t *testing.T, s resolver.Policies, h *dnssim.Host) *lab {
	t.Helper()
	l := &lab{t: t}
	l.network.Add(first, h)
	c := resolver.Config{Servers: []string{first}, Dial: l.network.Dial, Static: []resolver.StaticRoute{{Domain: "relayed.example", Hosts: []string{"mx.example"}}}}
	r, err := resolver.NewWithPolicies(c, s)
	require.NoError(t, err, "the resolver should start")
	t.Cleanup(func() { assert.NoError(t, r.Close(), "the resolver should close") })
	l.Resolver = r
	return l
}

// delaying is a server of the zone that answers some questions in its own way.
func delaying(t *testing.T, change func(q dns.Question, a *dnssim.Answer)) *dnssim.Host {
	h := host(t, stsZone)
	answer := h.Handler
	h.Handler = func(q dns.Question, tcp bool) dnssim.Answer {
		a := answer(q, tcp)
		change(q, &a)
		return a
	}
	return h
}

// texts changes the answers about TXT only.
func texts(change func(a *dnssim.Answer)) func(dns.Question, *dnssim.Answer) {
	return func(q dns.Question, a *dnssim.Answer) {
		if q.Qtype == dns.TypeTXT {
			change(a)
		}
	}
}

func TestSTS(t *testing.T) { synctest.Test(t, testSTS) }
func testSTS(t *testing.T) {
	h := host(t, stsZone)
	s := &shelf{takes: 100 * time.Millisecond}
	l := newSTSLab(t, s, h)
	start := time.Now()
	route := l.route("a.example")
	assert.Equal(t, 130*time.Millisecond, time.Since(start), "MX and TXT should be asked together, and the fetch be waited for")
	require.NotNil(t, route.STS, "the policy should be told")
	assert.Equal(t, "one", route.STS.ID, "the one announced")
	require.NoError(t, route.STSError, "without trouble")
	assert.Len(t, route.MX[0].Addrs, 2, "with the route")
	assert.Equal(t, 200*time.Second, route.Expires.Sub(start).Round(time.Second), "until the TXT record must be asked again")

	again, ok, err := l.Cached("a.example")
	assert.True(t, ok && err == nil, "all should be known now")
	assert.Equal(t, route, again, "as it was told")
	assert.Equal(t, route, l.route("a.example"), "and told again")
	assert.Equal(t, 1, h.Asked("_mta-sts.a.example", dns.TypeTXT), "without a question")

	route = l.route("b.example")
	require.NotNil(t, route.STS, "the record may be a CNAME")
	assert.Equal(t, []string{"a.example one", "b.example one"}, s.fetches(), "each domain should be fetched once, with its own policy")
	assert.Equal(t, uint64(2), l.Stats().PolicyFetches, "and counted")

	time.Sleep(300 * time.Second)
	_, ok, _ = l.Cached("a.example")
	assert.False(t, ok, "a TXT record that has expired should be asked again")
	l.route("a.example")
	assert.Equal(t, 2, h.Asked("_mta-sts.a.example", dns.TypeTXT), "once")
	assert.Len(t, s.fetches(), 2, "and the policy not be fetched while its id stays")
}

func TestSTSSingleFlight(t *testing.T) { synctest.Test(t, testSTSSingleFlight) }
func testSTSSingleFlight(t *testing.T) {
	s := &shelf{takes: time.Second}
	l := newSTSLab(t, s, host(t, stsZone))
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			time.Sleep(time.Duration(i) * 50 * time.Millisecond)
			assert.NotNil(t, l.route("a.example").STS, "everybody should have the policy")
		})
	}
	all.Wait()
	assert.Equal(t, []string{"a.example one"}, s.fetches(), "that was fetched once")
}

// TestSTSWithoutUsableRecord: RFC 8461: whatever is wrong with the TXT record, a policy known before holds, and mail goes.
func TestSTSWithoutUsableRecord(t *testing.T) {
	for _, c := range []struct {
		rule, domain string
		change       func(a *dnssim.Answer)
		takes        time.Duration
	}{
		{"no record", "mx.example", func(*dnssim.Answer) {}, 60 * time.Millisecond},
		{"an invalid record", "c.example", func(*dnssim.Answer) {}, 30 * time.Millisecond},
		{"SERVFAIL", "a.example", func(a *dnssim.Answer) { *a = dnssim.Answer{RCode: dns.RcodeServerFailure} }, time.Second},
		{"no answer", "a.example", func(a *dnssim.Answer) { a.Drop = true }, 10 * time.Second},
		{"garbage", "a.example", func(a *dnssim.Answer) { a.Raw = []byte("garbage") }, 10 * time.Second},
	} {
		t.Run(c.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				old := &sts.Policy{Domain: c.domain, ID: "old", Mode: sts.Enforce, Expires: time.Now().Add(100 * time.Second)}
				s := &shelf{cached: map[string]*sts.Policy{c.domain: old}}
				l := newSTSLab(t, s, delaying(t, texts(c.change)))
				start := time.Now()
				route := l.route(c.domain)
				assert.LessOrEqual(t, time.Since(start), c.takes+4*time.Second, "the mail should not wait for long")
				assert.Same(t, old, route.STS, "the policy known before should hold")
				require.NoError(t, route.STSError, "which is no trouble of a policy")
				assert.False(t, route.Expires.After(old.Expires), "until it expires")

				time.Sleep(time.Until(old.Expires) + 400*time.Second)
				assert.Nil(t, l.route(c.domain).STS, "and no longer")
				assert.Empty(t, s.fetches(), "nothing is announced that could be fetched")
			})
		})
	}
}

func TestSTSNegativeAnswersAreCached(t *testing.T) { synctest.Test(t, testSTSNegativeAnswersAreCached) }
func testSTSNegativeAnswersAreCached(t *testing.T) {
	h := host(t, stsZone)
	l := newSTSLab(t, &shelf{}, h)
	for range 3 {
		assert.Nil(t, l.route("mx.example").STS, "there is no policy")
	}
	assert.Equal(t, 1, h.Asked("_mta-sts.mx.example", dns.TypeTXT), "which should be asked once")
	time.Sleep(61 * time.Second)
	l.route("mx.example")
	assert.Equal(t, 2, h.Asked("_mta-sts.mx.example", dns.TypeTXT), "and again after the SOA's time")
}

// TestSTSFetchFails: POL-05.
func TestSTSFetchFails(t *testing.T) {
	for name, takes := range map[string]time.Duration{"at once": 0, "later": 15 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				trouble := &sts.Error{Domain: "a.example", Result: "sts-policy-fetch-error", Reason: "HTTP status 404"}
				s := &shelf{takes: takes, err: trouble}
				l := newSTSLab(t, s, host(t, stsZone))
				route := l.route("a.example")
				assert.Nil(t, route.STS, "without a policy mail should go as if there were none")
				assert.Equal(t, error(trouble), route.STSError, "and the trouble be told")
				assert.Equal(t, route, l.route("a.example"), "to all")
				assert.Len(t, s.fetches(), 1, "without a fetch each")

				old := &sts.Policy{Domain: "a.example", ID: "old", Mode: sts.Enforce, Expires: time.Now().Add(time.Hour)}
				s.mu.Lock()
				s.cached = map[string]*sts.Policy{"a.example": old}
				s.mu.Unlock()
				time.Sleep(31 * time.Second)
				route = l.route("a.example")
				assert.Same(t, old, route.STS, "an unexpired policy should hold while the new one cannot be had")
				assert.Equal(t, error(trouble), route.STSError, "and the trouble be told")
			})
		})
	}
}

// TestSTSSlowFetch: only its own domain waits.
func TestSTSSlowFetch(t *testing.T) { synctest.Test(t, testSTSSlowFetch) }
func testSTSSlowFetch(t *testing.T) {
	l := newSTSLab(t, &shelf{takes: 15 * time.Second}, host(t, stsZone))
	start := time.Now()
	took := make(map[string]time.Duration)
	var mu sync.Mutex
	var all sync.WaitGroup
	all.Add(3)
	known := l.Start([]string{"a.example", "c.example", "relayed.example"}, func(results []resolver.Result) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range results {
			assert.NoError(t, r.Err, "there should be a route")
			took[r.Domain] = time.Since(start).Round(10 * time.Millisecond)
			all.Done()
		}
	})
	assert.Empty(t, known, "nothing is known at first")
	all.Wait()
	assert.Equal(t, map[string]time.Duration{"a.example": 15030 * time.Millisecond, "c.example": 30 * time.Millisecond, "relayed.example": 30 * time.Millisecond},
		took, "the others should not wait for the policy of one")
}

// TestSTSNoRoute: that there is no route is told without waiting for the policy, which nobody fetches then.
func TestSTSNoRoute(t *testing.T) { synctest.Test(t, testSTSNoRoute) }
func testSTSNoRoute(t *testing.T) {
	s := &shelf{takes: time.Second}
	l := newSTSLab(t, s, delaying(t, texts(func(a *dnssim.Answer) { a.Delay = time.Second / 10 })))
	for domain, want := range map[string]resolver.Kind{"null.example": resolver.NullMX, "gone.test": resolver.NoSuchDomain} {
		start := time.Now()
		assert.Equal(t, want, l.failure(domain).Kind, "the domain should have no route")
		assert.Equal(t, 30*time.Millisecond, time.Since(start), "which should be told at once")
		_, ok, err := l.Cached(domain)
		assert.True(t, ok && err != nil, "and be known")
	}
	synctest.Wait()
	time.Sleep(time.Minute)
	assert.Empty(t, s.fetches(), "no policy should be fetched")
}

func TestSTSIsNotLookedFor(t *testing.T) { synctest.Test(t, testSTSIsNotLookedFor) }
func testSTSIsNotLookedFor(t *testing.T) {
	h := host(t, stsZone)
	l := newSTSLab(t, &shelf{}, h)
	l.route("relayed.example")
	l.route("[192.0.2.1]")
	long := strings.Repeat(strings.Repeat("l", 60)+".", 4) + "example" // there is no room for _mta-sts
	l.failure(long)
	assert.Zero(t, h.Queries()[dns.TypeTXT], "configured routes, literals and domains too long for it should have no policy")
	assert.Equal(t, resolver.Malformed, l.failure("a..example").Kind, "nor what is no domain")
	assert.Zero(t, h.Queries()[dns.TypeTXT], "which is not asked about at all")
}

// TestSTSGrown: the second result of a domain has the policy too, whichever comes first.
func TestSTSGrown(t *testing.T) {
	for name, takes := range map[string]time.Duration{"the policy first": 10 * time.Millisecond, "the addresses first": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := delaying(t, func(q dns.Question, a *dnssim.Answer) {
					if q.Qtype == dns.TypeMX && len(a.Extra) > 1 {
						a.Extra = a.Extra[:1] // without the IPv6 address
					}
					if q.Qtype == dns.TypeAAAA {
						a.Delay = 300 * time.Millisecond
					}
				})
				l := newSTSLab(t, &shelf{takes: takes}, h)
				var mu sync.Mutex
				var got []resolver.Result
				l.Start([]string{"a.example"}, func(results []resolver.Result) {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, results...)
				})
				time.Sleep(time.Minute)
				mu.Lock()
				defer mu.Unlock()
				require.NotEmpty(t, got, "there should be a result")
				assert.False(t, got[0].Grown, "the first being the first")
				for _, r := range got {
					assert.NotNil(t, r.Route.STS, "with the policy")
				}
				assert.Len(t, got[len(got)-1].Route.MX[0].Addrs, 2, "in the end with all addresses")
			})
		})
	}
}

// TestSTSAddressesOfThePolicyHost: the store finds them through the Resolver, while a lookup waits for it.
func TestSTSAddressesOfThePolicyHost(t *testing.T) { synctest.Test(t, testSTSAddressesOfThePolicyHost) }
func testSTSAddressesOfThePolicyHost(t *testing.T) {
	s := &shelf{takes: time.Second, asks: true}
	l := newSTSLab(t, s, host(t, stsZone))
	require.NotNil(t, l.route("a.example").STS, "the policy should come")
	require.NoError(t, s.failure, "its host should be found")
	assert.Equal(t, []netip.Addr{netip.MustParseAddr("2001:db8::80"), netip.MustParseAddr("192.0.2.80")}, s.addrs, "with both families, behind its CNAME")

	_, err := s.lookup(t.Context(), "gone.test")
	var e *resolver.Error
	require.ErrorAs(t, err, &e, "a host that does not exist has no address")
	assert.Equal(t, resolver.NoAddress, e.Kind, "for certain")
	for _, host := range []string{"", "[192.0.2.1]", "a b", "192.0.2.1"} {
		_, err = s.lookup(t.Context(), host)
		assert.Error(t, err, "%q is no host name", host)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.lookup(ctx, "unasked.test")
	assert.ErrorIs(t, err, context.Canceled, "the context should end it")
}

func TestSTSClose(t *testing.T) { synctest.Test(t, testSTSClose) }
func testSTSClose(t *testing.T) {
	s := &shelf{takes: time.Minute, asks: true}
	l := newSTSLab(t, s, host(t, stsZone))
	ended := make(chan resolver.Result, 2)
	l.Start([]string{"a.example"}, func(results []resolver.Result) { ended <- results[0] })
	time.Sleep(time.Second)
	assert.Empty(t, ended, "the fetch is waited for")
	require.NoError(t, l.Close(), "the resolver should close")
	require.Len(t, ended, 1, "and end what waits")
	r := <-ended
	require.NoError(t, r.Err, "with the route")
	var e *sts.Error
	require.ErrorAs(t, r.Route.STSError, &e, "and the trouble")
	time.Sleep(2 * time.Minute)
	assert.Empty(t, ended, "what the store brings after that should be ignored")
	_, err := l.Resolve(t.Context(), "b.example")
	assert.Error(t, err, "a closed resolver should end at once")
}

func TestTexts(t *testing.T) { synctest.Test(t, testTexts) }
func testTexts(t *testing.T) {
	h := host(t, stsZone+"_smtp._tls.a.example. TXT \"v=TLSRPTv1; \" \"rua=mailto:a@example\"\n_smtp._tls.a.example. TXT \"a\\\"b\\\\c\\255\"\n$BOGUS bad.example.\n")
	l := newLab(t, resolver.Config{}, h)
	for range 2 {
		got, err := l.Texts(t.Context(), "_smtp._tls.a.example")
		require.NoError(t, err, "the records should be found")
		assert.ElementsMatch(t, []string{"v=TLSRPTv1; rua=mailto:a@example", "a\"b\\c\xff"}, got, "each with its strings joined, as octets")
	}
	assert.Equal(t, 1, h.Queries()[dns.TypeTXT], "the second time from the cache")
	got, err := l.Texts(t.Context(), "_mta-sts.b.example")
	require.NoError(t, err, "CNAMEs should be followed")
	assert.Equal(t, []string{"v=STSv1; id=one;"}, got, "to their end")
	for _, name := range []string{"gone.test", "mx.example"} {
		got, err = l.Texts(t.Context(), name)
		assert.True(t, got == nil && err == nil, "%s should have none, which is no error", name)
	}
	_, err = l.Texts(t.Context(), "bad.example")
	assert.EqualError(t, err, "resolver: TXT bad.example: SERVFAIL (asked 192.0.2.53:53)", "trouble should be told")
	_, err = l.Texts(t.Context(), "a b")
	var e *resolver.Error
	require.True(t, errors.As(err, &e), "what is no name should be refused")
	assert.Equal(t, resolver.Malformed, e.Kind, "as such")
}

// TestSTSWithAStore is the one without a fake: the store finds the policy host through the Resolver, and refuses where it is.
func TestSTSWithAStore(t *testing.T) {
	h, err := dnssim.Zone(stsZone + "_mta-sts.d.example. TXT \"v=STSv1; id=d;\"\nd.example. MX 10 mx.example.\nmta-sts.d.example. A 127.0.0.1\n")
	require.NoError(t, err, "the zone should be read")
	store, err := sts.Open(sts.Config{Prohibited: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	require.NoError(t, err, "the store should open")
	t.Cleanup(func() { assert.NoError(t, store.Close(), "the store should close") }) // after the resolver
	r := open(t, resolver.Config{Servers: []string{start(t, dnssim.Config{Handler: h}).Addr()}, STS: store, Timeout: patient})
	route, err := r.Resolve(t.Context(), "d.example")
	require.NoError(t, err, "the domain should have a route")
	assert.Nil(t, route.STS, "without a policy")
	var e *sts.Error
	require.ErrorAs(t, route.STSError, &e, "but with the reason")
	assert.Contains(t, e.Reason, "prohibited address", "that tells of the address, which only the Resolver knew")
	route, err = r.Resolve(t.Context(), "mx.example")
	require.NoError(t, err, "a domain that announces nothing should have a route")
	assert.True(t, route.STS == nil && route.STSError == nil, "and neither policy nor trouble")
}

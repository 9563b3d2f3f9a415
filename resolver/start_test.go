package resolver_test

import (
	"fmt"
	"runtime"
	"slices"
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

// results gathers what Start's done is given.
type results struct {
	mu  sync.Mutex
	got []resolver.Result
}

func (r *results) done(results []resolver.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, results...)
}

// all is what there is so far, in order of arrival.
func (r *results) all() []resolver.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// domains are those with a result.
func (r *results) domains() (domains []string) {
	for _, result := range r.all() {
		domains = append(domains, result.Domain)
	}
	return domains
}

func TestStart(t *testing.T) { synctest.Test(t, testStart) }
func testStart(t *testing.T) {
	l := newLab(t, resolver.Config{}, host(t, zone))
	l.route("one.example")
	var later results
	known := l.Start([]string{"one.example", "alias.example", "not a domain", "gone.example", "alias.example"}, later.done)
	require.Len(t, known, 2, "what the cache has and what is no domain should be known at once")
	assert.Equal(t, "one.example", known[0].Domain, "in order")
	assert.Equal(t, "mx1.example", known[0].Route.MX[0].Name, "the route should be there")
	assert.Error(t, known[1].Err, "and the error")
	assert.Empty(t, later.domains(), "nothing else should be known yet")

	time.Sleep(time.Second)
	assert.ElementsMatch(t, []string{"alias.example", "alias.example", "gone.example"}, later.domains(), "each of the others should have one result")
	for _, result := range later.all() {
		assert.Equal(t, result.Domain == "gone.example", result.Err != nil, "the right one")
	}
	assert.Empty(t, l.Start(nil, later.done), "nothing asked, nothing told")
}

func TestStartTellsOfIPv6Later(t *testing.T) { synctest.Test(t, testStartTellsOfIPv6Later) }
func testStartTellsOfIPv6Later(t *testing.T) {
	h := host(t, zone)
	answer := h.Handler
	h.Handler = func(q dns.Question, tcp bool) dnssim.Answer {
		a := answer(q, tcp)
		if q.Qtype == dns.TypeMX && len(a.Extra) == 2 {
			a.Extra = a.Extra[:1] // as a recursor that has the other not in its cache
		}
		return a
	}
	l := newLab(t, resolver.Config{}, h)
	var got results
	assert.Empty(t, l.Start([]string{"one.example"}, got.done), "nothing should be known")
	time.Sleep(45 * time.Millisecond)
	require.Len(t, got.all(), 1, "the route should be told without waiting for IPv6")
	assert.Len(t, got.all()[0].Route.MX[0].Addrs, 1, "with what is known")
	time.Sleep(time.Second)
	require.Len(t, got.all(), 2, "and once more")
	assert.True(t, got.all()[1].Grown, "as one that has grown")
	assert.Len(t, got.all()[1].Route.MX[0].Addrs, 2, "with both addresses")
}

func TestStartFromDone(t *testing.T) { synctest.Test(t, testStartFromDone) }
func testStartFromDone(t *testing.T) {
	l := newLab(t, resolver.Config{}, host(t, zone))
	var second results
	l.Start([]string{"one.example"}, func([]resolver.Result) {
		second.done(l.Start([]string{"one.example", "alias.example"}, second.done))
	})
	time.Sleep(time.Second)
	assert.Equal(t, []string{"one.example", "alias.example"}, second.domains(), "done may start more, and finds what it was told in the cache")
}

func TestCloseEndsStarted(t *testing.T) { synctest.Test(t, testCloseEndsStarted) }
func testCloseEndsStarted(t *testing.T) {
	l := newLab(t, resolver.Config{Window: 5}, silent())
	var ended results
	assert.Empty(t, l.Start(domainNames(100), ended.done), "nothing should be known")
	time.Sleep(time.Second)
	require.NoError(t, l.Close(), "the resolver should close")
	assert.ElementsMatch(t, domainNames(100), ended.domains(), "every domain should have its result before Close returns")
	for _, result := range ended.all() {
		assert.Error(t, result.Err, "which is an error")
	}
	known := l.Start([]string{"later.example"}, ended.done)
	assert.Len(t, append(known, ended.all()[100:]...), 1, "also what is started later has one result")
}

func TestStaleAnswersServeWhileRefreshingFails(t *testing.T) {
	synctest.Test(t, testStaleAnswersServeWhileRefreshingFails)
}
func testStaleAnswersServeWhileRefreshingFails(t *testing.T) {
	h := host(t, zone)
	answer, down := h.Handler, false
	h.Handler = func(q dns.Question, tcp bool) dnssim.Answer {
		if down {
			return dnssim.Answer{RCode: dns.RcodeServerFailure}
		}
		return answer(q, tcp)
	}
	l := newLab(t, resolver.Config{Stale: 10 * time.Minute}, h)
	route := l.route("one.example")
	l.failure("gone.example")
	down = true
	time.Sleep(6 * time.Minute)
	assert.Equal(t, route.MX, l.route("one.example").MX, "a route whose TTL ended should serve on when the recursor fails")
	assert.Equal(t, resolver.Temporary, l.failure("gone.example").Kind, "but not a statement that bounces mail")
	assert.Equal(t, uint64(1), l.Stats().Stale, "and be counted")
	time.Sleep(10 * time.Minute)
	assert.Equal(t, resolver.Temporary, l.failure("one.example").Kind, "within its bound")
	down = false
	time.Sleep(time.Minute)
	l.route("one.example")
}

// heap is what lives after a collection.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestWaitingCostsLittle(t *testing.T) {
	const domains = 100_000
	var network dnssim.Network
	network.Add(first, silent())
	r := open(t, resolver.Config{Servers: []string{first}, Dial: network.Dial, Window: 1})
	names := domainNames(domains)
	var ended results
	before, goroutines := heap(), runtime.NumGoroutine()
	require.Empty(t, r.Start(names, ended.done), "nothing should be known")
	each := (heap() - before) / domains
	t.Logf("a domain that waits costs %d bytes", each)
	assert.Less(t, each, 700, "the state of a domain that waits should be small")
	assert.LessOrEqual(t, runtime.NumGoroutine(), goroutines+20, "and be no goroutine")
	require.NoError(t, r.Close(), "the resolver should close")
	assert.Len(t, ended.domains(), domains, "every domain should have its result")
}

func TestHundredThousandDomains(t *testing.T) {
	const domains, entries = 100_000, 10_000
	s := start(t, dnssim.Config{Handler: list{hosts: 200, additional: true}.answer})
	r := open(t, resolver.Config{Servers: []string{s.Addr()}, CacheEntries: entries, Timeout: patient})
	names := domainNames(domains)
	before := heap()
	results := collect(r, names)
	require.Len(t, results, domains, "every domain should have a result")
	for i, name := range names {
		result := results[name]
		require.NoError(t, result.Err, "which is a route")
		require.Equal(t, fmt.Sprintf("mx%d.example", i%200), result.Route.MX[0].Name, "to the right host")
	}
	stats := r.Stats()
	assert.Equal(t, uint64(domains), stats.Questions, "each domain should have been asked about once")
	assert.LessOrEqual(t, stats.Entries, entries, "the cache should keep its bound")
	assert.Zero(t, stats.InFlight, "nothing should be left in flight")
	t.Logf("with its route in hand a domain costs %d bytes, sent again %d", (heap()-before)/domains, stats.Retries)
	runtime.KeepAlive(results)
}

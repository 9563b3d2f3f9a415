package resolver

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// epoch is the core tests' now.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestTTL(t *testing.T) {
	for _, c := range []struct {
		rule string
		got  time.Duration
		want time.Duration
	}{
		{"an ordinary TTL is kept", positiveTTL(300), 300 * time.Second},
		{"TTL 0 outlives the running work", positiveTTL(0), minTTL},
		{"at most a day", positiveTTL(7 * 86400), maxTTL},
		{"the top bit set means 0 (RFC 2181 section 8)", positiveTTL(0xFFFFFFFF), minTTL},
		{"negative: the SOA's TTL if smaller", negativeTTL(30, 900), 30 * time.Second},
		{"negative: the SOA's minimum if smaller", negativeTTL(900, 30), 30 * time.Second},
		{"negative: at most an hour", negativeTTL(86400, 86400), time.Hour},
		{"negative: at least what work needs", negativeTTL(0, 0), minTTL},
	} {
		assert.Equal(t, c.want, c.got, c.rule)
	}
}

func cacheKey(i int) key { return key{fmt.Sprintf("d%d.example", i), dns.TypeMX} }

func TestCacheExpiry(t *testing.T) {
	c := newCache(10, 0)
	f := &facts{expires: epoch.Add(time.Minute)}
	c.put(epoch, cacheKey(1), f)
	assert.Same(t, f, c.get(epoch.Add(59*time.Second), cacheKey(1)), "a live answer should be found")
	assert.Nil(t, c.get(epoch.Add(time.Minute), cacheKey(1)), "an expired answer should not be found")
	assert.Nil(t, c.get(epoch, key{"d1.example", dns.TypeA}), "another type should not be found")

	newer := &facts{expires: epoch.Add(time.Hour)}
	c.put(epoch, cacheKey(1), newer)
	assert.Same(t, newer, c.get(epoch.Add(time.Minute), cacheKey(1)), "a newer answer should replace the older")
	assert.Equal(t, 1, c.len(), "replacing should not add an entry")
}

func TestCacheBound(t *testing.T) {
	c := newCache(100, 0)
	live := func() *facts { return &facts{expires: epoch.Add(time.Hour)} }
	c.put(epoch, cacheKey(-1), live())
	for i := range 10_000 {
		require.NotNil(t, c.get(epoch, cacheKey(-1)), "an answer in constant use should stay")
		c.put(epoch, cacheKey(i), live())
		require.LessOrEqual(t, c.len(), 100, "the bound should hold")
		require.Contains(t, c.index, cacheKey(i), "the newest answer should be there")
	}
	assert.Len(t, c.entries, 100, "the entries should be bounded like the index")
	assert.Equal(t, 100, c.len(), "a full cache should stay full")
}

func TestCacheTakesExpiredFirst(t *testing.T) {
	c := newCache(3, 0)
	for i, life := range []time.Duration{time.Hour, time.Second, time.Hour} {
		c.put(epoch, cacheKey(i), &facts{expires: epoch.Add(life)})
		require.NotNil(t, c.get(epoch, cacheKey(i)), "all should be used once")
	}
	later := epoch.Add(time.Minute)
	c.put(later, cacheKey(9), &facts{expires: later.Add(time.Hour)})
	assert.NotNil(t, c.get(later, cacheKey(0)), "a live, used answer should stay")
	assert.NotNil(t, c.get(later, cacheKey(2)), "a live, used answer should stay")
	assert.NotNil(t, c.get(later, cacheKey(9)), "the new answer should be there")
}

func TestCacheKeepsWhatCannotBeRefreshed(t *testing.T) {
	const stale = 15 * time.Minute
	down := func(now time.Time) *facts { return failure(now, "SERVFAIL", "192.0.2.53:53") }
	old := func(s status) *facts {
		return &facts{status: s, expires: epoch, hints: []hint{{key: cacheKey(2), expires: epoch.Add(-time.Minute)}}}
	}
	for _, c := range []struct {
		rule  string
		old   *facts
		after time.Duration // the TTL's end
		kept  bool
	}{
		{"found, a moment later", old(found), 0, true},
		{"found, at the end of the bound", old(found), stale - 1, true},
		{"found, past the bound", old(found), stale, false},
		{"an alias", old(alias), time.Minute, true},
		{"NXDOMAIN", old(noName), time.Minute, false},
		{"no data", old(noData), time.Minute, false},
		{"null MX", old(nullMX), time.Minute, false},
		{"a failure", down(epoch.Add(-failureTTL)), time.Minute, false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			cache := newCache(10, stale)
			now := epoch.Add(c.after)
			cache.put(epoch.Add(-time.Hour), cacheKey(1), c.old)
			require.Nil(t, cache.get(now, cacheKey(1)), "past its TTL an answer should be asked again")
			got := cache.put(now, cacheKey(1), down(now))
			require.Equal(t, c.kept, got.status == c.old.status && c.old.status != failed, "the rule should decide whether it serves on")
			require.Same(t, got, cache.get(now, cacheKey(1)), "what serves should be cached")
			assert.Equal(t, now.Add(failureTTL), got.expires, "until it is asked again, as after a failure (RFC 8767 section 5)")
			if c.kept {
				assert.Equal(t, uint64(1), cache.staled, "and counted")
				assert.Equal(t, got.expires, got.hints[0].expires, "with its addresses")
				assert.Equal(t, epoch.Add(-time.Minute), c.old.hints[0].expires, "facts once given away should not change")
			}
		})
	}
}

func TestCacheStaleEnds(t *testing.T) {
	cache := newCache(10, 15*time.Minute)
	cache.put(epoch.Add(-time.Hour), cacheKey(1), &facts{expires: epoch})
	served := 0
	for now := epoch; ; now = now.Add(failureTTL) {
		if cache.put(now, cacheKey(1), failure(now, "SERVFAIL", "")).status == failed {
			break
		}
		served++
	}
	assert.Equal(t, int(15*time.Minute/failureTTL), served, "the bound should count from the end of the TTL however often refreshing failed")
	now := epoch.Add(time.Hour)
	fresh := &facts{expires: now.Add(time.Minute)}
	assert.Same(t, fresh, cache.put(now, cacheKey(1), fresh), "an answer should replace the failure")
}

func BenchmarkCachePutFull(b *testing.B) {
	c := newCache(1000, 0)
	f := &facts{expires: epoch.Add(time.Hour)}
	keys := make([]key, 10_000)
	for i := range keys {
		keys[i] = cacheKey(i)
	}
	for i := 0; b.Loop(); i++ {
		c.put(epoch, keys[i%len(keys)], f)
	}
}

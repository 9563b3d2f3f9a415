package resolver

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// A Resolver finds routes: from its cache, from questions already in flight, from new questions. It is safe for any number of
// goroutines, and what waits in it costs no goroutine of its own.
type Resolver struct {
	planner planner
	up      *upstream

	mu      sync.Mutex // held for map look-ups only; never together with the upstream's lock
	cache   *cache
	flights map[key]*question // in flight, each once for all who want to know
	hits    uint64
	fetches uint64
	closed  bool           // no fetch begins any more, and what comes of those under way is ignored
	work    sync.WaitGroup // goroutines that take a fetch's end
}

// New returns a Resolver that runs until Close. Its errors say which entry of the configuration is wrong and how. No server is
// asked and no socket opened before the first question.
func New(c Config) (*Resolver, error) {
	if c.STS == nil {
		return newResolver(c, nil)
	}
	return newResolver(c, c.STS)
}

func newResolver(c Config, p policies) (*Resolver, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Resolver{cache: newCache(c.CacheEntries, c.Stale), flights: make(map[key]*question)}
	r.planner = planner{families: c.Families, self: c.Self, dane: c.DANE, port: c.Port, policies: p}
	if r.planner.static, err = newRoutes(c.Static); err != nil {
		return nil, err
	}
	if r.planner.fallback, err = parseRelays(c.Fallback); err != nil {
		return nil, fmt.Errorf("resolver: fallback: %w", err)
	}
	r.up = newUpstream(c, r.answered)
	if p != nil {
		p.LookupWith(r.addresses)
	}
	return r, nil
}

// checkFolded refuses what Fold would not have returned: the code below relies on it.
func checkFolded(domain string) error {
	if strings.HasPrefix(domain, "[") {
		return nil // the plan reads it
	}
	if reason := checkName(domain); reason != "" {
		return malformed(domain, reason)
	}
	return nil
}

// Stats returns the counters since New and the gauges of now.
func (r *Resolver) Stats() Stats {
	s := r.up.statistics()
	r.mu.Lock()
	defer r.mu.Unlock()
	s.CacheHits, s.PolicyFetches = r.hits, r.fetches
	s.Entries, s.Stale = r.cache.len(), r.cache.staled
	return s
}

// Close ends all sockets and goroutines and waits for them. Questions in flight and later ones fail with kind Temporary. What a
// store's fetch brings after that is ignored.
func (r *Resolver) Close() error {
	r.mu.Lock()
	r.closed = true
	stranded := r.strand(time.Now())
	r.mu.Unlock()
	r.answered(stranded)
	r.up.close()
	r.work.Wait()
	return nil
}

// begin starts the work on what a fetch brought, unless the Resolver is closed.
func (r *Resolver) begin(work func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.work.Go(work)
	}
}

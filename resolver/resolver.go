package resolver

import (
	"fmt"
	"strings"
	"sync"
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
}

// New returns a Resolver that runs until Close. Its errors say which entry of the configuration is wrong and how. No server is
// asked and no socket opened before the first question.
func New(c Config) (*Resolver, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Resolver{cache: newCache(c.CacheEntries, c.Stale), flights: make(map[key]*question)}
	r.planner = planner{families: c.Families, self: c.Self}
	if r.planner.static, err = newRoutes(c.Static); err != nil {
		return nil, err
	}
	if r.planner.fallback, err = parseRelays(c.Fallback); err != nil {
		return nil, fmt.Errorf("resolver: fallback: %w", err)
	}
	r.up = newUpstream(c, r.answered)
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
	s.CacheHits = r.hits
	s.Entries, s.Stale = r.cache.len(), r.cache.staled
	return s
}

// Close ends all sockets and goroutines and waits for them. Questions in flight and later ones fail with kind Temporary.
func (r *Resolver) Close() error {
	r.up.close()
	return nil
}

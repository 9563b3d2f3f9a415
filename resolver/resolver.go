package resolver

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// A Resolver finds routes: from its cache, from questions already in flight, from new questions. It is safe for any number of
// goroutines, and a waiting Resolve costs its goroutine and nothing else.
type Resolver struct {
	planner planner
	up      *upstream

	mu      sync.Mutex // held for map look-ups only; never together with the upstream's lock
	cache   *cache
	flights map[key]*flight
	hits    uint64
}

// A flight is a question that is being asked, once for all who want to know (single flight). Several callers for one
// domain share its questions too, and what is left of the domain's work, the plan, costs less than a lock for it would.
type flight struct {
	key   key
	done  chan struct{} // closed by answered, after facts was set
	facts *facts
}

// New returns a Resolver that runs until Close. Its errors say which entry of the configuration is wrong and how. No server is
// asked and no socket opened before the first question.
func New(c Config) (*Resolver, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Resolver{cache: newCache(c.CacheEntries), flights: make(map[key]*flight)}
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

// Resolve returns the route of a domain as folded by Fold. The error is an *Error, or the context's; then the questions go on and
// the cache has their answers later. Each question ends within Config.Timeout of being sent, so Resolve ends without a
// deadline too.
func (r *Resolver) Resolve(ctx context.Context, domain string) (Route, error) {
	if err := checkFolded(domain); err != nil {
		return Route{}, err
	}
	var learned []*flight // by this call, in case the cache forgets it in between
	for {
		p := r.plan(domain, learned)
		if len(p.ask) == 0 {
			return p.route, p.err
		}
		for _, f := range r.depart(p.ask) {
			select {
			case <-f.done:
				learned = append(learned, f)
			case <-ctx.Done():
				return Route{}, ctx.Err()
			}
		}
	}
}

// Cached returns what is known about a domain without asking anybody; ok is false if something would have to be asked.
// With ok, route and err are what Resolve would return.
func (r *Resolver) Cached(domain string) (route Route, ok bool, err error) {
	if err := checkFolded(domain); err != nil {
		return Route{}, true, err
	}
	p := r.plan(domain, nil)
	return p.route, len(p.ask) == 0, p.err
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

// plan looks at what was learned and what the cache has.
func (r *Resolver) plan(domain string, learned []*flight) plan {
	now := time.Now()
	var hits uint64
	p := r.planner.plan(now, domain, func(k key) *facts {
		for _, f := range learned {
			if f.key == k {
				return f.facts
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		f := r.cache.get(now, k)
		if f != nil {
			hits++
		}
		return f
	})
	if len(p.ask) == 0 && hits > 0 {
		r.mu.Lock()
		r.hits += hits
		r.mu.Unlock()
	}
	return p
}

// depart joins the flights of questions, or starts them.
func (r *Resolver) depart(ask []key) []*flight {
	flights := make([]*flight, len(ask))
	var fresh []key
	r.mu.Lock()
	for i, k := range ask {
		f := r.flights[k]
		if f == nil {
			f = &flight{key: k, done: make(chan struct{})}
			f.facts = r.cache.get(time.Now(), k) // may have landed since the plan was made
			if f.facts != nil {
				close(f.done)
			} else {
				r.flights[k] = f
				fresh = append(fresh, k)
			}
		}
		flights[i] = f
	}
	r.mu.Unlock()
	if len(fresh) > 0 {
		r.up.ask(fresh)
	}
	return flights
}

// answered lands a flight: the upstream calls it once for every question asked.
func (r *Resolver) answered(k key, facts *facts) {
	r.mu.Lock()
	r.cache.put(time.Now(), k, facts)
	f := r.flights[k]
	delete(r.flights, k)
	r.mu.Unlock()
	f.facts = facts
	close(f.done)
}

// Stats returns the counters since New and the gauges of now.
func (r *Resolver) Stats() Stats {
	s := r.up.statistics()
	r.mu.Lock()
	defer r.mu.Unlock()
	s.CacheHits = r.hits
	s.Entries = r.cache.len()
	return s
}

// Close ends all sockets and goroutines and waits for them. Questions in flight and later ones fail with kind Temporary.
func (r *Resolver) Close() error {
	r.up.close()
	return nil
}

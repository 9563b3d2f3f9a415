package sts

import (
	"context"
	"time"
)

// flights are the fetches that wait or are under way. Store.mu guards them.
type flights struct {
	open       map[string]*flight // by domain: one at a time
	urgent     []*flight          // not begun, mail waits for them. Those that have begun meanwhile are skipped
	background []*flight          // not begun, refreshes; likewise
	flying     int
	refreshing int       // of them in the background
	parked     int       // not begun
	waiting    int       // calls of Fetch that are not answered
	waiters    []*waiter // those calls by until; answered ones are skipped
}

// maxWaiting bounds the calls of Fetch that wait, and the domains that wait to be fetched.
const maxWaiting = 200_000

// A flight is one fetch.
type flight struct {
	domain  string
	id      string
	begun   bool
	refresh bool      // nobody waits: it is for the keeper
	waiters []*waiter // get its result
	later   []*waiter // came with another id when it had begun: what it brings may be older than what they know of
	next    string    // the id of the last one of later
}

// A waiter is one call of Fetch.
type waiter struct {
	domain string
	until  time.Time                // it is answered, one way or the other
	done   func(p *Policy, e error) // nil: it was answered
}

// An answer is what a waiter is told once the lock is given back.
type answer struct {
	done func(*Policy, error)
	p    *Policy
	err  *Error
}

// Fetch gets the policy that a domain announces under this id, and calls done exactly once:
//
//   - before Fetch returns, by the caller's goroutine, if the answer is known: the live policy has this id; fetching this id has
//     failed within Config.Retry; too many others wait; the store is closed;
//   - else from a goroutine of the store's, after at most twice Config.Timeout, or from Close.
//
// The error is nil or an *Error. With an error done gets the live policy of an older id, which RFC 8461 section 3.3 has the
// sender apply, or nil. Fetch never blocks. done must not block for long: it holds up another fetch. It may call the store's
// methods, but not Close.
func (s *Store) Fetch(domain, id string, done func(*Policy, error)) {
	if known, ok := s.board(time.Now(), domain, id, done); ok {
		s.answer(known)
	}
}

// answer calls done, without the lock.
func (s *Store) answer(a answer) {
	if a.err != nil {
		a.done(a.p, a.err)
		return
	}
	a.done(a.p, nil) // not a.err: a nil *Error in an error is not nil
}

// board answers from what is known, or has done wait for a flight.
func (s *Store) board(now time.Time, domain, id string, done func(*Policy, error)) (answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.book.get(now, domain)
	switch {
	case p != nil && p.ID == id:
		s.disk.stale = true
		return answer{done, p, nil}, true
	case s.closed:
		return answer{done, p, failed(domain, FetchError, "%v", errClosed)}, true
	case !isDomain(domain):
		return answer{done, nil, failed(domain, FetchError, "this domain cannot have a policy host")}, true
	}
	if err := s.failures.get(now, domain, id); err != nil {
		return answer{done, p, err}, true
	}
	if s.flights.full() {
		s.stats.Refused++
		return answer{done, p, failed(domain, FetchError, "%d fetches wait already", s.flights.waiting)}, true
	}
	w := &waiter{domain: domain, until: now.Add(2 * s.c.Timeout), done: done}
	s.flights.waiters = append(s.flights.waiters, w)
	s.flights.waiting++
	s.flights.add(domain, id, w)
	s.depart()
	if s.flights.waiters[0] == w {
		s.rouse()
	}
	return answer{}, false
}

func (f *flights) full() bool { return f.waiting >= maxWaiting || len(f.open) >= maxWaiting }

// add has a waiter take part in the domain's flight, which is made if there is none.
func (f *flights) add(domain, id string, w *waiter) {
	fl := f.open[domain]
	if fl != nil && fl.begun && fl.id != id {
		fl.later, fl.next = append(fl.later, w), id
		return
	}
	if fl == nil {
		fl = &flight{domain: domain}
		f.open[domain] = fl
		f.parked++
		f.urgent = append(f.urgent, fl)
	} else if !fl.begun && fl.refresh {
		fl.refresh = false // mail waits for it now; its place in the background is skipped
		f.urgent = append(f.urgent, fl)
	}
	if !fl.begun {
		fl.id = id // the newest one that DNS has; afterwards the flight's goroutine reads it
	}
	fl.waiters = append(fl.waiters, w)
}

// addRefresh has a domain's policy fetched when nothing urgent waits, unless that is under way.
func (f *flights) addRefresh(p *Policy) {
	if f.open[p.Domain] != nil || f.full() {
		return
	}
	fl := &flight{domain: p.Domain, id: p.ID, refresh: true}
	f.open[p.Domain] = fl
	f.parked++
	f.background = append(f.background, fl)
}

// take returns the next flight that may begin, or nil.
func (f *flights) take(limit int) *flight {
	if f.flying >= limit {
		return nil
	}
	var fl *flight
	if fl, f.urgent = first(f.urgent, false); fl != nil {
		return fl
	}
	if f.refreshing >= max(1, limit/4) {
		return nil
	}
	fl, f.background = first(f.background, true)
	return fl
}

// first takes the first flight of a queue that still belongs to it.
func first(queue []*flight, refresh bool) (*flight, []*flight) {
	for i, fl := range queue {
		queue[i] = nil
		if !fl.begun && fl.refresh == refresh {
			return fl, queue[i+1:]
		}
	}
	return nil, nil
}

// depart begins as many flights as may be under way. The lock is held.
func (s *Store) depart() {
	for !s.closed && s.lookup != nil {
		fl := s.flights.take(s.c.Fetches)
		if fl == nil {
			return
		}
		fl.begun = true
		s.flights.parked--
		s.flights.flying++
		if fl.refresh {
			s.flights.refreshing++
		}
		s.wg.Add(1)
		go s.fly(fl, s.lookup)
	}
}

// fly is a fetch goroutine. It ends with its fetch, at the latest after Config.Timeout.
func (s *Store) fly(fl *flight, lookup Lookup) {
	defer s.wg.Done()
	ctx, cancel := context.WithTimeout(s.ctx, s.c.Timeout)
	body, failure := s.fetcher.get(ctx, fl.domain, lookup)
	cancel()
	now := time.Now()
	var p *Policy
	if failure == nil {
		var err error
		if p, err = ParsePolicy(fl.domain, fl.id, body, now); err != nil {
			failure = err.(*Error)
		}
	}
	for _, a := range s.land(now, fl, p, failure) {
		s.answer(a)
	}
	s.leave(fl)
}

// leave gives the place of a flight to the next one, after the answers: so their number is bounded too.
func (s *Store) leave(fl *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flights.flying--
	if fl.refresh {
		s.flights.refreshing--
	}
	s.depart()
}

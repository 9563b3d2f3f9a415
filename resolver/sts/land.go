package sts

import "time"

// land notes what a flight brought and returns who is to be told. Those who asked for a newer id go on waiting.
func (s *Store) land(now time.Time, fl *flight, p *Policy, failure *Error) []answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.flights.open, fl.domain)
	s.stats.Fetches++
	if failure != nil {
		p = s.missed(now, fl, failure)
	} else {
		s.got(now, fl, p)
	}
	answers := s.flights.settle(nil, fl.waiters, p, failure)
	if s.closed {
		closed := failed(fl.domain, FetchError, "%v", errClosed)
		return s.flights.settle(answers, fl.later, s.book.peek(now, fl.domain), closed)
	}
	for _, w := range fl.later {
		if w.done != nil {
			s.flights.add(fl.domain, fl.next, w)
		}
	}
	return answers
}

// settle has waiters answered that were not yet.
func (f *flights) settle(answers []answer, waiters []*waiter, p *Policy, err *Error) []answer {
	for _, w := range waiters {
		if w.done != nil {
			answers = append(answers, answer{w.done, p, err})
			w.done = nil
			f.waiting--
		}
	}
	return answers
}

// got keeps a policy.
func (s *Store) got(now time.Time, fl *flight, p *Policy) {
	s.book.put(now, p, now, schedule(now, p, s.c.Retry, daily))
	s.failures.forget(fl.domain)
	s.disk.change(now)
	if fl.refresh {
		s.stats.Refreshes++
	}
	s.c.Log.Debug("sts: a policy was fetched", "domain", p.Domain, "id", p.ID, "mode", p.Mode.String(), "expires", p.Expires)
	s.rouse()
}

// missed remembers that a policy could not be had, and returns the one to be used.
func (s *Store) missed(now time.Time, fl *flight, failure *Error) *Policy {
	old := s.book.peek(now, fl.domain)
	if s.closed {
		return old // it is our fault and says nothing about the policy host
	}
	s.stats.Failures[failure.Result]++
	s.failures.put(now, fl.id, failure, now.Add(s.c.Retry))
	// RFC 8461 section 3.3: "MTAs SHOULD alert administrators (through the use of logs or similar) when such attempts fail, unless
	// the cached policy mode is "none"."
	if old != nil && old.Mode != None {
		s.c.Log.Warn("sts: a policy could not be fetched again; the one that is known is used until it expires",
			"domain", fl.domain, "result", failure.Result, "reason", failure.Reason, "expires", old.Expires)
		return old
	}
	s.c.Log.Debug("sts: a policy could not be fetched", "domain", fl.domain, "result", failure.Result, "reason", failure.Reason)
	return old
}

// impatient ends the wait of those whose time is over. The fetch they wait for goes on: the next mail will want it. The lock
// is held.
func (s *Store) impatient(now time.Time) (answers []answer) {
	queue := s.flights.waiters
	for len(queue) > 0 && (queue[0].done == nil || !now.Before(queue[0].until)) {
		if w := queue[0]; w.done != nil {
			s.stats.Refused++
			err := failed(w.domain, FetchError, "no policy in time: %d other domains wait too", len(s.flights.open)-1)
			answers = s.flights.settle(answers, []*waiter{w}, s.book.peek(now, w.domain), err)
		}
		queue[0] = nil
		queue = queue[1:]
	}
	s.flights.waiters = queue
	return answers
}

// strand ends the wait of those whose flight has not begun, at Close. The others are answered by their flights. The lock is
// held.
func (s *Store) strand(now time.Time) (answers []answer) {
	for domain, fl := range s.flights.open {
		if !fl.begun {
			delete(s.flights.open, domain)
			s.flights.parked--
			err := failed(domain, FetchError, "%v", errClosed)
			answers = s.flights.settle(answers, fl.waiters, s.book.peek(now, domain), err)
		}
	}
	return answers
}

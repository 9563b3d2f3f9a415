package sts

import (
	"math/rand/v2"
	"time"
)

const (
	// daily is how often a policy that lives long is fetched again. RFC 8461 section 3.3: "a suggested refresh frequency is
	// once per day".
	daily = 24 * time.Hour
	// soon is how often that is tried when it fails.
	soon = 4 * time.Hour
	// lately is how long after the last mail a policy is not let expire.
	lately = 14 * 24 * time.Hour
	// spread is over how much time what became due while smtpfeed was not running is fetched.
	spread = time.Hour
	// idle is how long the keeper sleeps at most: the wall clock, by which policies expire, may be set.
	idle = 10 * time.Minute
)

// keep is the keeper: one goroutine for all that is due at some time. It ends with Close.
func (s *Store) keep() {
	defer s.wg.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		answers, wait := s.tick(time.Now())
		for _, a := range answers {
			s.answer(a)
		}
		timer.Reset(wait)
	}
}

// tick does what is due, and says how long nothing will be.
func (s *Store) tick(now time.Time) (answers []answer, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, idle
	}
	for e := s.book.due(now); e != nil; e = s.book.due(now) {
		s.review(now, e)
	}
	s.depart()
	answers = s.impatient(now)
	s.startSave(now)
	return answers, s.sleep(now)
}

// review looks at a policy whose time has come.
func (s *Store) review(now time.Time, e *entry) {
	if !e.p.live(now) {
		s.book.remove(e)
		s.disk.change(now)
		return
	}
	pause := daily
	if e.wanted(now) {
		s.flights.addRefresh(e.p)
		pause = soon // unless that succeeds, which sets its time anew
	}
	s.book.delay(e, schedule(now, e.p, s.c.Retry, pause))
}

// wanted says that a policy is worth a fetch: mail has asked for it since it was fetched; or else it has not long to live, and
// mail has asked for it not long ago. RFC 8461 section 10.2: who can keep a sender from ever fetching a policy again has won
// when it expires.
func (e *entry) wanted(now time.Time) bool {
	if e.asked.After(e.p.fetched().Add(settling)) {
		return true
	}
	return e.p.Expires.Sub(now) <= e.p.MaxAge/2 && now.Sub(e.asked) < lately
}

// settling is how long after a fetch the mail that it was for may still ask.
const settling = time.Minute

// schedule says when a policy is looked at next: at half of the life that is left, but not later than step; when that is
// hardly any, once it has expired. Up to a fifth of the wait is taken off by chance, so that what was fetched together for a
// list comes apart.
func schedule(now time.Time, p *Policy, retry, step time.Duration) time.Time {
	wait := min(step, p.Expires.Sub(now)/2)
	if wait < retry {
		return p.Expires
	}
	return now.Add(wait - rand.N(wait/5+1))
}

// scheduleLoaded is schedule for a policy that was fetched before the process began.
func scheduleLoaded(now time.Time, p *Policy, retry time.Duration) time.Time {
	due := schedule(p.fetched(), p, retry, daily)
	if now.Before(due) {
		return due
	}
	wait := min(spread, p.Expires.Sub(now)/2)
	if wait < retry {
		return p.Expires
	}
	return now.Add(rand.N(wait))
}

// sleep is how long nothing is due.
func (s *Store) sleep(now time.Time) time.Duration {
	wait := idle
	until := func(t time.Time) {
		if !t.IsZero() {
			wait = min(wait, max(t.Sub(now), 0))
		}
	}
	until(s.book.next())
	until(s.disk.due())
	if len(s.flights.waiters) > 0 {
		until(s.flights.waiters[0].until)
	}
	return wait
}

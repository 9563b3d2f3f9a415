package feed

import (
	"errors"
	"time"
)

// A session ends each of its waits by itself. Should one not, for a fault of ours, nothing may wait for it for ever: its recipients are
// told by the end of their budget, and then the engine forgets it, so that its host and the process get its place back. The loop itself is
// watched from outside: by the LMTP side, which answers when nobody settles, and by the service manager.

// stuckGrace is how long after its last own deadline a session counts as stuck.
const stuckGrace = 10 * time.Second

var errStuck = errors.New("BUG: session makes no progress")

// watch sets the moment at which a session must have said something.
func (e *engine) watch(s *session, until time.Time) {
	s.suspect = false
	e.timers.set(&s.guard, until.Add(stuckGrace))
}

// openingTime is how long a session may take until it has opened: it may have to say HELO where EHLO is not known, EHLO again inside TLS,
// and who we are.
func (c *Config) openingTime() time.Duration {
	return c.ConnectTimeout + c.Timeouts.Greeting + 2*c.Timeouts.StartTLS + (3+maxChallenges)*c.Timeouts.Hello + c.Timeouts.Quit
}

// latest is when the last of a session's transactions must have ended.
func (s *session) latest() time.Time {
	var last time.Time
	for _, f := range s.flights {
		if f.latest.After(last) {
			last = f.latest
		}
	}
	return last
}

// suspect is called when a session should have said something. It has one more grace: when the whole process stood still meanwhile, a
// suspended machine perhaps, what it said waits to be taken.
func (e *engine) suspect(now time.Time, s *session) {
	if !s.suspect {
		s.suspect = true
		e.timers.set(&s.guard, now.Add(stuckGrace))
		return
	}
	e.forsake(now, s)
}

// forsake forgets a session that is stuck. What it had in its hands may be delivered or not.
func (e *engine) forsake(now time.Time, s *session) {
	e.counts.Stuck++
	for len(s.flights) > 0 {
		e.flightFinished(now, finished{session: s.id, report: &report{transaction: s.flights[0].id, err: errStuck, stuck: true, local: true}})
	}
	e.act(hangup{session: s.id, abort: true, stuck: true})
	e.sessionEnded(now, ended{session: s.id, closing: closing{stage: stageConnect, err: errStuck}})
	e.forsaken[s.id] = true
}

// late says that an event comes from a session that was forgotten.
func (e *engine) late(ev event) bool {
	switch ev := ev.(type) {
	case connected:
		return e.forsaken[ev.session]
	case opened:
		return e.forsaken[ev.session]
	case cleared:
		return e.forsaken[ev.session]
	case finished:
		return e.forsaken[ev.session]
	case ended:
		gone := e.forsaken[ev.session]
		delete(e.forsaken, ev.session)
		return gone
	}
	return false
}

package feed

import (
	"slices"
	"time"
)

// What is done beside a dial that does not answer. A black hole costs a connect timeout of half a minute where a refusal costs
// a round trip; so after a short while (RFC 8305 section 5 calls it the Connection Attempt Delay) the next address of the host
// is dialled beside the first, and when none is left the recipients go to the next exchanger of their route, if they have one. The
// dials go on: who answers first is used, who does not is remembered.

// rejudgeStep is how often what waits for silent hosts is judged again: thousands of them may answer one after the other.
const rejudgeStep = 50 * time.Millisecond

// hedge is called when a dial was not answered for the hedge delay, and again while nothing can be done about it.
func (e *engine) hedge(now time.Time, s *session) {
	h := s.host
	if !s.mute {
		s.mute = true
		e.familyOf(h, s.addr).silent(now, e.config.DownTime)
	}
	addr, untried := e.untried(now, h)
	switch {
	case len(h.sessions) > h.dialing || h.waiting == 0: // others carry the work, or there is none yet
		e.timers.set(&s.hedge, now.Add(e.config.HedgeDelay))
	case untried && len(h.server.sessions) < h.limit.cap && len(e.sessions) < e.config.Sessions:
		e.counts.Hedges++
		e.dial(now, h, addr)
	case !h.silent:
		e.silence(now, h)
		for _, o := range slices.Clone(h.server.short) {
			e.hush(now, o)
		}
	}
}

// silence lets what waits for a host go to the next one, since no address answers.
func (e *engine) silence(now time.Time, h *host) {
	h.silent = true
	e.silent = append(e.silent, h)
	e.regroup(now, h)
}

// hush does the same for a host that waits for a place at a server where all are silent.
func (e *engine) hush(now time.Time, h *host) {
	if h.silent || len(h.sessions) > 0 || len(h.server.sessions) == 0 {
		return
	}
	if !slices.ContainsFunc(h.server.sessions, func(s *session) bool { return !s.host.silent }) {
		e.silence(now, h)
	}
}

// answered notes that a server that was silent is not: a session opened, or a host's dials have ended.
func (e *engine) answered(h *host) {
	if !h.silent {
		return
	}
	e.silent = slices.DeleteFunc(e.silent, func(o *host) bool {
		if o.server != h.server {
			return false
		}
		o.silent, o.torn = false, false
		return true
	})
}

// sessionConnected takes the news that a dial was answered. What the host says then may take its time: many let new clients
// wait for the greeting on purpose, and trying elsewhere meanwhile would be rude.
func (e *engine) sessionConnected(ev connected) {
	s := e.sessions[ev.session]
	s.mute, s.stands = false, true
	e.timers.stop(&s.hedge)
	s.source = ev.source
}

// won ends the dials that were slower than the session that opened, and remembers their addresses. If the host itself was
// doubtful, what waits for others because all were is judged again.
func (e *engine) won(now time.Time, winner *session, wasDoubtful bool) {
	h := winner.host
	for _, s := range slices.Clone(h.sessions) {
		if s.state == sessionDialing && s.mute && s.addr != winner.addr {
			if !h.hasOpen(s.addr) {
				h.bad[s.addr] = now.Add(e.config.DownTime)
			}
			e.close(s)
		}
	}
	e.rejudge = e.rejudge || wasDoubtful
}

// rejudgeSilent sends what waits for silent hosts, and has another choice, to one that has answered meanwhile. It is done once for
// all that answered together: when thousands of hosts are slow, they are silent and answer by the thousand.
func (e *engine) rejudgeSilent(now time.Time) {
	if !e.rejudge {
		return
	}
	if next := e.rejudged.Add(rejudgeStep); now.Before(next) {
		e.timers.set(&e.rejudgeTimer, next)
		return
	}
	e.rejudge, e.rejudged = false, now
	for _, h := range slices.Clone(e.silent) {
		if h.torn {
			e.regroup(now, h)
		}
	}
}

// regroup sends all that waits for a host to the best host of each route, where it meets what already waits there: the
// re-judged piggyback. What has no better one stays.
func (e *engine) regroup(now time.Time, h *host) {
	e.empty(h, func(r *recipient) {
		e.place(now, r, nil)
		if r.place == placeHost && r.route.candidates[r.at].host != h {
			e.counts.Regrouped++
		}
	})
}

// empty takes all that waits for a host, and gives it to then.
func (e *engine) empty(h *host, then func(r *recipient)) {
	lanes := h.lanes
	h.lanes, h.laneOf, h.waiting, h.torn = nil, make(map[*message]*lane), 0, false
	for _, l := range lanes {
		if l.message.verp != nil {
			h.alone -= l.waiting
		}
		for !l.list.empty() {
			r := l.list.pop()
			if !r.wanted() {
				r.place = placeDone
				continue
			}
			then(r)
		}
	}
}

package feed

import "time"

// Two rules let a transaction gather more before it is cut. Both wait for something that is on its way already, and not for long.

// busyTime is how long the rest of a message waits for a session at work before it gets one of its own.
const busyTime = time.Second

// gatherLanes is how many messages may wait for a host whose lanes wait for answers: with more there is work enough meanwhile.
const gatherLanes = 16

// due brings a lane to the front that is not better left to gather. It is false when there is none.
func (e *engine) due(now time.Time, h *host) bool {
	for range len(h.lanes) {
		l := h.lanes[0]
		if l.waiting > 0 && !e.gathers(now, h, l) {
			return true
		}
		h.lanes[0] = nil
		h.lanes = h.lanes[1:]
		if l.waiting > 0 {
			h.lanes = append(h.lanes, l)
		}
	}
	return false
}

// gathers says that a lane does not fill a transaction, and that more of its message is coming in: envelopes (stream.go), or answers to
// lookups (tide.go). Nobody waits for that for longer than Config.GatherTime, nor while other hosts wait for sessions.
func (e *engine) gathers(now time.Time, h *host, l *lane) bool {
	m := l.message
	st := m.stream
	until := l.since.Add(e.config.GatherTime)
	if l.waiting >= h.sizeOf(m) || len(e.hungry) > 0 || e.draining || h.server.needy(h) != nil || !now.Before(until) {
		return false
	}
	if !st.flowing {
		if e.oneDomain(h) || h.limit.sessionDomains == 1 || len(h.laneOf) > gatherLanes || !m.tide.brings(now, l, until) {
			return false
		}
		until = earlier(until, now.Add(tideStep)) // and see what became of it
	}
	if l.flow != st.flows {
		l.flow = st.flows
		st.held = append(st.held, h)
		e.counts.Gathered++
	}
	e.patient(h, until)
	return true
}

// patient looks at a host again at this moment, or earlier.
func (e *engine) patient(h *host, until time.Time) {
	if h.patience.slot == 0 || until.Before(h.patience.at) {
		e.timers.set(&h.patience, until)
	}
}

// wantsSession says that what waits is more than the sessions on their way will take, and that the host has earned one more.
func (e *engine) wantsSession(now time.Time, h *host) bool {
	if h.waiting == 0 || h.hungry || len(h.sessions) >= h.limit.sessions() {
		return false
	}
	if len(h.sessions) > 0 && now.Before(h.unbound) {
		e.patient(h, h.unbound)
		return false
	}
	return h.dialing < e.transactionsWaiting(now, h)
}

// transactionsWaiting is how many transactions are worth a session of their own. The rest of a message that flies to this host
// already is not, until it fills a transaction: a session that is at work is free sooner than a new one is open, and until then
// more of the message gathers. But it waits so for busyTime at most, lest a host that answers slowly holds it up.
func (e *engine) transactionsWaiting(now time.Time, h *host) int {
	n, patient := 0, false
	for _, l := range h.lanes {
		size := h.sizeOf(l.message)
		full, rest := l.waiting/size, l.waiting%size > 0
		n += full
		switch {
		case !rest:
		case len(h.sessions) > 0 && e.gathers(now, h, l):
		case h.flies(l.message) && now.Before(h.cutAt.Add(busyTime)):
			patient = true
		default:
			n++
		}
		if n >= h.limit.cap {
			return n
		}
	}
	if patient {
		e.patient(h, h.cutAt.Add(busyTime))
	}
	return n
}

// flies says that a transaction of the message is in the hands of one of the host's sessions.
func (h *host) flies(m *message) bool {
	for _, s := range h.sessions {
		for _, f := range s.flights {
			if f.message == m {
				return true
			}
		}
	}
	return false
}

package feed

import "time"

// Three rules let a transaction gather more before it is cut. All wait for something that is on its way already, and not for long.

const (
	// busyTime is how long the rest of a message waits for a session at work before it gets one of its own.
	busyTime = time.Second
	// holdTime is how long a session's first transaction waits for answers that are coming in.
	holdTime = 200 * time.Millisecond
	// holdPause is how long no answer may have come for it to wait on: a round trip to a busy recursor. It is far shorter than the
	// wait for a domain whose servers are dead, which no list is without.
	holdPause = 50 * time.Millisecond
	// holdStep is how often it is looked at meanwhile.
	holdStep = 10 * time.Millisecond
)

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

// gathers says that a lane does not fill a transaction, and that more of its message is coming in. Nobody waits for that for longer than
// Config.GatherTime, nor while other hosts wait for sessions.
func (e *engine) gathers(now time.Time, h *host, l *lane) bool {
	m := l.message
	st := m.stream
	until := l.since.Add(e.config.GatherTime)
	if !st.flowing || l.waiting >= h.sizeOf(m) || len(e.hungry) > 0 || e.draining || !now.Before(until) {
		return false
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

// holds says that the first transaction of a session is worth waiting for. Behind it nothing may ride, so what is resolved a moment
// later has to wait for two round trips and the host's processing. While the answers of a message's lookups come in, and the host
// has got recipients of the message from several domains already, it will get more.
func (e *engine) holds(now time.Time, s *session) bool {
	h := s.host
	if s.begun > 0 || h.limit.rides || len(h.laneOf) != 1 || len(e.hungry) > 0 || e.draining {
		return false
	}
	l := h.firstLane()
	m := l.message
	until := later(s.since, m.since).Add(holdTime)
	if pause := m.heard.Add(holdPause); pause.Before(until) {
		until = pause
	}
	if !l.mixed() || l.waiting >= h.sizeOf(m) || m.asking == 0 || !now.Before(until) {
		return false
	}
	e.patient(h, earlier(until, now.Add(holdStep)))
	return true
}

// mixed says that recipients of several domains wait in the lane: those of one domain came together.
func (l *lane) mixed() bool { return l.waiting > 1 && l.list.head.route != l.list.tail.route }

// firstLane is the lane that is cut next. There is one.
func (h *host) firstLane() *lane {
	for h.lanes[0].waiting == 0 {
		h.lanes[0] = nil
		h.lanes = h.lanes[1:]
	}
	return h.lanes[0]
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// wantsSession says that what waits is more than the sessions on their way will take, and that the host has earned one more.
func (e *engine) wantsSession(now time.Time, h *host) bool {
	if h.waiting == 0 || h.hungry || len(h.sessions) >= h.limit.sessions() {
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

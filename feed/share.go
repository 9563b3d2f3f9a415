package feed

import (
	"slices"
	"time"
)

// Equally preferred exchangers share a list twice. When recipients are placed, each goes to the one with the least to do. That is
// a guess, made before anybody knows how fast they are and how many sessions they grant; so one that has nothing left to do takes
// over whole transactions from one that has.

// maxEquals bounds the hosts that one host remembers as its equals.
const maxEquals = maxCandidates

// lanesLooked is how many lanes of an equal are looked at for something that may move: it is done for every transaction.
const lanesLooked = 16

// introduce makes the equally preferred hosts of a route known to each other.
func (rt *route) introduce() {
	for i, a := range rt.candidates {
		for _, b := range rt.candidates[i+1:] {
			if a.preference == b.preference {
				a.host.know(b.host)
				b.host.know(a.host)
			}
		}
	}
}

func (h *host) know(o *host) {
	if len(h.equals) < maxEquals && !slices.Contains(h.equals, o) {
		h.equals = append(h.equals, o)
	}
}

// borrow takes a transaction's worth of recipients over from the equal with the longest queue, for a session that could write
// and has nothing to. It is false when there is no such session, or nobody has as much to spare.
func (e *engine) borrow(now time.Time, h *host) bool {
	if len(h.equals) == 0 || len(h.ready)+len(h.clear) == 0 || h.down(now) {
		return false
	}
	h.equals = slices.DeleteFunc(h.equals, func(o *host) bool { return e.hosts[o.keys[0]] != o })
	var from *host
	for _, o := range h.equals {
		if o.waiting >= o.limit.recipients && (from == nil || o.waiting > from.waiting) {
			from = o
		}
	}
	return from != nil && e.takeOver(h, from)
}

// takeOver moves recipients from the queue of one host to that of another that is equally preferred in their route.
func (e *engine) takeOver(to, from *host) bool {
	for range min(len(from.lanes), lanesLooked) {
		l := from.lanes[0]
		from.lanes[0] = nil
		from.lanes = from.lanes[1:]
		if l.waiting == 0 {
			continue
		}
		moved := l.take(to.limit.recipients, func(r *recipient, _ []*recipient) bool { return r.mayMove(to) })
		from.waiting -= len(moved)
		if l.message.verp != nil {
			from.alone -= len(moved)
		}
		for _, r := range moved {
			r.at = uint8(r.route.indexOf(to))
			e.enqueue(to, r)
			if n := to.laneOf[l.message]; l.since.Before(n.since) {
				n.since = l.since
			}
		}
		if l.waiting == 0 {
			from.drop(l)
		} else {
			from.lanes = append(from.lanes, l)
		}
		if len(moved) > 0 {
			e.counts.Shared += uint64(len(moved))
			return true
		}
	}
	return false
}

// mayMove says that the recipient's route prefers the other host as much as the one it waits for, and that it was not tried there.
func (r *recipient) mayMove(to *host) bool {
	i := r.route.indexOf(to)
	return i >= 0 && r.tried&(1<<i) == 0 && r.route.candidates[i].left == nil && r.route.candidates[i].preference == r.route.candidates[r.at].preference
}

// indexOf is the host's index among the candidates, or -1.
func (rt *route) indexOf(h *host) int {
	return slices.IndexFunc(rt.candidates, func(c candidate) bool { return c.host == h })
}

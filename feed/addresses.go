package feed

import (
	"slices"
	"time"
)

// Which address of a host is dialled. A host's sessions spread over all its addresses of both families, IPv4 first; an address
// that failed is left alone for a while, and so is a whole family that this machine has no way to: no host pays for that twice.

// mutesToBreak is how many dials of a family in a row may go unanswered, with none answered between, before the family is taken
// for broken: one or two may be dead hosts.
const mutesToBreak = 3

// A family is what was seen of one address family on this machine.
type family struct {
	until time.Time // until when it is taken for broken
	falls int       // times it was taken for broken, since it worked
	mutes int       // dials in a row that were not answered for the hedge delay
}

// familyOf is the family of one of the host's addresses.
func (e *engine) familyOf(h *host, addr int) *family {
	if h.addrs[addr].Addr().Is4() {
		return &e.families[0]
	}
	return &e.families[1]
}

// works notes that a dial of the family was answered.
func (f *family) works() { *f = family{} }

// fails notes that there is no way to the family's addresses: for a while, which grows as that of a host that is down.
func (f *family) fails(now time.Time, first time.Duration) {
	f.falls++
	f.until = now.Add(downTime(first, f.falls))
	f.mutes = 0
}

// silent notes that a dial was not answered for the hedge delay.
func (f *family) silent(now time.Time, first time.Duration) {
	f.mutes++
	if f.mutes >= mutesToBreak {
		f.fails(now, first)
	}
}

// nextAddr is the address to dial: of those that did not fail a short while ago and whose family is well, the one with the
// fewest sessions. A family that is not is used by hosts that have no other. When all addresses failed, ok is false.
func (e *engine) nextAddr(now time.Time, h *host) (addr int, ok bool) {
	return e.bestAddr(now, h, func(int) bool { return true })
}

// untried is nextAddr among the addresses that have no session.
func (e *engine) untried(now time.Time, h *host) (addr int, ok bool) {
	return e.bestAddr(now, h, func(i int) bool { return h.sessionsTo(i) == 0 })
}

func (e *engine) bestAddr(now time.Time, h *host, fit func(addr int) bool) (addr int, ok bool) {
	best, bestCost := 0, -1
	for i, until := range h.bad {
		if now.Before(until) || !fit(i) {
			continue
		}
		cost := h.sessionsTo(i)
		if now.Before(e.familyOf(h, i).until) || now.Before(h.spoilt[i]) {
			cost += e.config.Sessions // more than there can be
		}
		if bestCost < 0 || cost < bestCost {
			best, bestCost = i, cost
		}
	}
	return best, bestCost >= 0
}

// sessionsTo is how many sessions the host has with one of its addresses.
func (h *host) sessionsTo(addr int) int {
	n := 0
	for _, s := range h.sessions {
		if s.addr == addr {
			n++
		}
	}
	return n
}

// hasOpen says that a session with the address is open.
func (h *host) hasOpen(addr int) bool {
	return slices.ContainsFunc(h.sessions, func(s *session) bool { return s.addr == addr && s.state != sessionDialing })
}

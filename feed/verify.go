package feed

import (
	"slices"
	"time"

	"github.com/smtpfeed/smtpfeed/resolver"
)

// Addresses in the additional section of an MX answer save a round trip, and are the least trusted data (RFC 2181 section 5.4.1): who
// serves the domain may have an old copy of the exchanger's. They do as long as mail gets through. When their host is down, the
// exchanger's own records are asked for, once a route, and those who would go elsewhere wait for that.

// verify lets a recipient wait for which such a host would be better than the one that was chosen.
func (e *engine) verify(now time.Time, r *recipient, chosen int) bool {
	rt := r.route
	if e.draining || !rt.suspects(now, r.tried, chosen) {
		return false
	}
	if rt.state == routeKnown {
		rt.state, rt.keep = routeVerifying, time.Time{} // not to be forgotten meanwhile
		e.verifying[rt.domain] = append(e.verifying[rt.domain], rt)
		if len(e.verifying[rt.domain]) == 1 {
			e.counts.Lookups++
			e.act(lookup{domain: rt.domain, verify: true})
		}
	}
	rt.await(r)
	return true
}

// suspects says that a host was passed over since it is down, for which nobody was asked.
func (rt *route) suspects(now time.Time, tried uint16, chosen int) bool {
	for i, c := range rt.candidates {
		if c.additional != "" && tried&(1<<i) == 0 && c.host.down(now) && (chosen < 0 || c.preference < rt.candidates[chosen].preference) {
			return true
		}
	}
	return false
}

// verified takes what the exchangers' own records say.
func (e *engine) verified(now time.Time, ev resolved) {
	if ev.grown {
		e.growHosts(now, ev)
		return
	}
	routes := e.verifying[ev.domain]
	if routes == nil && !e.draining {
		panic("BUG: verified a domain nobody asked for: " + ev.domain)
	}
	delete(e.verifying, ev.domain)
	for _, rt := range routes {
		list := e.answeredAll(now, rt)
		rt.state = routeKnown
		if rt.unsettled > 0 || e.routes[rt.id()] == rt { // else it has let go of its hosts
			e.correct(now, rt, ev)
		}
		if rt.unsettled == 0 {
			e.shelve(now, rt)
		}
		e.spread(now, rt, &list)
		e.dialAhead(now, rt)
	}
}

// correct puts the host at an exchanger's own addresses in the place of one that is down. Candidates keep their numbers: recipients
// know them.
func (e *engine) correct(now time.Time, rt *route, ev resolved) {
	for i := range rt.candidates {
		c := &rt.candidates[i]
		name := c.additional
		c.additional = ""
		x := slices.IndexFunc(ev.route.MX, func(mx resolver.MX) bool { return mx.Name == name })
		if name == "" || ev.err != nil || x < 0 || c.host.downOutcome == nil || len(rt.candidates) == maxCandidates {
			continue
		}
		mx := &ev.route.MX[x]
		addrs, _ := e.dialable(*mx)
		p, no := e.policyOf(rt, &ev.route, mx)
		if len(addrs) == 0 || no != nil {
			continue
		}
		h := e.hostOf(now, mx, addrs, p)
		if h == c.host {
			continue
		}
		c.left = c.host.downOutcome
		if rt.indexOf(h) < 0 {
			e.add(rt, h, c.preference)
		}
	}
	rt.introduce()
}

// add gives a route one host more.
func (e *engine) add(rt *route, h *host, preference int) {
	h.named++
	if rt.unsettled > 0 {
		e.interest(h, 1)
	}
	rt.candidates = append(rt.candidates, candidate{host: h, preference: preference})
}

// verifyNoMore is for an engine that ends: nobody waits any more.
func (e *engine) verifyNoMore() {
	for _, routes := range sorted(e.verifying) {
		for _, rt := range routes {
			rt.state = routeKnown
			for r := rt.waiting.head; r != nil; r = r.next {
				r.envelope.message.tide.asking--
				e.unhold(r.envelope.message.stream)
			}
			rt.waiting = recipientList{}
			if rt.unsettled == 0 {
				e.shelve(e.now, rt)
			}
		}
	}
	clear(e.verifying)
}

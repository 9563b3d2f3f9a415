package feed

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/prohibited"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

const (
	// routeKeep is how long a route that nobody needs is kept, for hints whose envelope is still on its way and for the next
	// message to the same domains. What is older is asked again; the resolver has a cache of its own.
	routeKeep = 60 * time.Second
	// routesKept bounds the routes that nobody needs.
	routesKept = 200_000
	// maxCandidates is how many hosts of a domain are considered: the bits of recipient.tried.
	maxCandidates = 16
)

// A routeState is what the engine knows of a domain.
type routeState uint8

const (
	routeResolving routeState = iota // a lookup is under way; ended by resolved
	routeKnown                       // candidates are the domain's hosts, until expires and while somebody needs it
	routeVerifying                   // candidates are its hosts, and one that is down is asked about again; ended by resolved
	routeGone                        // the lookup failed and its recipients were told; out of the table
)

// A route is the engine's view of one domain: its recipients wait here until its hosts are known.
type route struct {
	domain     string
	need       need // of the messages whose recipients it is for
	state      routeState
	candidates []candidate   // ascending preference; equal ones in an order of our own
	waiting    recipientList // while resolving
	arrived    recipientList // only inside admit: recipients of one envelope, kept together
	expected   bool          // its host is to be dialled as soon as it is known
	unsettled  int           // recipients, twins included; while above 0 every candidate's host counts this route
	replaced   bool          // out of the table, where the domain's next route is; its hosts still count it
	owed       []TLSResult   // for the Observer, as soon as the route has recipients
	refused    *Outcome      // what an exchanger that must not be used would have its recipients told; nil: there is none
	sts        *sts.Policy
	expires    time.Time
	keep       time.Time // when nobody needs it: until when it is remembered
}

// A candidate is one host of a route under the name the route gives it.
type candidate struct {
	host       *host
	preference int
	configured bool     // by the operator: what its TLS is like is not the receiver's affair
	additional string   // the exchanger's name, if nobody was asked where it is (resolver.MX.Additional), and "" when somebody was
	left       *Outcome // how it was given up when it turned out to be elsewhere; nil: it is here
}

// shelved is a route that nobody needs, and the moment it is forgotten unless it was put on the shelf again.
type shelved struct {
	route *route
	keep  time.Time
}

// id is the route's key in engine.routes.
func (rt *route) id() string { return routeID(rt.domain, rt.need) }

func routeID(domain string, n need) string {
	return domain + [...]string{needNothing: "", needTLS: " requiretls", needDelivery: " tls-optional"}[n]
}

// routeOf finds the domain's route for messages of this need, or orders its lookup.
func (e *engine) routeOf(now time.Time, domain string, n need) *route {
	rt := e.routes[routeID(domain, n)]
	switch {
	case rt != nil && (rt.state != routeKnown || !now.After(rt.expires)):
		return rt
	case rt != nil && rt.unsettled == 0:
		e.removeRoute(now, rt)
	case rt != nil:
		// A domain that is never without mail is asked for anew all the same: its exchangers change, and so do its policies. Those who
		// are under way keep what they have.
		rt.replaced = true
	}
	rt = &route{domain: domain, need: n}
	e.routes[rt.id()] = rt
	e.asking[domain] = append(e.asking[domain], rt)
	if len(e.asking[domain]) == 1 {
		e.counts.Lookups++
		e.act(lookup{domain: domain})
	}
	return rt
}

// engage counts a recipient whose fate depends on the route.
func (e *engine) engage(rt *route) {
	rt.unsettled++
	if rt.unsettled == 1 {
		e.observeOwed(rt)
		for _, c := range rt.candidates {
			e.interest(c.host, 1)
		}
	}
}

// disengage is the opposite of engage; a route that nobody needs is kept for a while.
func (e *engine) disengage(now time.Time, rt *route) {
	rt.unsettled--
	if rt.unsettled > 0 {
		return
	}
	for _, c := range rt.candidates {
		e.interest(c.host, -1)
	}
	switch {
	case rt.replaced:
		rt.replaced = false // whoever still flies under it finds the next one
		e.unname(now, rt)
	case rt.state == routeKnown:
		e.shelve(now, rt)
	}
}

// shelve remembers a route that nobody needs for routeKeep.
func (e *engine) shelve(now time.Time, rt *route) {
	rt.keep = now.Add(routeKeep)
	e.shelf = append(e.shelf, shelved{route: rt, keep: rt.keep})
	if len(e.shelf) > routesKept {
		e.unshelve(now)
	}
	if e.shelfTimer.slot == 0 {
		e.timers.set(&e.shelfTimer, rt.keep)
	}
}

// sweepShelf forgets the routes whose time is over.
func (e *engine) sweepShelf(now time.Time) {
	for len(e.shelf) > 0 && !e.shelf[0].keep.After(now) {
		e.unshelve(now)
	}
	if len(e.shelf) > 0 {
		e.timers.set(&e.shelfTimer, e.shelf[0].keep)
	}
}

// unshelve takes the oldest entry off the shelf. A route that was needed again meanwhile stays in the table: it stands on the
// shelf once more for each time it was put there, and only the last one counts.
func (e *engine) unshelve(now time.Time) {
	s := e.shelf[0]
	e.shelf[0] = shelved{}
	e.shelf = e.shelf[1:]
	rt := s.route
	if rt.unsettled == 0 && rt.keep.Equal(s.keep) && e.routes[rt.id()] == rt {
		e.removeRoute(now, rt)
	}
}

// removeRoute takes a route that nobody needs out of the table.
func (e *engine) removeRoute(now time.Time, rt *route) {
	delete(e.routes, rt.id())
	e.unname(now, rt)
}

// unname lets go of a route's hosts.
func (e *engine) unname(now time.Time, rt *route) {
	for _, c := range rt.candidates {
		c.host.named--
		e.tidy(now, c.host)
	}
}

// resolved takes the answer of a lookup, for all routes that wait for it.
func (e *engine) resolved(now time.Time, ev resolved) {
	if ev.grown {
		e.growHosts(now, ev)
		return
	}
	if ev.verified {
		e.verified(now, ev)
		return
	}
	routes := e.asking[ev.domain]
	if routes == nil && !e.draining {
		panic("BUG: resolved a domain nobody asked for: " + ev.domain)
	}
	delete(e.asking, ev.domain)
	for _, rt := range routes {
		e.settleRoute(now, rt, ev)
	}
}

// answeredAll takes the recipients out of a route whose lookup has ended.
func (e *engine) answeredAll(now time.Time, rt *route) recipientList {
	list := rt.waiting
	rt.waiting = recipientList{}
	for r := list.head; r != nil; r = r.next {
		m := r.envelope.message
		if m.tide.answered(now); m.tide.asking == 0 && !m.stream.flowing {
			e.unhold(m.stream)
		}
		for t := r; t != nil && rt.state == routeResolving; t = t.twin { // what comes later is a dead host's time, and not the DNS's
			t.known = now.Sub(t.envelope.since)
		}
	}
	return list
}

// settleRoute gives a route its hosts, or its recipients the reason why there are none.
func (e *engine) settleRoute(now time.Time, rt *route, ev resolved) {
	list := e.answeredAll(now, rt)
	failure := e.candidatesOf(now, rt, ev)
	if rt.unsettled > 0 {
		e.observeOwed(rt)
	}
	if failure != nil {
		rt.state = routeGone
		delete(e.routes, rt.id())
		for !list.empty() {
			e.conclude(now, list.pop(), failure)
		}
		return
	}
	rt.state = routeKnown
	if rt.unsettled == 0 {
		e.shelve(now, rt)
	} else {
		for _, c := range rt.candidates {
			e.interest(c.host, 1)
		}
	}
	e.spread(now, rt, &list)
	e.dialAhead(now, rt)
}

// growHosts gives the hosts of a domain's routes the addresses that became known after they were.
func (e *engine) growHosts(now time.Time, ev resolved) {
	for _, n := range []need{needNothing, needTLS, needDelivery} {
		rt := e.routes[routeID(ev.domain, n)]
		if rt == nil {
			continue
		}
		for i := range ev.route.MX {
			mx := &ev.route.MX[i]
			addrs, _ := e.dialable(*mx)
			p, no := e.policyOf(rt, &ev.route, mx)
			if no != nil {
				continue
			}
			e.knownHost(now, mx, addrs, p)
		}
	}
}

// candidatesOf fills in the hosts of a resolved route, or says why there is none.
func (e *engine) candidatesOf(now time.Time, rt *route, ev resolved) *Outcome {
	if ev.err != nil {
		return routeOutcome(ev.err)
	}
	rt.expires, rt.sts = ev.route.Expires, ev.route.STS
	e.observeRoute(rt, &ev.route)
	dropped := false
	for i := range ev.route.MX {
		mx := &ev.route.MX[i]
		addrs, some := e.dialable(*mx)
		dropped = dropped || some
		if len(addrs) == 0 && !some && mx.Err != nil && isTemporary(mx.Err) {
			// Where it is may be known later: what the others cannot take is not refused for good.
			e.refuse(rt, mx, &refusal{status: wire.Enhanced{Class: 4, Subject: 4, Detail: 3}, err: mx.Err})
		}
		if len(addrs) == 0 || len(rt.candidates) == maxCandidates {
			continue
		}
		p, no := e.policyOf(rt, &ev.route, mx)
		if no != nil {
			e.refuse(rt, mx, no)
			continue
		}
		h := e.hostOf(now, mx, addrs, p)
		h.configured = h.configured || mx.Configured
		if !slices.ContainsFunc(rt.candidates, func(c candidate) bool { return c.host == h }) {
			h.named++
			c := candidate{host: h, preference: mx.Preference, configured: mx.Configured}
			if mx.Additional {
				c.additional = mx.Name
			}
			rt.candidates = append(rt.candidates, c)
		}
	}
	rt.introduce()
	if len(rt.candidates) == 0 && rt.refused != nil {
		return rt.refused
	}
	if len(rt.candidates) == 0 {
		return unreachableOutcome(ev.route, dropped)
	}
	// RFC 5321 section 5.1: "If there are multiple destinations with the same preference and there is no clear reason to favor
	// one ..., then the sender-SMTP MUST randomize them". The order is drawn per process and host, not per message: domains
	// with the same exchangers must meet on the same one, and load spreads in choose.
	slices.SortStableFunc(rt.candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.preference, b.preference), cmp.Compare(a.host.rank, b.host.rank))
	})
	return nil
}

// dialable is an exchanger's addresses that may be dialled, in the order they are to be tried; dropped says that some may not.
func (e *engine) dialable(mx resolver.MX) (addrs []netip.AddrPort, dropped bool) {
	port := cmp.Or(mx.Port, e.config.Port)
	for _, a := range mx.Addrs {
		a = a.Unmap()
		if a.Is4() && e.config.Family == OnlyIPv6 || a.Is6() && e.config.Family == OnlyIPv4 {
			continue
		}
		// DNS must not be able to point us at the operator's own network; the operator may.
		if !mx.Configured && prohibited.Contains(e.config.Prohibited, a) {
			dropped = true
			continue
		}
		addrs = append(addrs, netip.AddrPortFrom(a, port))
	}
	// IPv4 first: many receivers are stricter with IPv6. Which is dialled when both are there is nextAddr's decision.
	slices.SortFunc(addrs, func(a, b netip.AddrPort) int {
		if a.Addr().Is4() != b.Addr().Is4() {
			if a.Addr().Is4() {
				return -1
			}
			return 1
		}
		return a.Compare(b)
	})
	return slices.Compact(addrs), dropped
}

// spread gives each recipient of a route to the best of its hosts.
func (e *engine) spread(now time.Time, rt *route, list *recipientList) {
	if rt.state == routeResolving {
		for !list.empty() {
			rt.await(list.pop())
		}
		return
	}
	for !list.empty() {
		r := list.pop()
		if !r.wanted() {
			r.place = placeDone
			continue
		}
		r.envelope.message.tide.routed++
		e.place(now, r, nil)
	}
}

// place puts a recipient into the lane of the best host that is left for it, or settles it when none is: with what it met
// last, or when that is nil with the reason why its hosts are down.
func (e *engine) place(now time.Time, r *recipient, last *Outcome) {
	if !r.route.replaced && e.routes[r.route.id()] != r.route && e.reroute(now, r) {
		return
	}
	i := r.route.choose(now, r.tried)
	switch {
	case last == nil && e.verify(now, r, i):
	case i >= 0:
		r.at = uint8(i)
		h := r.route.candidates[i].host
		h.torn = h.torn || h.silent && len(r.route.candidates) > 1
		e.enqueue(h, r)
	case last != nil && last.Class == Failed && last.Reply.Code == 0 && r.deferred != nil:
		e.conclude(now, r, r.deferred) // what this host cannot take, another one may later
	case last != nil && last.Class == Failed && r.route.refused != nil && r.route.refused.Class == Deferred:
		e.conclude(now, r, r.route.refused) // what one refuses for good, the one that must not be used now might take later
	case last != nil && (last.Class != Failed || !r.route.untried(r.tried)):
		e.conclude(now, r, last)
	default:
		e.conclude(now, r, r.route.hopeless(now, r.tried))
	}
}

// reroute gives a carrier whose own envelope gave up long ago, and whose route was forgotten meanwhile, the route that its
// twins have now. It says whether that one must be waited for.
func (e *engine) reroute(now time.Time, r *recipient) bool {
	r.route, r.tried = e.routeOf(now, r.route.domain, r.route.need), 0
	if r.route.state != routeResolving {
		return false
	}
	r.route.await(r)
	return true
}

// await lets a recipient wait for the route's lookup.
func (rt *route) await(r *recipient) {
	r.place = placeRoute
	r.envelope.message.tide.asking++
	rt.waiting.push(r)
}

package resolver

import "strings"

// A goal is what a lookup is for.
type goal uint8

const (
	aRoute  goal = iota // a domain's exchangers
	aPolicy             // a domain's MTA-STS policy
	names               // what names have: lookup.inquiry
)

// A pair is a domain's two lookups, for its route and for its policy, which ask side by side and give one result. A route that
// is ready waits in the pair for the policy; that there is no route is told at once, and then nobody wants the policy. The
// Resolver's lock guards it.
type pair struct {
	policy lookup // the second one

	route  *lookup // the first one, while its result waits
	result Result  // that waits
	known  bool    // the policy's lookup has ended
	found  Route   // with the policy
	over   bool    // there is no route
}

// newPair gives a domain's lookup its pair, if there is a policy to be looked for: not for literals, nor where the operator has
// said which way mail goes. It returns the lookup for the policy, or nil.
func (r *Resolver) newPair(l *lookup) *lookup {
	if r.planner.policies == nil || strings.HasPrefix(l.domain, "[") {
		return nil
	}
	if _, configured := Match(r.planner.static, l.domain); configured {
		return nil
	}
	p := &pair{}
	p.policy = lookup{goal: aPolicy, domain: l.domain, asker: l.asker, pair: p}
	l.pair = p
	return &p.policy
}

// settle takes the end of one of the two, and returns whose result is ready, nil if none is.
func (p *pair) settle(l *lookup, r Result) (*lookup, Result) {
	switch {
	case l.goal == aPolicy && p.route == nil:
		p.known, p.found = true, r.Route
		return nil, Result{}
	case l.goal == aPolicy:
		p.known, p.found = true, r.Route
		l, r, p.route, p.result = p.route, p.result, nil, Result{}
	case p.route != nil: // grown, while it waits: it is the first that is told
		r.Grown = false
	}
	if r.Err != nil {
		p.route, p.over = nil, true
		return l, r
	}
	if !p.known {
		p.route, p.result = l, r
		return nil, Result{}
	}
	r.Route.STS, r.Route.STSError = p.found.STS, p.found.STSError
	r.Route.Expires = earlier(r.Route.Expires, p.found.Expires)
	return l, r
}

// unwanted says that a lookup is for the policy of a domain that has no route.
func (r *Resolver) unwanted(l *lookup) bool {
	if l.goal != aPolicy {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return l.pair.over
}

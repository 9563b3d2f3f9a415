package feed

import (
	"errors"
	"slices"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

// What the Observer is told. A session counts for a domain when it first carries mail for it; an attempt that failed, for each domain whose
// mail waited for it then. A route that has no session for a reason of its policy counts once, when it has recipients.

// toldKept bounds the domains that a session remembers to have counted for.
const toldKept = 4096

// observes says that somebody wants to know.
func (e *engine) observes() bool { return e.config.Observer != nil }

// resultFor is a result for a domain under the policy of one of its hosts.
func (rt *route) resultFor(p *policy) TLSResult {
	r := TLSResult{Domain: rt.domain, Policy: p.kind, Strings: p.strings}
	switch {
	case p.kind == PolicyTLSA:
		r.Base = p.sni
	case p.kind == PolicySTS && rt.sts != nil:
		r.Strings, r.Patterns = rt.sts.Text, rt.sts.MX
	}
	return r
}

// refuse notes that an exchanger of a route must not be used. What is temporary counts more than what is not.
func (e *engine) refuse(rt *route, mx *resolver.MX, no *refusal) {
	o := &Outcome{Class: Deferred, Status: no.status, Err: no.err, Via: &Via{MX: mx.Name, Policy: no.word}}
	if no.failed {
		o.Class = Failed
	}
	if rt.refused == nil || rt.refused.Class == Failed && o.Class == Deferred {
		rt.refused = o
	}
	if !e.observes() || no.result == "" || mx.Configured {
		return
	}
	p := &policy{kind: PolicySTS}
	if no.word == "dane" {
		p.kind, p.sni = PolicyTLSA, mx.DANE.Base
	}
	r := rt.resultFor(p)
	r.Result, r.Reason, r.MX = no.result, reasonOf(no.err), mx.Name
	rt.owed = append(rt.owed, r)
}

// reasonOf is why an exchanger is refused, for people elsewhere: which of our servers was asked is not their business.
func reasonOf(err error) string {
	text := err.Error()
	if asked := (*resolver.Error)(nil); errors.As(err, &asked) {
		text = asked.Question + ": " + asked.Reason
	}
	return wire.Clean(text, 200)
}

// observeRoute tells of an MTA-STS policy that is announced and cannot be had.
func (e *engine) observeRoute(rt *route, r *resolver.Route) {
	var why *sts.Error
	if !e.observes() || rt.need == needDelivery || !errors.As(r.STSError, &why) {
		return
	}
	result := rt.resultFor(&policy{kind: PolicySTS})
	result.Result, result.Reason = why.Result, wire.Clean(why.Reason, 200)
	rt.owed = append(rt.owed, result)
}

// observeOwed tells what of a route is to be told without a session. A domain that was only hinted at has no mail yet, and when it comes it may
// be some to which no policy applies.
func (e *engine) observeOwed(rt *route) {
	e.observed = append(e.observed, rt.owed...)
	rt.owed = nil
}

// concerned says that the recipient's domain is to be told how TLS went: its policy counts, and the host is an exchanger of its own. Of
// a relay, RFC 8460 section 1.1 has the relay's domain be told, which is ours or knows us.
func (r *recipient) concerned() bool {
	return r.route.need != needDelivery && !r.route.candidates[r.at].configured
}

// observeFlight tells of the session of a transaction, for those of its domains that it carries for the first time.
func (e *engine) observeFlight(s *session, f *flight) {
	if !e.observes() || s.host.policy.level == levelNone || s.host.policy.kind == "" {
		return
	}
	if s.told == nil || len(s.told) >= toldKept {
		s.told = map[string]bool{} // one that comes again is counted again: a session of thousands of domains must not keep them all
	}
	for _, r := range f.recipients {
		if !r.concerned() || s.told[r.route.domain] {
			continue
		}
		s.told[r.route.domain] = true
		result := e.resultOn(r.route, s)
		switch complain := s.tls.complain; {
		case complain != nil:
			result.Result, result.Reason = complain.result, wire.Clean(complain.Error(), 200)
		case s.tls.name == "" && !s.plain: // where it was spared TLS, the failure was told
			result.Result = "starttls-not-supported"
		case s.tls.name == "":
			continue
		}
		e.observed = append(e.observed, result)
	}
}

// observeFailure tells of a session that did not come to be, for the domains whose mail waits for its host.
func (e *engine) observeFailure(s *session, why *tlsError) {
	if !e.observes() || s.host.policy.kind == "" {
		return
	}
	told := map[string]bool{}
	for _, l := range s.host.lanes {
		for r := l.list.head; r != nil; r = r.next {
			if !r.concerned() || told[r.route.domain] {
				continue
			}
			told[r.route.domain] = true
			result := e.resultOn(r.route, s)
			result.Result, result.Reason = why.result, wire.Clean(why.Error(), 200)
			e.observed = append(e.observed, result)
		}
	}
}

func (e *engine) resultOn(rt *route, s *session) TLSResult {
	r := rt.resultFor(s.host.policy)
	r.MX, r.Addr, r.Source = s.host.name, s.host.addrs[s.addr].Addr(), s.source
	return r
}

// tlsFailed decides what follows from a session that failed to have TLS, or the TLS that its policy wants. It is false where that means
// what any failed dial means.
func (e *engine) tlsFailed(s *session, why *tlsError) bool {
	h := s.host
	e.counts.TLSFailed++
	e.observeFailure(s, why)
	switch {
	case why.again:
		// The ticket is gone with it.
	case why.final, s.plain, h.hasTLS():
		return false // in the latter case it is well, and takes no more of us
	case why.hello && !h.policy.demands() && e.elsewhere(h, s.addr, why):
		// There it may work.
	case why.hello && !s.reduced:
		h.tls.fails(e.now, s.reduced)
	case h.policy.demands():
		return false
	default:
		h.tls.fails(e.now, true)
	}
	e.counts.TLSFallbacks++
	e.wake(h)
	return true
}

// hasTLS says that a session of the host has TLS now.
func (h *host) hasTLS() bool {
	return slices.ContainsFunc(h.sessions, func(s *session) bool { return s.tls.name != "" })
}

// countTLS counts a session by its protection.
func (e *engine) countTLS(p protection) {
	if p.name == "" {
		return
	}
	e.counts.TLSSessions++
	if p.resumed {
		e.counts.TLSResumed++
	}
	if p.verified {
		e.counts.TLSVerified++
	}
}

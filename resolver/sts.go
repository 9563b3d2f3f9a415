package resolver

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

// policies is what we need of a *sts.Store. Fetch never blocks, and calls done once, from any goroutine, perhaps before it
// returns.
type policies interface {
	LookupWith(func(ctx context.Context, host string) ([]netip.Addr, error))
	Cached(now time.Time, domain string) *sts.Policy
	Fetch(domain, id string, done func(*sts.Policy, error))
}

// typePolicy is the type of a question for a policy: none of the DNS (RFC 6895 section 3.1: private use).
const typePolicy = 0xff01

// policyKey is the question for the policy that a domain announces with an ID. An ID is letters and digits.
func policyKey(domain, id string) key { return key{id + " " + domain, typePolicy} }

// policyPrefix is where a domain announces its policy (RFC 8461 section 3.1).
const policyPrefix = "_mta-sts."

// planPolicy finds the MTA-STS policy of a domain: beside its route, since neither needs the other to be asked for. Whatever
// fails here neither fails nor defers the mail (RFC 8461 section 5.1): the error says why there is no fresh policy, and is for
// reports.
func (p *planner) planPolicy(now time.Time, domain string, known func(key) *facts) plan {
	d := &draft{planner: p, now: now, known: known}
	d.route = Route{Domain: domain, Expires: now.Add(maxTTL)}
	d.route.STS, d.route.STSError = d.policy()
	d.atLeast(minTTL)
	return plan{ask: d.ask, route: d.route}
}

func (d *draft) policy() (*sts.Policy, error) {
	k := key{policyPrefix + d.route.Domain, dns.TypeTXT}
	if checkName(k.name) != "" {
		return nil, nil // too long to have one
	}
	txt := d.chase(k, &d.ask)
	if txt.facts == nil {
		return nil, nil
	}
	d.until(txt.expires)
	live := d.policies.Cached(d.now, d.route.Domain)
	if id, ok := announced(txt.facts); ok && (live == nil || live.ID != id) {
		return d.fetched(id, live)
	}
	// RFC 8461 section 3.3: a policy that was fetched is applied until its max_age ends, whatever became of its TXT record: who can
	// suppress answers must not be able to switch it off.
	return d.applied(live), nil
}

// announced is the ID in a domain's TXT record. Records that cannot be had or are not valid are none.
func announced(f *facts) (id string, ok bool) {
	if f.status != found {
		return "", false
	}
	return sts.ParseRecord(f.rare.texts)
}

// fetched is what came of fetching the announced policy. While that fails, the one known before holds.
func (d *draft) fetched(id string, live *sts.Policy) (*sts.Policy, error) {
	k := policyKey(d.route.Domain, id)
	f := d.known(k)
	if f == nil {
		d.ask = append(d.ask, k)
		return nil, nil
	}
	d.until(f.expires)
	if f.rare.policy != nil {
		live = f.rare.policy
	}
	return d.applied(live), f.rare.err
}

func (d *draft) applied(p *sts.Policy) *sts.Policy {
	if p != nil {
		d.until(p.Expires)
	}
	return p
}

// fetch asks the store for a policy. It is in flight like a question: asked once for all who want to know, and answered takes
// what comes. The answer is worked on in a goroutine of its own, since the store may give it while it is asked, and Start calls
// nobody.
func (r *Resolver) fetch(q *question) {
	id, domain, _ := strings.Cut(q.key.name, " ")
	r.planner.policies.Fetch(domain, id, func(p *sts.Policy, err error) {
		r.begin(func() { r.answered([]answer{{q, fetchedFacts(time.Now(), p, err)}}) })
	})
}

// fetchedFacts remembers what came of a fetch for as long as other failures. It is the store that remembers the policy, and knows when it may
// be fetched again: an ID that was announced once, and is again, must not bring back what it stood for (RFC 8461 section 3.1).
func fetchedFacts(now time.Time, p *sts.Policy, err error) *facts {
	return &facts{status: fetched, rare: &rare{policy: p, err: err}, expires: now.Add(failureTTL)}
}

// strand is what ends the fetches that are under way when the Resolver closes. The Resolver's lock is held.
func (r *Resolver) strand(now time.Time) (stranded []answer) {
	for k, q := range r.flights {
		if k.qtype == typePolicy {
			stranded = append(stranded, answer{q, fetchedFacts(now, nil, closedError(k))})
		}
	}
	return stranded
}

func closedError(k key) error {
	_, domain, _ := strings.Cut(k.name, " ")
	return &sts.Error{Domain: domain, Result: "sts-policy-fetch-error", Reason: closedReason}
}

package tlsrpt

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/smtpfeed/smtpfeed/feed"
)

const (
	maxPolicies = 16 // of a domain: exchangers may have a TLSA policy each
	// What things take in memory, about, beside their strings.
	domainOctets, policyOctets, detailOctets = 200, 250, 200
	// octetsPerDomain times Config.Domains is what the counts of a day may take.
	octetsPerDomain = 2 << 10
)

// bounds are those of a day.
type bounds struct {
	maxDomains, maxDetails, maxOctets int
}

func (c Config) bounds() bounds { return bounds{c.Domains, c.Details, c.Domains * octetsPerDomain} }

// A day is what was counted on one. While it lasts the keeper owns it; when it has ended its counts are not changed any more.
type day struct {
	bounds
	date    date
	id      string // tells its reports from those of another process that counted the same day: 12 hexadecimal digits
	domains map[string]*domain
	used    int // octets
	tally
}

// A tally is of results that are not in the reports as they should be; see Stats.
type tally struct {
	overflow, folded, unnamed uint64
}

// A domain is a policy domain's day.
type domain struct {
	name     string
	policies []*policy
	mailed   []string // addresses that have the report; changed by replacing it, under the edition's mutex
}

func newDay(d date, b bounds) *day {
	return &day{bounds: b, date: d, id: newID(), domains: map[string]*domain{}}
}

// newID is 6 octets of randomness: enough for processes that count the same day.
func newID() string {
	b := make([]byte, 6)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// add counts one result.
func (d *day) add(r *feed.TLSResult) {
	p := d.find(r.Domain, terms{r.Policy, r.Base, r.Strings, r.Patterns})
	switch {
	case p == nil:
	case r.Result == "":
		p.successes++
	default:
		p.failures++
		d.detail(p, detailOf(r), 1)
	}
}

// find returns the policy of a domain, new or not, or nil and counts why there is none. Nearly always it is one look into the
// map and one comparison of pointers.
func (d *day) find(name string, t terms) *policy {
	t = t.known()
	m := d.domains[name]
	if m != nil {
		if p := m.policy(t); p != nil {
			return p
		}
	} else if !isDomain(name) {
		d.unnamed++
		return nil
	}
	return d.begin(m, name, newPolicy(t))
}

// policy returns the policy if it is known.
func (m *domain) policy(t terms) *policy {
	for _, p := range m.policies {
		if p.isSame(t) {
			return p
		}
	}
	for _, p := range m.policies {
		if p.isEqual(t) {
			return p
		}
	}
	return nil
}

// begin adds a policy to m, or to a new domain if m is nil, unless that is past a bound.
func (d *day) begin(m *domain, name string, p *policy) *policy {
	cost := policyOctets + len(p.base) + size(p.rawStrings) + size(p.rawPatterns)
	if m == nil {
		cost += domainOctets + len(name)
	}
	if d.used+cost > d.maxOctets || m == nil && len(d.domains) >= d.maxDomains || m != nil && len(m.policies) >= maxPolicies {
		d.overflow++
		return nil
	}
	d.used += cost
	if m == nil {
		m = &domain{name: strings.Clone(name)}
		d.domains[m.name] = m
	}
	m.policies = append(m.policies, p)
	return p
}

func size(s []string) (n int) {
	for i := range s {
		n += len(s[i]) + 16
	}
	return n
}

// detail counts n failures of a kind. Past a bound they are told by result type only: then the sums are still right.
func (d *day) detail(p *policy, k detail, n uint64) {
	if _, known := p.details[k]; !known {
		cost := detailOctets + len(k.mx) + len(k.reason)
		// There are at most as many folded kinds as result types, so they need no bound.
		if k.reason != foldedReason && (len(p.details) >= d.maxDetails || d.used+cost > d.maxOctets) {
			d.folded += n
			k = detail{result: k.result, reason: foldedReason}
		} else {
			d.used += cost
			k = k.owned()
		}
	}
	if p.details == nil {
		p.details = map[detail]uint64{}
	}
	p.details[k] += n
}

// sorted are the domains in the order of their names.
func (d *day) sorted() []*domain {
	all := make([]*domain, 0, len(d.domains))
	for _, m := range d.domains {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *domain) int { return strings.Compare(a.name, b.name) })
	return all
}

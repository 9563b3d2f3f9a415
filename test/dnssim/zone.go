package dnssim

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// Additional says whether a zone's MX answers carry addresses.
type Additional int

const (
	WithAddresses    Additional = iota // those of the exchangers that the zone has
	WithoutAddresses                   // none, like a recursor with minimal responses
)

// A zone is the records of a master file by name and type.
type zone struct {
	trust      map[string]trust // by the name at and below which it holds
	sets       map[dns.Question][]dns.RR
	names      map[string]bool // that exist, with all their parents
	soa        []dns.RR
	additional Additional
}

// Zone answers from master file text (RFC 1035 section 5) like a recursor that knows nothing else: CNAME chains, NODATA and NXDOMAIN
// with the SOA record if there is one, addresses of exchangers in the additional section. Names are absolute without "$ORIGIN",
// and the TTL is 300 without one. Lines of their own say what DNSSEC makes of a name and all below it, as if the asked recursor had
// validated: "$SECURE example.", "$INSECURE sub.example." (nothing is secure by default), "$BOGUS broken.example.".
func Zone(text string) (Handler, error) { return ZoneWith(text, WithAddresses) }

// ZoneWith is Zone with a choice of additional records.
func ZoneWith(text string, additional Additional) (Handler, error) {
	z := &zone{sets: make(map[dns.Question][]dns.RR), names: make(map[string]bool), additional: additional}
	var err error
	if text, z.trust, err = splitTrust(text); err != nil {
		return nil, err
	}
	p := dns.NewZoneParser(strings.NewReader(text), ".", "")
	p.SetDefaultTTL(defaultTTL)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		z.add(rr)
	}
	if err := p.Err(); err != nil {
		return nil, fmt.Errorf("dnssim: zone: %w", err)
	}
	return z.answer, nil
}

func (z *zone) add(rr dns.RR) {
	h := rr.Header()
	k := dns.Question{Name: dns.CanonicalName(h.Name), Qtype: h.Rrtype}
	z.sets[k] = append(z.sets[k], rr)
	if h.Rrtype == dns.TypeSOA {
		z.soa = []dns.RR{rr}
	}
	// RFC 8020: a name with something below it exists.
	for name, end := k.Name, false; !end; {
		z.names[name] = true
		var next int
		next, end = dns.NextLabel(name, 0)
		name = name[next:]
	}
}

// hops bounds a chain of CNAMEs, which may be a circle.
const hops = 20

func (z *zone) answer(q dns.Question, _ bool) Answer {
	name := dns.CanonicalName(q.Name)
	a := Answer{AD: true}
	for range hops {
		switch z.trusted(name) {
		case bogus:
			return Answer{RCode: dns.RcodeServerFailure}
		case insecure:
			a.AD = false
		}
		if set := z.sets[dns.Question{Name: name, Qtype: q.Qtype}]; set != nil {
			a.Answer = append(a.Answer, set...)
			a.Extra = z.addresses(set)
			return a
		}
		cname := z.sets[dns.Question{Name: name, Qtype: dns.TypeCNAME}]
		if cname == nil {
			break
		}
		a.Answer = append(a.Answer, cname...)
		name = dns.CanonicalName(cname[0].(*dns.CNAME).Target)
	}
	if !z.names[name] {
		a.RCode = dns.RcodeNameError
	}
	a.Ns = z.soa
	return a
}

// addresses is the additional section for a set of MX records.
func (z *zone) addresses(set []dns.RR) (extra []dns.RR) {
	if z.additional == WithoutAddresses {
		return nil
	}
	for _, rr := range set {
		if mx, ok := rr.(*dns.MX); ok {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
				extra = append(extra, z.sets[dns.Question{Name: dns.CanonicalName(mx.Mx), Qtype: qtype}]...)
			}
		}
	}
	return extra
}

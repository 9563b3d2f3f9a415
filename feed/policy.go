package feed

import (
	"cmp"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/smtpfeed/smtpfeed/feed/dane"
	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

// What a session with an exchanger must keep to: what its receiver publishes, what the operator wants, and what the message asks
// for, made into one policy. Recipients meet on a host, and so in a session, only if their policies are equal.

// A level is how much TLS a session must have.
type level uint8

const (
	levelNone    level = iota // never any
	levelMay                  // where it can be had, with any certificate
	levelEncrypt              // with any certificate, or no session
	levelDANE                 // with a certificate that a TLSA record names (RFC 7672)
	levelVerify               // with one for a name, from an authority we trust
)

// A policy is what sessions with a host keep to. It is immutable and shared; policies of the same key are equal.
type policy struct {
	key   string // "" for the one that most hosts have
	word  string // of delivery records: "dane", "mta-sts", "requiretls", "required", "configured"; "" where nobody demands anything
	level level
	names []string // of levelDANE and levelVerify: that the certificate may have; ".example.net" is any name below
	tlsa  []resolver.TLSA

	testing  bool // levelMay: names are looked for, of which there are none when the policy does not name the exchanger; only the Observer is told
	sni      string
	implicit bool         // TLS from the first octet
	auth     *Credentials // nil is none
	inClear  bool         // auth is used whatever the session's protection
	kind     PolicyType   // what the Observer is told; "" is nothing
	strings  []string     // of PolicyTLSA, likewise
}

// demands says that without TLS there is no session.
func (p *policy) demands() bool { return p.level >= levelEncrypt }

// String is the policy in words, for explanations.
func (p *policy) String() string {
	switch {
	case p.level == levelNone:
		return "no TLS"
	case p.testing:
		return "opportunistic, mta-sts testing"
	case p.level == levelMay:
		return "opportunistic"
	case p.level == levelVerify:
		return p.word + " " + strings.Join(p.names, " ")
	case p.kind == PolicyTLSA:
		return fmt.Sprintf("dane %s (%s)", p.sni, brief(p.strings))
	default:
		return p.word
	}
}

// brief is TLSA records with the beginning of their data.
func brief(records []string) string {
	const digits = len("01234567")
	var b strings.Builder
	for i, r := range records {
		if i > 0 {
			b.WriteString(", ")
		}
		data := len("3 1 1 ")
		if at := strings.IndexByte(r, ':'); at > 0 {
			data = at + 1 // behind the digest's name
		}
		b.WriteString(r[:min(len(r), data+digits)])
	}
	return b.String()
}

// A need is what a message says about TLS (RFC 8689).
type need uint8

const (
	needNothing  need = iota
	needTLS           // MAIL had REQUIRETLS
	needDelivery      // "TLS-Required: No": receivers' policies do not count
)

func needOf(p Params) need {
	switch {
	case p.RequireTLS:
		return needTLS
	case p.TLSOptional:
		return needDelivery
	}
	return needNothing
}

// A refusal is why an exchanger must not be used: the outcome of recipients that have no other.
type refusal struct {
	word   string // of the policy, as in delivery records
	failed bool
	status wire.Enhanced
	result string // of RFC 8460
	err    error
}

var (
	status474  = wire.Enhanced{Class: 4, Subject: 7, Detail: 4}
	status475  = wire.Enhanced{Class: 4, Subject: 7, Detail: 5}
	status4730 = wire.Enhanced{Class: 4, Subject: 7, Detail: 30}
	status5730 = wire.Enhanced{Class: 5, Subject: 7, Detail: 30}

	// RFC 8689 section 4.2.2 has the first three words.
	errNeedsTLS  = errors.New("REQUIRETLS support required: the host does not offer it")
	errUnvouched = errors.New("REQUIRETLS support required: neither DNSSEC nor an MTA-STS policy vouches for this exchanger's name")
)

// policyOf is the policy of one exchanger for mail to a route's domain. The receiver's DANE precedes its MTA-STS (RFC 8461 section 2), and the
// operator's word precedes both.
func (e *engine) policyOf(rt *route, r *resolver.Route, mx *resolver.MX) (*policy, *refusal) {
	base, d := e.usual, e.destination(rt.domain, mx)
	if d != nil {
		base = configured(d, mx)
	}
	switch {
	case rt.need == needTLS && base.level != levelVerify:
		return requireTLS(r, mx, base)
	case d != nil, base.level == levelNone, rt.need == needDelivery:
		return base, nil
	case mx.DANE != nil && (mx.DANE.Err != nil || dane.Usable(mx.DANE.Records) || !applies(r.STS, mx) || r.STS.Mode != sts.Enforce):
		return daneOf(rt.domain, mx)
	case applies(r.STS, mx): // also beside TLSA records of which none is usable: both want TLS, and this one can be verified
		return stsOf(r.STS, mx, base)
	}
	return base, nil
}

// applies says that an MTA-STS policy speaks of the exchanger: not of what the operator has put in its place.
func applies(p *sts.Policy, mx *resolver.MX) bool {
	return p != nil && p.Mode != sts.None && !mx.Configured
}

// requireTLS is the policy for a message with REQUIRETLS. RFC 8689 section 4.2.1 wants the exchanger's name from DNSSEC or from an
// MTA-STS policy, and its certificate verified. What a relay needs besides, it still gets.
func requireTLS(r *resolver.Route, mx *resolver.MX, base *policy) (*policy, *refusal) {
	if base.auth == nil && !base.implicit && mx.DANE != nil {
		if p, no := daneOf(r.Domain, mx); no != nil || p.level == levelDANE {
			return p, no
		}
	}
	named := applies(r.STS, mx) && r.STS.Matches(mx.Name)
	if !mx.Secure && !mx.Configured && !named {
		if r.STSError != nil { // the policy that cannot be had now may vouch for it
			return nil, &refusal{word: "requiretls", status: status4730, err: errUnvouched}
		}
		return nil, &refusal{word: "requiretls", failed: true, status: status5730, err: errUnvouched}
	}
	if applies(r.STS, mx) && r.STS.Mode == sts.Enforce && !named {
		return stsOf(r.STS, mx, base) // RFC 8461 section 5: REQUIRETLS does not lift what the receiver asks for
	}
	p := verify("requiretls", []string{mx.Name}, mx.Name)
	p.kind = ""
	if p.implicit, p.auth, p.inClear = base.implicit, base.auth, base.inClear; p.implicit || p.auth != nil {
		p.key += " " + base.key
	}
	return p, nil
}

// daneOf is the policy that TLSA records make. RFC 7672 section 2.2: records of which none is usable still say that there is TLS; and
// where they cannot be had, an attacker may be the reason, so that the exchanger must not be used.
func daneOf(domain string, mx *resolver.MX) (*policy, *refusal) {
	d := mx.DANE
	if d.Err != nil {
		return nil, &refusal{word: "dane", status: status475, result: "dnssec-invalid", err: d.Err}
	}
	p := &policy{word: "dane", level: levelEncrypt, kind: PolicyTLSA, sni: d.Base}
	for _, r := range d.Records {
		p.strings = append(p.strings, recordText(r))
	}
	slices.Sort(p.strings)
	if dane.Usable(d.Records) {
		p.level, p.tlsa, p.names = levelDANE, slices.Clone(d.Records), daneNames(domain, d)
		slices.SortFunc(p.tlsa, func(a, b resolver.TLSA) int { return cmp.Compare(recordText(a), recordText(b)) }) // equal keys, equal policies
	}
	p.key = fmt.Sprint("dane ", p.level, " ", d.Base, p.names, p.strings)
	return p, nil
}

// recordText is a TLSA record as reports tell it and as policies are told apart by it: of a long one its digest.
func recordText(r resolver.TLSA) string {
	if len(r.Data) > sha512.Size {
		return fmt.Sprintf("%d %d %d SHA-256:%x", r.Usage, r.Selector, r.Matching, sha256.Sum256([]byte(r.Data)))
	}
	return r.String()
}

// daneNames is the names that a certificate may have below a DANE-TA anchor. With DANE-EE none counts (RFC 7672 section 3.1.1). Section 3.2.2
// allows the recipient's domain too. It is left out where the exchanger is somebody else's: with it the thousands of domains of a provider
// would each have a policy, and so a session, of their own; and a provider's certificate cannot name them all.
func daneNames(domain string, d *resolver.DANE) []string {
	if !slices.ContainsFunc(d.Records, func(r resolver.TLSA) bool { return r.Usage == 2 }) {
		return nil
	}
	var names []string
	for _, n := range d.Names {
		if n != domain || n == d.Base || strings.HasSuffix(d.Base, "."+domain) {
			names = append(names, n)
		}
	}
	return names
}

// stsOf is what an MTA-STS policy makes of the usual one. RFC 8461 section 4.1 has the certificate be for the exchanger's name, which is
// why domains with the same exchanger have the same policy.
func stsOf(s *sts.Policy, mx *resolver.MX, base *policy) (*policy, *refusal) {
	matches := s.Matches(mx.Name)
	switch {
	case s.Mode == sts.Enforce && !matches:
		return nil, &refusal{word: "mta-sts", status: status475, result: "validation-failure",
			err: fmt.Errorf("the MTA-STS policy of %s does not name the exchanger %s", s.Domain, mx.Name)}
	case s.Mode == sts.Enforce:
		p := verify("mta-sts", []string{mx.Name}, mx.Name)
		p.kind = PolicySTS
		return p, nil
	case base.level == levelMay:
		p := *base
		p.key, p.testing, p.kind, p.sni = "testing "+mx.Name, true, PolicySTS, mx.Name
		if matches {
			p.names = []string{mx.Name}
		} else {
			p.key = "testing, not named " + mx.Name
		}
		return &p, nil
	default:
		return base, nil
	}
}

// verify is a policy that wants a certificate for one of names.
func verify(word string, names []string, sni string) *policy {
	return &policy{key: word + " " + sni + " " + strings.Join(names, " "), word: word, level: levelVerify, names: names, sni: sni, kind: PolicyNone}
}

// usualPolicy is the one for exchangers of which nothing else is known.
func usualPolicy(m TLSMode) *policy {
	switch m {
	case TLSOff:
		return &policy{level: levelNone, kind: PolicyNone}
	case TLSOpportunistic:
		return &policy{level: levelMay, kind: PolicyNone}
	default:
		return &policy{level: levelEncrypt, word: "required", kind: PolicyNone}
	}
}

// destination is what the operator wants of an exchanger of a domain, or nil. What the routing map says counts for the hosts that it names.
func (e *engine) destination(domain string, mx *resolver.MX) *Destination {
	if mx.Configured && mx.Preference != resolver.FallbackPreference {
		if d, ok := resolver.Match(e.relays, domain); ok && !d.Plain {
			return d
		}
	}
	d, _ := resolver.Match(e.destinations, domain)
	return d
}

// configured is the policy that a Destination makes. Who we are is told to the hosts of its route only, never to a fallback host or to
// what the DNS names.
func configured(d *Destination, mx *resolver.MX) *policy {
	names := d.Names
	if len(names) == 0 {
		names = []string{mx.Name}
	}
	var p *policy
	if d.Mode == TLSVerified {
		p = verify("configured", names, mx.Name)
	} else {
		p = usualPolicy(d.Mode)
		p.key = fmt.Sprint("configured ", d.Mode)
	}
	p.kind = "" // what the receiver publishes does not count, so it is not told of
	if mx.Configured && mx.Preference != resolver.FallbackPreference {
		p.implicit, p.auth, p.inClear = d.Implicit && d.Mode != TLSOff, d.Auth, d.AuthInClear
		if p.implicit && p.level == levelMay {
			p.level = levelEncrypt // there is no plaintext to go back to
		}
	}
	if p.implicit || p.auth != nil {
		p.key += fmt.Sprintf(" %s %v %s", d.Domain, p.implicit, mx.Name)
	}
	return p
}

// destinationsOf makes a table that destination looks into.
func destinationsOf(list []Destination) map[string]*Destination {
	m := make(map[string]*Destination, len(list))
	for i := range list {
		m[list[i].Domain] = &list[i]
	}
	return m
}

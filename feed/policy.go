package feed

import (
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

	testing  bool // levelMay: names are looked for, and what is found is only told to the Observer
	sni      string
	implicit bool         // TLS from the first octet
	auth     *Credentials // nil is none
	inClear  bool         // auth is used whatever the session's protection
	kind     PolicyType   // what the Observer is told
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
	default:
		return p.word
	}
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
	failed bool
	status wire.Enhanced
	result string // of RFC 8460
	err    error
}

var (
	status474  = wire.Enhanced{Class: 4, Subject: 7, Detail: 4}
	status475  = wire.Enhanced{Class: 4, Subject: 7, Detail: 5}
	status5730 = wire.Enhanced{Class: 5, Subject: 7, Detail: 30}

	errNeedsTLS = errors.New("REQUIRETLS support required")
)

// policyOf is the policy of one exchanger for mail to a route's domain. The receiver's DANE precedes its MTA-STS (RFC 8461 section 2), and the
// operator's word precedes both.
func (e *engine) policyOf(rt *route, r *resolver.Route, mx *resolver.MX) (*policy, *refusal) {
	base := e.usual
	d, told := e.destination(rt.domain)
	if told {
		base = configured(d, mx)
	}
	switch {
	case rt.need == needTLS && base.level != levelVerify:
		return e.requireTLS(r, mx)
	case told, base.level == levelNone, rt.need == needDelivery:
		return base, nil
	case mx.DANE != nil:
		return daneOf(mx)
	case applies(r.STS, mx):
		return stsOf(r.STS, mx, base)
	}
	return base, nil
}

// applies says that an MTA-STS policy speaks of the exchanger: not of what the operator has put in its place.
func applies(p *sts.Policy, mx *resolver.MX) bool {
	return p != nil && p.Mode != sts.None && !mx.Configured
}

// requireTLS is the policy for a message with REQUIRETLS. RFC 8689 section 4.2.1 wants the exchanger's name from DNSSEC or from an
// MTA-STS policy, and its certificate verified.
func (e *engine) requireTLS(r *resolver.Route, mx *resolver.MX) (*policy, *refusal) {
	switch {
	case mx.DANE != nil:
		p, no := daneOf(mx)
		if no != nil || p.level == levelDANE {
			return p, no
		}
	case applies(r.STS, mx) && r.STS.Matches(mx.Name), mx.Secure, mx.Configured:
		return verify("requiretls", []string{mx.Name}, mx.Name), nil
	}
	return nil, &refusal{failed: true, status: status5730, err: errNeedsTLS}
}

// daneOf is the policy that TLSA records make. RFC 7672 section 2.2: records of which none is usable still say that there is TLS; and
// where they cannot be had, an attacker may be the reason, so that the exchanger must not be used.
func daneOf(mx *resolver.MX) (*policy, *refusal) {
	d := mx.DANE
	if d.Err != nil {
		return nil, &refusal{status: status475, result: "dnssec-invalid", err: d.Err}
	}
	p := &policy{word: "dane", level: levelEncrypt, kind: PolicyTLSA, sni: d.Base}
	if dane.Usable(d.Records) {
		p.level, p.names, p.tlsa = levelDANE, d.Names, d.Records
	}
	for _, r := range d.Records {
		p.strings = append(p.strings, r.String())
	}
	slices.Sort(p.strings)
	p.key = fmt.Sprint("dane ", p.level, " ", mx.Name, d.Names, p.strings)
	return p, nil
}

// stsOf is what an MTA-STS policy makes of the usual one. RFC 8461 section 4.1 has the certificate be for the exchanger's name, which is
// why domains with the same exchanger have the same policy.
func stsOf(s *sts.Policy, mx *resolver.MX, base *policy) (*policy, *refusal) {
	matches := s.Matches(mx.Name)
	switch {
	case s.Mode == sts.Enforce && !matches:
		return nil, &refusal{status: status475, result: "validation-failure",
			err: fmt.Errorf("the MTA-STS policy of %s does not name the exchanger %s", s.Domain, mx.Name)}
	case s.Mode == sts.Enforce:
		p := verify("mta-sts", []string{mx.Name}, mx.Name)
		p.kind = PolicySTS
		return p, nil
	case base.level == levelMay && matches:
		p := *base
		p.key, p.testing, p.kind, p.names, p.sni = "testing "+mx.Name, true, PolicySTS, []string{mx.Name}, mx.Name
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

// destination is what the operator wants for a domain.
func (e *engine) destination(domain string) (*Destination, bool) {
	if len(e.destinations) == 0 {
		return nil, false
	}
	return resolver.Match(e.destinations, domain)
}

// configured is the policy that a Destination makes. Who we are is told to the hosts of its route only, never to a fallback host or
// to what the DNS names.
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
	if mx.Configured && mx.Preference != resolver.FallbackPreference {
		p.implicit, p.auth, p.inClear = d.Implicit && d.Mode != TLSOff, d.Auth, d.AuthInClear
	}
	if p.implicit || p.auth != nil {
		p.key += fmt.Sprintf(" %s %v %s", d.Domain, p.implicit, mx.Name)
	}
	return p
}

// destinationsOf makes the table that destination looks into.
func destinationsOf(t TLS) map[string]*Destination {
	m := make(map[string]*Destination, len(t.Destinations))
	for i := range t.Destinations {
		m[t.Destinations[i].Domain] = &t.Destinations[i]
	}
	return m
}

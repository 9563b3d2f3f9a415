package resolver

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

// A Route is where mail for one domain goes (RFC 5321 section 5.1): plain data, safe to share once returned.
type Route struct {
	Domain   string    // as folded by Fold: A-labels, lower case, no trailing dot; or an address literal in brackets
	MX       []MX      // ascending preference, then name; at least one has an address
	Implicit bool      // there was no MX record: the domain's own addresses (RFC 5321 section 5.1)
	Expires  time.Time // when the facts must be asked again

	STS      *sts.Policy // MTA-STS policy to apply (RFC 8461); nil is none
	STSError error       // why there is no fresh policy although the domain announces one, an *sts.Error; nil is no trouble
}

// An MX is one mail exchanger of a Route.
type MX struct {
	Preference int          // lower is tried first; hosts of the configured fallback stand at FallbackPreference
	Name       string       // A-labels, lower case, no trailing dot; for a literal its text in brackets
	Addrs      []netip.Addr // IPv6 and IPv4, each sorted; empty when none was found or the question failed
	Port       uint16       // 0: the configured SMTP port
	Additional bool         // some of Addrs came with the MX answer, in its additional section: nobody was asked for them
	Configured bool         // named by a static route or as a fallback: the operator chose it, wherever it lives
	Err        error        // why Addrs is empty or lacks a family, for explanations; nil when all is known
	Hinted6    bool         // the IPv6 ones of Addrs came so
	Secure     bool         // a trusted server has validated by DNSSEC what led to the name and to its addresses
	DANE       *DANE        // what the DNS says of its keys; nil: DANE does not apply. An alias may have it without being Secure
}

// A DANE is what was learned of an exchanger's TLSA records, over DNSSEC from end to end (RFC 7672).
type DANE struct {
	Base    string   // TLSA base domain without port and protocol: the first reference identifier, and the name for SNI
	Names   []string // all reference identifiers (RFC 7672 section 3.2.2), Base first
	Records []TLSA   // as published, usable or not; never empty unless Err is set
	Err     error    // the records exist or may exist, and could not be had: the exchanger must not be used. An *Error
}

// A TLSA is one record (RFC 6698 section 2.1).
type TLSA struct {
	Usage    uint8  // 2 is DANE-TA, 3 is DANE-EE; 0 and 1 are unusable for SMTP (RFC 7672 section 3.1.3)
	Selector uint8  // 0 is the whole certificate, 1 its public key
	Matching uint8  // 0 is the full content, 1 its SHA-256, 2 its SHA-512
	Data     string // octets, not hexadecimal
}

// String is the record as a zone file has it: "3 1 1 0123abcd...".
func (t TLSA) String() string {
	return fmt.Sprintf("%d %d %d %x", t.Usage, t.Selector, t.Matching, t.Data)
}

// FallbackPreference is the preference of configured fallback hosts: behind every MX record's 16 bits.
const FallbackPreference = 1 << 16

// A Kind is what a failed resolution means for the mail.
type Kind int

const (
	Temporary    Kind = iota // no usable answer: ask again later (4.4.3)
	NoSuchDomain             // NXDOMAIN, or neither MX nor address (5.1.2)
	NullMX                   // "MX 0 .": the domain takes no mail (RFC 7505, 5.1.10, code 556)
	NoAddress                // MX records exist and no exchanger has an address (5.4.4)
	Loop                     // the best exchanger is this machine (5.4.6)
	LoopUnsure               // this machine is the best exchanger that could be resolved, a better one could not (4.4.4)
	Malformed                // not a domain (5.1.3)
)

// Permanent says that asking again will not help.
func (k Kind) Permanent() bool { return k != Temporary && k != LoopUnsure }

// An Error says why a domain has no route, and what was asked of whom.
type Error struct {
	Kind     Kind
	Domain   string
	Question string // "MX example.org"; empty when nothing was asked
	Server   string // "127.0.0.1:53"; empty when nothing was asked or several were
	Reason   string // "NXDOMAIN", "no answer in 5s", "null MX"
}

// Error is "resolver: MX example.org: no answer from 127.0.0.1:53".
func (e *Error) Error() string {
	s := "resolver: " + e.Question
	if e.Question == "" {
		s = "resolver: " + e.Domain
	}
	s += ": " + e.Reason
	if e.Server != "" {
		s = fmt.Sprintf("%s (asked %s)", s, e.Server)
	}
	return s
}

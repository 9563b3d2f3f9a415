package resolver

import (
	"net/netip"
	"time"
)

// A key is a question: a name as checkName accepts it, and dns.TypeMX, dns.TypeA or dns.TypeAAAA.
type key struct {
	name  string
	qtype uint16
}

// facts are what one question's answer says, without DNS types. They are immutable once the question is answered: the
// cache and every waiting Resolve share them.
type facts struct {
	status  status
	reason  string // of failed: "SERVFAIL", "no answer in 5s"
	server  string // who said so; empty when several were asked
	expires time.Time

	mx     []exchange   // of found MX: ascending preference, then name; at most maxExchanges
	hints  []hint       // of found MX: addresses from the additional section
	addrs  []netip.Addr // of found A and AAAA: sorted
	follow string       // of alias: the name to ask on
	hops   int          // CNAMEs walked inside this answer
}

// A status is which of the fields of facts say something.
type status uint8

const (
	found  status = iota // there are records of the type asked
	nullMX               // the only MX record is "." (RFC 7505)
	noData               // the name exists without such records
	noName               // NXDOMAIN
	alias                // a CNAME chain leads to follow and the answer ends there
	failed               // nobody gave a usable answer: reason
)

// An exchange is one MX record.
type exchange struct {
	preference uint16
	host       string     // lower case, no trailing dot; a literal's text in brackets
	addr       netip.Addr // when the record names an address instead of a host
	invalid    string     // why host is no host name; it is not asked then
}

// A hint is the addresses of one family that the additional section of an MX answer gave for one of its exchangers. It
// serves that answer's domain only and never the host cache: it is the least trusted data (RFC 2181 section 5.4.1), and what
// one domain's answer says about another's host must not lead the other's mail. No hint is not NODATA.
type hint struct {
	key     key
	addrs   []netip.Addr
	expires time.Time
}

// hint returns the live hint for a question, or nil.
func (f *facts) hint(now time.Time, k key) *hint {
	for i := range f.hints {
		if h := &f.hints[i]; h.key == k && now.Before(h.expires) {
			return h
		}
	}
	return nil
}

// failure is the facts of a question that got no usable answer.
func failure(now time.Time, reason, server string) *facts {
	return &facts{status: failed, reason: reason, server: server, expires: now.Add(failureTTL)}
}

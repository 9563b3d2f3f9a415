package resolver

import (
	"net/netip"
	"slices"
	"time"

	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

// A key is a question: a name as checkName accepts it, and dns.TypeMX, A, AAAA, TLSA, TXT or CNAME; or a policy to be fetched (see
// policyKey), which is no question of the DNS and yet waited for and remembered like one.
type key struct {
	name  string
	qtype uint16
}

// facts are what one question's answer says, without DNS types. They are immutable once the question is answered: the
// cache and every waiting Resolve share them.
type facts struct {
	status  status
	secure  bool   // a trusted server has validated all of it by DNSSEC; never of failed
	stopgap bool   // of a server that is not trusted, while those that are were gone: not served past its time
	hops    uint8  // CNAMEs walked inside this answer
	reason  string // of failed: "SERVFAIL", "no answer in 5s"
	server  string // who said so; empty when several were asked
	expires time.Time
	ended   time.Time // when the TTL ended, of an answer that serves on past it; zero: it has not

	mx     []exchange   // of found MX: ascending preference, then name; at most maxExchanges
	hints  []hint       // of found MX: addresses from the additional section
	addrs  []netip.Addr // of found A and AAAA: sorted
	follow string       // behind CNAMEs, the name they lead to; of alias, to be asked on
	rare   *rare        // of found TLSA, TXT, and fetched; nil of others
}

// rare is what few answers hold; the many are smaller without it.
type rare struct {
	tlsa   []TLSA      // at most maxTLSA
	texts  []string    // of TXT, at most maxTexts, each with its strings joined
	policy *sts.Policy // nil: it could not be had
	err    error       // why not
}

// A status is which of the fields of facts say something.
type status uint8

const (
	found   status = iota // there are records of the type asked
	nullMX                // the only MX record is "." (RFC 7505)
	noData                // the name exists without such records
	noName                // NXDOMAIN
	alias                 // a CNAME chain leads to follow and the answer ends there
	failed                // nobody gave a usable answer: reason
	fetched               // no DNS answer, but what a policy's fetch came to
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

// usable says that facts past their TTL may serve when asking again has failed. RFC 8767 section 4: "If the data is unable to be
// authoritatively refreshed when the TTL expires, the record MAY be used as though it is unexpired." For mail that is right within
// bounds. A recursor that restarts or is overloaded must not defer half a list whose routes were known a minute ago, and
// who moves a domain's mail keeps the old exchanger for longer than a TTL, since caches everywhere serve stale answers. But an exchanger
// left long ago may refuse the domain for good where a deferral would have done no harm, and its address may be another's by now:
// hence minutes (Config.Stale), and not the days that the RFC suggests for recursors. What bounces mail (no such name, null MX) or
// leads it to the domain's own address (no MX) is never used past its TTL.
func (f *facts) usable(now time.Time, stale time.Duration) bool {
	return (f.status == found || f.status == alias) && !f.stopgap && now.Before(f.fresh().Add(stale))
}

// fresh is when the TTL of an answer ends or ended.
func (f *facts) fresh() time.Time {
	if f.ended.IsZero() {
		return f.expires
	}
	return f.ended
}

// outlived is a copy that serves on. RFC 8767 section 5: "attempts to refresh from non-responsive or otherwise failing authoritative
// nameservers are recommended to be done no more frequently than every 30 seconds": as long as a failure is remembered.
func (f *facts) outlived(now time.Time) *facts {
	g := *f
	g.ended, g.expires = f.fresh(), now.Add(failureTTL)
	g.hints = slices.Clone(f.hints)
	for i := range g.hints {
		g.hints[i].expires = g.expires // they came with the answer; the same holds for them
	}
	return &g
}

// failure is the facts of a question that got no usable answer.
func failure(now time.Time, reason, server string) *facts {
	return &facts{status: failed, reason: reason, server: server, expires: now.Add(failureTTL)}
}

package tlsrpt

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

const (
	maxStrings    = 128     // lines or records of a policy that are reported
	maxString     = 8 << 10 // octets of one: a TLSA record with a whole certificate
	maxPolicyText = 32 << 10
	maxReason     = 200
	// foldedReason is the reason of failures past Config.Details.
	foldedReason = "further failures of this type, not told apart"
)

// A policy is one policy of a domain, and how its sessions went. A domain has several when it changed its policy, or when its
// exchangers have TLSA records of their own.
type policy struct {
	kind     feed.PolicyType
	base     string   // the TLSA base domain; "" is none
	strings  []string // cleaned and cut
	patterns []string // likewise

	// As they came last: shared and not to be changed, so that the same slice is known to have the same content.
	rawStrings, rawPatterns []string

	successes, failures uint64
	details             map[detail]uint64
}

// A detail is a kind of failure: failure-details of RFC 8460 section 4.4.
type detail struct {
	result       result
	source, addr netip.Addr
	mx, reason   string
}

// terms are what a policy is told from others by, as they come.
type terms struct {
	kind              feed.PolicyType
	base              string
	strings, patterns []string
}

// known are terms that a report can have. RFC 8460 section 4.4 knows three types; with no policy there is nothing to quote.
func (t terms) known() terms {
	switch {
	case t.kind != feed.PolicyTLSA && t.kind != feed.PolicySTS:
		return terms{kind: feed.PolicyNone}
	case t.kind == feed.PolicySTS || !isDomain(t.base):
		t.base = ""
	}
	return t
}

func newPolicy(t terms) *policy {
	return &policy{kind: t.kind, base: strings.Clone(t.base), strings: cleaned(t.strings), patterns: cleaned(t.patterns),
		rawStrings: t.strings, rawPatterns: t.patterns}
}

// isSame is whether p was made, or last met, with the very same slices.
func (p *policy) isSame(t terms) bool {
	return p.kind == t.kind && p.base == t.base && identical(p.rawStrings, t.strings) && identical(p.rawPatterns, t.patterns)
}

// isEqual is whether p says the same, and remembers the slices if so.
func (p *policy) isEqual(t terms) bool {
	if p.kind != t.kind || p.base != t.base {
		return false
	}
	text, names := cleaned(t.strings), cleaned(t.patterns)
	if !slices.Equal(p.strings, text) && !(t.kind == feed.PolicyTLSA && sameSet(p.strings, text)) || !slices.Equal(p.patterns, names) {
		return false
	}
	p.rawStrings, p.rawPatterns = t.strings, t.patterns
	return true
}

func identical(a, b []string) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// sameSet compares records, which DNS gives in any order.
func sameSet(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for _, s := range a {
		if !slices.Contains(b, s) {
			return false
		}
	}
	return true
}

// cleaned makes texts fit for a report. What of them is too long or too much is left out: never a part of one, which could be
// taken for the whole.
func cleaned(raw []string) []string {
	if len(raw) == 0 {
		return nil
	}
	c := make([]string, 0, min(len(raw), maxStrings))
	room := maxPolicyText
	for _, s := range raw {
		if len(c) == maxStrings {
			break
		}
		if len(s) > min(maxString, room) {
			continue
		}
		c = append(c, wire.Clean(s, maxString))
		room -= len(s)
	}
	return c
}

// detailOf is the kind of failure that r is.
func detailOf(r *feed.TLSResult) detail {
	d := detail{
		result: resultOf(r.Result),
		source: plain(r.Source),
		addr:   plain(r.Addr),
		mx:     wire.Clean(r.MX, maxDomain),
		reason: wire.Clean(r.Reason, maxReason),
	}
	if d.result == validationFailure && d.reason == "" && r.Result != validationFailure.String() {
		// RFC 8460 section 4.3.3: with this type "the reporter SHOULD also use the failure-reason-code".
		d.reason = wire.Clean(r.Result, maxReason)
	}
	return d
}

// plain is an address as reports have it: IPv4 is no IPv6, and a zone means nothing elsewhere.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// owned is d with strings that hold nothing else in memory.
func (d detail) owned() detail {
	d.mx, d.reason = strings.Clone(d.mx), strings.Clone(d.reason)
	return d
}

func (d detail) compare(e detail) int {
	return cmp.Or(cmp.Compare(d.result, e.result), d.source.Compare(e.source), cmp.Compare(d.mx, e.mx), d.addr.Compare(e.addr),
		cmp.Compare(d.reason, e.reason))
}

// sorted are the details in the order in which reports and files have them: the same counts make the same octets.
func (p *policy) sorted() []detail { return slices.SortedFunc(maps.Keys(p.details), detail.compare) }

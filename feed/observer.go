package feed

import "net/netip"

// An Observer is told how TLS went, for reports to those who publish policies (RFC 8460).
type Observer interface {
	// ObserveTLS is called from the loop. It must not block, and must not keep the slice.
	ObserveTLS([]TLSResult)
}

// A PolicyType says which policy was applied to a domain's session, in the words of RFC 8460 section 4.4.
type PolicyType string

const (
	PolicyTLSA PolicyType = "tlsa"
	PolicySTS  PolicyType = "sts"
	PolicyNone PolicyType = "no-policy-found"
)

// A TLSResult is one session, or one attempt at it, as it counts for one policy domain: the domain of recipients that it was for.
type TLSResult struct {
	Domain   string // as folded by resolver.Fold
	Policy   PolicyType
	Base     string   // of PolicyTLSA the TLSA base domain (RFC 7672 section 2.2.3); else ""
	Strings  []string // of PolicyTLSA the records, of PolicySTS the policy's lines; else nil. Shared: not to be changed
	Patterns []string // of PolicySTS its mx patterns; else nil. Shared likewise
	Result   string   // "" for success, else the result type of RFC 8460 section 4.3
	Reason   string   // more about a failure, in one clean line; "" is nothing
	MX       string   // the exchanger's name; "" when none was chosen
	Source   netip.Addr
	Addr     netip.Addr // invalid when no exchanger was dialled
}

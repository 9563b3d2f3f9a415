package dane

import (
	"crypto/x509"
	"time"

	"github.com/smtpfeed/smtpfeed/resolver"
)

// Verify finds the record that says that a server with this chain, its leaf first, is the right one. names are the reference
// identifiers (RFC 7672 section 3.2.2) as A-labels; only DANE-TA asks for them. Every error is an *Error.
func Verify(now time.Time, chain []*x509.Certificate, records []resolver.TLSA, names []string) (resolver.TLSA, error) {
	if len(chain) == 0 || chain[0] == nil {
		return resolver.TLSA{}, &Error{ValidationFailure, "the server presented no certificate"}
	}
	list := usable(records)
	if len(list) == 0 {
		return resolver.TLSA{}, &Error{TLSAInvalid, "no TLSA record is usable"}
	}
	var certs []*presented
	for _, c := range shortened(chain) {
		certs = append(certs, &presented{Certificate: c})
	}
	// RFC 7671 section 5.1: what usage 3 names needs neither a valid date, nor a name, nor a signature. So it goes first.
	for _, r := range list {
		if r.Usage == usageEE && certs[0].matches(r) {
			return r.TLSA, nil
		}
	}
	a := anchorage{now: now, certs: certs, roots: x509.NewCertPool()}
	for _, r := range list {
		if r.Usage == usageTA {
			a.trust(r)
		}
	}
	return a.verify(names)
}

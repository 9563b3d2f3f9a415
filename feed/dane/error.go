package dane

import "fmt"

// Result types of RFC 8460 section 4.3 that Verify can come to.
const (
	TLSAInvalid           = "tlsa-invalid"              // no record is usable, or none matches what the server presented
	CertificateExpired    = "certificate-expired"       // below a trust anchor that matched: it is not the time of some certificate
	CertificateHost       = "certificate-host-mismatch" // below a trust anchor that matched: the leaf has none of the names
	CertificateNotTrusted = "certificate-not-trusted"   // below a trust anchor that matched: the chain does not hold
	ValidationFailure     = "validation-failure"        // there is nothing to judge
)

// An Error says why a server is not the one that its TLSA records name.
type Error struct {
	Result string // a result type of RFC 8460 section 4.3
	Reason string // in words of our own, nothing of the peer's: fit for logs, replies and reports
}

// Error is "dane: tlsa-invalid: no TLSA record matches ...".
func (e *Error) Error() string { return fmt.Sprintf("dane: %s: %s", e.Result, e.Reason) }

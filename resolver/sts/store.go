package sts

// An Error says why a policy that a domain announces could not be had.
type Error struct {
	Domain string
	Result string // the result type of RFC 8460 section 4.3.2.2: "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"
	Reason string
}

// Error is "sts: policy of example.net: HTTP status 404".
func (e *Error) Error() string { return "sts: policy of " + e.Domain + ": " + e.Reason }

// A Store has the policies. Its methods may be called from any goroutine.
type Store struct{}

package sts

import (
	"fmt"
	"strings"
)

// The result types of RFC 8460 section 4.3.2.2 that an Error has.
const (
	FetchError    = "sts-policy-fetch-error" // the policy could not be had
	PolicyInvalid = "sts-policy-invalid"     // what was had is no policy
	WebPKIInvalid = "sts-webpki-invalid"     // the policy host's certificate is not valid for it
)

// An Error says why a policy that a domain announces could not be had.
type Error struct {
	Domain string
	Result string // FetchError, PolicyInvalid or WebPKIInvalid
	Reason string // one line of printable ASCII, bounded
}

// Error is "sts: policy of example.net: HTTP status 404".
func (e *Error) Error() string { return "sts: policy of " + e.Domain + ": " + e.Reason }

// maxReason bounds a Reason: it quotes certificates and answers of peers, and is kept for Config.Retry.
const maxReason = 300

// failed makes an Error. Whatever a peer put into it is cleaned.
func failed(domain, result, format string, args ...any) *Error {
	reason := fmt.Sprintf(format, args...)
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	return &Error{Domain: printable(domain), Result: result, Reason: printable(reason)}
}

// printable returns a copy with '?' for every octet that is not printable ASCII. The length stays the same.
func printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c >= 0x7f {
			b[i] = '?'
		}
	}
	return string(b)
}

// isDomain says that a folded name can have a policy host: labels of letters, digits, hyphens and, as in the wild, underscores.
func isDomain(name string) bool {
	if len(prefix)+len(name) > 253 { // RFC 1035 section 2.3.4, in the text form without the trailing dot
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, notNameByte) {
			return false
		}
	}
	return true
}

func notNameByte(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
}

package sts

import "time"

// A Mode is what a sender is asked to do with exchangers that do not keep to the policy (RFC 8461 section 5).
type Mode uint8

const (
	None    Mode = iota // as if there were no policy
	Testing             // deliver anyway, and report
	Enforce             // do not deliver
)

// A Policy is one domain's, as fetched. It is immutable.
type Policy struct {
	Domain  string // as folded by resolver.Fold
	ID      string // of the TXT record that announced it
	Mode    Mode
	MX      []string      // patterns in lower case: "mx.example.net" or "*.example.net"
	MaxAge  time.Duration // how long it is valid, clamped
	Expires time.Time
	Text    []string // its lines, for reports
}

package sts

import (
	"strings"
	"time"
)

// A Mode is what a sender is asked to do with exchangers that do not keep to the policy (RFC 8461 section 5).
type Mode uint8

const (
	None    Mode = iota // as if there were no policy
	Testing             // deliver anyway, and report
	Enforce             // do not deliver
)

// String is the mode as a policy has it.
func (m Mode) String() string {
	switch m {
	case Enforce:
		return "enforce"
	case Testing:
		return "testing"
	}
	return "none"
}

// A Policy is one domain's, as fetched. It is immutable.
type Policy struct {
	Domain  string // as folded by resolver.Fold
	ID      string // of the TXT record that announced it; a refresh keeps it
	Mode    Mode
	MX      []string      // patterns in lower case: "mx.example.net" or "*.example.net"; empty only in mode none
	MaxAge  time.Duration // how long it is valid, clamped to a year
	Expires time.Time     // when it was fetched plus MaxAge, by the wall clock
	Text    []string      // its lines in printable ASCII, for reports: all that count, and others within bounds
}

// Matches says that an exchanger of this name may take the domain's mail. A nil Policy matches nothing.
//
// RFC 8461 section 4.1: a wildcard stands for exactly one leftmost label, so "*.example.com" is neither "example.com" nor
// "a.b.example.com". Names are compared without regard to case.
func (p *Policy) Matches(host string) bool {
	if p == nil {
		return false
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, pattern := range p.MX {
		if suffix, wild := strings.CutPrefix(pattern, "*"); wild {
			label, under := strings.CutSuffix(host, suffix)
			if under && label != "" && !strings.Contains(label, ".") {
				return true
			}
			continue
		}
		if pattern == host {
			return true
		}
	}
	return false
}

// fetched is when the policy was had from its host.
func (p *Policy) fetched() time.Time { return p.Expires.Add(-p.MaxAge) }

// live says that the policy may still be used.
func (p *Policy) live(now time.Time) bool { return now.Before(p.Expires) }

// size estimates the memory that the policy holds.
func (p *Policy) size() int {
	const fixed, each = 512, 24 // the structures around it; a string's header and what its memory is rounded up to
	n := fixed + len(p.Domain) + len(p.ID)
	for _, mx := range p.MX {
		n += each + len(mx)
	}
	for _, line := range p.Text {
		n += each + len(line)
	}
	return n
}

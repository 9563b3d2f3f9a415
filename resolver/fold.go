package resolver

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

var errNotUTF8 = errors.New("not UTF-8")

// Limits of RFC 1035 section 2.3.4, in the text form without the trailing dot.
const (
	maxName  = 253
	maxLabel = 63
)

// Fold returns the form of a recipient's domain under which it is looked up and compared: A-labels in lower case without
// a trailing dot, or an address literal as "[192.0.2.1]" or "[IPv6:2001:db8::1]". Its error is an *Error of kind Malformed.
func Fold(domain string) (string, error) {
	if strings.HasPrefix(domain, "[") {
		return foldLiteral(domain)
	}
	name, err := toASCII(strings.TrimSuffix(domain, "."))
	if err != nil {
		return "", malformed(domain, "not an internationalised domain name")
	}
	if reason := checkName(name); reason != "" {
		return "", malformed(domain, reason)
	}
	// RFC 5321 section 4.1.3: an address stands in brackets. Without them no top level domain of this name exists.
	if _, err := netip.ParseAddr(name); err == nil {
		return "", malformed(domain, "an address must stand in brackets")
	}
	return name, nil
}

// toASCII applies IDNA to names that need it only: its rules are stricter than mail's (no underscore), and A-labels that
// a sender gives are looked up as they are.
func toASCII(name string) (string, error) {
	for i := 0; i < len(name); i++ {
		if name[i] < 0x80 {
			continue
		}
		if !utf8.ValidString(name) {
			return "", errNotUTF8 // IDNA would look up the replacement character
		}
		return idna.Lookup.ToASCII(name)
	}
	return strings.ToLower(name), nil
}

// checkName says why a lower-case name is no host name, or "". Underscores are no letters of RFC 952 and yet in use.
func checkName(name string) string {
	switch {
	case name == "":
		return "empty domain"
	case len(name) > maxName:
		return "domain longer than 253 octets"
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return "empty label"
		case len(label) > maxLabel:
			return "label longer than 63 octets"
		case label[0] == '-' || label[len(label)-1] == '-':
			return "label begins or ends with a hyphen"
		case strings.IndexFunc(label, notHostByte) >= 0:
			return "character that no domain has"
		}
	}
	return ""
}

func notHostByte(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
}

// foldLiteral normalises an address literal (RFC 5321 section 4.1.3). An IPv4 address inside IPv6 becomes plain IPv4, so
// that filters on addresses see what would be dialled.
func foldLiteral(domain string) (string, error) {
	addr, ok := literalAddr(domain)
	if !ok {
		return "", malformed(domain, "not an address literal")
	}
	return literal(addr), nil
}

// literalAddr reads "[192.0.2.1]" and "[IPv6:2001:db8::1]".
func literalAddr(s string) (netip.Addr, bool) {
	if len(s) < 2 || s[0] != '[' || s[len(s)-1] != ']' {
		return netip.Addr{}, false
	}
	text, tagged := s[1:len(s)-1], false
	if len(text) > 5 && strings.EqualFold(text[:5], "IPv6:") {
		text, tagged = text[5:], true
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" || addr.Is6() != tagged {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}

// literal writes an address as RFC 5321 section 4.1.3 has it.
func literal(a netip.Addr) string {
	if a.Is4() {
		return "[" + a.String() + "]"
	}
	return "[IPv6:" + a.String() + "]"
}

// malformed keeps of the domain only what may be written to a log or a terminal.
func malformed(domain, reason string) error {
	printable := func(c rune) rune {
		if c <= ' ' || c >= 0x7f {
			return '?'
		}
		return c
	}
	return &Error{Kind: Malformed, Domain: strings.Map(printable, domain), Reason: reason}
}

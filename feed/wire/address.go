package wire

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lengths in octets. RFC 5321 section 4.5.3.1 allows 64 for a local part and 256 for a path, and asks to be generous where
// possible: longer ones exist (VERP, bounce tags), and the next hop may judge. Only the command line has its limit.
const (
	maxPath   = 900 // a MAIL command with all its parameters stays below 1000
	maxDomain = 255
	maxLabel  = 63
	maxULabel = 59 // code points of a label that becomes "xn--" and at least one octet for each (RFC 3492)
)

// An Address is a mailbox as it stands between the angle brackets of MAIL or RCPT (RFC 5321 section 4.1.2): valid, its local
// part quoted where the syntax asks for it, its domain as the sender wrote it. The zero Address is the null reverse-path.
// Addresses are equal (==) when they are the same octets on the wire.
type Address struct {
	text string // ready for the wire, without brackets
	at   int    // index of the '@' that begins the domain
}

// ParseAddress takes a mailbox whose local part is *not* quoted ("a b@example.org"), splits it at the last '@', validates
// both halves and quotes the local part where needed. One dot that ends the domain is cut; case is kept. The empty string is
// the null reverse-path. Errors are *AddressError.
func ParseAddress(unquoted string) (Address, error) {
	if at := plainMailbox(unquoted); at > 0 {
		return Address{unquoted, at}, nil
	}
	if unquoted == "" {
		return Address{}, nil
	}
	if len(unquoted) > maxPath { // before anything that takes time
		return Address{}, &AddressError{Clean(unquoted, maxErrorText), "too long"}
	}
	a, reason := parseMailbox(unquoted)
	if reason != "" {
		return Address{}, &AddressError{Clean(unquoted, maxErrorText), reason}
	}
	return a, nil
}

// parseMailbox is ParseAddress for what is neither empty nor too long; reason is "" when all is well.
func parseMailbox(s string) (a Address, reason string) {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		// RFC 5321 section 4.1.1.3 knows "postmaster" without a domain; that is for the host itself, and never ours to relay.
		return a, "no domain"
	}
	local, domain := s[:at], s[at+1:]
	if reason = checkLocal(local); reason != "" {
		return a, reason
	}
	bare := strings.TrimSuffix(domain, ".")
	if reason = checkDomain(bare); reason != "" {
		return a, reason
	}
	if !isDotString(local) {
		local = quote(local)
		a = Address{local + "@" + bare, len(local)}
	} else {
		a = Address{s[:at+1+len(bare)], at}
	}
	if len(a.text) > maxPath {
		return Address{}, "too long"
	}
	return a, ""
}

// String is the mailbox ready for the wire, without brackets; empty for the null reverse-path.
func (a Address) String() string { return a.text }

// Local is the local part as it stands on the wire, with its quotes; empty for the null reverse-path.
func (a Address) Local() string { return a.text[:a.at] }

// Domain is the domain as the sender wrote it: a host name, a U-label name or an address literal with its brackets; empty for
// the null reverse-path.
func (a Address) Domain() string {
	if a.IsNull() {
		return ""
	}
	return a.text[a.at+1:]
}

// Unquoted is the mailbox as ParseAddress takes it: its local part without quotes and backslashes.
func (a Address) Unquoted() string {
	local := a.Local()
	if local == "" || local[0] != '"' {
		return a.text
	}
	b := make([]byte, 0, len(a.text))
	for i := 1; i < len(local)-1; i++ {
		if local[i] == '\\' {
			i++
		}
		b = append(b, local[i])
	}
	return string(append(b, a.text[a.at:]...))
}

// IsNull says that a is the null reverse-path.
func (a Address) IsNull() bool { return a.text == "" }

// ASCII says that neither half has an octet above 127 (else the next hop needs SMTPUTF8, RFC 6531 section 3.2).
func (a Address) ASCII() bool { return isASCII(a.text) }

// checkLocal refuses what no quoting can carry: RFC 5321 section 4.1.2 has no control octet even as a quoted-pair, and RFC
// 6531 section 3.3 adds UTF-8 and nothing else above 127.
func checkLocal(local string) (reason string) {
	if local == "" {
		return "no local part"
	}
	if !utf8.ValidString(local) {
		return "local part is not UTF-8"
	}
	if strings.ContainsFunc(local, unicode.IsControl) {
		return "control character in the local part"
	}
	return ""
}

// isDotString says that local needs no quotes (RFC 5321 section 4.1.2, RFC 6531 section 3.3).
func isDotString(local string) bool {
	dot := true // an atom must come
	for i := range len(local) {
		c := local[i]
		if c == '.' && dot || c != '.' && !isAtext(c) {
			return false
		}
		dot = c == '.'
	}
	return !dot
}

// isAtext is atext of RFC 5322 section 3.2.3, and every octet of a UTF-8 character.
func isAtext(c byte) bool {
	return isLetter(c) || isDigit(c) || c >= utf8.RuneSelf || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// quote makes a Quoted-string; only '"' and '\' need their backslash.
func quote(local string) string {
	b := append(make([]byte, 0, len(local)+4), '"')
	for i := range len(local) {
		if c := local[i]; c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, local[i])
	}
	return string(append(b, '"'))
}

// checkDomain accepts a Domain or an address-literal of RFC 5321 section 4.1.2 or a U-label name of RFC 6531 section 3.3, and
// beyond them the underscore, which real host names have.
func checkDomain(domain string) (reason string) {
	switch {
	case domain == "":
		return "no domain"
	case len(domain) > maxDomain:
		return "domain too long"
	case domain[0] == '[':
		return checkLiteral(domain)
	}
	for label := range strings.SplitSeq(domain, ".") {
		if reason := checkLabel(label); reason != "" {
			return reason
		}
	}
	return ""
}

// checkLabel accepts letters, digits, hyphens inside (RFC 1123 section 2.1), and underscores.
func checkLabel(label string) (reason string) {
	if label == "" {
		return "empty label in the domain"
	}
	if label[0] == '-' || label[len(label)-1] == '-' {
		return "label of the domain begins or ends with a hyphen"
	}
	if !utf8.ValidString(label) {
		return "domain is not UTF-8"
	}
	for _, c := range label {
		if !isLabelRune(c) {
			return "forbidden character in the domain"
		}
	}
	if isASCII(label) && len(label) > maxLabel || !isASCII(label) && utf8.RuneCountInString(label) > maxULabel {
		return "label of the domain too long"
	}
	return ""
}

// isLabelRune is wide for U-labels: whether RFC 5892 really allows a letter is for IDNA, before DNS is asked. Here it only has
// to be harmless on the wire.
func isLabelRune(c rune) bool {
	if c < utf8.RuneSelf {
		return isLetter(byte(c)) || isDigit(byte(c)) || c == '-' || c == '_'
	}
	switch c {
	case 0xb7, 0x375, 0x5f3, 0x5f4, 0x200c, 0x200d, 0x30fb: // RFC 5892 appendix A: allowed in context, though no letters
		return true
	}
	return unicode.In(c, unicode.L, unicode.M, unicode.N)
}

// checkLiteral accepts "[192.0.2.1]" and "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3). The third form, a General-address-
// literal, names no protocol that exists.
func checkLiteral(domain string) (reason string) {
	const tag = "IPv6:"
	inner, ok := strings.CutSuffix(domain[1:], "]")
	if !ok {
		return "address literal without end"
	}
	isV6 := len(inner) >= len(tag) && strings.EqualFold(inner[:len(tag)], tag)
	if isV6 {
		inner = inner[len(tag):]
	}
	ip, err := netip.ParseAddr(inner)
	if err != nil || ip.Is6() != isV6 || ip.Zone() != "" {
		return "bad address literal"
	}
	return ""
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// An AddressError says what is wrong with a mailbox; its text is fit for a reply to the host MTA.
type AddressError struct {
	Address string // cleaned to printable ASCII
	Reason  string
}

func (e *AddressError) Error() string {
	return fmt.Sprintf("bad address <%s>: %s", e.Address, e.Reason)
}

// plainMailbox finds the '@' of what nearly every mailbox is: a dot-string and a host name in ASCII, short and as it goes on the
// wire; 0 if it is anything else. It says in one pass what parseMailbox finds out in seven.
func plainMailbox(s string) (at int) {
	if len(s) > maxPath {
		return 0
	}
	dot := true // an atom must come
	for at < len(s) && s[at] != '@' {
		c := s[at]
		if c == '.' && dot || c != '.' && (c >= utf8.RuneSelf || !isAtext(c)) {
			return 0
		}
		dot = c == '.'
		at++
	}
	if dot || at == len(s) || len(s)-at-1 > maxDomain {
		return 0
	}
	label := at + 1
	for i := at + 1; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			if c := s[i]; !isLetter(c) && !isDigit(c) && c != '-' && c != '_' {
				return 0
			}
			continue
		}
		if n := i - label; n == 0 || n > maxLabel || s[label] == '-' || s[i-1] == '-' {
			return 0
		}
		label = i + 1
	}
	return at
}

package wire

import (
	"strings"
	"unicode/utf8"
)

// EncodeXText makes an xtext of any octets (RFC 3461 section 4), for ENVID, and for the address of an ORCPT.
func EncodeXText(s string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		if c := s[i]; isXChar(c) {
			b = append(b, c)
		} else {
			b = append(b, '+', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// isXChar is "any ASCII CHAR between "!" (33) and "~" (126) inclusive, except for "+" and "="". Quotes and brackets may be encoded
// too, and are: the emission guard has no other way to know that they mean nothing here.
func isXChar(c byte) bool {
	return c >= '!' && c <= '~' && c != '+' && c != '=' && c != '"' && c != '<' && c != '>'
}

// EncodeUTF8XText makes a utf-8-addr-xtext of an address (RFC 6533 section 3): what is not ASCII becomes "\x{E9}", with at least two digits.
// addr must be UTF-8.
func EncodeUTF8XText(addr string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(addr)+16)
	for _, c := range addr {
		if c < utf8.RuneSelf && c > ' ' && c != '+' && c != '=' && c != '\\' && c != 0x7f {
			b = append(b, byte(c))
			continue
		}
		b = append(b, `\x{`...)
		digits := 2
		for c>>(4*digits) > 0 {
			digits++
		}
		for digits--; digits >= 0; digits-- {
			b = append(b, hex[c>>(4*digits)&15])
		}
		b = append(b, '}')
	}
	return string(b)
}

// encodeORCPT writes an original recipient, "rfc822;a+b@example.org", as a parameter's value; "" where that cannot be done: RFC 6533 section 3
// writes quotes and brackets of the type utf-8 as they are, which the emission guard lets nobody do, and some servers take for the end of
// the path.
func encodeORCPT(orcpt string) string {
	kind, address, _ := strings.Cut(orcpt, ";")
	if !strings.EqualFold(kind, "utf-8") {
		return EncodeXText(kind) + ";" + EncodeXText(address)
	}
	if strings.ContainsAny(address, `"<>`) {
		return ""
	}
	return kind + ";" + EncodeUTF8XText(address)
}

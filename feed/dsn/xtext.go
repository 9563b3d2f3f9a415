package dsn

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Errors of the decoders.
var (
	errXText       = errors.New("not an xtext (RFC 3461 section 4)")
	errUTF8Address = errors.New("not an encoded UTF-8 address (RFC 6533 section 3)")
)

const hexDigits = "0123456789ABCDEF"

// EncodeXText makes an xtext of any octets (RFC 3461 section 4), for ENVID, and for the address of an ORCPT that is not of type
// utf-8.
func EncodeXText(s string) string {
	b := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		if c := s[i]; isXChar(c) {
			b = append(b, c)
		} else {
			b = append(b, '+', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
}

// isXChar is "any ASCII CHAR between "!" (33) and "~" (126) inclusive, except for "+" and "="".
func isXChar(c byte) bool { return c >= '!' && c <= '~' && c != '+' && c != '=' }

// DecodeXText is what an xtext stands for: any octets, so that whoever uses it must check them. Digits may be in lower case,
// which the RFC does not allow and some clients send.
func DecodeXText(s string) (string, error) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case isXChar(s[i]):
			b = append(b, s[i])
		case s[i] == '+' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			return "", errXText
		}
	}
	return string(b), nil
}

// unhex is the value of a hexadecimal digit, or -1.
func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// EncodeUTF8XText makes a utf-8-addr-xtext (RFC 6533 section 3): ASCII, for the ORCPT of type utf-8 to a server without SMTPUTF8,
// and for a message/delivery-status. addr must be UTF-8.
func EncodeUTF8XText(addr string) string {
	return encodeUTF8(addr, func(c rune) bool { return c < utf8.RuneSelf && isQChar(c) })
}

// EncodeUnitext makes a utf-8-addr-unitext (RFC 6533 section 3), for the ORCPT of type utf-8 to a server with SMTPUTF8. addr must
// be UTF-8.
func EncodeUnitext(addr string) string {
	return encodeUTF8(addr, func(c rune) bool { return c >= utf8.RuneSelf && !unicode.IsControl(c) || isQChar(c) })
}

// isQChar is QCHAR of RFC 6533: printable ASCII without blank, "+", "=" and backslash.
func isQChar(c rune) bool { return c >= '!' && c <= '~' && c != '+' && c != '=' && c != '\\' }

// encodeUTF8 keeps some characters and embeds the others as "\x{1F600}": at least two digits, and no more zeros in front.
func encodeUTF8(addr string, keep func(rune) bool) string {
	b := make([]byte, 0, len(addr)+16)
	for _, c := range addr {
		if keep(c) {
			b = utf8.AppendRune(b, c)
			continue
		}
		b = append(b, `\x{`...)
		digits := 2
		for c>>(4*digits) > 0 {
			digits++
		}
		for digits--; digits >= 0; digits-- {
			b = append(b, hexDigits[c>>(4*digits)&15])
		}
		b = append(b, '}')
	}
	return string(b)
}

// DecodeUTF8Address is the address that a utf-8-enc-addr stands for (RFC 6533 section 3), in any of its three forms. It is UTF-8
// without control characters; that it is a mailbox is not checked.
func DecodeUTF8Address(s string) (string, error) {
	b := make([]byte, 0, len(s))
	for s != "" {
		c, size := utf8.DecodeRuneInString(s)
		if c == utf8.RuneError && size == 1 {
			return "", errUTF8Address
		}
		if strings.HasPrefix(s, `\x{`) {
			if c, size = embedded(s); size == 0 {
				return "", errUTF8Address
			}
		}
		if unicode.IsControl(c) {
			return "", errUTF8Address
		}
		b, s = utf8.AppendRune(b, c), s[size:]
	}
	return string(b), nil
}

// embedded reads an EmbeddedUnicodeChar off the front of s; size is 0 if that is none.
func embedded(s string) (c rune, size int) {
	end := strings.IndexByte(s, '}')
	digits := s[len(`\x{`):max(end, len(`\x{`))]
	if len(digits) < 2 || len(digits) > 6 || len(digits) > 2 && digits[0] == '0' {
		return 0, 0
	}
	for i := range len(digits) {
		d := unhex(digits[i])
		if d < 0 {
			return 0, 0
		}
		c = c<<4 | rune(d)
	}
	if !utf8.ValidRune(c) {
		return 0, 0
	}
	return c, end + 1
}

package wire

import (
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestEncodeXText(t *testing.T) {
	for _, c := range []struct{ rule, plain, encoded string }{
		{"nothing", "", ""},
		{"printable ASCII stays", "QQ314159!~", "QQ314159!~"},
		{"plus and equals are encoded", "user+tag=x@example.org", "user+2Btag+3Dx@example.org"},
		{"quotes and blanks are encoded", `"a b"@example.org`, `+22a+20b+22@example.org`},
		{"brackets are encoded", "<a>", "+3Ca+3E"},
		{"controls are encoded", "a\r\n\x00\x7f", "a+0D+0A+00+7F"},
		{"octets above 127 are encoded", "\xff\xc3\xa4", "+FF+C3+A4"},
	} {
		assert.Equal(t, c.encoded, EncodeXText(c.plain), c.rule)
	}
}

func TestEncodeUTF8XText(t *testing.T) {
	for _, c := range []struct{ rule, plain, encoded string }{
		{"nothing", "", ""},
		{"ASCII stays", "user@example.org", "user@example.org"},
		{"specials are embedded", `a+b=c\d e@x`, `a\x{2B}b\x{3D}c\x{5C}d\x{20}e@x`},
		{"controls are embedded", "a\r\n\x7f\x00", `a\x{0D}\x{0A}\x{7F}\x{00}`},
		{"two digits", "ä@x", `\x{E4}@x`},
		{"three digits", "ł@x", `\x{142}@x`},
		{"four digits", "用户@例.x", `\x{7528}\x{6237}@\x{4F8B}.x`},
		{"five digits", "😀@x", `\x{1F600}@x`},
		{"six digits", "􏿽@x", `\x{10FFFD}@x`},
		{"what looks embedded is not", `\x{41}@x`, `\x{5C}x{41}@x`},
	} {
		assert.Equal(t, c.encoded, EncodeUTF8XText(c.plain), c.rule)
	}
}

func TestOriginalRecipientsOnTheWire(t *testing.T) {
	for _, c := range []struct{ rule, orcpt, encoded string }{
		{"RFC 3461 section 4.2: the address is xtext", "rfc822;a+b@example.org", "rfc822;a+2Bb@example.org"},
		{"RFC 6533 section 3: of type utf-8 its characters are embedded", "utf-8;ä+b@x", `utf-8;\x{E4}\x{2B}b@x`},
		{"types are compared without regard to case", "UTF-8;ä@x", `UTF-8;\x{E4}@x`},
		{"another type is octets", "x400;ä", "x400;+C3+A4"},
		{"semicolons in an address stay", "rfc822;a;b@x", "rfc822;a;b@x"},
		{"a quoted local part", `rfc822;"a b"@x`, "rfc822;+22a+20b+22@x"},
		{"RFC 6533 section 3 writes quotes as they are in type utf-8: rather nothing is written", `utf-8;"ä b"@x`, ""},
		{"and brackets", `utf-8;<ä@x>`, ""},
		{"none", "", ""},
	} {
		to, err := ParseAddress("a@x.test")
		assert.NoError(t, err, "it is an address")
		if c.encoded == "" {
			assert.Equal(t, "RCPT TO:<a@x.test>\r\n", string(AppendRCPT(nil, to, RcptParams{ORCPT: c.orcpt})), c.rule)
			continue
		}
		assert.Equal(t, "RCPT TO:<a@x.test> ORCPT="+c.encoded+"\r\n", string(AppendRCPT(nil, to, RcptParams{ORCPT: c.orcpt})), c.rule)
	}
}

// FuzzXText decodes what the encoders wrote, and wants it to fit a command whatever it is.
func FuzzXText(f *testing.F) {
	for _, s := range []string{"", "a+2Bb", "a b", "\xff", `\x{1F600}`, "用户@例.x", `\x{D800}`, "+", "\r\nRCPT TO:<b@x>", `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := EncodeXText(s)
		if strings.ContainsFunc(e, func(c rune) bool { return c <= ' ' || c > '~' || c == '=' }) || decodeXText(e) != s {
			t.Fatalf("%q became %q", s, e)
		}
		if !utf8.ValidString(s) {
			return
		}
		if e := EncodeUTF8XText(s); strings.ContainsFunc(e, func(c rune) bool { return c <= ' ' || c > '~' || c == '=' || c == '+' }) || decodeUTF8XText(e) != s {
			t.Fatalf("%q became %q", s, e)
		}
		to, _ := ParseAddress("a@x.test")
		for _, kind := range []string{"rfc822;", "utf-8;"} {
			line := string(AppendRCPT(nil, to, RcptParams{ORCPT: kind + s}))
			blanks := 2
			if kind == "utf-8;" && strings.ContainsAny(s, `"<>`) {
				blanks = 1 // it is left out
			}
			if strings.Count(line, "\r\n") != 1 || strings.Count(line, " ") != blanks {
				t.Fatalf("%q became %q", s, line)
			}
		}
	})
}

// decodeXText is the opposite of EncodeXText, for what that wrote.
func decodeXText(s string) string {
	return regexp.MustCompile(`\+[0-9A-F]{2}`).ReplaceAllStringFunc(s, func(h string) string {
		b, _ := hex.DecodeString(h[1:])
		return string(b)
	})
}

// decodeUTF8XText is the opposite of EncodeUTF8XText, likewise.
func decodeUTF8XText(s string) string {
	return regexp.MustCompile(`\\x\{[0-9A-F]{2,6}\}`).ReplaceAllStringFunc(s, func(h string) string {
		c, _ := strconv.ParseInt(h[3:len(h)-1], 16, 32)
		return string(rune(c))
	})
}

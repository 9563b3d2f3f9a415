package dsn

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestXText(t *testing.T) {
	for _, c := range []struct{ rule, plain, encoded string }{
		{"nothing", "", ""},
		{"printable ASCII stays", "QQ314159!~", "QQ314159!~"},
		{"plus and equals are encoded", "user+tag=x@example.org", "user+2Btag+3Dx@example.org"},
		{"a blank is encoded", `"a b"@example.org`, `"a+20b"@example.org`},
		{"controls are encoded", "a\r\n\x00\x7f", "a+0D+0A+00+7F"},
		{"octets above 127 are encoded", "\xff\xc3\xa4", "+FF+C3+A4"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			assert.Equal(t, c.encoded, EncodeXText(c.plain), "the encoded form")
			got, err := DecodeXText(c.encoded)
			require.NoError(t, err, "it is an xtext")
			assert.Equal(t, c.plain, got, "the decoded form")
		})
	}
}

func TestXTextRefused(t *testing.T) {
	for rule, s := range map[string]string{
		"a blank": "a b", "an equals sign": "a=b", "a control": "a\r\nb", "above 127": "\xe4", "a plus at the end": "a+", "one digit": "a+2",
		"no digit": "a+2G", "a second plus": "a++2B", "DEL": "\x7f",
	} {
		_, err := DecodeXText(s)
		assert.Error(t, err, "not an xtext: %s", rule)
	}
	got, err := DecodeXText("a+2bb")
	require.NoError(t, err, "digits in lower case are borne with")
	assert.Equal(t, "a+b", got, "and mean the same")
}

func TestUTF8Address(t *testing.T) {
	for _, c := range []struct{ rule, plain, xtext, unitext string }{
		{"ASCII stays", "user@example.org", "user@example.org", "user@example.org"},
		{"specials are embedded", `a+b=c\d e@x`, `a\x{2B}b\x{3D}c\x{5C}d\x{20}e@x`, `a\x{2B}b\x{3D}c\x{5C}d\x{20}e@x`},
		{"two digits", "ä@x", `\x{E4}@x`, "ä@x"},
		{"three digits", "ł@x", `\x{142}@x`, "ł@x"},
		{"four digits", "用户@例.x", `\x{7528}\x{6237}@\x{4F8B}.x`, "用户@例.x"},
		{"five digits", "😀@x", `\x{1F600}@x`, "😀@x"},
		{"six digits", "\U0010fffd@x", `\x{10FFFD}@x`, "\U0010fffd@x"},
		{"what looks embedded is not", `\x{41}@x`, `\x{5C}x{41}@x`, `\x{5C}x{41}@x`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			assert.Equal(t, c.xtext, EncodeUTF8XText(c.plain), "the ASCII form")
			assert.Equal(t, c.unitext, EncodeUnitext(c.plain), "the UTF-8 form")
			for _, s := range []string{c.xtext, c.unitext} {
				got, err := DecodeUTF8Address(s)
				require.NoError(t, err, "it can be decoded")
				assert.Equal(t, c.plain, got, "and means the address")
			}
		})
	}
}

func TestUTF8AddressRefused(t *testing.T) {
	for rule, s := range map[string]string{
		"no end": `\x{41`, "no digits": `\x{}`, "one digit": `\x{A}`, "seven digits": `\x{0010FFF}`, "zeros in front": `\x{00E4}`,
		"a surrogate": `\x{D800}`, "too large": `\x{110000}`, "no hexadecimal": `\x{4G}`, "an embedded line end": `a\x{0D}\x{0A}b`,
		"a line end": "a\r\nb", "an embedded C1 control": `\x{85}`, "no UTF-8": "\xe4",
	} {
		_, err := DecodeUTF8Address(s)
		assert.Error(t, err, "no address: %s", rule)
	}
	got, err := DecodeUTF8Address("user+tag=x@例.x")
	require.NoError(t, err, "the third form is the address as it is")
	assert.Equal(t, "user+tag=x@例.x", got, "and nothing is decoded in it")
}

func FuzzXText(f *testing.F) {
	for _, s := range []string{"", "a+2Bb", "a b", "\xff", `\x{1F600}`, "用户@例.x", `\x{D800}`, "+"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := EncodeXText(s)
		if d, err := DecodeXText(e); err != nil || d != s || !isASCII(e) || strings.ContainsAny(e, " =\r\n") {
			t.Fatalf("%q became %q became %q, %v", s, e, d, err)
		}
		if d, err := DecodeXText(s); err == nil && len(d) > len(s) {
			t.Fatalf("decoding made %q longer: %q", s, d)
		}
		if d, err := DecodeUTF8Address(s); err == nil && (!utf8.ValidString(d) || strings.ContainsFunc(d, unicode.IsControl)) {
			t.Fatalf("%q was decoded to %q", s, d)
		}
		if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			return
		}
		for _, e := range []string{EncodeUTF8XText(s), EncodeUnitext(s)} {
			if d, err := DecodeUTF8Address(e); err != nil || d != s || strings.ContainsAny(e, " +=") {
				t.Fatalf("%q became %q became %q, %v", s, e, d, err)
			}
		}
	})
}

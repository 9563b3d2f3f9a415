package wire

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseAddress(t *testing.T) {
	label, deep := strings.Repeat("a", 63), strings.Repeat("a.", 127)
	for _, c := range []struct{ rule, in, local, domain string }{
		{"dot-string", "user.name@example.org", "user.name", "example.org"},
		{"case is kept", "UPPER@Example.ORG", "UPPER", "Example.ORG"},
		{"opaque local parts pass", "u%h!x+tag=y@example.org", "u%h!x+tag=y", "example.org"},
		{"a leading hyphen in the local part", "-u@example.org", "-u", "example.org"},
		{"all of atext", "!#$%&'*+-/=?^_`{|}~@x", "!#$%&'*+-/=?^_`{|}~", "x"},
		{"a blank is quoted", "a b@example.org", `"a b"`, "example.org"},
		{"a dot at the beginning is quoted", ".a@x.org", `".a"`, "x.org"},
		{"a dot at the end is quoted", "a.@x.org", `"a."`, "x.org"},
		{"two dots are quoted", "a..b@x.org", `"a..b"`, "x.org"},
		{"a quote and a backslash are escaped", `a"b\c@x.org`, `"a\"b\\c"`, "x.org"},
		{"quotes that come unquoted are part of the name", `"a"@x.org`, `"\"a\""`, "x.org"},
		{"the last @ splits", "a@evil.test@x.org", `"a@evil.test"`, "x.org"},
		{"parameters cannot be injected", "a> NOTIFY=NEVER@x.org", `"a> NOTIFY=NEVER"`, "x.org"},
		{"angle brackets are quoted", "<>@x.org", `"<>"`, "x.org"},
		{"a comment is quoted", "a(b)@x.org", `"a(b)"`, "x.org"},
		{"UTF-8 in the local part", "jürgen@x.org", "jürgen", "x.org"},
		{"UTF-8 and a blank", "jürgen x@x.org", `"jürgen x"`, "x.org"},
		{"a U-label", "a@bücher.example", "a", "bücher.example"},
		{"Devanagari with its marks", "a@हिन्दी.example", "a", "हिन्दी.example"},
		{"a joiner in a label", "a@نامه\u200cای.example", "a", "نامه\u200cای.example"},
		{"an A-label", "a@xn--bcher-kva.example", "a", "xn--bcher-kva.example"},
		{"an underscore in the domain", "a@_mail.my_host.org", "a", "_mail.my_host.org"},
		{"digits only", "a@123.45", "a", "123.45"},
		{"a single label", "a@localhost", "a", "localhost"},
		{"a dot that ends the domain is cut", "a@x.org.", "a", "x.org"},
		{"a dot that ends the domain is cut behind quotes", "a b@x.org.", `"a b"`, "x.org"},
		{"the longest label", "a@" + label + ".org", "a", label + ".org"},
		{"the longest domain", "a@" + deep + "b", "a", deep + "b"},
		{"IPv4 literal", "a@[192.0.2.1]", "a", "[192.0.2.1]"},
		{"IPv6 literal", "a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]"},
		{"the tag has no case", "a@[ipv6:::1]", "a", "[ipv6:::1]"},
		{"a long local part", strings.Repeat("x", 500) + "@x.org", strings.Repeat("x", 500), "x.org"},
		{"the longest path", strings.Repeat("x", maxPath-6) + "@x.org", strings.Repeat("x", maxPath-6), "x.org"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			a, err := ParseAddress(c.in)
			require.NoError(t, err, "the address is good")
			assert.Equal(t, c.local, a.Local(), "the local part is ready for the wire")
			assert.Equal(t, c.domain, a.Domain(), "the domain is as it was written")
			assert.Equal(t, c.local+"@"+c.domain, a.String(), "the mailbox is both")
			assert.False(t, a.IsNull(), "it is no null path")
		})
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for _, c := range []struct{ rule, in string }{
		{"postmaster without a domain", "postmaster"},
		{"no local part", "@x.org"},
		{"no domain", "a@"},
		{"only an @", "@"},
		{"only a dot", "a@."},
		{"CR", "a\rb@x.org"},
		{"LF", "a\nb@x.org"},
		{"CRLF and a command", "a\r\nRCPT TO:<b@x.org"},
		{"NUL", "a\x00b@x.org"},
		{"DEL", "a\x7fb@x.org"},
		{"tab", "a\tb@x.org"},
		{"a C1 control", "a\u0085b@x.org"},
		{"not UTF-8", "a\xffb@x.org"},
		{"overlong UTF-8", "a\xc0\x8ab@x.org"},
		{"NUL in the domain", "a@x\x00.org"},
		{"CRLF in the domain", "a@x.org\r\n"},
		{"a blank in the domain", "a@x .org"},
		{"a backslash in the domain", `a@x\.org`},
		{"a quote in the domain", `a@"x".org`},
		{"a comma in the domain", "a@x,org"},
		{"a parenthesis in the domain", "a@x(c).org"},
		{"an angle bracket in the domain", "a@x.org>"},
		{"a slash in the domain", "a@x/org"},
		{"a colon in the domain", "a@x.org:25"},
		{"a leading dot", "a@.x.org"},
		{"two dots", "a@x..org"},
		{"two dots at the end", "a@x.org.."},
		{"a leading hyphen", "a@-x.org"},
		{"a trailing hyphen", "a@x-.org"},
		{"a label too long", "a@" + strings.Repeat("a", 64) + ".org"},
		{"a U-label too long for any A-label", "a@" + strings.Repeat("ü", 60) + ".org"},
		{"a domain too long", "a@" + strings.Repeat("a.", 127) + "bc"},
		{"a domain that is not UTF-8", "a@\xff.org"},
		{"an ideographic full stop", "a@x\u3002org"},
		{"a non-breaking space in the domain", "a@x\u00a0y.org"},
		{"a right-to-left override in the domain", "a@x\u202ey.org"},
		{"a full-width less-than sign in the domain", "a@x\uff1cy.org"},
		{"an emoji, which IDNA does not allow", "a@\U0001f600.org"},
		{"a literal without end", "a@[192.0.2.1"},
		{"a literal without beginning", "a@192.0.2.1]"},
		{"an empty literal", "a@[]"},
		{"an empty IPv6 literal", "a@[IPv6:]"},
		{"a bad IPv4 literal", "a@[192.0.2.256]"},
		{"an IPv6 literal without its tag", "a@[2001:db8::1]"},
		{"an IPv4 literal with the tag of IPv6", "a@[IPv6:192.0.2.1]"},
		{"a zone in a literal", "a@[IPv6:fe80::1%eth0]"},
		{"an unknown tag", "a@[X25:1234]"},
		{"text behind a literal", "a@[192.0.2.1].org"},
		{"a dot inside the end of a literal", "a@[192.0.2.1.]"},
		{"a path too long", strings.Repeat("x", maxPath-5) + "@x.org"},
		{"a path too long with its quotes", strings.Repeat("x", maxPath-7) + " @x.org"},
		{"a huge path", strings.Repeat("x", 10<<20)},
	} {
		t.Run(c.rule, func(t *testing.T) {
			a, err := ParseAddress(c.in)
			var bad *AddressError
			require.ErrorAs(t, err, &bad, "the address is refused")
			assert.Zero(t, a, "there is no address beside an error")
			assert.NotEmpty(t, bad.Reason, "the error says why")
			assert.True(t, isClean(err.Error()), "the error is fit for a reply: %q", err.Error())
			assert.LessOrEqual(t, len(err.Error()), 250, "and short enough for one")
		})
	}
}

func TestNullReversePath(t *testing.T) {
	a, err := ParseAddress("")
	require.NoError(t, err, "the null reverse-path is no error")
	assert.Equal(t, Address{}, a, "the null reverse-path is the zero Address")
	assert.True(t, a.IsNull(), "and says so")
	assert.True(t, a.ASCII(), "nothing is ASCII")
	assert.Empty(t, a.String()+a.Local()+a.Domain(), "it has no parts")
}

func TestAddressASCII(t *testing.T) {
	for in, want := range map[string]bool{
		"a@x.org": true, "a b@x.org": true, "ü@x.org": false, "a@bücher.example": false, "a@xn--bcher-kva.example": true,
	} {
		a, err := ParseAddress(in)
		require.NoError(t, err, "the address is good")
		assert.Equal(t, want, a.ASCII(), "%s needs SMTPUTF8 or does not", in)
	}
}

func TestAddressesCompare(t *testing.T) {
	parse := func(s string) Address {
		a, err := ParseAddress(s)
		require.NoError(t, err, "the address is good")
		return a
	}
	assert.True(t, parse("a@x.org") == parse("a@x.org."), "equal octets on the wire are equal addresses")
	assert.False(t, parse("a@x.org") == parse("A@x.org"), "case is not ours to judge")
	assert.EqualValues(t, 24, unsafe.Sizeof(Address{}), "a list of 100,000 recipients is held in memory")
}

func TestPlainAddressCostsNothing(t *testing.T) {
	s := strings.Clone("user.name+tag@lists.example.org")
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := ParseAddress(s); err != nil {
			panic(err)
		}
	})
	assert.Zero(t, allocs, "an address that needs no quotes shares the text it came in")
}

func BenchmarkParseAddress(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseAddress("user.name+tag@lists.example.org"); err != nil {
			b.Fatal(err)
		}
	}
}

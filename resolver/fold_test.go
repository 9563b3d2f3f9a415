package resolver

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFold(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	for _, c := range []struct{ rule, in, want string }{
		{"case is folded", "Example.ORG", "example.org"},
		{"one final dot is dropped", "example.org.", "example.org"},
		{"a top level domain is a domain", "ai", "ai"},
		{"underscores are in use", "_mail.ex_ample.org", "_mail.ex_ample.org"},
		{"U-labels become A-labels", "Bücher.example", "xn--bcher-kva.example"},
		{"the ideographic full stop separates labels", "例え。テスト", "xn--r8jz45g.xn--zckzah"},
		{"A-labels stay as they are", "XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"labels of 63 octets are allowed", label63 + ".org", label63 + ".org"},
		{"IPv4 literal", "[192.0.2.1]", "[192.0.2.1]"},
		{"IPv6 literal in any form and case", "[ipv6:2001:DB8:0:0::1]", "[IPv6:2001:db8::1]"},
		{"IPv4 inside an IPv6 literal is IPv4", "[IPv6:::ffff:192.0.2.1]", "[192.0.2.1]"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got, err := Fold(c.in)
			require.NoError(t, err, "the domain should be accepted")
			assert.Equal(t, c.want, got, "the folded form should be the one looked up")
			again, err := Fold(got)
			require.NoError(t, err, "a folded domain should be accepted")
			assert.Equal(t, got, again, "folding twice should change nothing")
		})
	}
}

func TestFoldMalformed(t *testing.T) {
	for _, c := range []struct{ rule, in string }{
		{"empty", ""},
		{"the root", "."},
		{"two final dots", "example.org.."},
		{"empty label", "a..b"},
		{"leading dot", ".example.org"},
		{"space", "exam ple.org"},
		{"control character", "example.org\r\nRCPT"},
		{"NUL", "example\x00.org"},
		{"label of 64 octets", strings.Repeat("a", 64) + ".org"},
		{"254 octets", strings.Repeat("a.", 126) + "aa"},
		{"leading hyphen", "-a.org"},
		{"trailing hyphen", "a-.org"},
		{"escape", `a\.b.org`},
		{"address without brackets", "192.0.2.1"},
		{"fullwidth digits that IDNA maps to an address", "192.0.2.1"},
		{"not UTF-8", "\xff\xfe.org"},
		{"literal without end", "[192.0.2.1"},
		{"empty literal", "[]"},
		{"IPv6 literal without its tag", "[2001:db8::1]"},
		{"IPv4 literal with the IPv6 tag", "[IPv6:192.0.2.1]"},
		{"literal with a zone", "[IPv6:fe80::1%eth0]"},
		{"general literal", "[X400:c=de]"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			_, err := Fold(c.in)
			var e *Error
			require.True(t, errors.As(err, &e), "the error should be an *Error")
			assert.Equal(t, Malformed, e.Kind, "the kind should be Malformed")
			for _, b := range []byte(e.Error()) {
				assert.True(t, b >= ' ' && b < 0x7f, "the error's text should be printable")
			}
		})
	}
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"example.org", "Bücher.example", "[192.0.2.1]", "[IPv6:::1]", "a..b", "\xff", "。", "ß.de"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Fold(s)
		if err != nil {
			return
		}
		again, err := Fold(got)
		require.NoError(t, err, "what Fold returned should be accepted by Fold")
		require.Equal(t, got, again, "folding twice should change nothing")
		require.NoError(t, checkFolded(got), "what Fold returned should be accepted by Resolve")
		if got[0] != '[' {
			k := key{got, 15}
			require.LessOrEqual(t, k.sectionSize(), 255+4, "the name should fit on the wire")
			require.Len(t, appendQuery(nil, 0, k, plain), headerSize+k.sectionSize(), "the name should be packed")
		}
	})
}

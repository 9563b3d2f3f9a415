package sts

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMatches(t *testing.T) {
	cases := []struct {
		rule, pattern, host string
		want                bool
	}{
		{"a name matches itself", "mail.example.com", "mail.example.com", true},
		{"case does not count (RFC 8461 section 4.1)", "mail.example.com", "MAIL.Example.COM", true},
		{"the root's dot does not count", "mail.example.com", "mail.example.com.", true},
		{"a name is not its subdomain", "example.com", "mail.example.com", false},
		{"a name is not its end", "mail.example.com", "example.com", false},
		{"a name is no suffix of octets", "example.com", "badexample.com", false},
		{"a wildcard is one label", "*.example.com", "mail.example.com", true},
		{"a wildcard is not no label", "*.example.com", "example.com", false},
		{"a wildcard is not an empty label", "*.example.com", ".example.com", false},
		{"a wildcard is not two labels", "*.example.com", "foo.bar.example.com", false},
		{"a wildcard ends at a dot", "*.example.com", "mailexample.com", false},
		{"a wildcard under a top level", "*.com", "example.com", true},
		{"an empty name", "*.example.com", "", false},
		{"a dot", "mail.example.com", ".", false},
		{"an address literal", "mail.example.com", "[192.0.2.1]", false},
		{"a wildcard without a rest, which no parser lets through, matches only one label", "*", "a.b", false},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			p := &Policy{MX: []string{"other.example.net", c.pattern}}
			assert.Equal(t, c.want, p.Matches(c.host), "%q against %q", c.host, c.pattern)
		})
	}
	assert.False(t, (*Policy)(nil).Matches("a.b"), "no policy matches nothing")
	assert.False(t, new(Policy).Matches(""), "nor does one without patterns")
}

func TestModeString(t *testing.T) {
	for m, want := range map[Mode]string{None: "none", Testing: "testing", Enforce: "enforce", Mode(9): "none"} {
		assert.Equal(t, want, m.String(), "a mode is written as policies have it")
	}
}

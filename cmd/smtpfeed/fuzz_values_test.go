package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
)

// allValues makes one of each type.
func allValues() []value {
	return []value{new(Duration), new(Size), new(FileMode), new(Listen), new(Server), new(Prefix), new(Piggyback), new(Family), new(Level)}
}

// FuzzValues: what a value was read from may be written in more than one way, but what check writes is read back as the same.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"1h2m3s", "-1s", "9999999h", "64MiB", "18446744073709551615", "-1", "1.5GiB", "0660", "07777", "99", "unix:/run/x", "unix:x", "tcp:127.0.0.1:24", "tcp::24",
		"tcp:[::1]:24", "default", "10.0.0.0/8", "10.0.0.1/8", "::1", "::ffff:10.0.0.1", "fe80::1%eth0", "::/0", "learned", "any", "info", "INFO", "", " ", "\x00", "\u0661"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fresh := allValues()
		for i, v := range allValues() {
			if err := v.UnmarshalText([]byte(text)); err != nil {
				assert.NotContains(t, err.Error(), "\x1b", "an error shows a file's words without what a terminal obeys")
				continue
			}
			written, err := v.MarshalText()
			require.NoError(t, err, "what was read can be written")
			require.NoError(t, fresh[i].UnmarshalText(written), "and read again: %q became %q", text, written)
			again, err := fresh[i].MarshalText()
			require.NoError(t, err, "and written")
			assert.Equal(t, string(written), string(again), "as the same")
		}
	})
}

// FuzzHostname: every name that the configuration takes passes the emission guard of EHLO, which ends the process for any other.
func FuzzHostname(f *testing.F) {
	for _, s := range []string{"mail.example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]", "MAIL.example", "a b", "x\r\nQUIT", "[192.0.2.1]>", "gr\u00fc\u00dfe", "-a", "a.", "", "[IPv6:::ffff:192.0.2.1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name != "" && validHostname(name) {
			require.NotPanics(t, func() { wire.AppendEHLO(nil, name) }, "%q can be said", name)
		}
	})
}

// FuzzRecipientList: explain reads anything that is piped into it, and shows nothing of it that a terminal obeys.
func FuzzRecipientList(f *testing.F) {
	f.Add("a@b.example\n<c@d.example>\n# comment\n\ne.example\n")
	f.Add("a@\x1b[2J\n@\n<\n>\n<<a@b>>\n\xff@\xff\n\u202e@x\n[127.0.0.1]\na@[IPv6:::1]\n")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := explainCommand{}.list(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, d := range l.domains {
			again, err := resolver.Fold(d)
			require.NoError(t, err, "a domain is one")
			assert.Equal(t, d, again, "in the form under which it is looked up")
		}
		for _, b := range l.bad {
			assert.False(t, strings.ContainsFunc(b, func(c rune) bool { return c < ' ' || c > '~' }), "%q is printable ASCII", b)
		}
		var out strings.Builder
		explanation{list: l}.write(&out)
		assert.True(t, utf8.ValidString(out.String()), "what is printed is text")
	})
}

// FuzzDNSValues: check asks name servers of its own, and reads whatever comes back.
func FuzzDNSValues(f *testing.F) {
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypePTR} {
		f.Add(dnsQuestion(7, "a.example", kind), uint16(kind))
	}
	f.Add([]byte("\x00\x07\x81\x80\x00\x00\x00\x01\x00\x00\x00\x00\x01a\x00\x00\x0c\x00\x01\x00\x00\x00\x00\x00\x04\x02\x1b[\x00"), uint16(dnsmessage.TypePTR))
	f.Fuzz(func(t *testing.T, message []byte, kind uint16) {
		values, err := dnsValues(message, dnsmessage.Type(kind))
		if err != nil {
			assert.Empty(t, values, "an answer that cannot be read says nothing")
		}
		for _, v := range values {
			assert.LessOrEqual(t, len(v), 255, "a value is an address or a name")
		}
	})
}

package tlsrpt

import (
	"net/mail"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRecords(t *testing.T) {
	to := func(a ...string) *record { return &record{mailto: a} }
	for name, c := range map[string]struct {
		texts []string
		want  *record // nil is none
	}{
		"RFC 8460 appendix A.1":                     {[]string{"v=TLSRPTv1;rua=mailto:reports@example.com"}, to("reports@example.com")},
		"RFC 8460 appendix A.2":                     {[]string{"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"}, &record{https: 1}},
		"other records are discarded":               {[]string{"v=spf1 -all", "v=TLSRPTv1;rua=mailto:a@b.example", "x"}, to("a@b.example")},
		"two records are none":                      {[]string{"v=TLSRPTv1;rua=mailto:a@b.example", "v=TLSRPTv1;rua=mailto:a@b.example"}, nil},
		"a broken second record counts":             {[]string{"v=TLSRPTv1;rua=mailto:a@b.example", "v=TLSRPTv1;"}, nil},
		"no records":                                {nil, nil},
		"another version is discarded":              {[]string{"v=TLSRPTv2;rua=mailto:a@b.example"}, nil},
		"a longer version is discarded":             {[]string{"v=TLSRPTv10;rua=mailto:a@b.example"}, nil},
		"the version comes first":                   {[]string{"rua=mailto:a@b.example;v=TLSRPTv1;"}, nil},
		"the version's case counts":                 {[]string{"v=tlsrptv1;rua=mailto:a@b.example"}, nil},
		"blanks around delimiters":                  {[]string{"v=TLSRPTv1 ;\t rua=mailto:a@b.example , https://x.example/ ; "}, &record{[]string{"a@b.example"}, 1}},
		"several addresses":                         {[]string{"v=TLSRPTv1;rua=mailto:a@b.example,mailto:c@d.example"}, to("a@b.example", "c@d.example")},
		"several ruas":                              {[]string{"v=TLSRPTv1;rua=mailto:a@b.example;rua=mailto:c@d.example"}, to("a@b.example", "c@d.example")},
		"an address twice":                          {[]string{"v=TLSRPTv1;rua=mailto:a@b.example,mailto:A@B.example"}, to("a@b.example")},
		"unknown fields are ignored":                {[]string{"v=TLSRPTv1;x-y.z_1=q;rua=mailto:a@b.example;ruf=mailto:x@y.example"}, to("a@b.example")},
		"a field without a value is no record":      {[]string{"v=TLSRPTv1;rua=mailto:a@b.example;what"}, nil},
		"a field with a bad name is no record":      {[]string{"v=TLSRPTv1;rua=mailto:a@b.example;-x=y"}, nil},
		"a field with a long name is no record":     {[]string{"v=TLSRPTv1;rua=mailto:a@b.example;" + strings.Repeat("x", 33) + "=y"}, nil},
		"two delimiters in a row":                   {[]string{"v=TLSRPTv1;;rua=mailto:a@b.example"}, nil},
		"rua is required":                           {[]string{"v=TLSRPTv1;x=y"}, nil},
		"rua's case counts":                         {[]string{"v=TLSRPTv1;RUA=mailto:a@b.example"}, nil},
		"a scheme's case does not":                  {[]string{"v=TLSRPTv1;rua=MailTo:a@b.example,HTTPS://x.example/"}, &record{[]string{"a@b.example"}, 1}},
		"other schemes are nothing":                 {[]string{"v=TLSRPTv1;rua=http://x.example/,ftp:x,a@b.example"}, nil},
		"a bad address spoils no other":             {[]string{"v=TLSRPTv1;rua=mailto:a b@c.example,mailto:d@e.example"}, to("d@e.example")},
		"no more addresses than five":               {[]string{"v=TLSRPTv1;rua=mailto:a@x.example,mailto:b@x.example,mailto:c@x.example,mailto:d@x.example,mailto:e@x.example,mailto:f@x.example"}, to("a@x.example", "b@x.example", "c@x.example", "d@x.example", "e@x.example")},
		"a record that is too long is not read":     {[]string{"v=TLSRPTv1;rua=mailto:a@b.example;x=" + strings.Repeat("y", maxRecord)}, nil},
		"an octet order mark is no part of version": {[]string{"\ufeffv=TLSRPTv1;rua=mailto:a@b.example"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parseRecords(c.texts)
			require.Equal(t, c.want != nil, ok, "it is a record or not: %+v", got)
			if ok {
				assert.Equal(t, *c.want, got, "it says this")
			}
		})
	}
}

func TestMailtoAddresses(t *testing.T) {
	for name, c := range map[string]struct{ uri, want string }{
		"plain":                                  {"tls-rpt+x=y@mail.example", "tls-rpt+x=y@mail.example"},
		"parameters are dropped":                 {"a@b.example?subject=x&body=y", "a@b.example"},
		"escaped octets are read":                {"%61%21b@c.example", "a!b@c.example"},
		"an upper case domain":                   {"a@B.Example", "a@B.Example"},
		"an escaped question mark is the local":  {"a%3Fb@c.example", "a?b@c.example"},
		"a line break":                           {"a%0d%0aBcc:x@b.example", ""},
		"a line break behind":                    {"a@b.example%0A", ""},
		"a NUL":                                  {"a%00@b.example", ""},
		"a bad escape":                           {"a%zz@b.example", ""},
		"two addresses":                          {"a@b.example%2Cc@d.example", ""},
		"two at signs":                           {"a@b@c.example", ""},
		"a display name":                         {"A%20%3Ca@b.example%3E", ""},
		"angle brackets":                         {"%3Ca@b.example%3E", ""},
		"a quoted local part":                    {"%22a%20b%22@c.example", ""},
		"a comment":                              {"a(x)@b.example", ""},
		"octets past ASCII":                      {"\u00e4@b.example", ""},
		"U-labels":                               {"a@b\u00fccher.example", ""},
		"a source route":                         {"@x.example:a@b.example", ""},
		"an address literal":                     {"a@[192.0.2.1]", ""},
		"no local part":                          {"@b.example", ""},
		"no domain":                              {"a@", ""},
		"no at sign":                             {"a", ""},
		"two dots in the local part":             {"a..b@c.example", ""},
		"a dot at its end":                       {"a.@c.example", ""},
		"two dots in the domain":                 {"a@b..example", ""},
		"a path as domain":                       {"a@../../etc", ""},
		"DMARC's size limit is none of TLSRPT's": {"a@b.example!10m", ""},
		"a long local part":                      {strings.Repeat("a", 65) + "@b.example", ""},
		"a long address":                         {"a@" + strings.Repeat("b.", 130) + "example", ""},
		"nothing":                                {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := mailtoAddress(c.uri)
			assert.Equal(t, []any{c.want, c.want != ""}, []any{got, ok}, "it is read so")
		})
	}
}

func FuzzRecord(f *testing.F) {
	for _, s := range []string{
		"v=TLSRPTv1;rua=mailto:reports@example.com", "v=TLSRPTv1 ; rua=https://x.example/ , mailto:a%40b@c.example?subject=x%0d%0ay;x=y;",
		"v=TLSRPTv1;rua=mailto:%22a%22@b.example", "v=TLSRPTv1;", "v=spf1\x00v=TLSRPTv1;rua=mailto:a@b.example",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rec, ok := parseRecords(strings.Split(s, "\x00"))
		require.Equal(t, ok, len(rec.mailto)+rec.https > 0, "a record has an address")
		require.LessOrEqual(t, len(rec.mailto), maxRUA, "and not too many")
		for _, a := range rec.mailto {
			require.False(t, strings.ContainsAny(a, "\r\n\x00 <>\"(),:;[]\\"), "an address needs no quoting: %q", a)
			require.LessOrEqual(t, len(a), maxAddress, "and fits into a path")
			parsed, err := mail.ParseAddressList(a)
			require.NoError(t, err, "it is one that others take: %q", a)
			require.Equal(t, 1, len(parsed), "and only one")
		}
	})
}

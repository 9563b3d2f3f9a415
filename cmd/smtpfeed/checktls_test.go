package main

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

func TestExamineTLS(t *testing.T) {
	server := func(a dnssim.Answer) string {
		s, err := dnssim.Listen("127.0.0.1:0", func(dns.Question, bool) dnssim.Answer { return a })
		require.NoError(t, err, "a name server answers")
		t.Cleanup(func() { s.Close() })
		return s.Addr()
	}
	validating, plain := server(dnssim.Answer{AD: true}), server(dnssim.Answer{})
	failing := server(dnssim.Answer{RCode: dns.RcodeServerFailure})
	for _, c := range []struct {
		rule, config string
		servers      dnsServers
		want         string // in what is found; "" is nothing
	}{
		{"a validating server on this machine is good", "", dnsServers{validating}, ""},
		{"one that does not validate is told", "", dnsServers{validating, plain}, plain + " does not validate DNSSEC: DANE does not protect mail"},
		{"one that cannot answer is others' business", "", dnsServers{failing}, ""},
		{"one elsewhere is not believed", "", dnsServers{"192.0.2.53:53"}, "192.0.2.53:53 is not in dns.trust_ad"},
		{"unless it is named", "[dns]\ntrust_ad = [\"192.0.2.0/24\"]\n", dnsServers{validating}, validating + " is not in dns.trust_ad"},
		{"beside one that is believed it is not even asked", "", dnsServers{validating, "192.0.2.53:53"}, "192.0.2.53:53 is not in dns.trust_ad: it is asked only while nobody listens at those that are"},
		{"nobody needs it without DANE", "[tls]\ndane = false\n", dnsServers{plain}, ""},
		{"the word of everybody is not believed", "[dns]\ntrust_ad = [\"0.0.0.0/0\"]\n", dnsServers{validating}, "unsafe: dns.trust_ad: 0.0.0.0/0 is everybody"},
		{"no TLS at all is worth a word", "[tls]\nmode = \"off\"\n", dnsServers{plain}, "all mail goes in plaintext"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			conf, err := Parse("f", []byte(c.config))
			require.NoError(t, err, "it is a configuration")
			conf.TLS.Roots, conf.TLS.Policies = "given", "" // what this machine has is not looked at
			var all []string
			for _, f := range examineTLS(conf, c.servers) {
				all = append(all, f.String())
			}
			if c.want == "" {
				assert.Empty(t, all, "nothing is found")
				return
			}
			assert.Contains(t, strings.Join(all, "\n"), c.want, "it is found")
		})
	}
}

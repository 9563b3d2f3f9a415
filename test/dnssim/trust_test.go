package dnssim

import (
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const signedZone = `
example. 900 SOA ns.example. root.example. 1 2 3 4 60
$SECURE example.
$INSECURE plain.example.
  $BOGUS broken.example.
a.example. MX 10 mx.example.
mx.example. A 192.0.2.1
_25._tcp.mx.example. TLSA 3 1 1 0123456789abcdef
_mta-sts.a.example. TXT "v=STSv1; " "id=1;"
a.plain.example. A 192.0.2.2
to-plain.example. CNAME a.plain.example.
to-broken.example. CNAME a.broken.example.
a.broken.example. A 192.0.2.3
`

func TestZoneTrust(t *testing.T) {
	h, err := Zone(signedZone)
	require.NoError(t, err, "the zone should be read")
	for _, c := range []struct {
		rule, name string
		qtype      uint16
		rcode      int
		ad         bool
		answer     string
	}{
		{"below a secure name", "a.example.", dns.TypeMX, 0, true, "a.example MX"},
		{"in any case", "A.Example.", dns.TypeMX, 0, true, "a.example MX"},
		{"TLSA", "_25._tcp.mx.example.", dns.TypeTLSA, 0, true, "_25._tcp.mx.example TLSA"},
		{"TXT", "_mta-sts.a.example.", dns.TypeTXT, 0, true, "_mta-sts.a.example TXT"},
		{"secure NODATA", "mx.example.", dns.TypeAAAA, 0, true, ""},
		{"secure NXDOMAIN", "gone.example.", dns.TypeA, dns.RcodeNameError, true, ""},
		{"below an insecure name", "a.plain.example.", dns.TypeA, 0, false, "a.plain.example A"},
		{"insecure NXDOMAIN", "gone.plain.example.", dns.TypeA, dns.RcodeNameError, false, ""},
		{"a CNAME that leads to an insecure name", "to-plain.example.", dns.TypeA, 0, false, "to-plain.example CNAME, a.plain.example A"},
		{"the CNAME itself", "to-plain.example.", dns.TypeCNAME, 0, true, "to-plain.example CNAME"},
		{"below a bogus name", "a.broken.example.", dns.TypeA, dns.RcodeServerFailure, false, ""},
		{"a CNAME that leads to a bogus name", "to-broken.example.", dns.TypeA, dns.RcodeServerFailure, false, ""},
		{"insecure without a line", "elsewhere.test.", dns.TypeA, dns.RcodeNameError, false, ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			q := new(dns.Msg).SetQuestion(c.name, c.qtype)
			assert.False(t, exchange(t, h(q.Question[0], false), q, false).AuthenticatedData, "AD should not be said to whom it says nothing")
			q.AuthenticatedData = true
			m := exchange(t, h(q.Question[0], false), q, false)
			assert.Equal(t, c.rcode, m.Rcode, "the response code")
			assert.Equal(t, c.ad, m.AuthenticatedData, "AD should be said when it is asked for")
			assert.Equal(t, c.answer, names(m.Answer), "the answer section")
			q.AuthenticatedData = false
			q.SetEdns0(1232, true)
			assert.Equal(t, c.ad, exchange(t, h(q.Question[0], false), q, true).AuthenticatedData, "DO asks for it too")
		})
	}
	for _, line := range []string{"$SECURE", "$SECURE a", "$BOGUS a. b."} {
		_, err := Zone(line)
		assert.ErrorContains(t, err, line, "a mistake should be told")
	}
}

func TestServerSaysAD(t *testing.T) {
	h, err := Zone(signedZone)
	require.NoError(t, err, "the zone should be read")
	s, err := Listen("127.0.0.1:0", h)
	require.NoError(t, err, "the server should start")
	defer s.Close()
	for _, network := range []string{"udp", "tcp"} {
		q := new(dns.Msg).SetQuestion("a.example.", dns.TypeMX)
		q.AuthenticatedData = true
		m, _, err := (&dns.Client{Net: network, Timeout: time.Minute}).Exchange(q, s.Addr())
		require.NoError(t, err, "%s should be answered", network)
		assert.True(t, m.AuthenticatedData, "with AD")
	}
}

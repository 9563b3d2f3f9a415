package dnssim

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const testZone = `
example. 900 SOA ns.example. root.example. 1 2 3 4 60
a.example. MX 10 mx.example.
a.example. MX 20 other.test.
mx.example. 60 A 192.0.2.1
mx.example. 60 AAAA 2001:db8::1
c.example. CNAME a.example.
out.example. CNAME elsewhere.test.
ring.example. CNAME ring.example.
x.deep.example. A 192.0.2.2
`

// exchange packs a question, lets the answer be packed, and unpacks it.
func exchange(t testing.TB, a Answer, q *dns.Msg, tcp bool) *dns.Msg {
	t.Helper()
	wire, err := q.Pack()
	require.NoError(t, err, "the question should be packed")
	parsed, ok := readQuery(wire)
	require.True(t, ok, "the question should be read")
	packed := a.pack(nil, parsed, tcp)
	if !tcp {
		require.LessOrEqual(t, len(packed), parsed.size, "the answer should fit")
	}
	m := new(dns.Msg)
	require.NoError(t, m.Unpack(packed), "the answer should be unpacked")
	assert.Equal(t, q.Id, m.Id, "the ID should be the question's")
	assert.Equal(t, q.Question, m.Question, "the question should come back")
	assert.True(t, m.Response, "QR should be set")
	return m
}

func names(rrs []dns.RR) string {
	var out []string
	for _, rr := range rrs {
		if h := rr.Header(); h.Rrtype != dns.TypeOPT {
			out = append(out, strings.TrimSuffix(h.Name, ".")+" "+dns.TypeToString[h.Rrtype])
		}
	}
	return strings.Join(out, ", ")
}

func TestZone(t *testing.T) {
	h, err := Zone(testZone)
	require.NoError(t, err, "the zone should be read")
	for _, c := range []struct {
		rule, name         string
		qtype              uint16
		rcode              int
		answer, ns, extras string
	}{
		{"records and additional addresses", "a.example.", dns.TypeMX, 0, "a.example MX, a.example MX", "", "mx.example A, mx.example AAAA"},
		{"any case", "MX.Example.", dns.TypeA, 0, "mx.example A", "", ""},
		{"CNAME and its target", "c.example.", dns.TypeMX, 0, "c.example CNAME, a.example MX, a.example MX", "", "mx.example A, mx.example AAAA"},
		{"CNAME asked for itself", "c.example.", dns.TypeCNAME, 0, "c.example CNAME", "", ""},
		{"CNAME out of the zone", "out.example.", dns.TypeMX, dns.RcodeNameError, "out.example CNAME", "example SOA", ""},
		{"NODATA", "a.example.", dns.TypeAAAA, 0, "", "example SOA", ""},
		{"a name with only names below exists", "deep.example.", dns.TypeA, 0, "", "example SOA", ""},
		{"NXDOMAIN", "gone.example.", dns.TypeA, dns.RcodeNameError, "", "example SOA", ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			q := new(dns.Msg).SetQuestion(c.name, c.qtype).SetEdns0(1232, false)
			m := exchange(t, h(q.Question[0], false), q, false)
			assert.Equal(t, c.rcode, m.Rcode, "the response code")
			assert.Equal(t, c.answer, names(m.Answer), "the answer section")
			assert.Equal(t, c.ns, names(m.Ns), "the authority section")
			assert.Equal(t, c.extras, names(m.Extra), "the additional section")
			assert.NotNil(t, m.IsEdns0(), "EDNS should be answered with EDNS")
		})
	}
	assert.Len(t, h(dns.Question{Name: "ring.example.", Qtype: dns.TypeA}, false).Answer, hops, "a circle should end")

	h, err = ZoneWith(testZone, WithoutAddresses)
	require.NoError(t, err, "the zone should be read")
	assert.Empty(t, h(dns.Question{Name: "a.example.", Qtype: dns.TypeMX}, false).Extra, "additional addresses can be switched off")

	_, err = Zone("a.example. MX mx.example.")
	assert.Error(t, err, "a mistake in the text should be told")
}

func TestPackFast(t *testing.T) {
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	a := Answer{Addrs: addrs, MX: []MX{{Preference: 10, Name: "mx.example.", Addrs: addrs}}}
	m := exchange(t, a, new(dns.Msg).SetQuestion("d.example.", dns.TypeA), false)
	assert.Equal(t, "d.example.\t300\tIN\tA\t192.0.2.1", m.Answer[0].String(), "the family asked")
	assert.Len(t, m.Answer, 1, "and no other")
	assert.Nil(t, m.IsEdns0(), "no EDNS without EDNS")
	m = exchange(t, a, new(dns.Msg).SetQuestion("d.example.", dns.TypeMX), false)
	assert.Equal(t, "d.example.\t300\tIN\tMX\t10 mx.example.", m.Answer[0].String(), "MX by hand")
	assert.Equal(t, "mx.example A, mx.example AAAA", names(m.Extra), "with its addresses")
}

func TestPackTruncates(t *testing.T) {
	var a Answer
	for i := range 60 {
		a.MX = append(a.MX, MX{Name: fmt.Sprintf("a-long-name-%d.example.", i)})
	}
	q := new(dns.Msg).SetQuestion("d.example.", dns.TypeMX)
	m := exchange(t, a, q, false)
	assert.True(t, m.Truncated, "TC should be set when 512 octets are too few")
	assert.NotEmpty(t, m.Answer, "some records should be there for the careless")
	m = exchange(t, a, q, true)
	assert.False(t, m.Truncated, "TCP should have room")
	assert.Len(t, m.Answer, 60, "for all")

	a.MX = a.MX[:3]
	a.Truncate = true
	m = exchange(t, a, q, false)
	assert.True(t, m.Truncated, "TC should be set on demand")
	assert.Len(t, m.Answer, 1, "with one record")
	assert.Len(t, exchange(t, a, q, true).Answer, 3, "TCP should not truncate")

	a = Answer{MX: []MX{{Name: "mx.example."}}}
	for i := range 100 {
		a.MX[0].Addrs = append(a.MX[0].Addrs, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	m = exchange(t, a, q, false)
	assert.False(t, m.Truncated, "additional records that do not fit should be left out without TC (RFC 2181 section 9)")
}

func TestPackCodes(t *testing.T) {
	q := new(dns.Msg).SetQuestion("d.example.", dns.TypeMX).SetEdns0(1232, false)
	assert.Equal(t, dns.RcodeBadVers, exchange(t, Answer{RCode: dns.RcodeBadVers}, q, false).Rcode, "extended codes should use the OPT record")
	assert.Nil(t, exchange(t, Answer{NoOPT: true}, q, false).IsEdns0(), "EDNS can be left out")
	wire, err := q.Pack()
	require.NoError(t, err, "the question should be packed")
	parsed, ok := readQuery(wire)
	require.True(t, ok, "the question should be read")
	a := Answer{Raw: []byte{0, 0, 9}, Garbage: [][]byte{{7}}, Forged: [][]byte{{0}, {0, 0, 5}}}
	assert.Equal(t, []byte{wire[0], wire[1], 9}, a.pack(nil, parsed, false), "a raw answer should get the ID only")
	assert.Equal(t, [][]byte{{7}, {wire[0]}, {wire[0], wire[1], 5}}, a.strays(parsed), "forged datagrams should get the ID")
	_, ok = readQuery(wire[:14])
	assert.False(t, ok, "half a question should be refused")
}

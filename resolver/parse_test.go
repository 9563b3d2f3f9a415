package resolver

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answerTo packs and unpacks an answer, since the codec sets some fields on the wire only. Sections are records a line.
func answerTo(t testing.TB, rcode int, answer, ns, extra string) *dns.Msg {
	t.Helper()
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Rcode: rcode}}
	m.Answer, m.Ns, m.Extra = records(t, answer), records(t, ns), records(t, extra)
	wire, err := m.Pack()
	require.NoError(t, err, "the answer should be packed")
	got := new(dns.Msg)
	require.NoError(t, got.Unpack(wire), "the answer should be unpacked")
	return got
}

func records(t testing.TB, text string) (rrs []dns.RR) {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		rr, err := dns.NewRR(line)
		require.NoError(t, err, "the record should be read")
		rrs = append(rrs, rr)
	}
	return rrs
}

// summary writes facts on one line.
func summary(f *facts) string {
	var b strings.Builder
	b.WriteString([]string{"found", "nullMX", "noData", "noName", "alias", "failed"}[f.status])
	for _, x := range f.mx {
		fmt.Fprintf(&b, " %d:%s", x.preference, x.host)
		if x.invalid != "" {
			b.WriteString("(invalid)")
		}
	}
	for _, a := range f.addrs {
		fmt.Fprintf(&b, " %v", a)
	}
	for _, h := range f.hints {
		fmt.Fprintf(&b, " hint(%s %s %v %v)", typeName(h.key.qtype), h.key.name, h.addrs, h.expires.Sub(epoch))
	}
	if f.rare != nil {
		for _, r := range f.rare.tlsa {
			fmt.Fprintf(&b, " [%v]", r)
		}
		for _, t := range f.rare.texts {
			fmt.Fprintf(&b, " %q", t)
		}
	}
	if f.follow != "" {
		b.WriteString(" -> " + f.follow)
	}
	if f.reason != "" {
		b.WriteString(" " + f.reason)
	}
	if f.status != failed {
		fmt.Fprintf(&b, " %v", f.expires.Sub(epoch))
	}
	return b.String()
}

func typeName(qtype uint16) string { return dns.TypeToString[qtype] }

const soa = "example. 900 SOA ns.example. root.example. 1 2 3 4 60"

func TestParseMX(t *testing.T) {
	for _, c := range []struct {
		rule              string
		rcode             int
		answer, ns, extra string
		want              string
	}{
		{rule: "by preference, then name", answer: "a.example. 300 MX 20 z.example.\na.example. 300 MX 10 y.example.\na.example. 300 MX 10 B.Example.",
			want: "found 10:b.example 10:y.example 20:z.example 5m0s"},
		{rule: "the smallest TTL counts", answer: "a.example. 300 MX 1 b.example.\na.example. 60 MX 2 c.example.", want: "found 1:b.example 2:c.example 1m0s"},
		{rule: "a host named twice keeps its better preference", answer: "a.example. 300 MX 20 b.example.\na.example. 300 MX 10 b.example.",
			want: "found 10:b.example 5m0s"},
		{rule: "DNS-01 null MX", answer: "a.example. 300 MX 0 .", want: "nullMX 5m0s"},
		{rule: "DNS-02 null MX beside others is ignored", answer: "a.example. 300 MX 0 .\na.example. 300 MX 10 b.example.", want: "found 10:b.example 5m0s"},
		{rule: "DNS-03 NXDOMAIN with the SOA's life", rcode: dns.RcodeNameError, ns: soa, want: "noName 1m0s"},
		{rule: "DNS-03 NXDOMAIN without SOA", rcode: dns.RcodeNameError, want: "noName 1m0s"},
		{rule: "DNS-04 NODATA", ns: soa, want: "noData 1m0s"},
		{rule: "NODATA without SOA", want: "noData 1m0s"},
		{rule: "a referral is not NODATA", ns: "example. 300 NS ns.example.", want: "failed referral: the server does not recurse"},
		{rule: "DNS-06 SERVFAIL", rcode: dns.RcodeServerFailure, want: "failed SERVFAIL"},
		{rule: "DNS-07 REFUSED", rcode: dns.RcodeRefused, want: "failed REFUSED"},
		{rule: "an unknown code", rcode: 13, want: "failed unknown response code"},
		{rule: "DNS-14 CNAME to a domain with MX", answer: "a.example. 300 CNAME b.example.\nb.example. 60 MX 10 mx.example.",
			want: "found 10:mx.example -> b.example 1m0s"},
		{rule: "DNS-14 in any order of records", answer: "b.example. 300 MX 10 mx.example.\nA.EXAMPLE. 30 CNAME B.example.",
			want: "found 10:mx.example -> b.example 30s"},
		{rule: "a chain that ends in NODATA", answer: "a.example. 300 CNAME b.example.", ns: soa, want: "noData -> b.example 1m0s"},
		{rule: "a chain that ends in NXDOMAIN", rcode: dns.RcodeNameError, answer: "a.example. 300 CNAME b.example.", ns: soa, want: "noName -> b.example 1m0s"},
		{rule: "a chain that leaves the answer is asked on", answer: "a.example. 300 CNAME b.example.\nb.example. 60 CNAME c.test.", want: "alias -> c.test 1m0s"},
		{rule: "a chain out of the answer to no host name", answer: `a.example. 300 CNAME b\ b.example.`, want: "failed CNAME to a name that is none: character that no domain has"},
		{rule: "a circle of CNAMEs", answer: "a.example. 300 CNAME b.example.\nb.example. 300 CNAME a.example.", want: "failed too many CNAMEs"},
		{rule: "the MX of another name is not ours", answer: "b.example. 300 MX 10 mx.example.", want: "failed records of other names only"},
		{rule: "DNS-18 another class is not ours", answer: "a.example. 300 CH MX 10 mx.example.", want: "failed record of another class"},
		{rule: "DNS-18 an MX record that ends behind its preference is no null MX", answer: `a.example. 300 TYPE15 \# 2 000a`, want: "failed record without data"},
		{rule: "DNS-17 an address in place of a host", answer: "a.example. 300 MX 10 192.0.2.1.", want: "found 10:[192.0.2.1] 5m0s"},
		{rule: "an exchanger that is no host name", answer: `a.example. 300 MX 10 a\032b.example.`, want: `found 10:a\ b.example(invalid) 5m0s`},
		{rule: "DNS-30 TTL 0", answer: "a.example. 0 MX 10 b.example.", want: "found 10:b.example 5s"},
		{rule: "DNS-30 TTL with the top bit", answer: "a.example. 4294967295 MX 10 b.example.", want: "found 10:b.example 5s"},
		{rule: "DNS-30 a week", answer: "a.example. 604800 MX 10 b.example.", want: "found 10:b.example 24h0m0s"},
		{rule: "additional addresses by host and family", answer: "a.example. 300 MX 10 b.example.\na.example. 300 MX 20 c.example.",
			extra: "B.example. 60 A 192.0.2.2\nb.example. 30 A 192.0.2.1\nc.example. 300 AAAA 2001:db8::1",
			want:  "found 10:b.example 20:c.example hint(A b.example [192.0.2.1 192.0.2.2] 30s) hint(AAAA c.example [2001:db8::1] 5m0s) 5m0s"},
		{rule: "DNS-27 additional addresses of others are ignored", answer: "a.example. 300 MX 10 b.example.", extra: "c.example. 300 A 192.0.2.1",
			want: "found 10:b.example 5m0s"},
		{rule: "an additional address of another class is ignored", answer: "a.example. 300 MX 10 b.example.", extra: "b.example. 300 CH A 192.0.2.1",
			want: "found 10:b.example 5m0s"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			m := answerTo(t, c.rcode, c.answer, c.ns, c.extra)
			assert.Equal(t, c.want, summary(parse(epoch, m, key{"a.example", dns.TypeMX})), "the answer should be read")
		})
	}
}

func TestParseAddresses(t *testing.T) {
	for _, c := range []struct {
		rule   string
		qtype  uint16
		answer string
		want   string
	}{
		{"sorted, without duplicates", dns.TypeA, "a.example. 300 A 192.0.2.2\na.example. 300 A 192.0.2.1\na.example. 300 A 192.0.2.2", "found 192.0.2.1 192.0.2.2 5m0s"},
		{"IPv6", dns.TypeAAAA, "a.example. 300 AAAA 2001:db8::2\na.example. 300 AAAA 2001:db8::1", "found 2001:db8::1 2001:db8::2 5m0s"},
		{"the other family's records do not count", dns.TypeA, "a.example. 300 AAAA 2001:db8::1", "noData 1m0s"},
		{"IPv4 inside AAAA is no address", dns.TypeAAAA, "a.example. 300 AAAA ::ffff:192.0.2.1", "noData 1m0s"},
		{"DNS-15 an exchanger that is a CNAME", dns.TypeA, "a.example. 300 CNAME b.example.\nb.example. 300 A 192.0.2.1", "found 192.0.2.1 -> b.example 5m0s"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			m := answerTo(t, dns.RcodeSuccess, c.answer, "", "")
			assert.Equal(t, c.want, summary(parse(epoch, m, key{"a.example", c.qtype})), "the answer should be read")
		})
	}
}

func TestParseCaps(t *testing.T) {
	var answer, extra strings.Builder
	for i := range 300 {
		fmt.Fprintf(&answer, "a.example. 300 MX %d mx%d.example.\n", 1000-i, i)
		fmt.Fprintf(&extra, "mx%d.example. 300 A 192.0.2.%d\n", i, i%250)
	}
	f := parse(epoch, answerTo(t, dns.RcodeSuccess, answer.String(), "", extra.String()), key{"a.example", dns.TypeMX})
	require.Len(t, f.mx, maxExchanges, "the number of exchangers should be capped")
	assert.Equal(t, "mx99.example", f.mx[0].host, "the best of the first hundred should be kept")
	assert.LessOrEqual(t, len(f.hints), maxExchanges, "hints should be for kept exchangers only")
}

func TestParseRecordWithoutData(t *testing.T) {
	hdr := dns.RR_Header{Name: "a.example.", Rrtype: dns.TypeMX, Class: dns.ClassINET, Ttl: 300}
	m := &dns.Msg{Answer: []dns.RR{&dns.MX{Hdr: hdr}}}
	f := parse(epoch, m, key{"a.example", dns.TypeMX})
	assert.Equal(t, failed, f.status, "an MX record without data should not look like a null MX")
}

func FuzzAnswer(f *testing.F) {
	for _, m := range []*dns.Msg{
		answerTo(f, 0, "a.example. 300 MX 10 b.example.", "", "b.example. 300 A 192.0.2.1"),
		answerTo(f, 0, "a.example. 300 CNAME b.example.\nb.example. 300 CNAME a.example.", "", ""),
		answerTo(f, dns.RcodeNameError, "", soa, ""),
		answerTo(f, 0, "a.example. 300 MX 0 .", "", ""),
		answerTo(f, 0, "a.example. 300 A 192.0.2.1\na.example. 300 AAAA 2001:db8::1", "", ""),
		answerTo(f, 0, "a.example. 300 TLSA 3 1 1 ff\na.example. 300 TXT \"a\" \"b\"", "", ""),
	} {
		wire, err := m.Pack()
		require.NoError(f, err, "the seed should be packed")
		f.Add(wire)
		f.Add(wire[:len(wire)-1])
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		m := new(dns.Msg)
		if m.Unpack(wire) != nil {
			return
		}
		for _, qtype := range []uint16{dns.TypeMX, dns.TypeA, dns.TypeAAAA, dns.TypeTLSA, dns.TypeTXT, dns.TypeCNAME} {
			checkFacts(t, parse(epoch, m, key{"a.example", qtype}), qtype)
		}
	})
}

// checkFacts holds for every answer whatever.
func checkFacts(t *testing.T, f *facts, qtype uint16) {
	t.Helper()
	require.LessOrEqual(t, len(f.mx), maxExchanges, "exchangers should be capped")
	require.LessOrEqual(t, len(f.hints), 2*maxExchanges, "hints should be capped")
	require.LessOrEqual(t, len(f.addrs), maxRecords, "addresses should be capped")
	life := f.expires.Sub(epoch)
	require.True(t, minTTL <= life && life <= maxTTL, "the life should be clamped: %v", life)
	require.Equal(t, f.status == failed, f.reason != "", "a failure should have a reason and nothing else one")
	require.Equal(t, f.status == found && qtype == dns.TypeMX, len(f.mx) > 0, "found MX should have exchangers")
	addresses := qtype == dns.TypeA || qtype == dns.TypeAAAA
	require.Equal(t, f.status == found && addresses, len(f.addrs) > 0, "found addresses should be there")
	require.Equal(t, f.status == found && (qtype == dns.TypeTLSA || qtype == dns.TypeTXT), f.rare != nil, "found TLSA and TXT records should be there")
	if f.rare != nil {
		require.LessOrEqual(t, len(f.rare.tlsa), maxTLSA, "TLSA records should be capped")
		require.LessOrEqual(t, len(f.rare.texts), maxTexts, "texts should be capped")
		require.Equal(t, f.status == found && qtype == dns.TypeTLSA, len(f.rare.tlsa) > 0, "found TLSA records should be there")
	}
	require.False(t, f.secure, "what the records say does not make them secure")
	if f.status == alias {
		require.Empty(t, checkName(f.follow), "a name to ask on should be askable")
	}
	for _, x := range f.mx {
		require.True(t, x.invalid != "" || x.addr != netip.Addr{} || checkName(x.host) == "", "a host to ask about should be askable")
	}
	require.Less(t, life, 25*time.Hour, "no answer should live longer than a day")
}

package resolver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wireAnswer packs an answer to a question about a.example with compressed names, as servers do. Sections are records a line.
func wireAnswer(t testing.TB, qtype uint16, answer, ns, extra string) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion("a.example.", qtype)
	m.Response, m.Compress = true, true
	m.Answer, m.Ns, m.Extra = records(t, answer), records(t, ns), records(t, extra)
	m.Extra = append(m.Extra, &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: udpSize}})
	wire, err := m.Pack()
	require.NoError(t, err, "the answer should be packed")
	return wire
}

// scanCases are answers that scan reads itself, and such that it leaves to the codec.
var scanCases = []struct {
	rule              string
	qtype             uint16
	answer, ns, extra string
	rcode             byte
	left              bool // to the codec
}{
	{rule: "one exchanger", qtype: dns.TypeMX, answer: "a.example. 300 MX 10 mx.a.example."},
	{rule: "with its addresses", qtype: dns.TypeMX, answer: "a.example. 300 MX 10 mx.a.example.",
		extra: "mx.a.example. 60 A 192.0.2.1\nmx.a.example. 30 AAAA 2001:db8::1"},
	{rule: "several, out of order, with several addresses", qtype: dns.TypeMX,
		answer: "a.example. 300 MX 20 b.example.\nA.EXAMPLE. 200 MX 10 MX.A.example.",
		extra:  "B.example. 60 A 192.0.2.3\nb.example. 30 A 192.0.2.1\nmx.a.example. 9 A 192.0.2.2\nb.example. 60 A 192.0.2.1"},
	{rule: "the same host twice", qtype: dns.TypeMX, answer: "a.example. 300 MX 20 b.example.\na.example. 300 MX 10 b.example."},
	{rule: "additional addresses of others", qtype: dns.TypeMX, answer: "a.example. 300 MX 10 b.example.", extra: "c.example. 300 A 192.0.2.1"},
	{rule: "an underscore", qtype: dns.TypeMX, answer: "a.example. 300 MX 10 mx_1.example."},
	{rule: "the top bit of a TTL", qtype: dns.TypeMX, answer: "a.example. 4294967295 MX 10 b.example.\na.example. 7 MX 10 c.example."},
	{rule: "A", qtype: dns.TypeA, answer: "a.example. 300 A 192.0.2.2\na.example. 30 A 192.0.2.1\na.example. 30 A 192.0.2.1"},
	{rule: "AAAA", qtype: dns.TypeAAAA, answer: "a.example. 300 AAAA 2001:db8::2"},
	{rule: "no data", qtype: dns.TypeMX, ns: soa},
	{rule: "no data, of TXT", qtype: dns.TypeTXT, ns: soa},
	{rule: "no such name", qtype: dns.TypeTXT, ns: soa, rcode: dns.RcodeNameError},
	{rule: "no data for the SOA record's own life", qtype: dns.TypeA, ns: "example. 30 SOA ns.example. root.example. 1 2 3 4 60"},
	{rule: "no data for longer than is believed", qtype: dns.TypeA, ns: "example. 4294967295 SOA . . 1 2 3 4 604800"},
	{rule: "another code", qtype: dns.TypeA, ns: soa, rcode: dns.RcodeServerFailure, left: true},

	{rule: "a null MX", qtype: dns.TypeMX, answer: "a.example. 300 MX 0 .", left: true},
	{rule: "an address in place of a host", qtype: dns.TypeMX, answer: "a.example. 300 MX 0 192.0.2.1.", left: true},
	{rule: "a host that may be an address", qtype: dns.TypeMX, answer: "a.example. 300 MX 0 mx.1.", left: true},
	{rule: "a host that is none", qtype: dns.TypeMX, answer: `a.example. 300 MX 0 a\032b.example.`, left: true},
	{rule: "a host with a hyphen at a label's end", qtype: dns.TypeMX, answer: "a.example. 300 MX 0 mx-.example.", left: true},
	{rule: "a CNAME", qtype: dns.TypeMX, answer: "a.example. 300 CNAME b.example.\nb.example. 300 MX 0 c.example.", left: true},
	{rule: "another name", qtype: dns.TypeMX, answer: "b.example. 300 MX 10 c.example.", left: true},
	{rule: "another class", qtype: dns.TypeMX, answer: "a.example. 300 CH MX 10 c.example.", left: true},
	{rule: "an additional address of another class", qtype: dns.TypeMX, answer: "a.example. 300 MX 10 b.example.", extra: "b.example. 300 CH A 192.0.2.1", left: true},
	{rule: "another type beside", qtype: dns.TypeMX, answer: "a.example. 300 MX 10 b.example.\na.example. 300 A 192.0.2.1", left: true},
	{rule: "another additional type", qtype: dns.TypeMX, answer: "a.example. 300 MX 10 b.example.", extra: "b.example. 300 TXT x", left: true},
	{rule: "an authority section", qtype: dns.TypeMX, answer: "a.example. 300 MX 10 b.example.", ns: soa, left: true},
	{rule: "no data and no SOA record", qtype: dns.TypeMX, ns: "example. 900 NS ns.example.", left: true},
	{rule: "no data and two SOA records", qtype: dns.TypeMX, ns: soa + "\n" + soa, left: true},
	{rule: "no data and a mailbox with a dot in its name", qtype: dns.TypeMX, ns: `example. 900 SOA ns.example. a\.b.example. 1 2 3 4 60`, left: true},
	{rule: "no data and a SOA record of another class", qtype: dns.TypeMX, ns: "example. 900 CH SOA ns.example. root.example. 1 2 3 4 60", left: true},
	{rule: "nothing at all", qtype: dns.TypeMX, left: true},
	{rule: "IPv4 inside AAAA", qtype: dns.TypeAAAA, answer: "a.example. 300 AAAA ::ffff:192.0.2.1", left: true},
}

func TestScan(t *testing.T) {
	for _, c := range scanCases {
		t.Run(c.rule, func(t *testing.T) {
			wire := wireAnswer(t, c.qtype, c.answer, c.ns, c.extra)
			wire[3] |= c.rcode
			assert.Equal(t, c.left, scan(epoch, wire, key{"a.example", c.qtype}) == nil, "what is plain, and only that, should be read without the codec")
			compareScan(t, wire, c.qtype)
		})
	}
}

func TestScanManyRecords(t *testing.T) {
	for _, n := range []int{maxExchanges, maxExchanges + 1} {
		var answer strings.Builder
		for i := range n {
			fmt.Fprintf(&answer, "a.example. 300 MX %d mx%d.example.\n", 1000-i, i)
		}
		wire := wireAnswer(t, dns.TypeMX, answer.String(), "", "")
		assert.Equal(t, n > maxExchanges, scan(epoch, wire, key{"a.example", dns.TypeMX}) == nil, "more than the caps should be left to parse, which has them")
		compareScan(t, wire, dns.TypeMX)
	}
}

func TestScanSharesNoMemory(t *testing.T) {
	wire := wireAnswer(t, dns.TypeMX, "a.example. 300 MX 10 mx.example.", "", "mx.example. 300 A 192.0.2.1\nmx.example. 300 A 192.0.2.2\nmx.example. 300 AAAA 2001:db8::1")
	f := scan(epoch, wire, key{"a.example", dns.TypeMX})
	require.NotNil(t, f, "the answer should be plain")
	before := summary(f)
	clear(wire)
	f.hints[0].addrs = append(f.hints[0].addrs, f.hints[1].addrs...)
	f.hints[0].addrs = f.hints[0].addrs[:2]
	assert.Equal(t, before, summary(f), "facts should not change with the reader's buffer, nor lists of addresses with each other")
}

// compareScan holds for every message whatever: what scan reads is what the codec and parse make of it.
func compareScan(t *testing.T, wire []byte, qtype uint16) {
	t.Helper()
	k := key{"a.example", qtype}
	h, ok := readHeader(wire)
	if !ok || !h.response || h.truncated || !h.answers(wire, k) {
		return // it does not come so far
	}
	f := scan(epoch, wire, k)
	if f == nil {
		return
	}
	m := new(dns.Msg)
	require.NoError(t, m.Unpack(wire), "the codec should read what scan reads")
	want := parse(epoch, m, k)
	require.Equal(t, summary(want), summary(f), "scan should say what parse says")
	require.Equal(t, want.hops, f.hops, "scan should say what parse says")
	checkFacts(t, f, qtype)
}

func FuzzScan(f *testing.F) {
	for _, c := range scanCases {
		wire := wireAnswer(f, c.qtype, c.answer, c.ns, c.extra)
		wire[3] |= c.rcode
		f.Add(wire, c.qtype)
		f.Add(wire[:len(wire)-1], c.qtype)
	}
	f.Fuzz(func(t *testing.T, wire []byte, qtype uint16) { compareScan(t, wire, qtype) })
}

func BenchmarkScan(b *testing.B) {
	wire := wireAnswer(b, dns.TypeMX, "a.example. 300 MX 10 mx.example.", "", "mx.example. 300 A 192.0.2.1\nmx.example. 300 AAAA 2001:db8::1")
	k := key{"a.example", dns.TypeMX}
	b.Run("scan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			scan(epoch, wire, k)
		}
	})
	b.Run("codec", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var m dns.Msg
			if m.Unpack(wire) == nil {
				parse(epoch, &m, k)
			}
		}
	})
}

package resolver

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

func TestParseTLSA(t *testing.T) {
	k := tlsaKey
	owner := k.name + ". 300 "
	for _, c := range []struct{ rule, answer, ns, want string }{
		{rule: "3 1 1", answer: owner + "TLSA 3 1 1 0123AbCd", want: "found [3 1 1 0123abcd] 5m0s"},
		{rule: "several, in the order in which they came", answer: owner + "TLSA 3 1 1 ff\n" + owner + "TLSA 2 0 2 00", want: "found [3 1 1 ff] [2 0 2 00] 5m0s"},
		{rule: "the smallest TTL counts", answer: owner + "TLSA 3 1 1 ff\n" + k.name + ". 30 TLSA 2 0 2 00", want: "found [3 1 1 ff] [2 0 2 00] 30s"},
		{rule: "behind a CNAME", answer: owner + "CNAME _dane.example.\n_dane.example. 300 TLSA 3 1 1 ff", want: "found [3 1 1 ff] -> _dane.example 5m0s"},
		{rule: "unknown parameters are kept", answer: owner + "TLSA 9 8 7 ff", want: "found [9 8 7 ff] 5m0s"},
		{rule: "a digest of a wrong length is kept", answer: owner + "TLSA 3 1 1 0102030405", want: "found [3 1 1 0102030405] 5m0s"},
		{rule: "a record that is too long is kept as unusable", answer: owner + "TLSA 3 0 0 " + strings.Repeat("ab", maxTLSAData+1), want: "found [255 0 0 ] 5m0s"},
		{rule: "NODATA", ns: soa, want: "noData 1m0s"},
		{rule: "the records of another name are not ours", answer: "_25._tcp.mx2.example. 300 TLSA 3 1 1 ff", want: "failed records of other names only"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			m := answerTo(t, dns.RcodeSuccess, c.answer, c.ns, "")
			assert.Equal(t, c.want, summary(parse(epoch, m, k)), "the answer should be read")
		})
	}
	many := strings.Repeat(owner+"TLSA 3 1 1 ff\n", maxTLSA+1)
	f := parse(epoch, answerTo(t, dns.RcodeSuccess, many, "", ""), k)
	assert.Len(t, f.rare.tlsa, maxTLSA, "records beyond the cap should be left out")
}

func TestParseTLSAOfOddLength(t *testing.T) {
	for _, c := range []struct{ rule, data, want string }{
		{"DNS-18 without data is kept as unusable", "", "found [255 0 0 ] 5m0s"},
		{"DNS-18 one octet is kept as unusable", "\x03", "found [255 0 0 ] 5m0s"},
		{"DNS-18 two octets are kept as unusable", "\x03\x01", "found [255 1 0 ] 5m0s"},
		{"DNS-18 three octets are a record without content", "\x03\x01\x01", "found [3 1 1 ] 5m0s"},
		{"four octets", "\x03\x01\x01\xff", "found [3 1 1 ff] 5m0s"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			var m dns.Msg
			require.NoError(t, m.Unpack(wireTLSA([]byte(c.data), nil)), "the codec should read it")
			assert.Equal(t, c.want, summary(parse(epoch, &m, tlsaKey)), "the record should be kept")
		})
	}
}

var tlsaKey = key{"_25._tcp.mx.example", dns.TypeTLSA}

// wireTLSA is an answer to tlsaKey with one TLSA record, and perhaps one more record.
func wireTLSA(data, more []byte) []byte {
	wire := appendQuery(nil, 1, tlsaKey, plain)
	binary.BigEndian.PutUint16(wire[6:], 1)
	wire = append(wire, "\xc0\x0c\x00\x34\x00\x01\x00\x00\x01\x2c"...)
	wire = append(binary.BigEndian.AppendUint16(wire, uint16(len(data))), data...)
	if len(more) > 0 {
		binary.BigEndian.PutUint16(wire[6:], 2)
	}
	return append(wire, more...)
}

func TestParseCNAMEOfItsOwnType(t *testing.T) {
	k := key{"a.example", dns.TypeCNAME}
	f := parse(epoch, answerTo(t, dns.RcodeSuccess, "a.example. 300 CNAME b.example.", "", ""), k)
	assert.Equal(t, "found 5m0s", summary(f), "a CNAME that was asked for should not be followed")
	f = parse(epoch, answerTo(t, dns.RcodeSuccess, "", soa, ""), k)
	assert.Equal(t, "noData 1m0s", summary(f), "and there may be none")
}

// FuzzTLSA: whatever a server puts into TLSA records, or says beside them, is read without a panic, within the caps, and kept.
func FuzzTLSA(f *testing.F) {
	for _, data := range []string{"", "\x03", "\x03\x01", "\x03\x01\x01", "\x03\x01\x01" + strings.Repeat("x", 32), "\x03\x00\x00" + strings.Repeat("y", maxTLSAData+1)} {
		f.Add([]byte(data), []byte(nil))
		f.Add([]byte(data), []byte("\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x01\x00\x02\xc0\x0c"))
	}
	f.Fuzz(func(t *testing.T, data, more []byte) {
		if len(data) > 1<<15 || len(more) > 1<<15 {
			return
		}
		var m dns.Msg
		if m.Unpack(wireTLSA(data, more)) != nil {
			require.NotEmpty(t, more, "any data of a TLSA record should be read")
			return
		}
		got := parse(epoch, &m, tlsaKey)
		if got.status != found {
			require.NotEmpty(t, more, "a TLSA record alone should be found")
			return
		}
		require.NotEmpty(t, got.rare.tlsa, "what was found should be there")
		r := got.rare.tlsa[0]
		require.LessOrEqual(t, len(r.Data), maxTLSAData, "within the cap")
		if len(data) >= 3 && len(data) <= maxTLSAData {
			require.Equal(t, string(data), string([]byte{r.Usage, r.Selector, r.Matching})+r.Data, "as it was published")
			return
		}
		if len(data) < 3 {
			require.Equal(t, uint8(privateUse), r.Usage, "what is no record should be unusable")
		}
	})
}

const daneZone = `
. 900 SOA ns. root. 1 2 3 4 60
$SECURE example.
$INSECURE plain.example.
$INSECURE out.test.
a.example.       300 MX 10 mx.example.
mx.example.      200 A 192.0.2.1
mx.example.      200 AAAA 2001:db8::1
_25._tcp.mx.example. 100 TLSA 3 1 1 aa
_2525._tcp.mx.example. TLSA 3 1 1 25
alias.example.   CNAME a.example.
self.example.    A 192.0.2.2
_25._tcp.self.example. TLSA 3 1 1 bb
none.example.    MX 10 notlsa.example.
notlsa.example.  A 192.0.2.3
x.notlsa.example. TXT "the name exists"
empty.example.   MX 10 mxempty.example.
mxempty.example. A 192.0.2.4
_25._tcp.mxempty.example. TXT "no TLSA here"
broken.example.  MX 10 mxbroken.example.
broken.example.  MX 20 mx.example.
mxbroken.example. A 192.0.2.5
$BOGUS _25._tcp.mxbroken.example.
$BOGUS bad.example.
bad.example.     MX 10 mx.example.
tlsacname.example. MX 10 mxtc.example.
mxtc.example.    A 192.0.2.6
_25._tcp.mxtc.example. CNAME _dane.example.
_dane.example.   TLSA 2 0 1 cc
tlsaout.example. MX 10 mxto.example.
mxto.example.    A 192.0.2.7
_25._tcp.mxto.example. CNAME _dane.out.test.
_dane.out.test.  TLSA 2 0 1 dd
insecuretlsa.example. 300 MX 10 mxit.example.
mxit.example.    300 A 192.0.2.8
$INSECURE _tcp.mxit.example.
_25._tcp.mxit.example. 290 TLSA 3 1 1 ee
plain.example.   MX 10 mx.example.
tohost.example.  MX 10 host.out.test.
host.out.test.   300 A 192.0.2.9
_25._tcp.host.out.test. TLSA 3 1 1 ff
cmx.example.     MX 10 c.example.
c.example.       CNAME mx.example.
cown.example.    MX 10 co.example.
co.example.      CNAME notlsa.example.
_25._tcp.co.example. TLSA 3 1 1 c0
cbroken.example. MX 10 cb.example.
cb.example.      CNAME mxbroken.example.
_25._tcp.cb.example. TLSA 3 1 1 cb
cout.example.    MX 10 cx.example.
cx.example.      CNAME host.out.test.
_25._tcp.cx.example. TLSA 3 1 1 ce
coutnone.example. MX 10 cn.example.
cn.example.      CNAME host.out.test.
coutbroken.example. MX 10 cz.example.
cz.example.      CNAME host.out.test.
$BOGUS _25._tcp.cz.example.
outcname.example. MX 10 oc.out.test.
oc.out.test.     CNAME mx.example.
$BOGUS _25._tcp.oc.out.test.
v6.example.      MX 10 mx6.example.
mx6.example.     AAAA 2001:db8::6
_25._tcp.mx6.example. TLSA 3 1 1 66
gone.example.    MX 10 nohost.example.
long.example.    MX 10 LONG.
LONG.            A 192.0.2.10
`

// daneText writes what a route says of DNSSEC and DANE, an exchanger after the other.
func daneText(p plan) string {
	if p.err != nil {
		return routeText(p)
	}
	var parts []string
	for _, mx := range p.route.MX {
		s := mx.Name
		if mx.Secure {
			s += " secure"
		}
		if d := mx.DANE; d != nil {
			s += fmt.Sprintf(" %s%v%v", d.Base, d.Names, d.Records)
			if d.Err != nil {
				s += " " + d.Err.Error()
			}
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

func TestPlanDANE(t *testing.T) {
	long := strings.TrimSuffix(strings.Repeat(strings.Repeat("l", 59)+".", 4), ".") + ".example" // there is no room for _25._tcp
	zone := strings.ReplaceAll(daneZone, "LONG", long)
	static := []StaticRoute{{Domain: "relayed.test", Hosts: []string{"mx.example", "mx.example:2525", "host.out.test", "c.example", "[192.0.2.1]"}}}
	const servfail = " resolver: TLSA _25._tcp.%s: SERVFAIL"
	for _, c := range []struct {
		rule, domain, want string
		fail               []string
	}{
		{rule: "a secure exchanger with TLSA records", domain: "a.example", want: "mx.example secure mx.example[mx.example a.example][3 1 1 aa]"},
		{rule: "3.2.2 the domain's CNAME expansion is the third reference", domain: "alias.example",
			want: "mx.example secure mx.example[mx.example alias.example a.example][3 1 1 aa]"},
		{rule: "2.2.2 the implicit exchanger", domain: "self.example", want: "self.example secure self.example[self.example][3 1 1 bb]"},
		{rule: "POL-02 secure NXDOMAIN", domain: "none.example", want: "notlsa.example secure"},
		{rule: "POL-02 secure NODATA", domain: "empty.example", want: "mxempty.example secure"},
		{rule: "POL-02 insecure TLSA records", domain: "insecuretlsa.example", want: "mxit.example secure"},
		{rule: "POL-01 bogus TLSA", domain: "broken.example",
			want: "mxbroken.example secure mxbroken.example[mxbroken.example broken.example][]" + fmt.Sprintf(servfail, "mxbroken.example") +
				"; mx.example secure mx.example[mx.example broken.example][3 1 1 aa]"},
		{rule: "POL-01 TLSA of one exchanger fails, at another host none", domain: "a.example", fail: []string{"TLSA _25._tcp.mx.example"},
			want: "mx.example secure mx.example[mx.example a.example][]" + fmt.Sprintf(servfail, "mx.example") + " (asked 192.0.2.53:53)"},
		{rule: "bogus MX is temporary", domain: "bad.example", want: "Temporary: resolver: MX bad.example: SERVFAIL"},
		{rule: "a CNAME at the TLSA name", domain: "tlsacname.example", want: "mxtc.example secure mxtc.example[mxtc.example tlsacname.example][2 0 1 cc]"},
		{rule: "a CNAME at the TLSA name into the insecure", domain: "tlsaout.example", want: "mxto.example secure"},
		{rule: "2.2.1 an insecure MX", domain: "plain.example", want: "mx.example"},
		{rule: "a secure MX, insecure addresses", domain: "tohost.example", want: "host.out.test"},
		{rule: "2.2.2 the expanded name comes first", domain: "cmx.example", want: "c.example secure mx.example[mx.example cmx.example][3 1 1 aa]"},
		{rule: "2.2.2 then the exchanger's own", domain: "cown.example", want: "co.example secure co.example[co.example cown.example][3 1 1 c0]"},
		{rule: "POL-01 bogus TLSA at the expanded name", domain: "cbroken.example",
			want: "cb.example secure mxbroken.example[mxbroken.example cbroken.example][]" + fmt.Sprintf(servfail, "mxbroken.example")},
		{rule: "2.2.2 a secure alias of an insecure host: its own name only", domain: "cout.example", want: "cx.example cx.example[cx.example cout.example][3 1 1 ce]"},
		{rule: "2.2.2 a secure alias of an insecure host, without TLSA", domain: "coutnone.example", want: "cn.example"},
		{rule: "POL-01 bogus TLSA at a secure alias of an insecure host", domain: "coutbroken.example",
			want: "cz.example cz.example[cz.example coutbroken.example][]" + fmt.Sprintf(servfail, "cz.example")},
		{rule: "an insecure alias of a secure host: TLSA failures do not matter", domain: "outcname.example", want: "oc.out.test"},
		{rule: "POL-01 neither the TLSA nor the CNAME of an alias can be had", domain: "coutnone.example", fail: []string{"TLSA _25._tcp.cn.example", "CNAME cn.example"},
			want: "cn.example cn.example[cn.example coutnone.example][]" + fmt.Sprintf(servfail, "cn.example") + " (asked 192.0.2.53:53)"},
		{rule: "TLSA failures do not matter for insecure addresses", domain: "tohost.example", fail: []string{"TLSA _25._tcp.host.out.test"}, want: "host.out.test"},
		{rule: "IPv6 only", domain: "v6.example", want: "mx6.example secure mx6.example[mx6.example v6.example][3 1 1 66]"},
		{rule: "a family that fails does not count", domain: "a.example", fail: []string{"AAAA mx.example"},
			want: "mx.example secure mx.example[mx.example a.example][3 1 1 aa]"},
		{rule: "no address", domain: "gone.example", want: "NoAddress: resolver: A nohost.example: NXDOMAIN"},
		{rule: "no room for the TLSA name", domain: "long.example", want: long + " secure"},
		{rule: "configured hosts are destinations of their own, at their ports", domain: "relayed.test",
			want: "mx.example secure mx.example[mx.example][3 1 1 aa]; mx.example secure mx.example[mx.example][3 1 1 25]; host.out.test; " +
				"c.example secure mx.example[mx.example][3 1 1 aa]; [192.0.2.1]"},
		{rule: "literals have no name", domain: "[192.0.2.1]", want: "[192.0.2.1]"},
	} {
		for _, additional := range []dnssim.Additional{dnssim.WithAddresses, dnssim.WithoutAddresses} {
			t.Run(fmt.Sprintf("%s/%d", c.rule, additional), func(t *testing.T) {
				w := newWorld(t, zone, additional, c.fail...)
				routes, err := newRoutes(static)
				require.NoError(t, err, "the static routes should be read")
				p := &planner{self: func(netip.Addr) bool { return false }, dane: true, port: 25, static: routes}
				assert.Equal(t, c.want, daneText(w.resolve(t, p, c.domain)), "what DNSSEC and DANE say should follow the rule")
			})
		}
	}
}

func TestPlanDANEFallback(t *testing.T) {
	w := newWorld(t, daneZone, dnssim.WithAddresses)
	fallback, err := parseRelays([]string{"c.example"})
	require.NoError(t, err, "the fallback host should be read")
	p := &planner{self: func(netip.Addr) bool { return false }, dane: true, port: 25, fallback: fallback}
	assert.Equal(t, "mx.example; c.example secure mx.example[mx.example][3 1 1 aa]", daneText(w.resolve(t, p, "plain.example")),
		"a fallback host should be a destination of its own, secure whatever the MX is")
}

func TestPlanDANEAsksTogether(t *testing.T) {
	for _, c := range []struct {
		rule, domain string
		known        []string // domains resolved before
		want         [][]string
	}{
		{"secure: addresses and TLSA in one round, hints or not", "a.example", nil,
			[][]string{{"MX a.example"}, {"A mx.example", "AAAA mx.example", "TLSA _25._tcp.mx.example"}}},
		{"insecure MX: hints serve, nothing more is asked", "plain.example", nil, [][]string{{"MX plain.example"}}},
		{"an expanded name: one round more", "cmx.example", nil,
			[][]string{{"MX cmx.example"}, {"A c.example", "AAAA c.example", "TLSA _25._tcp.c.example"}, {"TLSA _25._tcp.mx.example"}}},
		{"addresses known to be insecure: no TLSA", "tohost.example", []string{"to2.example"}, [][]string{{"MX tohost.example"}}},
		{"no TLSA at an alias: the CNAME is not asked", "coutnone.example", nil,
			[][]string{{"MX coutnone.example"}, {"A cn.example", "AAAA cn.example", "TLSA _25._tcp.cn.example"}}},
		{"bogus TLSA at an alias of an insecure host: the CNAME is", "coutbroken.example", nil,
			[][]string{{"MX coutbroken.example"}, {"A cz.example", "AAAA cz.example", "TLSA _25._tcp.cz.example"}, {"CNAME cz.example"}}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			w := newWorld(t, daneZone+"to2.example. MX 10 host.out.test.\n", dnssim.WithAddresses)
			p := &planner{self: func(netip.Addr) bool { return false }, dane: true, port: 25}
			for _, domain := range c.known {
				w.resolve(t, p, domain)
			}
			w.asked = nil
			w.resolve(t, p, c.domain)
			assert.Equal(t, c.want, w.asked, "what is asked, and when, should follow the rule")
		})
	}
}

func TestPlanDANEExpires(t *testing.T) {
	for domain, want := range map[string]string{
		"a.example":              "1m40s", // the TLSA records'
		"insecuretlsa.example":   "4m50s", // of the insecure ones
		"none.example":           "1m0s",  // their absence's
		"broken.example":         "30s",   // a failure's
		"coutnone.example":       "1m0s",
		"insecurefailed.example": "5m0s", // the TLSA failure does not matter
	} {
		w := newWorld(t, daneZone+"insecurefailed.example. 300 MX 10 host.out.test.\n", dnssim.WithAddresses, "TLSA _25._tcp.host.out.test")
		p := &planner{self: func(netip.Addr) bool { return false }, dane: true, port: 25, families: OnlyIPv4}
		assert.Equal(t, want, w.resolve(t, p, domain).route.Expires.Sub(epoch).String(), "%s should live as long as the facts it rests on", domain)
	}
}

package resolver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// A world answers the plan's questions from a zone, and fails those listed.
type world struct {
	handler dnssim.Handler
	fail    []string // "AAAA mx.example"
	facts   map[key]*facts
	asked   [][]string // per round
}

func newWorld(t *testing.T, zone string, additional dnssim.Additional, fail ...string) *world {
	t.Helper()
	h, err := dnssim.ZoneWith(zone, additional)
	require.NoError(t, err, "the zone should be read")
	return &world{handler: h, fail: fail, facts: make(map[key]*facts)}
}

// resolve plans until nothing is left to ask.
func (w *world) resolve(t *testing.T, p *planner, domain string) plan {
	t.Helper()
	for range 30 {
		got := p.plan(epoch, domain, false, func(k key) *facts { return w.facts[k] })
		if len(got.ask) == 0 {
			return got
		}
		var round []string
		for _, k := range got.ask {
			require.Nil(t, w.facts[k], "nothing known should be asked again")
			question := typeName(k.qtype) + " " + k.name
			require.NotContains(t, round, question, "nothing should be asked twice")
			round = append(round, question)
			w.facts[k] = w.answer(t, k, question)
		}
		w.asked = append(w.asked, round)
	}
	require.Fail(t, "the plan should come to an end")
	return plan{}
}

func (w *world) answer(t *testing.T, k key, question string) *facts {
	if slices.Contains(w.fail, question) {
		return failure(epoch, "SERVFAIL", "192.0.2.53:53")
	}
	a := w.handler(dns.Question{Name: k.name + ".", Qtype: k.qtype, Qclass: dns.ClassINET}, false)
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Rcode: a.RCode}, Answer: a.Answer, Ns: a.Ns, Extra: a.Extra}
	wire, err := m.Pack()
	require.NoError(t, err, "the answer should be packed")
	require.NoError(t, m.Unpack(wire), "the answer should be unpacked")
	f := parse(epoch, m, k)
	f.secure = a.AD && f.status != failed
	return f
}

// routeText writes a plan's result on one line.
func routeText(p plan) string {
	if p.err != nil {
		var e *Error
		if !errors.As(p.err, &e) {
			return p.err.Error()
		}
		kind := []string{"Temporary", "NoSuchDomain", "NullMX", "NoAddress", "Loop", "LoopUnsure", "Malformed"}[e.Kind]
		return kind + ": " + e.Error()
	}
	var parts []string
	if p.route.Implicit {
		parts = append(parts, "implicit")
	}
	for _, mx := range p.route.MX {
		s := fmt.Sprintf("%d %s %v", mx.Preference, mx.Name, mx.Addrs)
		if mx.Port != 0 {
			s += fmt.Sprintf(" port %d", mx.Port)
		}
		if mx.Err != nil {
			s += " (" + mx.Err.Error() + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

const planZone = `
. 900 SOA ns. root. 1 2 3 4 60
one.example.    300 MX 10 mx1.example.
two.example.    300 MX 20 mx2.example.
two.example.    300 MX 10 mx1.example.
mx1.example.    120 A 192.0.2.1
mx1.example.    120 AAAA 2001:db8::1
mx2.example.    300 A 192.0.2.3
mx2.example.    300 A 192.0.2.2
none.example.   300 TXT "neither MX nor address"
addr.example.   300 A 192.0.2.9
null.example.   300 MX 0 .
alias.example.  300 CNAME one.example.
aliasmx.example. 300 MX 10 cmx.example.
cmx.example.    60 CNAME mx1.example.
dead.example.   300 MX 10 gone1.example.
dead.example.   300 MX 20 gone2.example.
dead1.example.  300 MX 10 gone1.example.
half.example.   300 MX 10 gone1.example.
half.example.   300 MX 20 mx1.example.
direct.example. 300 MX 10 192.0.2.77.
odd.example.    300 MX 10 a\032b.example.
odd.example.    300 MX 20 mx2.example.
deadaddr.example. 300 MX 10 gone1.example.
deadaddr.example. 300 A 192.0.2.8
circle.example. 300 CNAME ring.example.
ring.example.   300 CNAME circle.example.
relay.example.  300 A 192.0.2.40
v6.example.     300 AAAA 2001:db8::6
`

func TestPlan(t *testing.T) {
	const mx1 = "mx1.example [2001:db8::1 192.0.2.1]"
	for _, c := range []struct {
		rule, domain, want string
		fail               []string
	}{
		{rule: "one exchanger", domain: "one.example", want: "10 " + mx1},
		{rule: "by preference", domain: "two.example", want: "10 " + mx1 + "; 20 mx2.example [192.0.2.2 192.0.2.3]"},
		{rule: "DNS-01 null MX", domain: "null.example", want: "NullMX: resolver: MX null.example: null MX: the domain takes no mail"},
		{rule: "DNS-03 NXDOMAIN", domain: "nowhere.test", want: "NoSuchDomain: resolver: MX nowhere.test: NXDOMAIN"},
		{rule: "DNS-04 implicit MX", domain: "addr.example", want: "implicit; 0 addr.example [192.0.2.9]"},
		{rule: "DNS-05 neither MX nor address", domain: "none.example", want: "NoSuchDomain: resolver: none.example: neither MX nor address"},
		{rule: "DNS-06 SERVFAIL on MX never falls back to the address", domain: "addr.example", fail: []string{"MX addr.example"},
			want: "Temporary: resolver: MX addr.example: SERVFAIL (asked 192.0.2.53:53)"},
		{rule: "DNS-08 AAAA fails, A answers", domain: "one.example", fail: []string{"AAAA mx1.example"},
			want: "10 mx1.example [192.0.2.1] (resolver: AAAA mx1.example: SERVFAIL (asked 192.0.2.53:53))"},
		{rule: "DNS-08 the implicit MX too", domain: "addr.example", fail: []string{"AAAA addr.example"},
			want: "implicit; 0 addr.example [192.0.2.9] (resolver: AAAA addr.example: SERVFAIL (asked 192.0.2.53:53))"},
		{rule: "A fails, AAAA has none: the implicit MX waits", domain: "addr.example", fail: []string{"A addr.example"},
			want: "Temporary: resolver: A addr.example: SERVFAIL (asked 192.0.2.53:53)"},
		{rule: "DNS-14 CNAME uses the target's MX", domain: "alias.example", want: "10 " + mx1},
		{rule: "DNS-15 an exchanger that is a CNAME is followed", domain: "aliasmx.example", want: "10 cmx.example [2001:db8::1 192.0.2.1]"},
		{rule: "DNS-17 an address in place of a host", domain: "direct.example", want: "10 [192.0.2.77] [192.0.2.77]"},
		{rule: "an exchanger that is no host name is kept with its error", domain: "odd.example",
			want: `10 a\ b.example [] (resolver: MX odd.example: exchanger is no host name: character that no domain has); 20 mx2.example [192.0.2.2 192.0.2.3]`},
		{rule: "an exchanger without address is kept with its error", domain: "half.example",
			want: "10 gone1.example [] (resolver: A gone1.example: NXDOMAIN); 20 " + mx1},
		{rule: "an exchanger whose questions failed is kept with its error", domain: "two.example", fail: []string{"A mx1.example", "AAAA mx1.example"},
			want: "10 mx1.example [] (resolver: A mx1.example: SERVFAIL (asked 192.0.2.53:53)); 20 mx2.example [192.0.2.2 192.0.2.3]"},
		{rule: "DNS-24 no exchanger has an address", domain: "dead.example", want: "NoAddress: resolver: dead.example: no mail exchanger has an address"},
		{rule: "DNS-24 the only exchanger is named", domain: "dead1.example", want: "NoAddress: resolver: A gone1.example: NXDOMAIN"},
		{rule: "DNS-24 no fallback to the domain's own address", domain: "deadaddr.example", want: "NoAddress: resolver: A gone1.example: NXDOMAIN"},
		{rule: "DNS-25 a soft failure among hard ones dominates", domain: "dead.example", fail: []string{"A gone2.example"},
			want: "Temporary: resolver: A gone2.example: SERVFAIL (asked 192.0.2.53:53)"},
		{rule: "a circle of CNAMEs is temporary", domain: "circle.example", want: "Temporary: resolver: MX circle.example: too many CNAMEs"},
		{rule: "IPv4 literal", domain: "[192.0.2.1]", want: "0 [192.0.2.1] [192.0.2.1]"},
		{rule: "IPv6 literal", domain: "[IPv6:2001:db8::1]", want: "0 [IPv6:2001:db8::1] [2001:db8::1]"},
		{rule: "bad literal", domain: "[192.0.2]", want: "Malformed: resolver: [192.0.2]: not an address literal"},
	} {
		for _, additional := range []dnssim.Additional{dnssim.WithAddresses, dnssim.WithoutAddresses} {
			if len(c.fail) > 0 && additional == dnssim.WithAddresses && strings.Contains(c.fail[0], "mx1") {
				continue // the hint makes the failing question unneeded
			}
			t.Run(fmt.Sprintf("%s/%d", c.rule, additional), func(t *testing.T) {
				w := newWorld(t, planZone, additional, c.fail...)
				p := &planner{self: func(netip.Addr) bool { return false }}
				got := w.resolve(t, p, c.domain)
				// The zone's server stands behind no address.
				assert.Equal(t, c.want, routeText(got), "the route should follow the rule")
			})
		}
	}
}

func TestPlanAsksTogetherAndOnlyWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		rule       string
		domain     string
		additional dnssim.Additional
		families   Families
		want       [][]string
	}{
		{"all addresses in one round", "two.example", dnssim.WithoutAddresses, Both,
			[][]string{{"MX two.example"}, {"A mx1.example", "AAAA mx1.example", "A mx2.example", "AAAA mx2.example"}}},
		{"DNS-28 a missing hint is asked about, per host and family", "two.example", dnssim.WithAddresses, Both,
			[][]string{{"MX two.example"}}}, // and IPv6 beside IPv4 not waited for
		{"complete hints leave nothing to ask", "one.example", dnssim.WithAddresses, Both, [][]string{{"MX one.example"}}},
		{"only IPv4: AAAA is never asked", "two.example", dnssim.WithoutAddresses, OnlyIPv4,
			[][]string{{"MX two.example"}, {"A mx1.example", "A mx2.example"}}},
		{"only IPv6: A is never asked", "two.example", dnssim.WithoutAddresses, OnlyIPv6,
			[][]string{{"MX two.example"}, {"AAAA mx1.example", "AAAA mx2.example"}}},
		{"null MX: no address is asked", "null.example", dnssim.WithAddresses, Both, [][]string{{"MX null.example"}}},
		{"NXDOMAIN: no address is asked", "nowhere.test", dnssim.WithAddresses, Both, [][]string{{"MX nowhere.test"}}},
		{"a literal asks nothing", "[192.0.2.1]", dnssim.WithAddresses, Both, nil},
	} {
		t.Run(c.rule, func(t *testing.T) {
			w := newWorld(t, planZone, c.additional)
			w.resolve(t, &planner{families: c.families, self: func(netip.Addr) bool { return false }}, c.domain)
			assert.Equal(t, c.want, w.asked, "the questions should be these, in these rounds")
		})
	}
}

func TestPlanDoesNotWaitForIPv6(t *testing.T) {
	w := newWorld(t, planZone, dnssim.WithAddresses)
	got := w.resolve(t, &planner{self: func(netip.Addr) bool { return false }}, "two.example")
	assert.Equal(t, "10 mx1.example [2001:db8::1 192.0.2.1]; 20 mx2.example [192.0.2.2 192.0.2.3]", routeText(got), "the route should be there")
	assert.Equal(t, []key{{"mx2.example", dns.TypeAAAA}}, got.later, "and what may still grow it be asked without waiting")
}

func TestPlanFamilies(t *testing.T) {
	self := func(netip.Addr) bool { return false }
	for _, c := range []struct {
		rule, domain, want string
		families           Families
	}{
		{"IPv4 only leaves IPv6 hints unused", "one.example", "10 mx1.example [192.0.2.1]", OnlyIPv4},
		{"IPv6 only", "one.example", "10 mx1.example [2001:db8::1]", OnlyIPv6},
		{"IPv6 only, a host without", "addr.example", "NoSuchDomain: resolver: addr.example: neither MX nor address", OnlyIPv6},
		{"IPv4 only, an IPv6 literal", "[IPv6:2001:db8::1]", "NoAddress: resolver: [IPv6:2001:db8::1]: address family is switched off", OnlyIPv4},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := newWorld(t, planZone, dnssim.WithAddresses).resolve(t, &planner{families: c.families, self: self}, c.domain)
			assert.Equal(t, c.want, routeText(got), "the unwanted family should play no part")
		})
	}
}

const loopZone = `
l.example. 300 MX 10 a.example.
l.example. 300 MX 20 b.example.
l.example. 300 MX 20 self.example.
l.example. 300 MX 30 c.example.
best.example. 300 MX 10 self.example.
best.example. 300 MX 20 c.example.
better.example. 300 MX 10 gone.example.
better.example. 300 MX 20 self.example.
own.example. 300 A 192.0.2.200
a.example. 300 A 192.0.2.1
b.example. 300 A 192.0.2.2
c.example. 300 A 192.0.2.3
self.example. 300 A 192.0.2.100
self.example. 300 A 192.0.2.200
`

func TestPlanLoop(t *testing.T) {
	self := func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.200") }
	for _, c := range []struct {
		rule, domain, want string
		fail               []string
	}{
		{rule: "DNS-20 own preference and higher are dropped", domain: "l.example", want: "10 a.example [192.0.2.1]"},
		{rule: "DNS-20 the best is this machine", domain: "best.example", want: "Loop: resolver: best.example: the best mail exchanger is this machine"},
		{rule: "DNS-20 the implicit MX is this machine", domain: "own.example", want: "Loop: resolver: own.example: the best mail exchanger is this machine"},
		{rule: "a literal of this machine", domain: "[192.0.2.200]", want: "Loop: resolver: [192.0.2.200]: the best mail exchanger is this machine"},
		{rule: "DNS-21 a better one has no address", domain: "better.example",
			want: "LoopUnsure: resolver: better.example: this machine is the best mail exchanger that could be resolved"},
		{rule: "DNS-21 a better one failed", domain: "l.example", fail: []string{"A a.example"},
			want: "LoopUnsure: resolver: l.example: this machine is the best mail exchanger that could be resolved"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			w := newWorld(t, loopZone, dnssim.WithoutAddresses, c.fail...)
			assert.Equal(t, c.want, routeText(w.resolve(t, &planner{self: self}, c.domain)), "the loop rule should hold")
		})
	}
}

func TestPlanConfigured(t *testing.T) {
	static, err := newRoutes([]StaticRoute{
		{Domain: "example.net", Hosts: []string{"relay.example:587", "[192.0.2.200]:2525"}},
		{Domain: "gone.example", Hosts: []string{"gone1.example"}},
	})
	require.NoError(t, err, "the map should be accepted")
	fallback, err := parseRelays([]string{"v6.example", "[192.0.2.50]"})
	require.NoError(t, err, "the fallback hosts should be accepted")
	p := &planner{static: static, self: func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.200") }}
	behind := &planner{static: static, self: p.self, fallback: fallback}
	const tail = "65536 [192.0.2.50] [192.0.2.50]; 65536 v6.example [2001:db8::6]"
	for _, c := range []struct {
		rule, domain string
		planner      *planner
		fail         []string
		want         string
		asked        int
	}{
		{rule: "hosts in their order, no MX question, no loop", domain: "example.net", planner: p,
			want: "0 relay.example [192.0.2.40] port 587; 1 [192.0.2.200] [192.0.2.200] port 2525", asked: 1},
		{rule: "a configured host without address", domain: "gone.example", planner: p, want: "NoAddress: resolver: A gone1.example: NXDOMAIN", asked: 1},
		{rule: "a configured host that cannot be asked", domain: "gone.example", planner: p, fail: []string{"A gone1.example"},
			want: "Temporary: resolver: A gone1.example: SERVFAIL (asked 192.0.2.53:53)", asked: 1},
		{rule: "fallback stands behind, asked together with the exchangers", domain: "half.example", planner: behind,
			want: "10 gone1.example [] (resolver: A gone1.example: NXDOMAIN); 20 mx1.example [2001:db8::1 192.0.2.1]; " + tail, asked: 2},
		{rule: "fallback stands behind configured hosts too", domain: "example.net", planner: behind,
			want: "0 relay.example [192.0.2.40] port 587; 1 [192.0.2.200] [192.0.2.200] port 2525; " + tail, asked: 1},
		{rule: "fallback is no route for a domain without one", domain: "dead.example", planner: behind,
			want: "NoAddress: resolver: dead.example: no mail exchanger has an address", asked: 2},
	} {
		t.Run(c.rule, func(t *testing.T) {
			w := newWorld(t, planZone, dnssim.WithoutAddresses, c.fail...)
			assert.Equal(t, c.want, routeText(w.resolve(t, c.planner, c.domain)), "the configured hosts should be used")
			assert.Len(t, w.asked, c.asked, "it should take this many rounds")
		})
	}
}

func TestPlanExpires(t *testing.T) {
	for _, c := range []struct {
		rule, domain string
		additional   dnssim.Additional
		fail         []string
		seconds      int
	}{
		{"the earliest of all facts", "one.example", dnssim.WithoutAddresses, nil, 120},
		{"hints count", "one.example", dnssim.WithAddresses, nil, 120},
		{"NODATA counts", "addr.example", dnssim.WithoutAddresses, nil, 60},
		{"a failure counts", "one.example", dnssim.WithoutAddresses, []string{"AAAA mx1.example"}, 30},
		{"a literal has a day", "[192.0.2.1]", dnssim.WithoutAddresses, nil, 86400},
	} {
		t.Run(c.rule, func(t *testing.T) {
			w := newWorld(t, planZone, c.additional, c.fail...)
			got := w.resolve(t, &planner{self: func(netip.Addr) bool { return false }}, c.domain)
			require.NoError(t, got.err, "there should be a route")
			assert.Equal(t, float64(c.seconds), got.route.Expires.Sub(epoch).Seconds(), "the route should live as long as its shortest fact")
		})
	}
}

func TestPlanFollowsChainsOutOfAnswers(t *testing.T) {
	alias := func(to string) *facts { return &facts{status: alias, follow: to, hops: 3, expires: epoch.Add(maxTTL)} }
	known := map[key]*facts{}
	for i := range 10 {
		known[key{fmt.Sprintf("c%d.example", i), dns.TypeMX}] = alias(fmt.Sprintf("c%d.example", i+1))
	}
	p := &planner{self: func(netip.Addr) bool { return false }}
	look := func(k key) *facts { return known[k] }
	got := p.plan(epoch, "c7.example", false, look)
	assert.Equal(t, []key{{"c10.example", dns.TypeMX}}, got.ask, "nine CNAMEs should be followed and the end asked")
	got = p.plan(epoch, "c6.example", false, look)
	assert.Equal(t, "Temporary: resolver: MX c6.example: too many CNAMEs", routeText(got), "twelve should be too many")
}

func TestPlanPrefersAnswersToHints(t *testing.T) {
	mx := &facts{mx: []exchange{{preference: 10, host: "mx.example"}}, expires: epoch.Add(maxTTL)}
	v4, v6 := key{"mx.example", dns.TypeA}, key{"mx.example", dns.TypeAAAA}
	mx.hints = []hint{{key: v4, addrs: []netip.Addr{netip.MustParseAddr("192.0.2.66")}, expires: epoch.Add(maxTTL)}}
	known := map[key]*facts{
		{"d.example", dns.TypeMX}: mx,
		v6:                        {status: noData, expires: epoch.Add(maxTTL)},
	}
	p := &planner{self: func(netip.Addr) bool { return false }}
	resolve := func() string {
		return routeText(p.plan(epoch, "d.example", false, func(k key) *facts { return known[k] }))
	}
	assert.Equal(t, "10 mx.example [192.0.2.66]", resolve(), "without an answer the hint should serve")
	known[v4] = failure(epoch, "SERVFAIL", "")
	assert.Equal(t, "10 mx.example [192.0.2.66]", resolve(), "a hint should serve where the question failed")
	known[v4] = &facts{addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, expires: epoch.Add(maxTTL)}
	assert.Equal(t, "10 mx.example [192.0.2.1]", resolve(), "an answer should stand above a hint (RFC 2181 section 5.4.1)")
}

func TestPlanVerifies(t *testing.T) {
	mx := &facts{mx: []exchange{{preference: 10, host: "mx.example"}}, expires: epoch.Add(maxTTL)}
	v4, v6 := key{"mx.example", dns.TypeA}, key{"mx.example", dns.TypeAAAA}
	for _, k := range []key{v4, v6} {
		mx.hints = append(mx.hints, hint{key: k, addrs: []netip.Addr{netip.MustParseAddr("192.0.2.66")}, expires: epoch.Add(maxTTL)})
	}
	known := map[key]*facts{{"d.example", dns.TypeMX}: mx}
	p := &planner{self: func(netip.Addr) bool { return false }}
	plan := func(verify bool) plan {
		return p.plan(epoch, "d.example", verify, func(k key) *facts { return known[k] })
	}
	assert.True(t, plan(false).route.MX[0].Additional, "a route should say where its addresses are from")
	assert.ElementsMatch(t, []key{v4, v6}, plan(true).ask, "who verifies should ask for both families")
	known[v4] = failure(epoch, "SERVFAIL", "")
	known[v6] = failure(epoch, "SERVFAIL", "")
	assert.Equal(t, Temporary, plan(true).err.(*Error).Kind, "and should not take a hint where the question failed")
	known[v4] = &facts{addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, expires: epoch.Add(maxTTL)}
	got := plan(true)
	assert.Equal(t, "10 mx.example [192.0.2.1] (resolver: AAAA mx.example: SERVFAIL)", routeText(got), "nor beside an answer")
	assert.False(t, got.route.MX[0].Additional, "what was asked for is not additional")
	assert.True(t, plan(false).route.MX[0].Additional, "of two families one is enough")
}

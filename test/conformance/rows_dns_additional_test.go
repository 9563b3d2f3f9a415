package conformance

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// additionalRows are additional sections that lie or lack, and times to live that make no sense.
func additionalRows() []row {
	astray := []host{{addr: "192.0.2.66"}}
	ofOne := func(extra ...string) oddity { // in the answer to one.test's question only
		return func(n names, question string, _ bool, a dnssim.Answer) dnssim.Answer {
			if question == "MX one.test" {
				for _, e := range extra {
					a.Extra = append(a.Extra, n.record(e))
				}
			}
			return a
		}
	}
	apart := zoneOf("one.test. MX 10 mx1.test.", "two.test. MX 10 mx2.test.", "mx1.test. A 192.0.2.1", "mx2.test. A 192.0.2.2")
	two := append([]host{{addr: "192.0.2.2"}}, astray...)
	three := zoneOf("one.test. MX 10 mx1.test.", "one.test. MX 20 mx2.test.", "one.test. MX 30 mx3.test.", "two.test. MX 10 mx1.test.",
		"mx1.test. A 192.0.2.1", "mx2.test. A 192.0.2.2", "mx3.test. A 192.0.2.3")
	second := []string{"one.test. MX 20 mx2.test.", "two.test. MX 20 mx2.test.", "mx2.test. A 192.0.2.2"}
	return []row{
		{id: "DNS-27", rule: "additional addresses of names that are no exchangers of this answer", want: all("OK"), others: two,
			dns:  oddWith(apart, dnssim.WithoutAddresses, ofOne("mx2.test. A 192.0.2.66", "two.test. A 192.0.2.66", "one.test. A 192.0.2.66")),
			play: at(map[string]string{"192.0.2.1": "a b", "192.0.2.2": "c"})},
		{id: "DNS-27", rule: "additional addresses of another class", want: all("OK"), others: astray,
			dns: oddWith(zoneOf(bothAreAt, "mx1.test. A 192.0.2.1"), dnssim.WithoutAddresses, ofOne("mx1.test. CH A 192.0.2.66")), play: at(map[string]string{"192.0.2.1": "a b c"})},
		{id: "DNS-27", rule: "an additional address counts for the domain whose answer had it, and for no other", want: all("OK"), others: astray,
			where: inMemory, // it matters which answer is first
			dns:   oddWith(zoneOf(bothAreAt, "mx1.test. A 192.0.2.1"), dnssim.WithoutAddresses, ofOne("mx1.test. A 192.0.2.66")),
			play:  at(map[string]string{"192.0.2.1": "c", "192.0.2.66": "a b"})},
		{id: "DNS-28", rule: "no additional records", want: all("OK"), then: same, dns: minimal(zoneOf(bothAreAt, "mx1.test. A 192.0.2.1")), play: askedOnce("A mx1.test")},
		{id: "DNS-28", rule: "an additional address of the second exchanger only: the first one is asked for", want: all("OK"), others: []host{{addr: "192.0.2.2"}, {addr: "192.0.2.3"}},
			dns: oddWith(three, dnssim.WithoutAddresses, ofOne("mx2.test. A 192.0.2.2")), play: at(map[string]string{"192.0.2.1": "a b c"})},
		{id: "DNS-28", rule: "an additional IPv6 address only: IPv4 ones are asked for", want: all("OK"),
			dns: oddWith(zoneOf(bothAreAt, "mx1.test. A 192.0.2.1"), dnssim.WithoutAddresses, ofOne("mx1.test. AAAA 2001:db8::dead"))},
		stale("an additional address that is out of date: the exchanger's own records are asked before it is given up", "192.0.2.1"),
		stale("an additional address that is out of date: the other exchanger is no better", "192.0.2.1", second...),
		stale("an additional address that is out of date, and the exchanger's own records cannot be had: the other one", "192.0.2.2", second...),
		living("0", 0), living("1", 1), living("that of 0xFFFFFFFF", 1<<32-1), living("that of 0x80000000", 1<<31),
	}
}

// stale is a zone whose MX answers carry an address at which nobody listens any more. The best exchanger is at 192.0.2.1, which its own
// records say, unless the mail is wanted elsewhere.
func stale(rule, wanted string, more ...string) row {
	r := row{id: "DNS-29", rule: rule, want: all("OK"), conns: some, others: []host{{addr: "192.0.2.2"}},
		play: at(map[string]string{wanted: "a b c"})}
	r.dns = oddWith(zoneOf(append(more, bothAreAt, "mx1.test. A 192.0.2.1")...), dnssim.WithoutAddresses,
		func(n names, question string, _ bool, a dnssim.Answer) dnssim.Answer {
			if question == "MX one.test" || question == "MX two.test" {
				a.Extra = append(a.Extra, n.record("mx1.test. A 192.0.2.66"))
			}
			if question == "A mx1.test" && wanted != "192.0.2.1" {
				return dnssim.Answer{RCode: dns.RcodeServerFailure}
			}
			return a
		})
	return r
}

// living is a zone whose records live so long. Whatever that is, a message does not ask twice.
func living(rule string, ttl uint32) row {
	o := func(_ names, _ string, _ bool, a dnssim.Answer) dnssim.Answer {
		for _, set := range [][]dns.RR{a.Answer, a.Extra, a.Ns} {
			for i, rr := range set {
				set[i] = dns.Copy(rr)
				set[i].Header().Ttl = ttl
			}
		}
		return a
	}
	return row{id: "DNS-30", rule: "a time to live of " + strings.TrimPrefix(rule, "that of "), want: all("OK"), then: same,
		dns: odd(zoneOf(bothAreAt, "mx1.test. A 192.0.2.1"), o), play: askedOnce("MX one.test", "MX two.test")}
}

// ownRows are exchangers that are this machine, or lie where mail must not be sent.
func ownRows() []row {
	own := func(id, rule, outcome string, better ...string) row {
		r := row{id: id, rule: rule, want: []string{outcome, outcome, "OK"}, setup: troubled(), others: []host{{addr: "192.0.2.2"}},
			play: tuned(tuning{engine: withSelf}, (*play).exchange)}
		r.dns = withOwnAddress(zoneOf(append(better, "one.test. MX 30 mx2.test.", "mx2.test. A 192.0.2.2", twoIsWell)...))
		return r
	}
	return []row{
		own("DNS-20", "this machine is the best exchanger: a loop", "P 5.4.6"),
		own("DNS-20", "this machine is the second exchanger: only better ones count", "OK", "one.test. MX 10 mx1.test."),
		own("DNS-21", "this machine is the best exchanger that could be resolved", "T 4.4.4", "one.test. MX 10 bad.test."),
		internal("an exchanger at an address of this kind only", "P 5.4.4"),
		internal("an exchanger at an address of this kind, and another one behind it", "OK", "one.test. MX 20 mx1.test."),
		internal("an address of this kind beside another one", "OK", "inside.test. A 192.0.2.1"),
	}
}

// withSelf makes 198.51.100.1 this machine.
func withSelf(c *resolver.Config, _ *feed.Config) {
	c.Self = func(a netip.Addr) bool { return a == netip.MustParseAddr("198.51.100.1") }
}

// withOwnAddress is a zone in which own.test, at preference 20 of one.test, is this machine, and bad.test cannot be resolved.
func withOwnAddress(zone string) func(names) dnssim.Handler {
	return odd(zone, func(n names, question string, _ bool, a dnssim.Answer) dnssim.Answer {
		own := "198.51.100.1"
		if n.label != "" {
			own = machineAddress()
		}
		switch question {
		case "MX one.test":
			a.Answer = append(a.Answer[:len(a.Answer):len(a.Answer)], n.record("one.test. MX 20 own.test."))
		case "A own.test":
			return dnssim.Answer{Addrs: []netip.Addr{netip.MustParseAddr(own)}}
		case "A bad.test", "AAAA bad.test":
			return dnssim.Answer{RCode: dns.RcodeServerFailure}
		}
		return a
	})
}

// machineAddress is an IPv4 address of this machine. Without a network, where it has none, rows that need one fail.
func machineAddress() string {
	nets, _ := net.InterfaceAddrs() // no address is none
	for _, a := range nets {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			return p.Addr().String()
		}
	}
	return "203.0.113.1"
}

// internal is an exchanger at every address where none may be. Over sockets 127.0.0.0/8 is where exchangers are: a part of it is
// prohibited.
func internal(rule, outcome string, more ...string) row {
	records := append(more, "one.test. MX 10 inside.test.", twoIsWell)
	for _, a := range []string{"127.0.0.1", "0.0.0.0", "169.254.169.254", "10.0.0.1", "192.168.0.1"} {
		records = append(records, "inside.test. A "+a)
	}
	for _, a := range []string{"::1", "::", "fe80::1", "fd00::1", "ff02::1"} {
		records = append(records, "inside.test. AAAA "+a)
	}
	list := `prohibited = ["127.0.0.0/16", "0.0.0.0/8", "169.254.0.0/16", "10.0.0.0/8", "192.168.0.0/16", "::/127", "fe80::/10", "fc00::/7", "ff00::/8"]`
	return row{id: "DNS-19", rule: rule, want: []string{outcome, outcome, "OK"}, zone: zoneOf(records...),
		play: tuned(tuning{
			engine:  func(_ *resolver.Config, c *feed.Config) { c.Prohibited = feed.Internal() },
			program: []string{"prohibited = []", list},
		}, (*play).exchange)}
}

// floodRows are many domains at once, and servers that do not bear them.
func floodRows() []row {
	const many = 400
	var records []string
	for i := range many {
		records = append(records, fmt.Sprintf("d%03d.test. MX 10 mx%d.test.", i, i%7))
	}
	for i := range 7 {
		records = append(records, fmt.Sprintf("mx%d.test. A 192.0.2.1", i))
	}
	zone := zoneOf(records...)
	return []row{
		{id: "DNS-31", rule: "hundreds of domains at once, and a server that loses every third question", want: all("OK"), to: recipientsAt(many), conns: some,
			setup: setup{own: true}, dns: anew(func() func(names) dnssim.Handler { return oddWith(zone, dnssim.WithoutAddresses, losing(3)) })},
		{id: "DNS-31", rule: "hundreds of domains at once, and a server that answers every third question with SERVFAIL once", want: all("OK"), to: recipientsAt(many), conns: some,
			setup: setup{own: true}, dns: anew(func() func(names) dnssim.Handler { return oddWith(zone, dnssim.WithoutAddresses, failingOnce(3)) })},
		{id: "DNS-07", rule: "one of two servers refuses: the other one is asked", where: inMemory, want: all("OK"), then: same,
			zone: zoneOf(bothAreAt, "mx1.test. A 192.0.2.1"), play: playTwoServers},
	}
}

// losing drops each question once, for each nth name.
func losing(nth int) oddity {
	return onFirst(nth, func(a *dnssim.Answer) { a.Drop = true })
}

// failingOnce answers each question once with SERVFAIL, for each nth name.
func failingOnce(nth int) oddity {
	return onFirst(nth, func(a *dnssim.Answer) { *a = dnssim.Answer{RCode: dns.RcodeServerFailure} })
}

// onFirst does something to the first answer to each nth question.
func onFirst(nth int, change func(*dnssim.Answer)) oddity {
	seen := map[string]bool{} // guarded by the watch of the play's handler
	return func(_ names, question string, _ bool, a dnssim.Answer) dnssim.Answer {
		if !seen[question] && len(seen)%nth == 0 {
			change(&a)
		}
		seen[question] = true
		return a
	}
}

// playTwoServers gives the mailer a server that refuses everything, in front of the row's. In memory only: a row's server that takes longer
// than the resolver waits, as on a busy machine, counts as silent beside one that refuses.
func playTwoServers(p *play) {
	refuse := func(dns.Question, bool) dnssim.Answer { return dnssim.Answer{RCode: dns.RcodeRefused} }
	const first = "192.0.2.54:53"
	t := tuning{engine: func(c *resolver.Config, _ *feed.Config) {
		other, rest := &dnssim.Network{}, c.Dial
		other.Add(first, &dnssim.Host{Handler: refuse})
		c.Servers = append([]string{first}, c.Servers...)
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == first {
				return other.Dial(ctx, network, addr)
			}
			return rest(ctx, network, addr)
		}
	}}
	tuned(t, (*play).exchange)(p)
}

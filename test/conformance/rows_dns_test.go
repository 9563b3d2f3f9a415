package conformance

import (
	"slices"

	"github.com/miekg/dns"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// dnsRows are what DNS servers do wrong, and what domains publish that makes no sense.
func dnsRows() []row {
	all := slices.Concat(domainRows(), answerRows(), garbledRows(), aliasRows(), exchangerRows(), additionalRows(), ownRows(), floodRows())
	for i, r := range all {
		all[i].apart = len(r.want) > 1 || len(r.to) > 1 // the domains differ
	}
	return all
}

// domainRows are domains without mail exchangers, of all kinds.
func domainRows() []row {
	lacks := func(id, rule, outcome string, records ...string) row {
		return row{id: id, rule: rule, want: []string{outcome, outcome, "OK"}, zone: zoneOf(append(records, twoIsWell)...)}
	}
	nullMX := lacks("DNS-01", "null MX: refused, and its address is not looked at", "P 5.1.10", "one.test. MX 0 .", "one.test. A 192.0.2.1")
	nullMX.play = neverAsked("A one.test", "AAAA one.test")
	implicit := lacks("DNS-04", "no MX, but an address: mail goes there", "OK", "one.test. A 192.0.2.1")
	implicit.then = same
	known := spoken("DNS-03", "NXDOMAIN that is known: refused at RCPT", saying(map[string]string{"192.0.2.1": "b c"}, news([]string{"a@one.test", "b@two.test"}, "550 5.1.2", "250"),
		script{"> MAIL FROM:<list@example.org>", "< 250", "> RCPT TO:<a@one.test>", "> RCPT TO:<c@two.test>", "< 550 5.1.2", "< 250", "> DATA", "< 354", "> x", "> .", "< 250 2.0.0"}))
	known.zone = zoneOf(twoIsWell)
	return []row{
		nullMX,
		lacks("DNS-01", "null MX with another preference", "P 5.1.10", "one.test. MX 10 .", "one.test. A 192.0.2.1"),
		lacks("DNS-02", "null MX beside real ones does not count", "OK", "one.test. MX 0 .", "one.test. MX 10 mx1.test."),
		lacks("DNS-03", "NXDOMAIN", "P 5.1.2"),
		{id: "DNS-03", rule: "NXDOMAIN without a SOA record", want: []string{"P 5.1.2", "P 5.1.2", "OK"}, zone: twoIsWell + "\n"},
		known, implicit,
		{id: "DNS-04", rule: "no MX, but an IPv6 address", where: inMemory, want: all("OK"), conns: none,
			zone: zoneOf("one.test. AAAA 2001:db8::1", "two.test. AAAA 2001:db8::1"), others: []host{{addr: "2001:db8::1"}}},
		lacks("DNS-05", "neither MX nor address", "P 5.1.2", "one.test. TXT nothing"),
	}
}

// answerRows are answers without content, or with one that must not be used.
func answerRows() []row {
	const withAddress = bothAreAt + "\nmx1.test. A 192.0.2.1\none.test. A 192.0.2.1" // where mail must not go instead
	refused := func(id, rule string, rcode int) row {
		return row{id: id, rule: rule, want: []string{"T 4.4.3", "T 4.4.3", "OK"}, setup: troubled(), dns: odd(zoneOf(withAddress), failing(rcode, "MX one.test"))}
	}
	return []row{
		refused("DNS-06", "SERVFAIL", dns.RcodeServerFailure),
		{id: "DNS-06", rule: "silence", want: all("T 4.4.3"), conns: none, setup: troubled(), dns: odd(zoneOf(withAddress), unheard("MX one.test", "MX two.test"))},
		refused("DNS-07", "REFUSED", dns.RcodeRefused),
		refused("DNS-07", "NOTIMP", dns.RcodeNotImplemented),
		refused("DNS-07", "FORMERR", dns.RcodeFormatError),
		refused("DNS-07", "NOTAUTH", dns.RcodeNotAuth),
		refused("DNS-07", "a code without a meaning", 15),
		{id: "DNS-07", rule: "FORMERR to a question with EDNS: once more without", want: all("OK"), then: same, setup: troubled(), dns: anew(func() func(names) dnssim.Handler { return odd(zoneOf(withAddress), formerrOnce()) })},
		{id: "DNS-07", rule: "a server that recurses for nobody is no authority: a referral", want: []string{"T 4.4.3", "T 4.4.3", "OK"}, setup: troubled(),
			dns: odd(zoneOf(withAddress), referring("MX one.test"))},
		{id: "DNS-08", rule: "SERVFAIL for AAAA: A is used", want: all("OK"), then: same, setup: troubled(),
			dns: odd(zoneOf(withAddress), failing(dns.RcodeServerFailure, "AAAA mx1.test"))},
		{id: "DNS-08", rule: "SERVFAIL for AAAA, and no additional records", want: all("OK"), then: same, setup: troubled(),
			dns: oddWith(zoneOf(withAddress), dnssim.WithoutAddresses, failing(dns.RcodeServerFailure, "AAAA mx1.test"))},
		{id: "DNS-08", rule: "silence for AAAA", want: all("OK"), then: same, setup: troubled(), dns: odd(zoneOf(withAddress), unheard("AAAA mx1.test"))},
		{id: "DNS-08", rule: "silence for AAAA, and no additional records", where: inMemory, want: all("OK"),
			dns: oddWith(zoneOf(withAddress), dnssim.WithoutAddresses, unheard("AAAA mx1.test"))},
		{id: "DNS-08", rule: "NXDOMAIN for AAAA of a name that has A", want: all("OK"), setup: troubled(),
			dns: oddWith(zoneOf(withAddress), dnssim.WithoutAddresses, failing(dns.RcodeNameError, "AAAA mx1.test"))},
		{id: "DNS-08", rule: "SERVFAIL for A: AAAA is used", where: inMemory, want: all("OK"), conns: none, others: []host{{addr: "2001:db8::1"}},
			dns: odd(zoneOf(bothAreAt, "mx1.test. AAAA 2001:db8::1"), failing(dns.RcodeServerFailure, "A mx1.test"))},
		{id: "DNS-08", rule: "SERVFAIL for A, and no AAAA", want: all("T 4.4.3"), conns: none, setup: troubled(),
			dns: oddWith(zoneOf(withAddress), dnssim.WithoutAddresses, failing(dns.RcodeServerFailure, "A mx1.test"))},
	}
}

// troubled is the setup of rows that make trouble in DNS: those without shall not meet a resolver that has become cautious.
func troubled() setup { return setup{smtp: "# DNS is in trouble here"} }

// formerrOnce answers the first question for MX of each name with FORMERR, as a server does that knows no EDNS.
func formerrOnce() oddity {
	seen := map[string]bool{} // guarded: the handler of a play is called under its watch's lock
	return func(_ names, question string, _ bool, a dnssim.Answer) dnssim.Answer {
		if question[:2] == "MX" && !seen[question] {
			seen[question] = true
			return dnssim.Answer{RCode: dns.RcodeFormatError, NoOPT: true}
		}
		return a
	}
}

// referring answers with the servers to ask instead.
func referring(question string) oddity {
	return func(n names, q string, _ bool, a dnssim.Answer) dnssim.Answer {
		if q != question {
			return a
		}
		return dnssim.Answer{Ns: []dns.RR{n.record("one.test. NS ns.test.")}, Extra: []dns.RR{n.record("ns.test. A 192.0.2.53")}}
	}
}

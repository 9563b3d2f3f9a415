package conformance

import (
	"slices"
	"strings"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/resolver"
)

// addressRows are addresses that are none, or would be more than one command to the next hop.
func addressRows() []row {
	return slices.Concat(injectedRows(), opaqueRows(), domainSyntaxRows(), twiceRows(), literalRows())
}

// refusedAddress is a path that RCPT must refuse, whether it is the first one or not, while the others get the mail.
func refusedAddress(id, rule, path string, replies ...string) row {
	s := script{"> MAIL FROM:<list@example.org>", "< 250"}
	for _, other := range []string{"a", "b"} {
		s = append(s, "> RCPT TO:"+path)
		for _, r := range replies {
			s = append(s, "< "+r)
		}
		s = append(s, "> RCPT TO:<"+other+"@one.test>", "< 250")
	}
	s = append(s, "> DATA", "< 354", "> Subject: x", "> ", "> .", "< 250", "< 250")
	return spoken(id, rule, addressed([]string{"a@one.test", "b@one.test"}, append(s, bye()...)))
}

// refusedSender is a path that MAIL must refuse.
func refusedSender(id, rule, path string, replies ...string) row {
	s := script{"> MAIL FROM:" + path}
	for _, r := range replies {
		s = append(s, "< "+r)
	}
	return spoken(id, rule, saying(nil, slices.Concat(s, script{"> RCPT TO:<a@one.test>", "< 503 5.5.1"}, bye())))
}

// takenAddress is a path that RCPT must take, and how the next hop must be told it.
func takenAddress(id, rule, path, told string) row {
	s := script{"> MAIL FROM:<list@example.org>", "< 250", "> RCPT TO:" + path, "< 250 2.1.5", "> DATA", "< 354", "> Subject: x", "> ", "> .", "< 250 2.0.0"}
	return spoken(id, rule, addressed([]string{told}, append(s, bye()...)))
}

// injectedRows are control octets in addresses and parameters.
func injectedRows() (rows []row) {
	for _, c := range []struct{ name, octet string }{{"CR", "\r"}, {"NUL", "\x00"}, {"ESC", "\x1b"}, {"DEL", "\x7f"}, {"TAB", "\t"}} {
		rows = append(rows,
			refusedAddress("ADR-01", c.name+" in a recipient's local part", "<\"a"+c.octet+"b\"@one.test>", "550 5.1.3"),
			refusedAddress("ADR-01", c.name+" in a recipient's domain", "<a@one"+c.octet+".test>", "5"),
			refusedSender("ADR-01", c.name+" in a sender", "<\"a"+c.octet+"b\"@example.org>", "550 5.1.7"))
	}
	const smuggled = "<a@one.test>\rRCPT TO:<forged@one.test>"
	return append(rows,
		refusedAddress("ADR-01", "LF in a recipient: two lines, neither of which is a command", "<a\nb@one.test>", "50", "50"),
		refusedSender("ADR-01", "LF in a sender: two lines, neither of which is a command", "<a\nb@example.org>", "50", "50"),
		refusedAddress("ADR-01", "a second command behind CR", smuggled, "50"),
		refusedAddress("ADR-01", "a parameter behind the path that nobody offered", "<a@one.test> NOTIFY=NEVER\r", "50"),
		refusedSender("ADR-01", "CR in a parameter", "<a@example.org> BODY=8BITMIME\rRCPT", "50"),
		refusedSender("ADR-01", "NUL in a parameter", "<a@example.org> SIZE=1\x00", "50"),
	)
}

// opaqueRows are local parts that mean nothing to us.
func opaqueRows() []row {
	as := func(id, rule, address string) row { return takenAddress(id, rule, "<"+address+">", address) }
	long := func(n int) string { return strings.Repeat("l", n) }
	return []row{
		takenAddress("ADR-04", "a source route is cut off", "<@relay.test,@other.test:a@one.test>", "a@one.test"),
		takenAddress("ADR-04", "a source route of one host", "<@relay.test:a@one.test>", "a@one.test"),
		as("ADR-05", "a local part of 65 octets", long(65)+"@one.test"),
		as("ADR-05", "a local part of 500 octets", long(500)+"@one.test"),
		as("ADR-05", "a quoted local part of 300 octets", `"`+long(300)+`\"`+long(300)+`"@one.test`),
		refusedAddress("ADR-05", "a local part of 1,000 octets", "<"+long(1000)+"@one.test>", "550 5.1.3"),
		spoken("ADR-05", "a command of 9,000 octets cannot be followed: the connection ends, and nothing behind it is obeyed",
			saying(nil, slices.Concat(envelope("a@one.test")[:4], script{"> RCPT TO:<" + long(9000) + "@one.test>", "> DATA", "> x", "> .", "< 500", "<closed"}))),
		as("ADR-06", "percent", "u%h@one.test"),
		as("ADR-06", "bang path", "u!h@one.test"),
		as("ADR-06", "a dash first", "-u@one.test"),
		as("ADR-06", "plus", "u+tag@one.test"),
		as("ADR-06", "capitals", "U.Upper@one.test"),
		as("ADR-06", "what shells obey", "`id`|$x{y}'z#&*=?^~/.a@one.test"),
		as("ADR-06", "an address inside of quotes", `"a@evil.example"@one.test`),
		as("ADR-06", "brackets inside of quotes", `"a><b"@one.test`),
		as("ADR-06", "a quote and a backslash inside of quotes", `"a\"b\\c"@one.test`),
		as("ADR-06", "a local part that needs its quotes", `"a..b"@one.test`),
		as("ADR-06", "a lone dot inside of quotes", `"."@one.test`),
		takenAddress("ADR-06", "quotes that nobody needs", `<"a"@one.test>`, "a@one.test"),
	}
}

// domainSyntaxRows are what stands behind the @ and is no domain.
func domainSyntaxRows() (rows []row) {
	for rule, domain := range map[string]string{
		"a backslash": `o\ne.test`, "a quote": `o"ne.test`, "a comma": "o,ne.test", "an empty label": "one..test", "a hyphen first": "-one.test", "a hyphen last": "one-.test",
		"a dot first": ".one.test", "a blank": "one .test", "a label of 64 octets": strings.Repeat("l", 64) + ".test", "a name of 300 octets": strings.Repeat("label.", 50) + "test",
		"a slash": "one/../.test", "a colon": "one.test:25", "a percent sign": "one%2e.test", "brackets": "(one).test", "a semicolon": "one;.test", "an asterisk": "*.test",
	} {
		rows = append(rows, refusedAddress("ADR-07", rule+" in a domain", "<a@"+domain+">", "5"))
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.rule, b.rule) })
	return append(rows,
		refusedAddress("ADR-07", "no domain", "<a>", "501 5.5.2"),
		refusedAddress("ADR-07", "no local part", "<@one.test>", "5"),
		refusedAddress("ADR-07", "no address", "<>", "501 5.5.2"),
		takenAddress("ADR-07", "a dot last is none of the name's", "<a@one.test.>", "a@one.test"),
		takenAddress("ADR-07", "a domain in capitals is the same", "<a@ONE.test>", "a@ONE.test"),
		underscored(),
	)
}

// underscored is a domain that is no host name and exists.
func underscored() row {
	r := takenAddress("ADR-07", "an underscore, which real names have", "<a@_x.one.test>", "a@_x.one.test")
	r.zone = zoneOf("_x.one.test. MX 10 mx1.test.", "mx1.test. A 192.0.2.1")
	return r
}

// twiceRows are recipients that stand twice in a transaction: one copy, and a reply each.
func twiceRows() []row {
	twice := []string{"a@one.test", "b@one.test", "a@one.test"}
	said := func(rule string, to []string, copies string, replies ...string) row {
		return spoken("ADR-08", rule, saying(map[string]string{"192.0.2.1": copies}, append(news(to, replies...), bye()...)))
	}
	refused := said("twice, and refused by the exchanger: a reply each", twice, "b", "550 5.1.1", "250", "550 5.1.1")
	refused.faults = []fault{{at: atRcpt, of: "a@", do: do(say("550 5.1.1 nobody"))}}
	return []row{
		said("twice: one copy, and a reply each", twice, "a b", "250", "250", "250"),
		said("a hundred times", slices.Repeat([]string{"a@one.test"}, 100), "a", slices.Repeat([]string{"250"}, 100)...),
		said("local parts that differ in case are two", []string{"a@one.test", "A@one.test"}, "A a", "250", "250"),
		said("domains that differ in case are told as they were given", []string{"a@one.test", "a@ONE.test"}, "a a", "250", "250"),
		refused,
	}
}

// literalRows are addresses in place of domains.
func literalRows() []row {
	literal := func(rule, to string, others ...host) row {
		return row{id: "DNS-33", rule: rule, want: all("OK"), to: []string{to}, cold: true, zone: zoneOf(twoIsWell), others: others}
	}
	v6 := literal("an IPv6 literal", "a@[IPv6:::1]", host{addr: "::1"})
	v6.conns = none
	forbidden := tuned(tuning{
		engine:  func(_ *resolver.Config, c *feed.Config) { c.Prohibited = feed.Internal() },
		program: []string{"prohibited = []", `prohibited = ["127.0.0.0/16", "::/127"]`},
	}, (*play).exchange)
	prohibited := func(rule, to string) row {
		return row{id: "DNS-33", rule: rule, want: all("P 5.4.4"), conns: none, to: []string{to}, cold: true, zone: zoneOf(twoIsWell), play: forbidden}
	}
	malformed := func(rule, domain string) row { return refusedAddress("DNS-33", rule, "<a@"+domain+">", "5") }
	return []row{
		literal("an IPv4 literal", "a@[192.0.2.1]"), v6,
		prohibited("a literal of a prohibited address", "a@[127.0.0.1]"), prohibited("a literal of a prohibited IPv6 address", "a@[IPv6:::1]"),
		malformed("a literal of four numbers too large", "[1.2.3.256]"), malformed("a literal without end", "[192.0.2.1"), malformed("a literal without address", "[]"),
		malformed("a literal with a zone", "[IPv6:fe80::1%lo]"), malformed("an IPv6 literal without its tag", "[2001:db8::1]"), malformed("a literal of no known kind", "[x-y:z]"),
		malformed("an address without brackets", "192.0.2.1"), malformed("a literal in octal", "[0300.0.2.1]"), malformed("a number as a literal", "[3221225985]"),
	}
}

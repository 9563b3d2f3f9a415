package conformance

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// garbledRows are answers that do not fit, do not belong to the question, or cannot be read.
func garbledRows() []row {
	const partial = bothAreAt + "\nmx1.test. A 192.0.2.1\none.test. MX 20 mx2.test.\ntwo.test. MX 20 mx2.test.\nmx2.test. A 192.0.2.2"
	second := []host{{addr: "192.0.2.2"}}
	spoofed := row{id: "DNS-12", rule: "garbage, other IDs, questions for answers and other questions' answers come before the answer", want: all("OK"),
		setup: troubled(), others: []host{{addr: "192.0.2.66"}}, dns: odd(zoneOf(bothAreAt, "mx1.test. A 192.0.2.1"), spoof), play: at(map[string]string{"192.0.2.1": "a b c"})}
	rows := []row{
		spoofed,
		{id: "DNS-10", rule: "truncated, and TCP refused: what came is not used", where: inMemory, want: all("T 4.4.3"), conns: none, others: second,
			dns: odd(zoneOf(partial), truncated("MX one.test", "MX two.test")), play: playWithoutTCP},
		{id: "DNS-10", rule: "truncated, and TCP says nothing", want: all("T 4.4.3"), conns: none, others: second, setup: setup{own: true},
			dns: odd(zoneOf(partial), silentOverTCP(truncated("MX one.test", "MX two.test")))},
		{id: "DNS-11", rule: "truncated: the whole comes over TCP", want: all("OK"), then: same, others: second, dns: odd(zoneOf(partial), truncated("MX one.test", "MX two.test"))},
		{id: "DNS-11", rule: "60 exchangers, the best one last, are too many for a datagram", want: all("OK"), then: same, zone: manyExchangers(60)},
		{id: "DNS-11", rule: "truncated addresses: the whole comes over TCP", want: all("OK"),
			dns: oddWith(zoneOf(bothAreAt, "mx1.test. A 192.0.2.1"), dnssim.WithoutAddresses, truncated("A mx1.test"))},
		{id: "DNS-11", rule: "truncated and empty: no word about the domain", want: all("OK"), dns: odd(zoneOf(partial), emptied("MX one.test", "MX two.test"))},
	}
	return append(rows, unreadableRows()...)
}

// playWithoutTCP is the usual play while the DNS server refuses TCP.
func playWithoutTCP(p *play) {
	p.world.(*memory).dns.NoTCP = true
	p.exchange()
	p.checkPlaces(nil)
}

// truncated keeps the first record of answers over UDP, and says so.
func truncated(questions ...string) oddity {
	return func(_ names, question string, _ bool, a dnssim.Answer) dnssim.Answer {
		a.Truncate = strings.Contains(strings.Join(questions, ","), question)
		return a
	}
}

// emptied keeps nothing of answers over UDP, and says so.
func emptied(questions ...string) oddity {
	return func(n names, question string, tcp bool, a dnssim.Answer) dnssim.Answer {
		if tcp {
			return a
		}
		if a = truncated(questions...)(n, question, tcp, a); a.Truncate {
			a.Answer, a.Extra = nil, nil
		}
		return a
	}
}

// silentOverTCP is an oddity of a server that takes TCP connections and says nothing on them.
func silentOverTCP(o oddity) oddity {
	return func(n names, question string, tcp bool, a dnssim.Answer) dnssim.Answer {
		a = o(n, question, tcp, a)
		a.Drop = tcp
		return a
	}
}

// manyExchangers is a zone in which the best one stands last.
func manyExchangers(n int) string {
	var records []string
	for _, domain := range []string{"one", "two"} {
		for i := n; i > 1; i-- {
			records = append(records, fmt.Sprintf("%s.test. MX %d a-mail-exchanger-with-a-long-name-%d.test.", domain, 10*i, i))
		}
		records = append(records, domain+".test. MX 10 mx1.test.")
	}
	for i := n; i > 1; i-- {
		records = append(records, fmt.Sprintf("a-mail-exchanger-with-a-long-name-%d.test. A 192.0.2.%d", i, 100+i))
	}
	return zoneOf(append(records, "mx1.test. A 192.0.2.1")...)
}

// spoof sends what others might, in front of the answer: each would lead the mail to 192.0.2.66.
func spoof(n names, question string, _ bool, a dnssim.Answer) dnssim.Answer {
	kind, name, _ := strings.Cut(question, " ")
	lie := n.record("mx1.test. A 192.0.2.66")
	if kind == "MX" {
		lie = n.record(name + ". MX 1 mx1.test.")
	}
	q := dns.Question{Name: dns.Fqdn(n.text(name)), Qtype: dns.StringToType[kind], Qclass: dns.ClassINET}
	more := []dns.RR{n.record("mx1.test. A 192.0.2.66")}
	good := packed(q, lie, more)
	asking := packed(q, lie, more)
	asking[2] &^= 0x80 // QR
	other := q
	other.Name = n.text("other.test.")
	another := q
	another.Qclass = dns.ClassCHAOS
	a.Garbage = [][]byte{{1, 2, 3}, {}, good, make([]byte, 12)}                                                     // good has another ID
	a.Forged = [][]byte{{0, 0}, asking, packed(other, lie, more), packed(another, lie, more), good[:12], good[:20]} // these have the right one
	return a
}

// packed is a message that answers a question.
func packed(q dns.Question, rr dns.RR, more []dns.RR) []byte {
	m := new(dns.Msg)
	m.Id, m.Response, m.RecursionAvailable, m.RecursionDesired = dns.Id(), true, true, true
	m.Question, m.Answer, m.Extra = []dns.Question{q}, []dns.RR{rr}, more
	b, err := m.Pack()
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return b
}

// unreadableRows are answers that the codec or reason refuses. Each domain has an address of its own where mail must not go instead.
func unreadableRows() (rows []row) {
	for _, g := range []struct {
		rule   string
		garble func(m []byte, data int) []byte
	}{
		{"cut in the middle of a record", func(m []byte, _ int) []byte { return m[:len(m)-3] }},
		{"cut in front of the data", func(m []byte, data int) []byte { return m[:data] }},
		{"a length of data beyond the end", func(m []byte, data int) []byte { binary.BigEndian.PutUint16(m[data-2:], 200); return m }},
		{"a length of data that is too short", func(m []byte, data int) []byte { binary.BigEndian.PutUint16(m[data-2:], 2); return m }},
		{"no data at all is no null MX", func(m []byte, data int) []byte { binary.BigEndian.PutUint16(m[data-2:], 0); return m[:data] }},
		{"a name that points to itself", func(m []byte, data int) []byte { return pointed(m, data, data+2) }},
		{"a name that points behind the end", func(m []byte, data int) []byte { return pointed(m, data, 0x3ff0) }},
		{"fewer records than counted", func(m []byte, _ int) []byte { m[7] = 2; return m }},
		{"a label that is none", func(m []byte, data int) []byte { m[data+2] = 0x80; return m }},
	} {
		rows = append(rows, row{id: "DNS-18", rule: g.rule, want: all("T 4.4.3"), conns: none, setup: troubled(), dns: garbling(g.garble)})
	}
	return append(rows,
		row{id: "DNS-18", rule: "an MX record of another class is no statement about the domain", want: all("T 4.4.3"), conns: none, setup: troubled(),
			dns: garbling(func(m []byte, data int) []byte { binary.BigEndian.PutUint16(m[data-8:], dns.ClassCHAOS); return m })},
		row{id: "DNS-18", rule: "an MX record of another name is no statement about the domain", want: all("T 4.4.3"), conns: none, setup: troubled(), dns: astray()},
		row{id: "DNS-18", rule: "octets behind the message", want: all("OK"), setup: troubled(),
			dns: garbling(func(m []byte, _ int) []byte { return append(m, "nothing"...) })},
		row{id: "DNS-18", rule: "an address of three octets", want: all("T 4.4.3"), conns: none, setup: troubled(), dns: shortAddress()})
}

// pointed makes the exchanger's name a compression pointer.
func pointed(m []byte, data, to int) []byte {
	binary.BigEndian.PutUint16(m[data-2:], 4)
	return append(m[:data+2], 0xc0|byte(to>>8), byte(to))
}

// garbling changes the octets of MX answers; data is where the only record's data begins.
func garbling(garble func(m []byte, data int) []byte) func(names) dnssim.Handler {
	return odd(zoneOf("one.test. A 192.0.2.1", "two.test. A 192.0.2.1", "mx1.test. A 192.0.2.1"),
		func(n names, question string, _ bool, a dnssim.Answer) dnssim.Answer {
			name, isMX := strings.CutPrefix(question, "MX ")
			if !isMX {
				return a
			}
			q := dns.Question{Name: dns.Fqdn(n.text(name)), Qtype: dns.TypeMX, Qclass: dns.ClassINET}
			m := packed(q, n.record(name+". MX 10 mx1.test."), nil)
			exchanger := 2 + len(n.text("mx1.test")) + 2 // uncompressed, as the codec packs it here
			return dnssim.Answer{Raw: garble(m, len(m)-exchanger)}
		})
}

// shortAddress answers with an address record that is none.
func shortAddress() func(names) dnssim.Handler {
	return oddWith(zoneOf(bothAreAt, "mx1.test. A 192.0.2.1"), dnssim.WithoutAddresses,
		func(n names, question string, _ bool, a dnssim.Answer) dnssim.Answer {
			if question != "A mx1.test" {
				return a
			}
			m := packed(dns.Question{Name: n.text("mx1.test."), Qtype: dns.TypeA, Qclass: dns.ClassINET}, n.record("mx1.test. A 192.0.2.1"), nil)
			binary.BigEndian.PutUint16(m[len(m)-6:], 3)
			return dnssim.Answer{Raw: m[:len(m)-1]}
		})
}

// astray answers for MX with the records of a name that was not asked for.
func astray() func(names) dnssim.Handler {
	return odd(zoneOf("one.test. A 192.0.2.1", "two.test. A 192.0.2.1", "mx1.test. A 192.0.2.1"),
		func(n names, question string, _ bool, a dnssim.Answer) dnssim.Answer {
			if strings.HasPrefix(question, "MX ") {
				return dnssim.Answer{Answer: []dns.RR{n.record("other.test. MX 10 mx1.test.")}}
			}
			return a
		})
}

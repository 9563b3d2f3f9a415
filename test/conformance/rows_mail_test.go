package conformance

import (
	"strings"
	"time"
)

// mailRows are replies to MAIL.
func mailRows() []row {
	refused := func(id, rule, reply, outcome string) row {
		return row{id: id, rule: rule, want: all(outcome), then: same, faults: []fault{{at: atMail, do: do(say(reply))}}}
	}
	first := func(rule, outcome string, acts ...act) row {
		return row{id: "MAI-01", rule: rule, want: all(outcome), then: fresh, faults: []fault{{at: atMail, do: acts}}}
	}
	later := []fault{{at: atRcpt, times: 3, do: do(say("421 4.3.2 closing"))}, {at: atData, do: do(say("421 4.3.2 closing"), fin)}}
	return []row{
		first("421 and FIN on the first transaction", "T 4.3.2", say("421 4.3.2 closing"), fin),
		{id: "MAI-01", rule: "421 and no FIN: it has said that it goes", long: true, within: 30 * time.Second, want: all("T 4.3.2"), then: fresh,
			faults: []fault{{at: atMail, do: do(say("421 4.3.2 closing"), hush)}}},
		first("FIN without a reply", "T 4.4.2", fin),
		first("RST without a reply", "T 4.4.2", rst),
		{id: "MAI-01", rule: "421 to every command", want: all("T 4.3.2"), then: fresh,
			faults: append([]fault{{at: atMail, do: do(say("421 4.3.2 closing"))}}, later...)},
		refused("MAI-02", "4xx: next host; the session goes on behind RSET", "451 4.7.1 later", "T 4.7.1"),
		{id: "MAI-02", rule: "4xx without pipelining", want: all("T 4.7.1"), then: same, offer: []string{}, faults: []fault{{at: atMail, do: do(say("451 4.7.1 later"))}}},
		{id: "MAI-02", rule: "two hosts are visited at most", want: all("T 4.7.1"), to: []string{"a@one.test", "b@one.test"}, zone: fourExchangers, others: grumpy("192.0.2.2", "192.0.2.3", "192.0.2.4"),
			play: playTwoVisits, faults: []fault{{at: atMail, times: always, do: do(say("451 4.7.1 not now"))}}},
		refused("MAI-03", "5xx: everybody, finally", "550 5.7.1 no", "P 5.7.1"),
		refused("MAI-03", "553: everybody, finally", "553 5.1.8 no such domain of the sender", "P 5.1.8"),
		refused("MAI-04", "the replies to RCPT and DATA mean nothing behind a refusal", "451 later", "T 4.0.0"),
		{id: "MAI-04", rule: "refused, and RCPT gets 550", want: all("T 4.0.0"), then: same, faults: []fault{{at: atMail, do: do(say("451 later"))},
			{at: atRcpt, times: 3, do: do(say("550 5.1.1 no MAIL"))}, {at: atData, do: do(say("554 no"))}}},
		{id: "MAI-04", rule: "refused, and DATA is invited all the same", want: all("P 5.0.0"), then: same,
			faults: []fault{{at: atMail, do: do(say("550 no"))}, {at: atData, do: do(say("354 go"))}}},
		{id: "MAI-04", rule: "refused, and yet RCPT and DATA are taken: no body", want: all("P 5.0.0"), then: fresh,
			faults: []fault{{at: atMail, do: do(say("550 no"))}, {at: atRcpt, times: 3, do: do(say("250 ok"))}, {at: atData, do: do(say("354 go"), hush)}}},
		{id: "MAI-05", rule: "550 and FIN without the other replies", want: all("P 5.7.1"), then: fresh,
			faults: []fault{{at: atMail, do: do(say("550 5.7.1 blocked"), fin)}}},
		{id: "MAI-05", rule: "450 and FIN without the other replies", want: all("T 4.7.1"), then: fresh,
			faults: []fault{{at: atMail, do: do(say("450 4.7.1 blocked"), fin)}}},
		{id: "MAI-05", rule: "550 and RST without the other replies", want: all("P 5.7.1"), then: fresh,
			faults: []fault{{at: atMail, do: do(say("550 5.7.1 blocked"), pause(100*time.Millisecond), rst)}}},
		unknownParameter("501 5.5.4 syntax"), unknownParameter("555 5.5.4 parameter not recognised"),
		{id: "MAI-06", rule: "a refusal that stays without parameters is final", want: all("P 5.5.4"),
			faults: []fault{{at: atMail, times: always, do: do(say("555 5.5.4 no"))}}},
		refused("MAI-07", "552: too big is final", "552 5.3.4 too big", "P 5.3.4"),
		{id: "MAI-08", rule: "larger than SIZE: no MAIL here, and another host may take it", want: all("P 5.3.4"), nextMoves: true, noMail: true,
			offer: []string{"PIPELINING", "SIZE 100"}, content: "Subject: long\r\n\r\n" + strings.Repeat("long line\r\n", 50)},
		{id: "MAI-08", rule: "as large as SIZE is not larger", want: all("OK"), then: same, offer: []string{"PIPELINING", "SIZE 3000"},
			content: "Subject: long\r\n\r\n" + strings.Repeat("long line\r\n", 50)},
	}
}

// unknownParameter is a server that offers SIZE and 8BITMIME and refuses them in MAIL.
func unknownParameter(reply string) row {
	given := func(s *server) bool { return s.txn != nil && s.txn.params != "" }
	return row{id: "MAI-06", rule: reply[:3] + " to a parameter that was offered: once more without", want: all("OK"), then: same,
		faults: []fault{{at: atMail, when: given, times: always, do: do(say(reply))}}}
}

// fourExchangers is a zone in which there are more exchangers than are visited.
const fourExchangers = "one.test. MX 1 mx1.test.\none.test. MX 2 mx2.test.\none.test. MX 3 mx3.test.\none.test. MX 4 mx4.test.\n" +
	"mx1.test. A 192.0.2.1\nmx2.test. A 192.0.2.2\nmx3.test. A 192.0.2.3\nmx4.test. A 192.0.2.4\ntest. SOA ns.test. host.test. 1 2 3 4 300\n"

// grumpy are hosts that take nothing now.
func grumpy(addrs ...string) (hosts []host) {
	for _, a := range addrs {
		hosts = append(hosts, host{addr: a, faults: []fault{{at: atMail, times: always, do: do(say("451 4.7.1 not now"))}}})
	}
	return hosts
}

// playTwoVisits counts the hosts that were tried.
func playTwoVisits(p *play) {
	p.got = p.send(p.message(p.content(), p.row.to...))
	tried := 0
	for _, h := range p.hosts {
		tried += min(len(h.connections()), 1)
	}
	if tried != 2 {
		p.fail("%d hosts were tried, wanted 2", tried)
	}
	for _, o := range p.got {
		if !o.is("T 4.7.1", true) {
			p.fail("%v, wanted T 4.7.1", o)
		}
	}
}

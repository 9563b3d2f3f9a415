package conformance

import (
	"fmt"
	"time"

	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// throng is n recipients of both domains.
func throng(n int) []string {
	to := []string{"c@two.test"}
	for i := 1; i < n; i++ {
		to = append(to, fmt.Sprintf("user-with-a-name-that-is-long-enough-%d@one.test", i))
	}
	return to
}

// tinyWindow is a way on which little fits.
func tinyWindow() netsim.Link { return netsim.Link{Latency: 10 * time.Millisecond, Window: 1 << 10} }

// rcptRows are replies to RCPT.
func rcptRows() []row {
	to := func(who, reply string) fault { return fault{at: atRcpt, of: who, do: do(say(reply))} }
	refused := func(reply string) fault { return fault{at: atRcpt, times: 3, do: do(say(reply))} }
	// Recipients of several domains come in the order in which the DNS answers: where it matters who is first, they are of one.
	oneDomain := neighbours()
	one := setup{sessionsPerHost: 1} // else what is left may go over a second connection beside the first
	rows := []row{
		{id: "RCP-01", rule: "each its own result", want: []string{"OK", "T 4.0.0", "P 5.0.0"}, then: same, faults: refusals("451 later", "550 no")},
		{id: "RCP-01", rule: "each its own result, without pipelining", want: []string{"OK", "T 4.0.0", "P 5.0.0"}, then: same, offer: []string{},
			faults: refusals("451 later", "550 no")},
		{id: "RCP-01", rule: "250, 451, 550, 250", to: []string{"a@one.test", "b@one.test", "c@two.test", "e@two.test"},
			want: []string{"OK", "T 4.0.0", "P 5.0.0", "OK"}, then: same, faults: refusals("451 later", "550 no")},
		{id: "RCP-02", rule: "452 4.5.3: the rest at once on the same connection", want: all("OK"), setup: one, then: same, learned: "1 recipients a transaction",
			faults: []fault{{at: atRcpt, times: always, when: secondRcpt, do: do(say("452 4.5.3 too many"))}}},
		{id: "RCP-02", rule: "a bare 452 behind two", to: oneDomain, want: all("OK"), setup: one, then: same, learned: "2 recipients a transaction", faults: []fault{to("c@", "452 too many")}},
		{id: "RCP-02", rule: "452 4.2.2 is a full mailbox", want: []string{"OK", "OK", "T 4.2.2"}, then: same, faults: []fault{to("c@", "452 4.2.2 full")}},
		{id: "RCP-02", rule: "452 without pipelining", want: all("OK"), setup: one, then: same, offer: []string{},
			faults: []fault{{at: atRcpt, times: always, when: secondRcpt, do: do(say("452 4.5.3 too many"))}}},
		{id: "RCP-03", rule: "452 to the first: no endless repetition", want: all("T 4.5.3"), then: same,
			faults: []fault{{at: atRcpt, times: 3, do: do(say("452 4.5.3 too many"))}}},
		{id: "RCP-05", rule: "552 behind one is too many", want: all("OK"), setup: one, then: same, learned: "1 recipients a transaction",
			faults: []fault{{at: atRcpt, times: always, when: secondRcpt, do: do(say("552 too many"))}}},
		{id: "RCP-05", rule: "552 5.2.2 is a full mailbox", want: []string{"OK", "P 5.2.2", "OK"}, then: same, faults: []fault{to("b@", "552 5.2.2 full")}},
		{id: "RCP-05", rule: "552 to the first is final", to: oneDomain, want: []string{"P 5.0.0", "OK", "OK"}, then: same, faults: []fault{to("a@", "552 full")}},
		{id: "RCP-07", rule: "one domain a transaction: split on the same connection", to: everybody(), want: all("OK"), setup: one, then: same, learned: "one domain",
			faults: []fault{{at: atRcpt, times: always, when: secondDomain, do: do(say("451 4.3.0 Multiple destination domains per transaction is unsupported"))}}},
		{id: "RCP-07", rule: "said to the first recipient it is an ordinary deferral", where: inMemory, want: []string{"T 4.3.0", "OK", "OK"}, then: same, setup: setup{always: true},
			faults: []fault{to("a@", "451 4.3.0 Multiple destination domains per transaction is unsupported")}},
		{id: "RCP-10", rule: "greylisted: those recipients only", want: []string{"OK", "OK", "T 4.2.0"}, then: same, faults: []fault{to("c@", "450 4.2.0 greylisted")}},
		{id: "RCP-11", rule: "all refused and yet 354: a lone dot, whose reply means nothing", want: all("P 5.1.1"), then: same,
			faults: []fault{refused("550 5.1.1 no"), {at: atData, do: do(say("354 go"))}, {at: atDot, do: do(say("250 queued"))}}},
		{id: "RCP-11", rule: "all deferred and yet 354", want: all("T 4.2.0"), then: same,
			faults: []fault{refused("450 4.2.0 no"), {at: atData, do: do(say("354 go"))}, {at: atDot, do: do(say("250 queued"))}}},
		{id: "RCP-11", rule: "the connection breaks behind the lone dot: nothing is in doubt", want: []string{"P 5.1.1", "T 4.2.0", "P 5.1.1"}, then: fresh,
			faults: []fault{to("b@", "450 4.2.0 no"), to("a@", "550 5.1.1 no"), to("c@", "550 5.1.1 no"), {at: atData, do: do(say("354 go"))}, {at: atDot, do: do(half)}}},
		{id: "RCP-12", rule: "all refused, DATA 503", want: all("P 5.1.1"), then: same, faults: []fault{refused("550 5.1.1 no")}},
		{id: "RCP-12", rule: "all refused, DATA 554", want: all("P 5.1.1"), then: same,
			faults: []fault{refused("550 5.1.1 no"), {at: atData, do: do(say("554 5.5.1 no valid recipients"))}}},
		{id: "RCP-12", rule: "all refused, DATA 451", want: all("P 5.1.1"), then: same, faults: []fault{refused("550 5.1.1 no"), {at: atData, do: do(say("451 no"))}}},
		{id: "RCP-12", rule: "all refused, without pipelining: no DATA", want: all("P 5.1.1"), then: same, offer: []string{},
			faults: []fault{refused("550 5.1.1 no"), {at: atData, nth: 1, do: do(blamed("DATA without a recipient"), say("503 no"))}}},
		{id: "RCP-13", rule: "251, 252 and 200 accept", want: all("OK"), then: same,
			faults: []fault{to("a@", "251 forwarded"), to("b@", "252 perhaps"), to("c@", "200 yes")}},
		{id: "RCP-14", rule: "551: not followed", want: []string{"OK", "P 5.1.6", "OK"}, then: same, faults: []fault{to("b@", "551 5.1.6 try <x@y.test>")}},
		{id: "RCP-22", rule: "5.7.1 is final: the other exchanger is not asked", want: []string{"P 5.7.1", "OK", "P 5.7.1"}, then: same,
			faults: []fault{to("a@", "550 5.7.1 your address is listed"), to("c@", "554 5.7.1 listed")}},
	}
	return append(append(rows, surplusRows()...), impatientRows()...)
}

// secondDomain is a recipient of another domain than the first of its transaction.
func secondDomain(s *server) bool { return s.txn != nil && len(s.txn.to) > 0 && !sameDomain(s) }

func sameDomain(s *server) bool {
	domain := func(a string) string { return a[len("a@"):] } // rows' local parts have one letter
	return domain(s.txn.to[0].address) == domain(s.naming)
}

// surplusRows have one reply too many or too few.
func surplusRows() []row {
	lockstep := func(rule string, f fault) row {
		f.do, f.times = append(f.do, watched), always
		return row{id: "RCP-18", rule: rule, want: all("T 4.5.0"), offer: []string{}, faults: []fault{f}}
	}
	return []row{
		once("RCP-18", "two replies to MAIL", fault{at: atMail, do: do(say("250 ok", "250 ok"), watched)}),
		once("RCP-18", "one reply too many before DATA's", fault{at: atRcpt, of: "c@", do: do(say("250 ok", "250 ok"), watched)}),
		once("RCP-18", "one refusal too many before DATA's bounces nobody", fault{at: atRcpt, of: "a@", do: do(say("250 ok", "550 5.1.1 no"), watched)}),
		once("RCP-18", "a reply behind 354", fault{at: atData, do: do(say("354 go", "250 ok"), watched)}),
		once("RCP-18", "half a reply behind 354", fault{at: atData, do: do(raw("354 go\r\n25"), watched)}),
		lockstep("two replies to MAIL, without pipelining", fault{at: atMail, do: do(say("250 ok", "250 ok"))}),
		lockstep("two replies to the first RCPT, without pipelining: the refusal is not believed", fault{at: atRcpt, of: "a@", do: do(say("550 no", "250 ok"))}),
		lockstep("two replies to the last RCPT, without pipelining", fault{at: atRcpt, of: "c@", do: do(say("250 ok", "250 ok"))}),
		once("RCP-19", "354 in the place of RCPT's reply", fault{at: atRcpt, of: "b@", do: do(say("354 go"), watched)}),
		once("RCP-19", "a reply to RCPT is missing, 354 comes in its place", fault{at: atRcpt, of: "b@", do: do(watched)}),
		{id: "X-RCP-01", rule: "a refusal too many in another segment, before MAIL's reply, bounces nobody", where: inMemory, want: all("T 4.5.0"), conns: 2,
			faults: []fault{{at: atEhlo, times: always, do: do(say("250-mx.test", "250 PIPELINING"), pause(5*time.Millisecond), say("250 ok"))}}},
		once("X-RCP-02", "all accepted, and DATA's reply comes before RCPT's", fault{at: atMail, do: do(say("250 ok", "354 go"), watched)}),
	}
}

// impatientRows have a server that ends it, or a tarpit.
func impatientRows() []row {
	ends := func(rule string, want []string, offer []string, faults ...fault) row {
		return row{id: "RCP-21", rule: rule, to: neighbours(), want: want, then: fresh, offer: offer, faults: faults}
	}
	refusedA, tired := fault{at: atRcpt, of: "a@", do: do(say("550 5.1.1 no"))}, do(say("421 4.7.0 too many invalid recipients"), half)
	slow := []fault{{at: atRcpt, times: always, do: do(pause(30*time.Second), say("250 ok"))}}
	return []row{
		ends("421 behind a 550: the rest is deferred", []string{"P 5.1.1", "T 4.7.0", "T 4.7.0"}, nil, refusedA, fault{at: atRcpt, of: "b@", do: tired}),
		ends("421 behind an accepted one: it is not delivered", all("T 4.7.0"), nil, fault{at: atRcpt, of: "b@", do: tired}),
		ends("421 to the last", []string{"P 5.1.1", "T 4.7.0", "T 4.7.0"}, nil, refusedA, fault{at: atRcpt, of: "c@", do: tired}),
		ends("421 without pipelining ends the session", []string{"P 5.1.1", "T 4.7.0", "T 4.7.0"}, []string{}, refusedA, fault{at: atRcpt, of: "b@", do: tired}),
		{id: "RCP-20", rule: "a tarpit of 30 s a recipient that takes longer than the budget (40 recipients)", where: inMemory, long: true, stays: true,
			to: throng(40), want: all("T 4.4.7"), within: 540 * time.Second, faults: slow},
		{id: "RCP-20", rule: "a tarpit of 30 s a recipient that does not", where: inMemory, long: true, want: all("OK"), then: notAsked, faults: slow},
		{id: "X-RCP-03", rule: "FIN behind a refusal: that recipient is refused, the others are deferred", want: []string{"T 4.4.2", "P 5.1.1", "T 4.4.2"}, then: fresh,
			faults: []fault{{at: atRcpt, of: "b@", do: do(say("550 5.1.1 no"), half)}}},
		{id: "X-RCP-03", rule: "RST behind a refusal", want: []string{"T 4.4.2", "P 5.1.1", "T 4.4.2"}, then: fresh,
			faults: []fault{{at: atRcpt, of: "b@", do: do(say("550 5.1.1 no"), pause(50*time.Millisecond), rst)}}},
	}
}

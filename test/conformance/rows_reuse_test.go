package conformance

import (
	"slices"
	"time"
)

// reuseRows: a fault on a reused session before its DATA was answered is charged to nobody: the message goes over a fresh one,
// and the other exchanger is left alone.
func reuseRows() []row {
	worn := func(id, rule string, faults ...fault) row {
		for i := range faults {
			faults[i].nth, faults[i].conn = 2, 1
		}
		return row{id: id, rule: rule, warm: true, want: all("OK"), conns: 2, then: same, faults: faults}
	}
	rows := []row{
		worn("X-REU-01", "FIN in answer to MAIL", fault{at: atMail, do: do(half)}),
		worn("X-REU-01", "RST in answer to MAIL", fault{at: atMail, do: do(rst)}),
		worn("X-REU-01", "FIN behind an accepted MAIL", fault{at: atMail, do: do(say("250 ok"), half)}),
		worn("X-REU-01", "FIN behind an accepted RCPT", fault{at: atRcpt, of: "a@", do: do(say("250 ok"), half)}),
		worn("X-REU-01", "FIN instead of the reply to DATA", fault{at: atData, do: do(half)}),
		worn("REU-08", "garbage in answer to MAIL: the connection is not used again", fault{at: atMail, do: do(say("hello world"), hush)}),
		worn("REU-08", "garbage behind a refused RCPT: the refusal may be another's", fault{at: atRcpt, of: "a@", do: do(say("550 no", "hello"), watched)}),
		{id: "REU-08", rule: "garbage behind the end of data: the connection is not used again", want: all("U 4.5.0"), then: fresh,
			faults: []fault{{at: atDot, do: do(say("hello world"), hush)}}},
		worn("X-REU-02", "503 to DATA", fault{at: atData, do: do(say("503 need RCPT"), watched)}),
		worn("X-REU-02", "503 to every RCPT", fault{at: atRcpt, times: 3, do: do(say("503 no"), watched)}),
		worn("REU-05", "421 to MAIL after so many messages", fault{at: atMail, do: do(say("421 4.7.0 too many messages in this session"), fin)}),
		worn("REU-05", "450 to MAIL after so many messages", fault{at: atMail, do: do(say("450 4.7.0 too many messages in this session"))}),
		worn("REU-05", "452 to MAIL after so many messages", fault{at: atMail, do: do(say("452 4.7.0 too many messages in this connection, messages per connection is 1"))}),
		{id: "REU-06", rule: "the server kept its state behind a refused content: RSET", want: all("P 5.6.0"), then: same,
			faults: []fault{{at: atDot, do: do(say("554 5.6.0 no"))}, {at: atMail, nth: 2, when: notReset, do: do(blamed("MAIL without RSET"), say("503 nested MAIL"))}}},
		worn("REU-06", "503 nested MAIL on a reused session", fault{at: atMail, do: do(say("503 5.5.1 nested MAIL"), watched)}),
		{id: "REU-07", rule: "no RSET before the first MAIL and none behind a clean 250", warm: true, want: all("OK"), then: same,
			faults: []fault{{at: atRset, times: always, do: do(blamed("RSET for nothing"), say("250 ok"))}}},
		{id: "REU-10", rule: "sessions belong to addresses, whatever the exchangers are called", to: []string{"a@one.test", "b@two.test", "c@three.test"}, want: []string{"OK"}, play: playByAddress,
			zone:   "one.test. MX 10 mx1.test.\ntwo.test. MX 10 mx2.test.\nthree.test. MX 10 mx3.test.\nmx1.test. A 192.0.2.1\nmx2.test. A 192.0.2.2\nmx3.test. A 192.0.2.1\n",
			others: []host{{addr: "192.0.2.2"}}},
		{id: "X-REU-03", rule: "a fault on the fresh session too is charged", warm: true, want: all("T 4.4.2"), conns: 2, then: fresh,
			faults: []fault{{at: atMail, nth: 2, do: do(half)}, {at: atMail, conn: 2, do: do(half)}}},
		{id: "X-REU-03", rule: "FIN behind the end of data is in doubt on a reused session too", warm: true, want: all("U 4.4.2"), then: fresh,
			faults: []fault{{at: atDot, nth: 2, do: do(half)}}},
		{id: "X-REU-03", rule: "a refusal is a refusal on a reused session too", warm: true, want: all("P 5.7.1"), then: same,
			faults: []fault{{at: atMail, nth: 2, do: do(say("550 5.7.1 no"))}}},
		{id: "X-REU-03", rule: "a stray reply before MAIL's on a reused session", warm: true, want: all("OK"), conns: 2, then: same,
			faults: []fault{{at: atMail, nth: 2, conn: 1, do: do(say("250 and another thing", "250 ok"), watched)}}},
	}
	return append(append(append(rows, resetRows()...), idleRows()...), ridingRows()...)
}

func notReset(s *server) bool { return !s.reset }

// playByAddress wants each exchanger to get its own recipients, and nobody else's.
func playByAddress(p *play) {
	p.got = p.send(p.message(p.content(), p.row.to...))
	for i, h := range p.hosts {
		want := [][]string{{"a@one.test", "c@three.test"}, {"b@two.test"}}[i]
		var got []string
		h.locked(func() {
			for _, c := range h.seen {
				for _, t := range c.transactions {
					got = append(got, t.reached()...)
				}
			}
		})
		p.checkMoved(got, p.names.all(want))
	}
}

// resetRows: RSET has no reason to fail. One that does costs a connection and nobody's mail.
func resetRows() (rows []row) {
	for _, reset := range []struct {
		rule string
		do   []act
	}{
		{"502", do(say("502 no RSET"), watched)}, {"503", do(say("503 bad sequence"), watched)}, {"550", do(say("550 no"), watched)},
		{"421", do(say("421 bye"), hush)}, {"garbage", do(say("hello"), hush)}, {"FIN", do(half)}, {"RST", do(rst)}, {"354", do(say("354 go"), watched)},
		{"one reply too many", do(say("250 ok", "250 ok"), watched)},
	} {
		rows = append(rows, row{id: "REU-04", rule: reset.rule + " to RSET: a fresh connection", want: all("P 5.7.1"), then: fresh,
			faults: []fault{{at: atMail, do: do(say("550 5.7.1 no"))}, {at: atRset, do: reset.do}}})
	}
	return append(rows, row{id: "REU-04", rule: "RSET is not answered: a fresh connection", long: true, where: inMemory, want: all("P 5.7.1"), then: fresh,
		faults: []fault{{at: atMail, do: do(say("550 5.7.1 no"))}, {at: atRset, do: do(hush)}}})
}

// idleRows: what an exchanger says or does while nothing is owed ends the session, and touches no mail.
func idleRows() (rows []row) {
	for _, idle := range []struct {
		rule string
		do   []act
	}{
		{"421", do(say("421 4.4.2 idle too long"), hush)}, {"421 and FIN", do(say("421 4.4.2 idle too long"), fin)},
		{"a reply nobody asked for", do(say("250 and another thing"), hush)}, {"a refusal nobody asked for", do(say("550 no"), hush)},
		{"an invitation nobody asked for", do(say("354 go"), hush)}, {"garbage", do(say("hello world"), hush)}, {"half a reply and FIN", do(raw("25"), half)},
		{"FIN", do(half)}, {"RST", do(rst)},
	} {
		rows = append(rows, row{id: "REU-09", rule: "behind the final reply: " + idle.rule, want: all("OK"), then: fresh, rest: 100 * time.Millisecond,
			faults: []fault{{at: atIdle, do: idle.do}}},
			row{id: "REU-09", rule: "a moment behind the final reply: " + idle.rule, want: all("OK"), then: fresh, rest: 300 * time.Millisecond,
				faults: []fault{{at: atIdle, do: append(do(pause(100*time.Millisecond)), idle.do...)}}})
	}
	return rows
}

// ridingRows: behind a body rides the next transaction's MAIL, if the one before went well. Each transaction has one recipient,
// so the third is the first that may ride; what becomes of the second must not touch it. What rides may leave some time behind the body, and
// thus when a fault has happened and was not heard yet: over sockets nobody can tell it from what was sent in spite of the fault.
func ridingRows() []row {
	to := neighbours()
	second := func(id, rule, outcome string, conns int, acts ...act) row {
		r := row{id: id, rule: rule, setup: setup{perTransaction: 1, sessionsPerHost: 1}, to: to, want: []string{"OK", outcome, "OK"}, conns: conns, then: same,
			faults: []fault{{at: atDot, nth: 2, conn: 1, do: acts}}}
		if slices.ContainsFunc(acts, func(a act) bool { return a.judged }) {
			r.where = inMemory
		}
		return r
	}
	third := func(rule, outcome string, conns int, acts ...act) row {
		return row{id: "X-RID-02", rule: rule, setup: setup{perTransaction: 1, sessionsPerHost: 1}, to: to, want: []string{"OK", "OK", outcome}, conns: conns, then: same,
			faults: []fault{{at: atMail, nth: 3, conn: 1, do: acts}}}
	}
	return []row{
		second("X-RID-01", "the body before is refused for now", "T 4.3.0", 1, say("451 4.3.0 later")),
		second("X-RID-01", "the body before is refused for good", "P 5.6.0", 1, say("554 5.6.0 no")),
		second("X-RID-01", "the body before gets 421", "T 4.3.2", 2, say("421 4.3.2 bye"), half),
		second("X-RID-01", "FIN: the body before is in doubt, what rode is not", "U 4.4.2", 2, half),
		second("X-RID-01", "half a reply: the body before is in doubt, what rode is not", "U 4.4.2", 2, raw("250 2.0.0 o"), half),
		second("X-RID-01", "garbage: the body before is in doubt, what rode is not", "U 4.5.0", 2, say("hello"), hush),
		second("X-RID-01", "FIN behind the final reply", "OK", 2, say("250 ok"), half),
		second("X-RID-01", "421 behind the final reply", "OK", 2, say("250 ok", "421 bye"), half),
		third("what rode is refused", "P 5.7.1", 1, say("550 5.7.1 no")),
		third("what rode gets 503", "OK", 2, say("503 5.5.1 nested MAIL"), watched),
		third("what rode gets garbage", "OK", 2, say("hello"), hush),
		third("what rode gets no reply but FIN", "OK", 2, half),
	}
}

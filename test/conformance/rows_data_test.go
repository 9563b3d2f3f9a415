package conformance

import (
	"time"

	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// dataRows are replies to DATA and trouble in the body: without an end of data there is no message, and nothing is in doubt.
func dataRows() []row {
	answered := func(id, rule, outcome string, then then, acts ...act) row {
		return row{id: id, rule: rule, want: all(outcome), then: then, faults: []fault{{at: atData, do: acts}}}
	}
	rows := []row{
		answered("DAT-01", "4xx: next host; the session goes on behind RSET", "T 4.3.1", same, say("451 4.3.1 no room")),
		answered("DAT-01", "5xx: everybody, finally", "P 5.7.1", same, say("554 5.7.1 no")),
		answered("DAT-01", "552 is final", "P 5.3.4", same, say("552 5.3.4 too big")),
		once("DAT-03", "250 is no invitation", fault{at: atData, do: do(say("250 ok"), hush)}),
		once("DAT-03", "250 is no invitation, and it goes on", fault{at: atData, do: do(say("250 ok"), watched)}),
		{id: "DAT-03", rule: "250 always", want: all("T 4.5.0"), conns: 2, faults: []fault{{at: atData, times: always, do: do(say("250 ok"), watched)}}},
		answered("DAT-05", "421 and FIN", "T 4.3.2", fresh, say("421 4.3.2 bye"), fin),
		answered("DAT-05", "421 and no FIN", "T 4.3.2", fresh, say("421 4.3.2 bye"), hush),
		answered("DAT-05", "a refusal with a goodbye behind it", "P 5.7.1", fresh, say("554 5.7.1 no", "421 4.3.2 bye"), hush),
		answered("DAT-05", "FIN without a reply", "T 4.4.2", fresh, fin),
		{id: "DAT-05", rule: "an invitation and FIN: the body does not get to its end", want: all("T 4.4.2|4.5.0"), then: fresh, large: true,
			faults: []fault{{at: atData, do: do(say("354 go"), fin)}}},
		once("DAT-13", "503 although all were accepted", fault{at: atData, do: do(say("503 need RCPT"), watched)}),
		{id: "DAT-13", rule: "503 although all were accepted, always", want: all("T 4.5.0"), conns: 2,
			faults: []fault{{at: atData, times: always, do: do(say("503 need RCPT"), watched)}}},
	}
	for _, reply := range []string{"350 go", "351 go", "399 go", "354", "354-go\r\n354 on"} {
		rows = append(rows, answered("DAT-04", reply[:3]+reply[min(4, len(reply)):]+" invites", "OK", same, say(reply)))
	}
	return append(append(rows, bodyRows()...), chunkRows()...)
}

// whenTold is before an exchanger that has replied early reads on: not until the host MTA was answered, so the reply was heard. Over sockets
// of one machine a body of any size is gone within a few milliseconds, and with it its end: nobody could have heard the reply before.
var whenTold = act{name: "the host MTA is told", run: func(s *server) bool {
	if !s.flush() {
		return false
	}
	select {
	case <-s.host.told:
		return true
	case <-s.stop:
		return false
	}
}}

// bodyRows are trouble while a large body is on its way.
func bodyRows() []row {
	broken := func(id, rule, outcome string, acts ...act) row {
		return row{id: id, rule: rule, want: all(outcome), then: fresh, large: true, within: 2 * time.Second,
			faults: []fault{{at: inBody, after: 1000, do: acts}}}
	}
	slow := func(id, rule string, within time.Duration, f func(*row)) row {
		r := row{id: id, rule: rule, want: all("T 4.4.2"), large: true, long: true, within: within}
		f(&r)
		return r
	}
	here := netsim.Link{Latency: 10 * time.Millisecond}
	lossy, cut := here, here
	lossy.StallAfter, cut.ResetAfter = 1400, 100<<10
	return []row{
		broken("DAT-06", "552, then it stops reading: told at once", "P 5.3.4", say("552 5.3.4 too big"), deaf),
		broken("DAT-06", "451, then it stops reading", "T 4.3.1", say("451 4.3.1 no room"), deaf),
		broken("DAT-06", "552, and it goes on reading", "P 5.3.4", say("552 5.3.4 too big"), whenTold, hush),
		broken("DAT-06", "552 and RST", "P 5.3.4", say("552 5.3.4 too big"), pause(time.Second), rst),
		broken("DAT-06", "552 and FIN", "P 5.3.4", say("552 5.3.4 too big"), whenTold, half),
		broken("DAT-06", "421", "T 4.3.2", say("421 4.3.2 going down"), whenTold, half),
		{id: "DAT-06", rule: "552 in the same segment as 354", want: all("P 5.3.4"), then: fresh, large: true,
			faults: []fault{{at: atData, do: do(say("354 go", "552 5.3.4 too big"), whenTold, hush)}}},
		early("DAT-07", "250 before the dot is no success", say("250 2.0.0 queued"), whenTold, hush),
		early("DAT-07", "250 before the dot, and it stops reading", say("250 2.0.0 queued"), deaf),
		early("DAT-07", "garbage before the dot", say("hello world"), whenTold, hush),
		early("DAT-07", "354 once more", say("354 go on"), whenTold, hush),
		broken("DAT-08", "RST", "T 4.4.2", rst),
		broken("DAT-08", "FIN", "T 4.4.2", fin),
		broken("DAT-08", "FIN, and it goes on reading", "T 4.4.2", shut, whenTold, hush),
		{id: "DAT-08", rule: "the way resets the connection", where: inMemory, want: all("T 4.4.2"), large: true, link: cut},
		slow("DAT-09", "the window stays shut: 180 s", 185*time.Second, func(r *row) {
			r.then, r.faults = fresh, []fault{{at: inBody, after: 1000, do: do(deaf)}}
		}),
		slow("DAT-10", "100 octets a second are too few", 400*time.Second, func(r *row) {
			r.where, r.then, r.faults = inMemory, fresh, []fault{{at: inBody, do: do(slowly(100))}}
		}),
		slow("DAT-11", "full segments are lost on the way", 185*time.Second, func(r *row) { r.where, r.link = inMemory, lossy }),
	}
}

// early is a reply in the body that cannot mean what it says: tried once more, command by command.
func early(id, rule string, acts ...act) row {
	return row{id: id, rule: rule, want: all("OK"), conns: 2, then: same, careful: true, large: true,
		faults: []fault{{at: inBody, after: 1000, do: acts}}}
}

// chunkRows are servers that offer CHUNKING.
func chunkRows() []row {
	chunked := func(id, rule string, r row) row {
		r.id, r.rule, r.setup.chunkingFrom = id, rule, 1
		if r.offer == nil {
			r.offer = []string{"PIPELINING", "SIZE 0", "8BITMIME", "CHUNKING"}
		}
		return r
	}
	unknown := func(acts ...act) []fault { return []fault{{at: atData, do: acts, when: byChunks}} }
	return []row{
		chunked("DAT-12", "a server that knows BDAT", row{want: all("OK"), then: same}),
		chunked("DAT-12", "BDAT ends the connection: the same host again, by DATA", row{want: all("OK"), conns: 2, then: same, large: true, faults: unknown(fin)}),
		chunked("DAT-12", "502: the same host again, by DATA", row{want: all("OK"), conns: 2, then: same, faults: unknown(say("502 what"))}),
		chunked("DAT-12", "500 and FIN", row{want: all("OK"), conns: 2, then: same, faults: unknown(say("500 what"), fin)}),
		chunked("DAT-12", "a small message goes by DATA", row{want: all("OK"), then: same, setup: setup{perTransaction: 50}, offer: []string{"PIPELINING"}}),
		chunked("X-CHU-01", "FIN behind the last octet: in doubt", row{want: all("U 4.4.2"), then: fresh, faults: []fault{{at: atDot, do: do(half)}}}),
		chunked("X-CHU-01", "half a reply behind the last octet: in doubt", row{want: all("U 4.4.2"), then: fresh,
			faults: []fault{{at: atDot, do: do(raw("250 2.0.0 queu"), half)}}}),
		chunked("X-CHU-02", "354 behind the last octet: in doubt", row{want: all("U 4.5.0"), then: fresh, faults: []fault{{at: atDot, do: do(say("354 go"), hush)}}}),
		chunked("X-CHU-03", "each its own result", row{want: []string{"OK", "T 4.2.0", "P 5.1.1"}, then: same, faults: refusals("450 4.2.0 later", "550 5.1.1 no")}),
		chunked("X-CHU-03", "all refused: no BDAT", row{want: all("P 5.1.1"), then: same,
			faults: []fault{{at: atRcpt, times: 3, do: do(say("550 5.1.1 no"))}, {at: atData, nth: 1, do: do(blamed("BDAT for nobody"), say("503 no"))}}}),
		chunked("X-CHU-04", "the message is refused for good", row{want: all("P 5.6.0"), then: same, faults: []fault{{at: atDot, do: do(say("554 5.6.0 spam"))}}}),
		chunked("X-CHU-04", "the message is refused for now", row{want: all("T 4.3.0"), then: same, faults: []fault{{at: atDot, do: do(say("451 4.3.0 later"))}}}),
		chunked("X-CHU-04", "421 behind the last octet: not taken, not in doubt", row{want: all("T 4.3.2"), then: fresh,
			faults: []fault{{at: atDot, do: do(say("421 4.3.2 bye"), hush)}}}),
	}
}

// byChunks says that the content goes by BDAT.
func byChunks(s *server) bool { return s.chunking }

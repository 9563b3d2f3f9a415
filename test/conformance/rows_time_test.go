package conformance

import (
	"strings"
	"time"
)

// slowRows are replies that come just before their time is over.
func slowRows() (rows []row) {
	for _, slow := range []struct {
		at   stage
		of   string
		wait time.Duration
		text []string
	}{
		{atEhlo, "", 299 * time.Second, []string{"250-mx.test", "250 PIPELINING"}}, {atMail, "", 299 * time.Second, []string{"250 ok"}},
		{atRcpt, "a@", 299 * time.Second, []string{"250 ok"}}, {atRcpt, "c@", 299 * time.Second, []string{"250 ok"}},
		{atData, "", 119 * time.Second, []string{"354 go"}},
	} {
		rows = append(rows, row{id: "X-SLO-01", rule: strings.TrimSpace(string(slow.at)+" "+slow.of) + " after " + slow.wait.String(), where: inMemory, long: true,
			want: all("OK"), then: same, faults: []fault{{at: slow.at, of: slow.of, do: do(pause(slow.wait), say(slow.text...))}}})
	}
	return rows
}

// forgetRows: every mark on a host has its end.
func forgetRows() []row {
	return []row{
		{id: "X-MRK-01", rule: "a host that was down is dialled again after a minute", where: inMemory, want: all("T 4.3.2"), rest: 62 * time.Second, then: fresh,
			faults: []fault{{at: atGreeting, do: do(say("421 4.3.2 not now"), fin)}}},
		{id: "X-MRK-01", rule: "a host that refused connections is dialled again after a minute, and not before", where: inMemory, dead: true, want: all("T 4.4.1"),
			conns: none, rest: 50 * time.Second, then: down},
		{id: "X-MRK-01", rule: "a host that lost count is sent a group of commands again after a while", where: inMemory, want: all("OK"), conns: 2, rest: 4000 * time.Second,
			then: fresh, group: true, faults: []fault{{at: atRcpt, of: "b@", grouped: true, do: do(say("hello"), hush)}}},
		{id: "X-MRK-01", rule: "a host that lost count is not, within the hour", where: inMemory, want: all("OK"), conns: 2, rest: 3000 * time.Second,
			then: fresh, careful: true, faults: []fault{{at: atRcpt, of: "b@", grouped: true, do: do(say("hello"), hush)}}},
	}
}

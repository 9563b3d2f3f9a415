package conformance

import (
	"fmt"
	"strings"
	"time"
)

// helloRows are replies to EHLO and HELO.
func helloRows() []row {
	turned := func(id, rule, outcome string, acts ...act) row {
		return row{id: id, rule: rule, want: all(outcome), then: down, faults: []fault{{at: atEhlo, do: acts}}}
	}
	rows := []row{
		turned("EHL-02", "421: no HELO", "T 4.3.2", say("421 4.3.2 going down"), hush),
		turned("EHL-02", "421 and FIN", "T 4.3.2", say("421 4.3.2 going down"), fin),
		turned("EHL-02", "450 is no reason for HELO either", "T 4.7.1", say("450 4.7.1 come back later"), hush),
		turned("EHL-03", "550 and FIN before HELO", "T 4.4.2", say("550 go away"), fin),
		{id: "EHL-03", rule: "550 to HELO too", want: all("T"), then: down,
			faults: []fault{{at: atEhlo, do: do(say("550 go away"))}, {at: atHelo, do: do(say("550 5.7.1 away"), hush)}}},
		{id: "EHL-03", rule: "421 to HELO", want: all("T 4.3.2"), then: down,
			faults: []fault{{at: atEhlo, do: do(say("502 what"))}, {at: atHelo, do: do(say("421 4.3.2 away"), hush)}}},
		{id: "EHL-05", rule: "lower case, tabs, AUTH=, duplicates, trailing blanks", want: all("OK"), then: same,
			faults: []fault{{at: atEhlo, do: do(say("250-mx1.test", "250-pipelining", "250-AUTH=LOGIN", "250-Size\t1000000 ", "250-PIPELINING ",
				"250-X-UNHEARD of", "250 8bitmime  "))}}},
		{id: "EHL-07", rule: "a single line is a domain, not a keyword", want: all("OK"), then: same, careful: true,
			faults: []fault{{at: atEhlo, do: do(say("250 PIPELINING"))}}},
		{id: "EHL-07", rule: "a domain that looks like SIZE 1 is no limit", want: all("OK"), then: same,
			faults: []fault{{at: atEhlo, do: do(say("250-SIZE 1", "250 PIPELINING"))}}},
		{id: "X-EHL-01", rule: "a bare code", want: all("OK"), then: same, careful: true, faults: []fault{{at: atEhlo, do: do(raw("250\r\n"))}}},
		{id: "X-EHL-02", rule: "a second reply behind it: the session ends before MAIL", want: all("T 4.5.0"), then: down, noMail: true,
			faults: []fault{{at: atEhlo, do: do(say("250-mx.test", "250 PIPELINING", "250 ok"), hush)}}},
		{id: "X-EHL-02", rule: "a second reply behind HELO's", want: all("T 4.5.0"), then: down, noMail: true,
			faults: []fault{{at: atEhlo, do: do(say("502 what"))}, {at: atHelo, do: do(say("250 mx.test", "250 ok"), hush)}}},
		{id: "X-EHL-02", rule: "a refusal behind a refusal: the second one may be HELO's", want: all("T 4.5.0"), then: down, noMail: true,
			faults: []fault{{at: atEhlo, do: do(say("502 what", "502 what"), hush)}}},
		{id: "X-EHL-03", rule: "LIMITS RCPTMAX=1: a transaction each, on one connection", want: all("OK"), then: same, setup: setup{sessionsPerHost: 1},
			offer: []string{"PIPELINING", "LIMITS RCPTMAX=1"}, faults: []fault{{at: atRcpt, nth: 0, times: always, when: secondRcpt,
				do: do(blamed("more recipients than RCPTMAX"), say("452 4.5.3 too many"))}}},
		{id: "X-EHL-03", rule: "LIMITS MAILMAX=1: a connection each", want: all("OK"), conns: 3, setup: setup{perTransaction: 1, sessionsPerHost: 1},
			offer: []string{"PIPELINING", "LIMITS MAILMAX=1"}, faults: []fault{{at: atMail, nth: 2, times: always,
				do: do(blamed("more transactions than MAILMAX"), say("452 4.5.3 too many"))}}},
		{id: "X-EHL-03", rule: "LIMITS that make no sense limit nothing", want: all("OK"), then: same,
			offer: []string{"PIPELINING", "LIMITS RCPTMAX=0 MAILMAX=x RCPTDOMAINMAX= FOO=1 ="}},
		{id: "X-EHL-04", rule: "EHLO is not answered", long: true, want: all("T 4.4.2"), then: down, within: 303 * time.Second,
			faults: []fault{{at: atEhlo, do: do(hush)}}},
		{id: "X-EHL-04", rule: "half of the reply is late", long: true, want: all("T 4.4.2"), then: down, within: 303 * time.Second,
			faults: []fault{{at: atEhlo, do: do(say("250-mx.test"), hush)}}},
	}
	return append(rows, helloForms()...)
}

// secondRcpt is a recipient behind another of the same transaction.
func secondRcpt(s *server) bool { return s.txn != nil && len(s.txn.to) > 0 }

// helloForms are what depends on a code or a keyword alone.
func helloForms() (rows []row) {
	for _, code := range []int{500, 501, 502, 504, 550, 554} {
		rows = append(rows, row{id: "EHL-01", rule: fmt.Sprintf("%d: HELO on the same connection", code), want: all("OK"), then: same, careful: true,
			faults: []fault{{at: atEhlo, times: always, do: do(say(fmt.Sprint(code, " what")))}}})
	}
	for _, size := range []string{"SIZE", "SIZE 0", "SIZE abc", "SIZE 99999999999999999999", "SIZE -1", "SIZE 00"} {
		rows = append(rows, row{id: "EHL-06", rule: size + ": no limit is known", want: all("OK"), then: same, offer: []string{"PIPELINING", size}})
	}
	for _, code := range []string{"150 x", "354 go", "850 x", "hello", "220 again", "2500 x", "25", ""} {
		rows = append(rows, row{id: "X-EHL-05", rule: fmt.Sprintf("%q in answer to EHLO", code), want: all("T 4.5.0|4.3.2"), then: down, noMail: true,
			faults: []fault{{at: atEhlo, do: do(say(code), hush)}}})
	}
	for _, bad := range noReplies() {
		rows = append(rows, row{id: "X-EHL-06", rule: bad.rule, want: all("T 4.5.0"), then: down, noMail: true,
			faults: []fault{{at: atEhlo, do: do(say(bad.line), hush)}}})
	}
	many := make([]string, 126)
	for i := range many {
		many[i] = fmt.Sprint("X-", i)
	}
	return append(rows,
		row{id: "X-LIM-01", rule: "128 lines in answer to EHLO are taken", want: all("OK"), then: same, offer: append(many, "PIPELINING")},
		row{id: "X-LIM-01", rule: "129 lines in answer to EHLO are too many", want: all("T 4.5.0"), then: down, noMail: true,
			offer: append(strings.Fields(strings.Join(many, " ")), "X-A", "X-B")})
}

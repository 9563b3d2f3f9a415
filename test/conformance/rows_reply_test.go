package conformance

import (
	"fmt"
	"strings"
	"time"
)

// once is a row of something that a server does when it is sent a group of commands: it is tried once more, command by command,
// on a new connection; the other exchanger is left alone, and the next message is not sent in a group either.
func once(id, rule string, f fault) row {
	f.grouped, f.times = true, always
	return row{id: id, rule: rule, want: all("OK"), conns: 2, then: same, careful: true, faults: []fault{f}}
}

// replyRows: a reply is nothing but its code and its place. What cannot be read or stands in the wrong place ends the session
// and is temporary, whatever it looks like.
func replyRows() []row {
	each := []string{"OK", "T 4.2.0", "P 5.1.1"}
	rows := []row{
		{id: "REP-01", rule: "lines end in bare LF", want: each, then: same, manner: manner{lf: true}, faults: refusals("450 4.2.0 later", "550 5.1.1 no")},
		{id: "REP-02", rule: "NUL, 8-bit, escapes and CR in the text: the code counts", want: each, then: same,
			faults: append(refusals("450 4.2.0 a\rb\x07\x00", "550 5.1.1 \x1b[31mno\x00 \r such \xc3\xa9 \xff"),
				fault{at: atMail, do: do(say("250 \x00\xff\x80"))}, fault{at: atDot, do: do(say("250 \x7f\x1b]0;t\x07"))})},
		{id: "REP-02", rule: "8-bit text and escapes at every stage", want: all("OK"), then: same, faults: []fault{
			{at: atGreeting, do: do(say("220 \xe9\x1b[2J"))}, {at: atEhlo, do: do(say("250-\xff", "250-\x1b[0m", "250 PIPELINING"))},
			{at: atRcpt, times: 3, do: do(say("250 \xe2\x80\xae"))}, {at: atData, do: do(say("354 \x9b31m"))}, {at: atDot, do: do(say("250 \xf0\x9f\x93\xac"))}}},
		{id: "REP-07", rule: "unknown codes count by their first digit", want: []string{"OK", "T 4.0.0", "P 5.0.0"}, then: same,
			faults: append(refusals("458 hm", "571 no"), fault{at: atMail, do: do(say("299 ok"))}, fault{at: atData, do: do(say("399 go"))},
				fault{at: atDot, do: do(say("299 ok"))})},
		{id: "REP-10", rule: "an enhanced code of another class is none", want: []string{"OK", "T 4.0.0", "P 5.0.0"}, then: same,
			faults: append(refusals("450 5.1.1 later", "550 4.1.1 no"), fault{at: atMail, do: do(say("250 5.1.1 fine"))},
				fault{at: atDot, do: do(say("250 4.0.0 ok"))})},
		{id: "REP-10", rule: "something like an enhanced code is none", want: []string{"OK", "T 4.0.0", "P 5.0.0"}, then: same,
			faults: refusals("450 4.2 later", "550 5.1.1234 no")},
		{id: "REP-11", rule: "one octet a segment", want: each, then: same, manner: manner{gap: time.Millisecond}, faults: refusals("450 4.2.0 later", "550 5.1.1 no")},
		{id: "X-REP-01", rule: "replies of several lines", want: each, then: same,
			faults: append(refusals("450-4.2.0 later\r\n450-4.2.0\r\n450 4.2.0 much", "550-5.1.1 no\r\n550 5.1.1 such user"),
				fault{at: atMail, do: do(say("250-2.1.0 ok", "250 2.1.0 go on"))}, fault{at: atDot, do: do(say("250-2.0.0 queued", "250 2.0.0 as 1"))})},
		{id: "X-REP-02", rule: "codes without text", want: []string{"OK", "T 4.0.0", "P 5.0.0"}, then: same,
			faults: append(refusals("450", "550"), fault{at: atMail, do: do(say("250"))}, fault{at: atData, do: do(say("354"))}, fault{at: atDot, do: do(say("250"))})},
		{id: "X-REP-03", rule: "the text looks like another reply", want: each, then: same,
			faults: refusals("450 4.2.0 250 ok", "550 5.1.1 250-ok 354 go")},
	}
	return append(append(append(rows, waitingRows()...), disorderRows()...), unreadable()...)
}

// refusals are replies to the second and third recipient.
func refusals(second, third string) []fault {
	return []fault{{at: atRcpt, of: "b@", do: do(say(second))}, {at: atRcpt, of: "c@", do: do(say(third))}}
}

// waitingRows are replies that never end. A server that falls silent in a group may have dropped the rest of it: it is tried
// again command by command, if there is no other exchanger, for another silence would take the rest of the time.
func waitingRows() []row {
	stalled := func(id, rule string, f fault) row {
		r := once(id, rule, f)
		r.long, r.within, r.nextMoves, r.connsNext, r.thenNext = true, 303*time.Second, true, 1, fresh
		return r
	}
	return []row{
		stalled("REP-04", "a reply to MAIL that never ends", fault{at: atMail, do: do(say("250-a"), hush)}),
		stalled("REP-04", "a reply to MAIL that gets a line every minute has one deadline", fault{at: atMail, do: do(drip(time.Minute/7, strings.Repeat("250-a\r\n", 60)), leaves)}),
		stalled("REP-04", "a reply to RCPT that never ends", fault{at: atRcpt, of: "b@", do: do(say("250-a"), hush)}),
		stalled("X-REP-04", "MAIL is not answered", fault{at: atMail, do: do(hush)}),
		stalled("X-REP-04", "the second RCPT is not answered", fault{at: atRcpt, of: "b@", do: do(hush)}),
		stalled("X-REP-04", "DATA is not answered", fault{at: atData, do: do(hush)}),
		{id: "REP-04", rule: "a greeting that never ends", long: true, want: all("T 4.4.2"), then: down, within: 303 * time.Second,
			faults: []fault{{at: atGreeting, do: do(say("220-a"), hush)}}},
		{id: "REP-04", rule: "a reply to the end of data that never ends", long: true, want: all("U 4.4.2"), then: fresh, budget: 1200 * time.Second,
			within: 603 * time.Second, faults: []fault{{at: atDot, do: do(say("250-queued"), hush)}}},
		stalled("PIP-01", "what is pipelined behind MAIL is dropped: once more without", fault{at: atMail, do: do(say("250 ok"), swallow)}),
		stalled("PIP-01", "what is pipelined behind RCPT is dropped", fault{at: atRcpt, of: "b@", do: do(say("250 ok"), swallow)}),
		{id: "PIP-04", rule: "64 KiB of RCPT to a server that does not read while its replies are not read", where: inMemory, want: all("OK"),
			to: throng(1000), setup: setup{perTransaction: 1000}, manner: manner{eager: true}, link: tinyWindow()},
		{id: "PIP-04", rule: "64 KiB of RCPT, each answered at once", want: all("OK"), to: throng(1000), setup: setup{perTransaction: 1000},
			manner: manner{eager: true}},
	}
}

// disorderRows are replies in places where they make no sense.
func disorderRows() []row {
	rows := []row{
		once("REP-05", "garbage behind the reply to MAIL", fault{at: atMail, do: do(say("250 ok", "hello world"), watched)}),
		once("REP-05", "garbage between two pipelined replies", fault{at: atRcpt, of: "a@", do: do(say("250 ok", "hello world"), watched)}),
		once("REP-05", "garbage in front of DATA's reply", fault{at: atData, do: do(say("hello world", "354 go"), watched)}),
		once("REP-13", "3xx to MAIL", fault{at: atMail, do: do(say("354 go"), hush)}),
		once("REP-13", "3xx to MAIL, and it goes on", fault{at: atMail, do: do(say("354 go"), watched)}),
		once("REP-13", "3xx to RCPT", fault{at: atRcpt, of: "b@", do: do(say("354 go"), watched)}),
		once("REP-13", "334 to RCPT", fault{at: atRcpt, of: "c@", do: do(say("334 go"), hush)}),
		once("REP-14", "503 to MAIL", fault{at: atMail, do: do(say("503 5.5.1 bad sequence"), watched)}),
		once("REP-14", "503 to one RCPT in the middle", fault{at: atRcpt, of: "b@", do: do(say("503 5.5.1 need MAIL"), watched)}),
	}
	rows = append(rows, row{id: "REP-14", rule: "503 to the end of data: no bounce", want: all("T 4.5.0"), conns: some,
		faults: []fault{{at: atDot, times: always, do: do(say("503 5.5.1 bad sequence"))}}})
	for _, f := range []fault{{at: atMail}, {at: atRcpt, of: "a@"}, {at: atData}} {
		f.times, f.do = always, do(say("503 5.5.1 bad sequence"), watched)
		rows = append(rows, row{id: "REP-14", rule: fmt.Sprintf("503 to %s always: no bounce", f.at), want: all("T 4.5.0"), conns: 2, faults: []fault{f}})
	}
	return rows
}

// A noReply is a line, or two, that are no reply.
type noReply struct{ id, rule, line string }

func noReplies() []noReply {
	return []noReply{
		{"REP-03", "two codes in one reply", "250-a\r\n550 b"}, {"REP-03", "two codes of one class", "250-a\r\n251 b"},
		{"REP-03", "a refusal that ends in 250", "550-a\r\n250 b"}, {"REP-06", "850", "850 x"}, {"REP-06", "699", "699 x"},
		{"REP-06", "099", "099 x"}, {"REP-06", "-50", "-50 x"}, {"REP-06", "+50", "+50 x"}, {"REP-06", "150", "150 x"}, {"REP-06", "000", "000 x"},
		{"REP-08", "no separator", "250OK"}, {"REP-08", "a letter in the code", "25X OK"}, {"REP-08", "a tab behind the code", "250\tok"},
		{"REP-08", "a colon behind the code", "250: ok"}, {"REP-09", "an empty line", "\r\n250 ok"}, {"REP-09", "leading blanks", "  250 ok"},
		{"REP-09", "a leading tab", "\t250 ok"}, {"X-REP-05", "a code that is cut", "25"}, {"X-REP-05", "a code of one digit", "2 ok"},
		{"X-REP-06", "a NUL in the code", "2\x0050 ok"}, {"X-REP-06", "a NUL behind the code", "250\x00ok"}, {"X-REP-06", "a NUL before the code", "\x00250 ok"},
		{"X-REP-07", "digits that are not ASCII", "２５０ ok"}, {"X-REP-07", "a code in hexadecimal", "0xFA ok"},
		{"X-REP-08", "a continuation without a code", "250-a\r\n b"}, {"X-REP-08", "a continuation that is empty", "250-a\r\n\r\n250 b"},
	}
}

// unreadable are lines that are no replies: temporary at MAIL, at RCPT and at DATA, in doubt behind the end of data.
func unreadable() (rows []row) {
	for _, bad := range noReplies() {
		rows = append(rows,
			once(bad.id, bad.rule+" to MAIL", fault{at: atMail, do: do(say(bad.line), hush)}),
			once(bad.id, bad.rule+" to RCPT", fault{at: atRcpt, of: "b@", do: do(say(bad.line), watched)}),
			once(bad.id, bad.rule+" to DATA", fault{at: atData, do: do(say(bad.line), hush)}),
			row{id: bad.id, rule: bad.rule + " to the end of data", want: all("U 4.5.0"), then: fresh,
				faults: []fault{{at: atDot, do: do(say(bad.line), hush)}}},
			row{id: bad.id, rule: bad.rule + " to RCPT, always: no bounce", want: all("T 4.5.0"), conns: 2,
				faults: []fault{{at: atRcpt, of: "b@", times: always, do: do(say(bad.line), hush)}}})
	}
	return rows
}

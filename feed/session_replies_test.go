package feed

import (
	"strings"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A reply is nothing but its code and its place: what cannot be parsed or stands in the wrong place ends the session and is
// temporary, whatever it looks like.
func TestReplyFaults(t *testing.T) {

	rows := []row{
		{name: "REP-01 lines end in bare LF", want: []string{"delivered"}, then: onSame,
			scripts: script(mxsim.Send("220 mx1.test\n"), mxsim.Expect("EHLO"), mxsim.Send("250-mx1.test\n250 PIPELINING\n"), group(),
				mxsim.Send("250 ok\n250 ok\n250 ok\n250 ok\n354 go\n"), mxsim.ReadBody(), mxsim.Send("250 ok\n"), mxsim.Deliver(1), mxsim.Bye())},
		{name: "REP-02 NUL, 8-bit, escapes and CR in the text: the code counts", want: []string{"failed 5.1.1", "deferred 4.2.0", "delivered"}, then: onSame,
			scripts: script(opening(), mxsim.Send("250 \x00\xff\r\n550 5.1.1 \x1b[31mno\x00 \r such \xc3\xa9\r\n450 4.2.0 a\rb\x07\r\n250 \x1b]0;t\x07\r\n354 go\r\n"),
				mxsim.ReadBody(), mxsim.Send("250 \x7f\r\n"), mxsim.Deliver(1), mxsim.Bye())},
		{name: "REP-04 a reply to MAIL that never ends", want: []string{"deferred 4.4.2"}, again: ifNoOther, then: onFresh, within: 303 * time.Second,
			scripts: script(opening(), fault, mxsim.Reply("250-a"), gone())},
		{name: "REP-04 a reply that gets a line every minute has one deadline", want: []string{"deferred 4.4.2"}, again: ifNoOther, then: onFresh, within: 303 * time.Second,
			scripts: script(opening(), fault, drippingLines(time.Minute, "250-a"))},
		{name: "REP-04 a reply to the end of data that never ends", want: []string{"uncertain 4.4.2"}, then: onFresh,
			scripts: script(dotted(), fault, mxsim.Reply("250-queued"), gone())},
		{name: "REP-05 garbage between two pipelined replies", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh, learned: "no pipelining",
			scripts: script(opening(), fault, mxsim.Reply(ok, "hello world", ok, ok, ok, "354 go"), gone())},
		{name: "REP-07 unknown codes count by their first digit", want: []string{"delivered", "deferred 4.0.0", "failed 5.0.0"}, then: onSame,
			scripts: script(opening(), mxsim.Reply("299 ok", "299 ok", "458 hm", "571 no", "399 go"), mxsim.ReadBody(), mxsim.Reply("299 ok"),
				mxsim.Deliver(1), mxsim.Bye())},
		{name: "REP-10 an enhanced code of another class is none", want: []string{"failed 5.0.0", "deferred 4.0.0", "delivered"}, then: onSame,
			scripts: script(opening(), mxsim.Reply(ok, "550 4.1.1 no", "450 5.1.1 later", "250 5.1.1 fine", "354 go"), mxsim.ReadBody(),
				mxsim.Reply("250 4.0.0 ok"), mxsim.Deliver(1), mxsim.Bye())},
		{name: "REP-11 one octet a segment", want: []string{"delivered", "deferred 4.2.0", "failed 5.1.1"}, then: onSame,
			scripts: script(mxsim.Drip(time.Millisecond, "220 mx1.test\r\n"), mxsim.Expect("EHLO"), mxsim.Drip(time.Millisecond, "250-mx1.test\r\n250 PIPELINING\r\n"),
				group(), mxsim.Drip(time.Millisecond, "250 ok\r\n250-ok\r\n250 ok\r\n450 4.2.0 later\r\n550 5.1.1 no\r\n354 go\r\n"), mxsim.ReadBody(),
				mxsim.Drip(time.Millisecond, "250-2.0.0 ok\r\n250 2.0.0 ok\r\n"), mxsim.Deliver(1), mxsim.Bye())},
		{name: "REP-13 3xx to MAIL", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh,
			scripts: script(opening(), fault, mxsim.Reply("354 go"), gone())},
		{name: "REP-13 3xx to RCPT", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh,
			scripts: script(opening(), fault, mxsim.Reply(ok, ok, "354 go", ok), gone())},
		{name: "REP-13 3xx to the end of data", want: []string{"uncertain 4.5.0"}, then: onFresh,
			scripts: script(dotted(), fault, mxsim.Reply("354 go"), gone())},
		{name: "REP-14 503 to MAIL", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh, learned: "no pipelining",
			scripts: script(opening(), fault, mxsim.Reply("503 5.5.1 bad sequence"), gone())},
		{name: "REP-14 503 to RCPT behind an accepted MAIL", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh, learned: "no pipelining",
			scripts: script(opening(), fault, mxsim.Reply(ok, "503 need MAIL", "503 need MAIL", "503 need MAIL", "503 need RCPT"), gone())},
		{name: "REP-14 503 to one RCPT in the middle", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh,
			scripts: script(opening(), fault, mxsim.Reply(ok, ok, "503 need MAIL", ok, "354 go"), gone())},
		{name: "PIP-01 the server drops what is pipelined: once more without", want: []string{"deferred 4.4.2"}, again: ifNoOther, then: onFresh, within: 303 * time.Second,
			scripts: script(opening(), fault, mxsim.Reply(ok), gone())},
	}
	playRows(t, append(rows, unreadable()...))
}

// unreadable are the rows of lines that are no replies: temporary at MAIL, at RCPT and at DATA, uncertain behind the end of data.
func unreadable() []row {
	var rows []row
	for _, bad := range []struct{ name, line string }{
		{"REP-03 two codes in one reply", "250-a\r\n550 b"}, {"REP-03 two codes of one class", "250-a\r\n251 b"},
		{"REP-06 850", "850 x"}, {"REP-06 699", "699 x"}, {"REP-06 099", "099 x"}, {"REP-06 -50", "-50 x"}, {"REP-06 +50", "+50 x"},
		{"REP-06 150", "150 x"}, {"REP-08 no separator", "250OK"}, {"REP-08 a letter in the code", "25X OK"},
		{"REP-09 an empty line", "\r\n250 ok"}, {"REP-09 leading blanks", "  250 ok"}, {"REP a code that is cut", "25"},
	} {

		cut := func(stage, outcome string, steps ...mxsim.Step) row {
			steps = append(steps, gone())
			again := onceMore
			if strings.HasPrefix(outcome, "uncertain") {
				again = notAgain
			}
			return row{name: bad.name + " " + stage, want: []string{outcome}, again: again, then: onFresh, within: time.Second, scripts: script(steps...)}
		}
		rows = append(rows,
			cut("to MAIL", "deferred 4.5.0", opening(), fault, mxsim.Reply(bad.line, ok, ok, ok, "354 go")),
			cut("to RCPT", "deferred 4.5.0", opening(), fault, mxsim.Reply(ok, ok, bad.line, ok, "354 go")),
			cut("to DATA", "deferred 4.5.0", opening(), fault, mxsim.Reply(ok, ok, ok, ok, bad.line)),
			cut("to the end of data", "uncertain 4.5.0", dotted(), fault, mxsim.Reply(bad.line)))
	}
	return rows
}

// drippingLines writes a line now and then until the client leaves.
func drippingLines(gap time.Duration, line string) mxsim.Step {
	text := ""
	for range 60 {
		text += line + "\r\n"
	}
	return dripping(gap/time.Duration(len(line)+2), text)
}

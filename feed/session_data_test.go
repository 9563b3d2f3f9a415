package feed

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
	"github.com/stretchr/testify/assert"
)

func TestDataFaults(t *testing.T) {
	answered := func(reply string) mxsim.Step {
		return mxsim.Seq(opening(), mxsim.Reply(ok, ok, ok, ok, reply))
	}
	rows := []row{
		{name: "DAT-01 4xx: next host; the session goes on behind RSET", want: []string{"deferred 4.3.1"}, then: onSame,
			scripts: script(answered("451 4.3.1 no room"), resetThenDeliver(), mxsim.Bye())},
		{name: "DAT-01 5xx: everybody, finally", want: []string{"failed 5.7.1"}, then: onSame,
			scripts: script(answered("554 5.7.1 no"), resetThenDeliver(), mxsim.Bye())},
		{name: "DAT-03 250 is no invitation", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh,
			scripts: script(opening(), fault, mxsim.Reply(ok, ok, ok, ok, ok), gone())},
		{name: "DAT-05 421 and FIN", want: []string{"deferred 4.3.2"}, then: onFresh,
			scripts: script(opening(), fault, mxsim.Reply(ok, ok, ok, ok, "421 4.3.2 bye"), mxsim.Drop())},
		{name: "DAT-05 a refusal with a goodbye behind it", want: []string{"failed 5.7.1"}, then: onFresh,
			scripts: script(opening(), fault, mxsim.Reply(ok, ok, ok, ok, "554 5.7.1 no", "421 4.3.2 bye"), mxsim.Drop())},
		{name: "DAT-05 FIN without a reply", want: []string{"deferred 4.4.2"}, then: onFresh,
			scripts: script(opening(), fault, mxsim.Reply(ok, ok, ok, ok), mxsim.Drop())},
		{name: "DAT-08 a FIN that crosses with the dot leaves it in doubt", want: []string{"uncertain 4.4.2"}, then: onFresh,
			scripts: script(invited(), mxsim.Stall(time.Millisecond), mxsim.Drop())},
		{name: "DAT no reply for two minutes", want: []string{"deferred 4.4.2"}, again: ifNoOther, then: onFresh, within: 122 * time.Second,
			scripts: script(opening(), fault, mxsim.Reply(ok, ok, ok, ok), gone())},
		{name: "DAT-12 CHUNKING is not used: DATA", want: []string{"delivered"}, then: onSame,
			scripts: script(mxsim.Hello("mx1.test", "PIPELINING", "CHUNKING", "BINARYMIME"), mxsim.Deliver(3), mxsim.Deliver(1), mxsim.Bye())},
		{name: "DAT-13 503 although all were accepted", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh, learned: "no pipelining",
			scripts: script(opening(), fault, mxsim.Reply(ok, ok, ok, ok, "503 need RCPT"), gone())},
	}
	for _, reply := range []string{"350 go", "351 go", "399 go"} {
		rows = append(rows, row{name: "DAT-04 " + reply + ": any 3yz invites", want: []string{"delivered"}, then: onSame,
			scripts: script(answered(reply), mxsim.ReadBody(), mxsim.Reply(ok), mxsim.Deliver(1), mxsim.Bye())})
	}
	playRows(t, rows)
}

// Broken off in the body there is no message, and nothing in doubt.
func TestBodyFaults(t *testing.T) {
	large := text(300 << 10)
	started := func(steps ...mxsim.Step) []mxsim.Script {
		return script(append([]mxsim.Step{invited(), mxsim.ReadOctets(1000)}, steps...)...)
	}
	playRows(t, []row{
		{name: "DAT-06 552 while we write, then it stops reading: told at once", want: []string{"failed 5.3.4"}, then: onFresh,
			content: large, within: 2 * time.Second, scripts: started(mxsim.Reply("552 5.3.4 too big"), mxsim.StopReading())},
		{name: "DAT-06 451 while we write, then it stops reading", want: []string{"deferred 4.3.1"}, then: onFresh,
			content: large, within: 2 * time.Second, scripts: started(mxsim.Reply("451 4.3.1 no room"), mxsim.StopReading())},
		{name: "DAT-06 552 while we write, and it goes on reading", want: []string{"failed 5.3.4"}, then: onFresh,
			content: large, within: 2 * time.Second, scripts: started(mxsim.Reply("552 5.3.4 too big"), gone())},
		{name: "DAT-06 552 and RST", want: []string{"failed 5.3.4"}, then: onFresh, content: large,
			scripts: started(mxsim.Reply("552 5.3.4 too big"), mxsim.Stall(time.Second), mxsim.Reset())},
		{name: "DAT-06 421 while we write", want: []string{"deferred 4.3.2"}, then: onFresh, content: large,
			scripts: started(mxsim.Reply("421 4.3.2 going down"), mxsim.Drop())},
		{name: "DAT-06 552 in the same segment as 354", want: []string{"failed 5.3.4"}, then: onFresh, content: large,
			scripts: script(opening(), fault, mxsim.Reply(ok, ok, ok, ok, "354 go", "552 5.3.4 too big"), gone())},
		{name: "DAT-07 250 before the dot is no success", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh, content: large,
			scripts: started(mxsim.Reply("250 2.0.0 queued"), gone())},
		{name: "DAT-07 250 before the dot, and it stops reading", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh, content: large,
			scripts: started(mxsim.Reply("250 2.0.0 queued"), mxsim.StopReading())},
		{name: "DAT-07 garbage before the dot", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh, content: large,
			scripts: started(mxsim.Reply("hello world"), gone())},
		{name: "DAT-08 RST in the body", want: []string{"deferred 4.4.2"}, then: onFresh, content: large, scripts: started(mxsim.Reset())},
		{name: "DAT-08 FIN in the body", want: []string{"deferred 4.4.2"}, then: onFresh, content: large, scripts: started(mxsim.Drop())},
		{name: "DAT-08 the way resets the connection in the body", want: []string{"deferred 4.4.2"}, content: large,
			link: netsim.Link{Latency: 10 * time.Millisecond, ResetAfter: 100 << 10}, scripts: script(invited(), gone())},
		{name: "DAT-09 the window stays shut: 180 s", want: []string{"deferred 4.4.2"}, then: onFresh, content: large, within: 185 * time.Second,
			scripts: started(mxsim.StopReading())},
		{name: "DAT-10 100 octets a second are too few", want: []string{"deferred 4.4.2"}, then: onFresh, content: large, within: 400 * time.Second,
			scripts: script(invited(), leaves(100))},
		{name: "DAT-11 full segments are lost on the way", want: []string{"deferred 4.4.2"}, content: large, within: 185 * time.Second,
			link: netsim.Link{Latency: 10 * time.Millisecond, StallAfter: 1400}, scripts: script(invited(), gone())},
	})
}

// A connection that is seen to end together with the invitation gets no body: nothing is in doubt then. On the wire the end can
// be anywhere, so the pipeline is asked itself.
func TestEndSeenTogetherWithTheInvitation(t *testing.T) {
	var wrote bytes.Buffer
	events := make(chan event, 10)
	o := &order{transaction: 1, body: bodyOf("hello"), to: []wire.Address{mustAddress(t, "a@one.test")}, deadline: time.Now().Add(time.Hour)}
	x := &exchange{order: o, report: &report{transaction: 1, mail: wire.Reply{Code: 250}, rcpts: []wire.Reply{{Code: 250}}}, stage: stageData, group: true}
	s := &speaker{events: events, conn: writeOnly{Writer: &wrote}, config: &Config{Timeouts: DefaultTimeouts}}
	p := &pipeline{speaker: s, current: x}
	p.listen(t.Context(), hearing{replies: []wire.Reply{{Code: 354}}, err: io.EOF})
	assert.Empty(t, wrote.String(), "no octet of the body is written")
	assert.NotNil(t, p.closing, "the session is over")
	assert.False(t, x.report.dotted, "the transaction is not in doubt")
	assert.ErrorIs(t, x.report.err, io.EOF, "the report says why")
}

// A writeOnly is a connection of which only the writing half exists.
type writeOnly struct {
	net.Conn
	io.Writer
}

func (c writeOnly) Write(b []byte) (int, error)      { return c.Writer.Write(b) }
func (c writeOnly) SetWriteDeadline(time.Time) error { return nil }

// 1000 octets a second are slow and enough.
func TestSlowBodyIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.twoDomains(true)
		content := text(400 << 10)
		w.play(best, mxsim.Script{invited(), slowly(len(content)+len(".\r\n"), 1000), mxsim.Reply(ok), mxsim.Bye()})
		d := w.sendIn(900*time.Second, content, "a@one.test", "b@one.test", "c@two.test")
		assert.Equal(t, repeated("delivered", 3), d.wait(), "all are delivered")
	})
}

func TestEndOfDataFaults(t *testing.T) {
	rows := []row{
		{name: "EOM-01 250", want: []string{"delivered"}, then: onSame, scripts: script(dotted(), mxsim.Reply("250 2.0.0 queued"), mxsim.Deliver(1), mxsim.Bye())},
		{name: "EOM-04 no reply for ten minutes", want: []string{"uncertain 4.4.2"}, then: onFresh, budget: 1200 * time.Second, within: 601 * time.Second,
			scripts: script(dotted(), fault, gone())},
		{name: "EOM-04 no reply until the budget ends", want: []string{"uncertain 4.4.2"}, then: onFresh, within: budget,
			scripts: script(dotted(), fault, gone())},
		{name: "EOM-05 FIN", want: []string{"uncertain 4.4.2"}, then: onFresh, scripts: script(dotted(), fault, mxsim.Drop())},
		{name: "EOM-05 RST", want: []string{"uncertain 4.4.2"}, then: onFresh, scripts: script(dotted(), fault, mxsim.Reset())},
		{name: "EOM-07 half a reply, then FIN", want: []string{"uncertain 4.4.2"}, then: onFresh,
			scripts: script(dotted(), fault, mxsim.Send("250 2.0.0 queu"), mxsim.Drop())},
		{name: "EOM-07 a reply without its LF, then FIN", want: []string{"uncertain 4.4.2"}, then: onFresh,
			scripts: script(dotted(), fault, mxsim.Send("250 2.0.0 queued\r"), mxsim.Drop())},
		{name: "EOM-09 354", want: []string{"uncertain 4.5.0"}, then: onFresh, scripts: script(dotted(), fault, mxsim.Reply("354 go"), gone())},
		{name: "EOM-09 850", want: []string{"uncertain 4.5.0"}, then: onFresh, scripts: script(dotted(), fault, mxsim.Reply("850 what"), gone())},
		{name: "EOM-09 111", want: []string{"uncertain 4.5.0"}, then: onFresh, scripts: script(dotted(), fault, mxsim.Reply("111 what"), gone())},
		{name: "EOM-10 250 and 421 in one segment", want: []string{"delivered"}, then: onFresh,
			scripts: script(dotted(), fault, mxsim.Reply(ok, "421 4.3.2 closing"), mxsim.Drop())},
		{name: "EOM-11 a reply for each recipient: the first one decides", want: []string{"delivered"}, then: onFresh,
			scripts: script(dotted(), fault, mxsim.Reply(ok, "550 no", ok), gone())},
		{name: "EOM-11 a reply for each recipient, the first one is a refusal", want: []string{"failed 5.7.1"}, then: onFresh,
			scripts: script(dotted(), fault, mxsim.Reply("554 5.7.1 no", ok, ok), gone())},
		{name: "EOM-12 421: not taken, not in doubt", want: []string{"deferred 4.3.2"}, then: onFresh,
			scripts: script(dotted(), fault, mxsim.Reply("421 4.3.2 closing"), mxsim.Drop())},
		{name: "EOM 451: next host; RSET before the next message", want: []string{"deferred 4.3.0"}, then: onSame,
			scripts: script(dotted(), mxsim.Reply("451 4.3.0 later"), resetThenDeliver(), mxsim.Bye())},
		{name: "EOM 554: everybody, finally", want: []string{"failed 5.6.0"}, then: onSame,
			scripts: script(dotted(), mxsim.Reply("554 5.6.0 spam"), resetThenDeliver(), mxsim.Bye())},
		{name: "EOM half the end of data left: a refusal counts, the session goes no further", want: []string{"deferred 4.3.1"}, then: onFresh,
			link:    netsim.Link{Latency: 10 * time.Millisecond, Window: len(shortContent) + len(".\r")},
			scripts: script(invited(), mxsim.Stall(181*time.Second), fault, mxsim.Reply("451 4.3.1 no room"), gone())},
		{name: "EOM half the end of data left: without a word it is in doubt", want: []string{"uncertain 4.4.2"}, then: onFresh, within: 185 * time.Second,
			link:    netsim.Link{Latency: 10 * time.Millisecond, Window: len(shortContent) + len(".\r")},
			scripts: script(invited(), mxsim.StopReading())},
		{name: "EOM the end of data did not leave: nothing is in doubt", want: []string{"deferred 4.4.2"}, then: onFresh, within: 185 * time.Second,
			link:    netsim.Link{Latency: 10 * time.Millisecond, Window: len(shortContent)},
			scripts: script(invited(), mxsim.StopReading())},
		{name: "EOM-14 250 for the group: only the accepted are delivered", want: []string{"deferred 4.2.0", "failed 5.1.1", "delivered"}, then: onSame,
			scripts: script(opening(), mxsim.Reply(ok, "450 4.2.0 later", "550 5.1.1 no", ok, "354 go"), mxsim.ReadBody(), mxsim.Reply(ok),
				mxsim.Deliver(1), mxsim.Bye())},
		{name: "EOM-14 nothing comes back: only the accepted are in doubt", want: []string{"deferred 4.2.0", "failed 5.1.1", "uncertain 4.4.2"}, then: onFresh,
			scripts: script(opening(), mxsim.Reply(ok, "450 4.2.0 later", "550 5.1.1 no", ok, "354 go"), mxsim.ReadBody(), fault, mxsim.Drop())},
	}
	playRows(t, rows)
}

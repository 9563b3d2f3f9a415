package feed

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/stretchr/testify/assert"
)

const ok = "250 ok"

func TestMailFaults(t *testing.T) {
	refused := func(reply string) mxsim.Step {
		return mxsim.Seq(opening(), mxsim.Reply(reply, "503 need MAIL", "503 need MAIL", "503 need MAIL", "503 need RCPT"))
	}
	playRows(t, []row{
		{name: "MAI-01 421 and FIN on the first transaction", want: []string{"deferred 4.3.2"}, then: onFresh,
			scripts: script(opening(), fault, mxsim.Reply("421 4.3.2 closing"), mxsim.Drop())},
		{name: "MAI-01 421 to every command", want: []string{"deferred 4.3.2"}, then: onFresh,
			scripts: script(opening(), fault, mxsim.Reply(repeated("421 4.3.2 closing", 5)...), mxsim.Drop())},
		{name: "MAI-01 FIN without a reply", want: []string{"deferred 4.4.2"}, then: onFresh, scripts: script(opening(), fault, mxsim.Drop())},
		{name: "MAI-01 RST without a reply", want: []string{"deferred 4.4.2"}, then: onFresh, scripts: script(opening(), fault, mxsim.Reset())},
		{name: "MAI-02 4xx: next host; the session goes on behind RSET", want: []string{"deferred 4.7.1"}, then: onSame,
			scripts: script(refused("451 4.7.1 later"), resetThenDeliver(), mxsim.Bye())},
		{name: "MAI-03 5xx: everybody, finally", want: []string{"failed 5.7.1"}, then: onSame,
			scripts: script(refused("550 5.7.1 no"), resetThenDeliver(), mxsim.Bye())},
		{name: "MAI-04 refused, and RCPT gets 550", want: []string{"deferred 4.0.0"}, then: onSame,
			scripts: script(opening(), mxsim.Reply("451 later", "550 no MAIL", "550 no MAIL", "550 no MAIL", "554 no"), resetThenDeliver(), mxsim.Bye())},
		{name: "MAI-04 refused, and DATA is invited all the same", want: []string{"failed 5.0.0"}, then: onSame,
			scripts: script(opening(), mxsim.Reply("550 no", "503 no", "503 no", "503 no", "354 go"), mxsim.Expect("."), mxsim.Reply("554 no"),
				resetThenDeliver(), mxsim.Bye())},
		{name: "MAI-04 refused, and yet RCPT and DATA are taken: no body", want: []string{"failed 5.0.0"}, then: onFresh,
			scripts: script(opening(), fault, mxsim.Reply("550 no", ok, ok, ok, "354 go"), gone())},
		{name: "MAI-05 550 and FIN without the other replies", want: []string{"failed 5.7.1"}, then: onFresh,
			scripts: script(opening(), fault, mxsim.Reply("550 5.7.1 blocked"), mxsim.Drop())},
		{name: "MAI-05 550 and RST without the other replies", want: []string{"failed 5.7.1"}, then: onFresh,
			scripts: script(opening(), fault, mxsim.Reply("550 5.7.1 blocked"), mxsim.Stall(time.Second), mxsim.Reset())},
		{name: "MAI-07 552: too big is final", want: []string{"failed 5.3.4"}, then: onSame,
			scripts: script(refused("552 5.3.4 too big"), resetThenDeliver(), mxsim.Bye())},
		{name: "MAI-02 4xx without pipelining", want: []string{"deferred 4.7.1"}, then: onSame,
			scripts: script(mxsim.Hello("mx1.test"), mxsim.Expect("MAIL"), mxsim.Reply("451 4.7.1 later"),
				mxsim.Expect("RSET"), mxsim.ExpectSilence(time.Second), mxsim.Reply(ok), oneByOne(1), mxsim.Bye())},
	})
}

func TestRcptFaults(t *testing.T) {
	playRows(t, []row{
		{name: "RCP-01 each its own result", want: []string{"delivered", "deferred 4.0.0", "failed 5.0.0"}, then: onSame,
			scripts: script(opening(), mxsim.Reply(ok, ok, "451 later", "550 no", "354 go"), mxsim.ReadBody(), mxsim.Reply(ok), mxsim.Deliver(1), mxsim.Bye())},
		{name: "RCP-01 each its own result, without pipelining", want: []string{"delivered", "deferred 4.0.0", "failed 5.0.0"},
			scripts: script(mxsim.Hello("mx1.test"), mxsim.Expect("MAIL"), mxsim.Reply(ok), mxsim.Expect("RCPT"), mxsim.Reply(ok), mxsim.Expect("RCPT"),
				mxsim.Reply("451 later"), mxsim.Expect("RCPT"), mxsim.Reply("550 no"), mxsim.Expect("DATA"), mxsim.Reply("354 go"),
				mxsim.ReadBody(), mxsim.Reply(ok), mxsim.Bye())},
		{name: "RCP-02 452 4.5.3: the rest at once on the same connection", want: []string{"delivered"}, then: onSame, learned: "1 recipients a transaction",
			scripts: script(opening(), mxsim.Reply(ok, ok, "452 4.5.3 too many", "452 4.5.3 too many", "354 go"), mxsim.ReadBody(), mxsim.Reply(ok),
				mxsim.Deliver(1), mxsim.Deliver(1), mxsim.Deliver(1), mxsim.Bye())},
		{name: "RCP-02 a bare 452 behind two", want: []string{"delivered"}, then: onSame, learned: "2 recipients a transaction",
			scripts: script(opening(), mxsim.Reply(ok, ok, ok, "452 too many", "354 go"), mxsim.ReadBody(), mxsim.Reply(ok),
				mxsim.Deliver(1), mxsim.Deliver(1), mxsim.Bye())},
		{name: "RCP-02 452 4.2.2 is a full mailbox", want: []string{"delivered", "delivered", "deferred 4.2.2"}, then: onSame,
			scripts: script(opening(), mxsim.Reply(ok, ok, ok, "452 4.2.2 full", "354 go"), mxsim.ReadBody(), mxsim.Reply(ok), mxsim.Deliver(1), mxsim.Bye())},
		{name: "RCP-03 452 to the first: no endless repetition", want: []string{"deferred 4.5.3"}, then: onSame,
			scripts: script(opening(), mxsim.Reply(ok, "452 4.5.3 too many", "452 4.5.3 too many", "452 4.5.3 too many", "503 no"),
				resetThenDeliver(), mxsim.Bye())},
		{name: "RCP-05 552 behind one is too many", want: []string{"delivered"}, then: onSame, learned: "1 recipients a transaction",
			scripts: script(opening(), mxsim.Reply(ok, ok, "552 too many", "552 too many", "354 go"), mxsim.ReadBody(), mxsim.Reply(ok),
				mxsim.Deliver(1), mxsim.Deliver(1), mxsim.Deliver(1), mxsim.Bye())},
		{name: "RCP-05 552 5.2.2 is a full mailbox", want: []string{"delivered", "failed 5.2.2", "delivered"}, then: onSame,
			scripts: script(opening(), mxsim.Reply(ok, ok, "552 5.2.2 full", ok, "354 go"), mxsim.ReadBody(), mxsim.Reply(ok), mxsim.Deliver(1), mxsim.Bye())},
		{name: "RCP-07 one domain a transaction: split on the same connection", want: []string{"delivered"}, then: onSame, learned: "one domain",
			scripts: script(opening(), mxsim.Reply(ok, ok, ok, "451 4.3.0 Multiple destination domains per transaction is unsupported", "354 go"),
				mxsim.ReadBody(), mxsim.Reply(ok), mxsim.Deliver(1), mxsim.Deliver(1), mxsim.Bye())},
		{name: "RCP-07 said to the first recipient it is an ordinary deferral", want: []string{"deferred 4.3.0", "delivered", "delivered"}, then: onSame,
			config: func(c *Config) { c.Piggyback = PiggybackAlways },
			scripts: script(opening(), mxsim.Reply(ok, "451 4.3.0 Multiple destination domains per transaction is unsupported", ok, ok, "354 go"),
				mxsim.ReadBody(), mxsim.Reply(ok), mxsim.Deliver(1), mxsim.Bye())},
		{name: "RCP-10 greylisted: those recipients only", want: []string{"delivered", "delivered", "deferred 4.2.0"}, then: onSame,
			scripts: script(opening(), mxsim.Reply(ok, ok, ok, "450 4.2.0 greylisted", "354 go"), mxsim.ReadBody(), mxsim.Reply(ok), mxsim.Deliver(1), mxsim.Bye())},
		{name: "RCP-11 all refused and yet 354: a lone dot, whose reply means nothing", want: []string{"failed 5.1.1"}, then: onSame,
			scripts: script(opening(), mxsim.Reply(ok, "550 5.1.1 no", "550 5.1.1 no", "550 5.1.1 no", "354 go"), mxsim.Expect("."), mxsim.Reply("250 queued"),
				resetThenDeliver(), mxsim.Bye())},
		{name: "RCP-11 all deferred and yet 354", want: []string{"deferred 4.2.0"}, then: onSame,
			scripts: script(opening(), mxsim.Reply(ok, "450 4.2.0 no", "450 4.2.0 no", "450 4.2.0 no", "354 go"), mxsim.Expect("."), mxsim.Reply("250 queued"),
				resetThenDeliver(), mxsim.Bye())},
		{name: "RCP-11 the connection breaks behind the lone dot: nothing is uncertain", want: []string{"failed 5.1.1", "deferred 4.2.0", "failed 5.1.1"}, then: onFresh,
			scripts: script(opening(), mxsim.Reply(ok, "550 5.1.1 no", "450 4.2.0 no", "550 5.1.1 no", "354 go"), mxsim.Expect("."), fault, mxsim.Drop())},
		{name: "RCP-12 all refused, DATA 503", want: []string{"failed 5.1.1"}, then: onSame,
			scripts: script(opening(), mxsim.Reply(ok, "550 5.1.1 no", "550 5.1.1 no", "550 5.1.1 no", "503 no"), resetThenDeliver(), mxsim.Bye())},
		{name: "RCP-12 all refused, DATA 554", want: []string{"failed 5.1.1"}, then: onSame,
			scripts: script(opening(), mxsim.Reply(ok, "550 5.1.1 no", "550 5.1.1 no", "550 5.1.1 no", "554 5.5.1 no valid recipients"),
				resetThenDeliver(), mxsim.Bye())},
		{name: "RCP-12 all refused, without pipelining: no DATA", want: []string{"failed 5.1.1"},
			scripts: script(mxsim.Hello("mx1.test"), mxsim.Expect("MAIL"), mxsim.Reply(ok), mxsim.Expect("RCPT"), mxsim.Reply("550 5.1.1 no"),
				mxsim.Expect("RCPT"), mxsim.Reply("550 5.1.1 no"), mxsim.Expect("RCPT"), mxsim.Reply("550 5.1.1 no"), mxsim.Bye())},
		{name: "RCP-13 251, 252 and 200 accept", want: []string{"delivered"}, then: onSame,
			scripts: script(opening(), mxsim.Reply(ok, "251 forwarded", "252 perhaps", "200 yes", "354 go"), mxsim.ReadBody(), mxsim.Reply(ok), mxsim.Deliver(1), mxsim.Bye())},
		{name: "RCP-14 551: not followed", want: []string{"delivered", "failed 5.1.6", "delivered"}, then: onSame,
			scripts: script(opening(), mxsim.Reply(ok, ok, "551 5.1.6 try <x@y.test>", ok, "354 go"), mxsim.ReadBody(), mxsim.Reply(ok), mxsim.Deliver(1), mxsim.Bye())},
		{name: "RCP-18 one reply too many before DATA's", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh, learned: "no pipelining",
			scripts: script(opening(), fault, mxsim.Reply(ok, ok, ok, ok, ok, "354 go"), gone())},
		{name: "RCP-18 one refusal too many before DATA's reply bounces nobody", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh,
			scripts: script(opening(), fault, mxsim.Reply(ok, ok, "550 5.1.1 no", ok, "550 5.1.1 no", "354 go"), gone())},
		{name: "RCP-18 a reply behind 354", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh, learned: "no pipelining",
			scripts: script(opening(), fault, mxsim.Reply(ok, ok, ok, ok, "354 go", ok), gone())},
		{name: "RCP-18 half a reply behind 354", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh, learned: "no pipelining",
			scripts: script(opening(), fault, mxsim.Send("250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n25"), gone())},
		{name: "RCP-18 two replies to MAIL, without pipelining", want: []string{"deferred 4.5.0"},
			scripts: script(mxsim.Hello("mx1.test"), mxsim.Expect("MAIL"), fault, mxsim.Reply(ok, ok), gone())},
		{name: "RCP-18 two replies to the first RCPT, without pipelining: the refusal is not believed", want: []string{"deferred 4.5.0"},
			scripts: script(mxsim.Hello("mx1.test"), mxsim.Expect("MAIL"), mxsim.Reply(ok), mxsim.Expect("RCPT"), fault, mxsim.Reply("550 no", ok), gone())},
		{name: "RCP-19 354 in the place of RCPT's reply", want: []string{"deferred 4.5.0"}, again: onceMore, then: onFresh, learned: "no pipelining",
			scripts: script(opening(), fault, mxsim.Reply(ok, ok, "354 go", ok, ok), gone())},
		{name: "RCP-21 421 behind a 550: the rest is deferred", want: []string{"failed 5.1.1", "deferred 4.7.0", "deferred 4.7.0"}, then: onFresh,
			scripts: script(opening(), fault, mxsim.Reply(ok, "550 5.1.1 no", "421 4.7.0 too many invalid recipients"), mxsim.Drop())},
		{name: "RCP-21 421 behind an accepted one: it is not delivered", want: []string{"deferred 4.7.0"}, then: onFresh,
			scripts: script(opening(), fault, mxsim.Reply(ok, ok, "421 4.7.0 too much"), mxsim.Drop())},
		{name: "RCP-21 421 without pipelining ends the session", want: []string{"failed 5.1.1", "deferred 4.7.0", "deferred 4.7.0"}, then: onFresh,
			scripts: script(mxsim.Hello("mx1.test"), mxsim.Expect("MAIL"), mxsim.Reply(ok), mxsim.Expect("RCPT"), mxsim.Reply("550 5.1.1 no"),
				mxsim.Expect("RCPT"), fault, mxsim.Reply("421 4.7.0 too many invalid recipients"), mxsim.Drop())},
		{name: "RCPT gets no reply", want: []string{"deferred 4.4.2"}, again: ifNoOther, then: onFresh, within: 303 * time.Second,
			scripts: script(opening(), fault, mxsim.Reply(ok, ok), gone())},
	})
}

// A tarpit delays each reply by 30 s: within RFC 5321 section 4.5.3.2.3, but 40 of them are more than the host MTA waits.
func TestTarpitIsCutByTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.twoDomains(true)
		other := w.serve(backup, mxsim.Config{})
		replies := strings.Repeat("250 ok\r\n", 41)
		w.play(best, mxsim.Script{hello(), mxsim.Expect("MAIL"), mxsim.ExpectN(40, "RCPT"), mxsim.Expect("DATA"),
			dripping(30*time.Second/8, replies), gone()})
		d := w.send(shortContent, addresses(40, "one.test")...)
		assert.Equal(t, repeated("deferred 4.4.7", 40), d.wait(), "all are told that time is over")
		assert.Less(t, d.latest(), budget, "they are told before the host MTA gives up")
		assert.Empty(t, other.Messages(), "no other host gets what there is no time for")
		assert.NotContains(t, w.tapsTo(best)[0].text(), "\r\n.\r\n", "no end of data leaves afterwards")
	})
}

// A tarpit that is done in time is waited for.
func TestTarpitWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.twoDomains(true)
		s := w.serve(best, mxsim.Config{RTT: 100 * time.Second})
		d := w.send(shortContent, "a@one.test", "b@one.test", "c@two.test")
		assert.Equal(t, repeated("delivered", 3), d.wait(), "all are delivered")
		assert.Len(t, s.Messages(), 1, "in one transaction")
	})
}

// Only two hosts are visited in one attempt, however many there are; only 4xx and trouble on the way move on.
func TestTwoHostsAreVisited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var mx []string
		for i := 1; i <= 4; i++ {
			addr := fmt.Sprint("192.0.2.", i)
			mx = append(mx, fmt.Sprintf("%d mx%d.test %s", i, i, addr))
			w.serve(addr, mxsim.Config{Mail: func(string) string { return "451 4.7.1 not now" }})
		}
		w.table.set("one.test", mx...)
		d := w.send(shortContent, "a@one.test", "b@one.test")
		assert.Equal(t, repeated("deferred 4.7.1", 2), d.wait(), "the second host's words are the outcome")
		assert.Equal(t, "mx2.test", d.via(0), "the outcome names the last host")
		assert.Equal(t, 2, d.settled[0].Attempts, "two sessions tried it")
		assert.Equal(t, []int{1, 1, 0, 0}, []int{w.dials("192.0.2.1"), w.dials("192.0.2.2"), w.dials("192.0.2.3"), w.dials("192.0.2.4")},
			"two hosts are dialled")
	})
}

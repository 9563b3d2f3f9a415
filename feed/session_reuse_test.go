package feed

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// warm is everything up to the end of an earlier message on the same connection.
func warm() mxsim.Step { return mxsim.Seq(hello(), mxsim.Deliver(1)) }

// fresh takes the message on a new connection.
func fresh() mxsim.Script { return mxsim.Script{hello(), mxsim.Deliver(3), mxsim.Bye()} }

// A fault on a reused session before DATA is answered is charged to nobody: the message is delivered over a fresh one, and the
// next exchanger is left alone.
func TestReusedSessionFaults(t *testing.T) {
	worn := func(name string, steps ...mxsim.Step) row {
		return row{name: name, reused: true, want: []string{"delivered"}, scripts: []mxsim.Script{append([]mxsim.Step{warm()}, steps...), fresh()}}
	}
	accepted := []string{ok, ok, ok, ok}
	playRows(t, []row{
		worn("REU FIN in answer to MAIL", group(), fault, mxsim.Drop()),
		worn("REU RST in answer to MAIL", group(), fault, mxsim.Reset()),
		worn("REU FIN behind an accepted MAIL", group(), fault, mxsim.Reply(ok), mxsim.Drop()),
		worn("REU FIN behind an accepted RCPT", group(), fault, mxsim.Reply(ok, ok), mxsim.Drop()),
		worn("REU FIN instead of the reply to DATA", group(), fault, mxsim.Reply(accepted...), mxsim.Drop()),
		worn("REU garbage in answer to MAIL", group(), fault, mxsim.Reply("hello world"), gone()),
		worn("REU garbage behind a refused RCPT: the refusal may be another's", group(), fault, mxsim.Reply(ok, "550 no", "hello"), gone()),
		worn("REU MAIL is not answered", group(), fault, gone()),
		worn("REP-14 503 to DATA", group(), fault, mxsim.Reply(ok, ok, ok, ok, "503 need RCPT"), gone()),
		worn("REP-14 503 to RCPT", group(), fault, mxsim.Reply(ok, "503 no", "503 no", "503 no", "503 no"), gone()),
		worn("REU-05 421 to MAIL after so many messages", group(), fault, mxsim.Reply("421 4.7.0 too many messages in this session"), mxsim.Drop()),
		worn("REU-06 503 nested MAIL", group(), fault, mxsim.Reply("503 5.5.1 nested MAIL", ok, ok, ok, "354 go"), gone()),
		{name: "REU a fault on the fresh session too is charged", reused: true, want: []string{"deferred 4.4.2"},
			scripts: []mxsim.Script{{warm(), group(), mxsim.Drop()}, {opening(), mxsim.Drop()}}},
		{name: "REU FIN behind the end of data is in doubt on a reused session too", reused: true, want: []string{"uncertain 4.4.2"}, then: onFresh,
			scripts: script(warm(), mxsim.ExpectN(5, ""), mxsim.Reply(ok, ok, ok, ok, "354 go"), mxsim.ReadBody(), fault, mxsim.Drop())},
		{name: "REU a refusal is a refusal on a reused session too", reused: true, want: []string{"failed 5.7.1"}, then: onSame,
			scripts: script(warm(), group(), mxsim.Reply("550 5.7.1 no", "503 no", "503 no", "503 no", "503 no"), resetThenDeliver(), mxsim.Bye())},
		{name: "REU-07 no RSET before the first MAIL and none behind a clean 250", reused: true, want: []string{"delivered"}, then: onSame,
			scripts: script(warm(), mxsim.Deliver(3), mxsim.Deliver(1), mxsim.Bye())},
	})
}

// RSET has no reason to fail: one that does costs a connection and nobody's mail.
func TestResetFaults(t *testing.T) {
	refused := func(name string, steps ...mxsim.Step) row {
		begin := mxsim.Seq(opening(), mxsim.Reply("550 5.7.1 no", "503 no", "503 no", "503 no", "503 no"),
			mxsim.ExpectAll("RSET", "MAIL FROM:<", "RCPT TO:<d@", "DATA"))
		return row{name: name, want: []string{"failed 5.7.1"}, then: onFresh, scripts: script(append([]mxsim.Step{begin, fault}, steps...)...)}
	}
	playRows(t, []row{
		refused("REU-04 502", mxsim.Reply("502 no RSET", ok, ok, "354 go"), gone()),
		refused("REU-04 503", mxsim.Reply("503 bad sequence", ok, ok, "354 go"), gone()),
		refused("REU-04 421", mxsim.Reply("421 bye"), mxsim.Drop()),
		refused("REU-04 garbage", mxsim.Reply("hello"), gone()),
		refused("REU-04 no reply", gone()),
		refused("REU-04 FIN", mxsim.Drop()),
		refused("REP-13 354", mxsim.Reply("354 go"), gone()),
	})
}

// What an exchanger says or does while nothing is owed ends the session, and touches no mail: neither the one before nor the
// one that may cross with it.
func TestIdleFaults(t *testing.T) {
	idle := func(name string, steps ...mxsim.Step) row {
		steps = append([]mxsim.Step{dotted(), mxsim.Reply(ok)}, steps...)
		return row{name: name, want: []string{"delivered"}, then: onFresh, scripts: script(steps...)}
	}
	playRows(t, []row{
		idle("REU-09 421 behind the final reply", mxsim.Reply("421 4.4.2 idle too long"), mxsim.Drop()),
		idle("REU-09 a reply nobody asked for", mxsim.Reply("250 and another thing"), gone()),
		idle("REU-09 garbage", mxsim.Reply("hello world"), gone()),
		idle("REU-09 FIN", mxsim.Drop()),
		idle("REU-09 RST", mxsim.Reset()),
	})
}

// The same a while later, when the session has come to rest: it is closed at once and not found dead by the next message.
func TestIdleSessionEnds(t *testing.T) {
	for name, steps := range map[string][]mxsim.Step{
		"REU-09 421":                      {mxsim.Reply("421 4.4.2 idle too long"), mxsim.Drop()},
		"REU-09 421 in two segments":      {mxsim.Drip(time.Second, "421 bye\r\n"), mxsim.Drop()},
		"REU-09 a reply nobody asked for": {mxsim.Reply(ok), gone()},
		"REU-09 FIN":                      {mxsim.Drop()},
		"REU-09 RST":                      {mxsim.Reset()},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testIdleSessionEnds(t, steps) }) })
	}
}

func testIdleSessionEnds(t *testing.T, steps []mxsim.Step) {
	w := newWorld(t)
	w.twoDomains(true)
	p := w.play(best, append(mxsim.Script{warm(), mxsim.Stall(5 * time.Second), fault}, steps...), fresh())
	w.send(earlyContent, "z@one.test").wait()
	time.Sleep(20 * time.Second)
	s := w.snapshot()
	assert.Equal(t, 0, s.Sessions, "the session is gone")
	assert.Equal(t, 0, s.HostsDown, "the host is not charged")
	d := w.send(shortContent, "a@one.test", "b@one.test", "c@two.test")
	assert.Equal(t, repeated("delivered", 3), d.wait(), "the next message takes a new connection")
	assert.Zero(t, w.snapshot().Stale, "no transaction met the dead session")
	w.finish()
	assert.NoError(t, p.Err(), "the client keeps to the script")
}

// A session is kept for the idle timeout, serves other messages, and ends with QUIT.
func TestSessionIsReusedThenClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.twoDomains(false)
		p := w.play(best, mxsim.Script{hello(), mxsim.Deliver(1), mxsim.Deliver(2), mxsim.Bye()})
		w.feeder.Hint("two.test") // or it would be resolved too late for the second transaction
		w.send(earlyContent, "z@one.test").wait()
		time.Sleep(29 * time.Second)
		d := w.send(shortContent, "a@one.test", "c@two.test")
		assert.Equal(t, repeated("delivered", 2), d.wait(), "a message within the idle timeout is delivered")
		assert.True(t, d.settled[0].Outcome.Via.Reused, "its outcome says that the session was reused")
		time.Sleep(29 * time.Second)
		assert.Equal(t, 1, w.snapshot().Idle, "the session waits")
		time.Sleep(2 * time.Second)
		assert.Equal(t, 0, w.snapshot().Sessions, "the session is closed after the idle timeout")
		assert.Equal(t, 1, w.dials(best), "one connection carried both")
		assert.Zero(t, w.net.Open(), "nothing is left open")
		assert.NoError(t, p.Err(), "it ended with QUIT")
	})
}

// While a recipient's route names the host its sessions stay open, however long that takes.
func TestSessionStaysWhileARouteNamesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.table.set("one.test", "10 mx1.test "+best)
		w.table.set("far.test", "10 slow.test 192.0.2.9", "20 mx1.test "+best)
		p := w.play(best, mxsim.Script{hello(), mxsim.Deliver(1), mxsim.Deliver(1), mxsim.Bye()})
		w.play("192.0.2.9", mxsim.Script{gone()})
		d := w.send(shortContent, "a@one.test", "b@far.test")
		assert.Equal(t, repeated("delivered", 2), d.wait(), "both are delivered")
		assert.Greater(t, d.latest(), 299*time.Second, "the second one after the greeting's timeout")
		w.finish()
		assert.NoError(t, p.Err(), "on the session of the first")
	})
}

// A session serves only its own address and port, whatever the exchanger is called.
func TestSessionBelongsToAddressAndPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.table.set("one.test", "10 mx.test "+best)
		w.table.set("two.test", "10 mx.test "+backup)
		w.table.set("three.test", "10 mx.test "+best+"/2525")
		one, two := w.serve(best, mxsim.Config{KeepContent: true}), w.serve(backup, mxsim.Config{KeepContent: true})
		l, err := w.net.Listen(netip.MustParseAddrPort(best + ":2525"))
		require.NoError(t, err)
		three := mxsim.New(mxsim.Config{KeepContent: true})
		three.Start(l)
		defer three.Close()
		d := w.send(shortContent, "a@one.test", "b@two.test", "c@three.test")
		assert.Equal(t, repeated("delivered", 3), d.wait(), "all are delivered")
		assert.Equal(t, []string{"a@one.test"}, takenBy(one, shortContent), "REU-10: the first address has its own")
		assert.Equal(t, []string{"b@two.test"}, takenBy(two, shortContent), "REU-10: the second address has its own")
		assert.Equal(t, []string{"c@three.test"}, takenBy(three, shortContent), "REU-10: the other port has its own")
		w.finish()
	})
}

// Whatever becomes of QUIT, it is waited for a moment only and changes nothing.
func TestQuitFaults(t *testing.T) {
	for name, steps := range map[string][]mxsim.Step{
		"REU-11 no reply":      {mxsim.StallForever()},
		"REU-11 4xx":           {mxsim.Reply("421 no"), mxsim.StallForever()},
		"REU-11 5xx":           {mxsim.Reply("500 no"), mxsim.StallForever()},
		"REU-11 garbage":       {mxsim.Reply("hello"), mxsim.StallForever()},
		"REU-11 FIN":           {mxsim.Drop()},
		"REU-11 RST":           {mxsim.Reset()},
		"REU-11 10 s late":     {mxsim.Stall(10 * time.Second), mxsim.Drop()},
		"REU-11 stops reading": {mxsim.StopReading()},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testQuitFault(t, steps) }) })
	}
}

func testQuitFault(t *testing.T, steps []mxsim.Step) {
	w := newWorld(t)
	w.twoDomains(false)
	w.play(best, append(mxsim.Script{hello(), mxsim.Deliver(3), mxsim.Expect("QUIT")}, steps...))
	d := w.send(shortContent, "a@one.test", "b@one.test", "c@two.test")
	assert.Equal(t, repeated("delivered", 3), d.wait(), "all are delivered")
	before := time.Now()
	w.feeder.Drain()
	<-w.over
	assert.LessOrEqual(t, time.Since(before), 3*time.Second, "goodbye takes a moment")
}

// Behind a body rides the next transaction's MAIL. Here each transaction has one recipient, so the third one is the first that
// can ride.
func TestPipelinedTransactionFaults(t *testing.T) {
	single := func(c *Config) { c.RecipientsPerTransaction = 1 }
	// riding is everything up to where b's end of data and c's commands were read and nothing of it was answered.
	riding := mxsim.Seq(hello(), mxsim.Deliver(1), mxsim.ExpectAll("MAIL", "RCPT TO:<b@", "DATA"), mxsim.Reply(ok, ok, "354 go"),
		mxsim.ReadBody(), mxsim.ExpectAll("MAIL", "RCPT TO:<c@", "DATA"))
	last := mxsim.Script{hello(), mxsim.Deliver(1), mxsim.Bye()}
	playRows(t, []row{
		{name: "RFC 2920 section 3.1: MAIL behind the end of data", config: single, want: []string{"delivered"}, then: onSame,
			scripts: script(riding, mxsim.Reply(ok, ok, ok, "354 go"), mxsim.ReadBody(), mxsim.Reply(ok), mxsim.Deliver(1), mxsim.Bye())},
		{name: "the body before is refused", config: single, want: []string{"delivered", "deferred 4.3.0", "delivered"}, then: onSame,
			scripts: script(riding, mxsim.Reply("451 4.3.0 later", ok, ok, "354 go"), mxsim.ReadBody(), mxsim.Reply(ok), mxsim.Deliver(1), mxsim.Bye())},
		{name: "the body before gets 421", config: single, want: []string{"delivered", "deferred 4.3.2", "delivered"},
			scripts: []mxsim.Script{{riding, fault, mxsim.Reply("421 4.3.2 bye"), mxsim.Drop()}, last}},
		{name: "FIN: the body before is in doubt, what rode is not", config: single, want: []string{"delivered", "uncertain 4.4.2", "delivered"},
			scripts: []mxsim.Script{{riding, fault, mxsim.Drop()}, last}},
		{name: "FIN behind the final reply", config: single, want: []string{"delivered"},
			scripts: []mxsim.Script{{riding, fault, mxsim.Reply(ok), mxsim.Drop()}, last}},
		{name: "EOM-10 421 behind the final reply", config: single, want: []string{"delivered"},
			scripts: []mxsim.Script{{riding, fault, mxsim.Reply(ok, "421 bye"), mxsim.Drop()}, last}},
		{name: "what rode is refused", config: single, want: []string{"delivered", "delivered", "failed 5.1.1"}, then: onSame,
			scripts: script(riding, mxsim.Reply(ok, ok, "550 5.1.1 no", "503 no"), resetThenDeliver(), mxsim.Bye())},
		{name: "what rode is thrown away by the server", config: single, want: []string{"delivered"}, within: 303 * time.Second,
			scripts: []mxsim.Script{{riding, mxsim.Reply(ok), fault, gone()}, last}},
		{name: "REU-06 MAIL gets 503 behind a refused body", config: single, want: []string{"delivered", "failed 5.6.0", "delivered"},
			scripts: []mxsim.Script{{riding, fault, mxsim.Reply("554 5.6.0 no", "503 nested MAIL", "503 no", "503 no"), gone()}, last}},
		{name: "GRT-11 never behind a PIX banner", config: single, want: []string{"delivered"},
			scripts: script(mxsim.Reply("220 ***2***0**"), mxsim.Expect("EHLO"), mxsim.Reply("250-mx1.test", "250 PIPELINING"), lonely(), lonely(), lonely(), mxsim.Bye())},
		{name: "never without PIPELINING", config: single, want: []string{"delivered"},
			scripts: script(mxsim.Hello("mx1.test"), oneByOne(1), oneByOne(1), oneByOne(1), mxsim.Bye())},
		{name: "a peer that does not read before it has answered: what rides waits, the answer counts", config: single, want: []string{"delivered"},
			link: netsim.Link{Latency: 10 * time.Millisecond, Window: 32}, within: 420 * time.Second,
			scripts: []mxsim.Script{{hello(), mxsim.Deliver(1), mxsim.ExpectAll("MAIL", "RCPT TO:<b@", "DATA"), mxsim.Reply(ok, ok, "354 go"),
				mxsim.ReadBody(), mxsim.Stall(400 * time.Second), mxsim.Reply(ok), gone()}, last}},
	})
}

// A message whose commands ride behind another one's body, and cannot be written, does not keep that one's session from
// telling in time that it is in doubt.
func TestRidingDelaysNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.twoDomains(false)
		w.net.Host(at(best).Addr(), netsim.Link{Latency: 10 * time.Millisecond, Window: 32})
		w.play(best, mxsim.Script{warm(), mxsim.ExpectAll("MAIL", "RCPT TO:<a@", "DATA"), mxsim.Reply(ok, ok, "354 go"), mxsim.ReadBody(), mxsim.StopReading()},
			mxsim.Script{hello(), mxsim.Deliver(1), mxsim.Bye()})
		w.send(earlyContent, "z@one.test").wait()
		short, long := w.sendIn(20*time.Second, shortContent, "a@one.test"), w.send(againContent, "b@one.test")
		assert.Equal(t, []string{"uncertain 4.4.2"}, short.wait(), "the message whose end of data left is in doubt")
		assert.Equal(t, []string{"delivered"}, long.wait(), "the other one is delivered over a fresh session")
	})
}

// lonely takes a message for one recipient in a pipelined group, and wants nothing behind its end of data.
func lonely() mxsim.Step {
	return mxsim.Seq(mxsim.ExpectAll("MAIL", "RCPT", "DATA"), mxsim.Reply(ok, ok, "354 go"), mxsim.ReadBody(),
		mxsim.ExpectSilence(time.Second), mxsim.Reply(ok))
}

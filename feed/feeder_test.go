package feed

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// busy is a world in the middle of everything: a@flying.test's end of data is on its way to an answer that takes a minute,
// b@writing.test's body is being written, c@dialed.test's exchanger does not answer, and d@asked.test's domain is being looked up.
func busy(t *testing.T) (*world, *delivery) {
	w := newWorld(t)
	w.table.set("flying.test", "10 mx1.test 192.0.2.1")
	w.table.set("writing.test", "10 mx2.test 192.0.2.2")
	w.table.set("dialed.test", "10 mx3.test 192.0.2.3")
	w.table.set("asked.test", "10 mx4.test 192.0.2.4")
	w.table.slow = "asked.test"
	w.net.Host(at("192.0.2.3").Addr(), netsim.Link{BlackHole: true})
	content := text(300 << 10)
	w.play("192.0.2.1", mxsim.Script{hello(), mxsim.ExpectAll("MAIL", "RCPT", "DATA"), mxsim.Reply(ok, ok, "354 go"), mxsim.ReadBody(),
		mxsim.Stall(time.Minute), mxsim.Reply(ok), gone()})
	w.play("192.0.2.2", mxsim.Script{hello(), mxsim.ExpectAll("MAIL", "RCPT", "DATA"), mxsim.Reply(ok, ok, "354 go"),
		slowly(len(content)+3, 5000), mxsim.Reply(ok), gone()})
	d := w.send(content, "a@flying.test", "b@writing.test", "c@dialed.test", "d@asked.test")
	time.Sleep(10 * time.Second)
	require.Equal(t, repeated("", 4), d.outcomes(), "all is under way")
	return w, d
}

// neverEnded checks that b's end of data did not leave.
func neverEnded(t *testing.T, w *world) {
	assert.NotContains(t, w.tapsTo("192.0.2.2")[0].text(), "\r\n.\r\n", "no end of data leaves afterwards")
}

func TestDrain(t *testing.T) { synctest.Test(t, testDrain) }

func testDrain(t *testing.T) {
	w, d := busy(t)
	before := time.Now()
	w.feeder.Drain()
	synctest.Wait()
	assert.Equal(t, []string{"", "", "deferred 4.3.2", "deferred 4.3.2"}, d.outcomes(), "what has not begun is told at once")
	late := w.send(againContent, "e@flying.test")
	assert.Equal(t, []string{"deferred 4.3.2"}, late.wait(), "what comes later is told too")
	assert.Equal(t, []string{"delivered", "delivered", "deferred 4.3.2", "deferred 4.3.2"}, d.wait(), "what was in flight finishes")
	<-w.over
	assert.Less(t, time.Since(before), 70*time.Second, "then Run returns")
}

func TestHalt(t *testing.T) { synctest.Test(t, testHalt) }

func testHalt(t *testing.T) {
	w, d := busy(t)
	before := time.Now()
	w.halt()
	<-w.over
	assert.Zero(t, time.Since(before), "Run returns without waiting for anybody")
	assert.Equal(t, []string{"uncertain 4.4.2", "deferred 4.3.2", "deferred 4.3.2", "deferred 4.3.2"}, d.wait(), "only the end of data in flight is in doubt")
	neverEnded(t, w)
}

func TestCancel(t *testing.T) { synctest.Test(t, testCancel) }

func testCancel(t *testing.T) {
	w, d := busy(t)
	w.feeder.Cancel(d.envelope)
	synctest.Wait()
	assert.Equal(t, []string{"", "", "deferred 4.3.0", "deferred 4.3.0"}, d.outcomes(), "what is in no transaction is settled at once")
	assert.Equal(t, []string{"delivered", "delivered", "deferred 4.3.0", "deferred 4.3.0"}, d.wait(), "the others when theirs ends")
	w.feeder.Cancel(d.envelope)
	synctest.Wait()
	assert.Zero(t, w.snapshot().Envelopes, "a second time it means nothing")
}

func TestBudget(t *testing.T) { synctest.Test(t, testBudget) }

// testBudget lets the budget end while a body is written slowly, a final reply is awaited, an exchanger does not greet and a
// lookup hangs.
func testBudget(t *testing.T) {
	w := newWorld(t)
	w.table.set("flying.test", "10 mx1.test 192.0.2.1")
	w.table.set("writing.test", "10 mx2.test 192.0.2.2")
	w.table.set("dialed.test", "10 mx3.test 192.0.2.3", "20 mx9.test 192.0.2.9")
	w.table.set("asked.test", "10 mx4.test 192.0.2.4")
	w.table.slow = "asked.test"
	invite := mxsim.Seq(hello(), mxsim.ExpectAll("MAIL", "RCPT", "DATA"), mxsim.Reply(ok, ok, "354 go"))
	w.play("192.0.2.1", mxsim.Script{invite, mxsim.ReadBody(), gone()})
	w.play("192.0.2.2", mxsim.Script{invite, leaves(1000)})
	w.play("192.0.2.3", mxsim.Script{gone()})
	d := w.sendIn(100*time.Second, text(300<<10), "a@flying.test", "b@writing.test", "c@dialed.test", "d@asked.test")
	assert.Equal(t, []string{"uncertain 4.4.2", "deferred 4.4.7", "deferred 4.4.7", "deferred 4.4.7"}, d.wait(), "everybody is told in time")
	assert.LessOrEqual(t, d.latest(), 100*time.Second, "before the host MTA gives up")
	assert.Equal(t, "mx2.test", d.via(1), "the session itself says so, with the exchanger's name")
	time.Sleep(time.Minute)
	neverEnded(t, w)
	s := w.snapshot()
	assert.Zero(t, s.HostsDown, "no host is charged with our haste")
	assert.Equal(t, 0, w.dials("192.0.2.9"), "nobody else is asked")
}

// A transaction whose budget ends while the replies to its commands are awaited sends nothing afterwards.
func TestBudgetEndsBeforeTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.twoDomains(true)
		other := w.serve(backup, mxsim.Config{})
		w.play(best, mxsim.Script{opening(), mxsim.Stall(9500 * time.Millisecond), mxsim.Reply(ok, ok, ok, ok, "354 go"), fault, gone()})
		d := w.sendIn(10*time.Second, shortContent, "a@one.test", "b@one.test", "c@two.test")
		assert.Equal(t, repeated("deferred 4.4.7", 3), d.wait(), "all are told that time is over")
		assert.Equal(t, "mx1.test", d.via(0), "with the exchanger's name")
		time.Sleep(time.Minute)
		assert.NotContains(t, w.tapsTo(best)[0].text(), "hello", "the body does not leave")
		assert.Empty(t, other.Messages(), "nobody else gets it")
	})
}

func TestSendAfterTheEnd(t *testing.T) { synctest.Test(t, testSendAfterTheEnd) }

func testSendAfterTheEnd(t *testing.T) {
	w := newWorld(t)
	w.finish()
	d := w.send(shortContent, "a@one.test", "b@one.test")
	assert.Equal(t, repeated("deferred 4.3.2", 2), d.wait(), "whoever comes too late is told")
	w.feeder.Cancel(d.envelope)
	w.feeder.Hint("one.test")
	_, err := w.feeder.Snapshot(context.Background())
	assert.Error(t, err, "there is nothing left to be counted")
}

// Envelopes that race with the end are settled, each once.
func TestSendWhileEnding(t *testing.T) { synctest.Test(t, testSendWhileEnding) }

func testSendWhileEnding(t *testing.T) {
	w := newWorld(t)
	w.twoDomains(false)
	s := w.serve(best, mxsim.Config{})
	var mu sync.Mutex
	var all []*delivery
	var senders sync.WaitGroup
	for i := range 50 {
		senders.Go(func() {
			time.Sleep(time.Duration(i) * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, w.send(fmt.Sprint(i), fmt.Sprintf("u%d@one.test", i)))
		})
	}
	time.Sleep(25 * time.Millisecond)
	w.feeder.Drain()
	senders.Wait()
	w.finish()
	delivered := 0
	for _, d := range all {
		if d.wait()[0] == "delivered" {
			delivered++
		}
	}
	assert.Equal(t, delivered, len(s.Messages()), "delivered are those that arrived")
}

func TestSnapshot(t *testing.T) { synctest.Test(t, testSnapshot) }

func testSnapshot(t *testing.T) {
	w := newWorld(t)
	w.twoDomains(true)
	w.table.set("dead.test", "10 dead.test 192.0.2.9")
	w.net.Host(at("192.0.2.9").Addr(), netsim.Link{Refuse: true})
	w.serve(best, mxsim.Config{Processing: time.Minute, Rcpt: func(to string, _ int) string {
		if to == "b@one.test" {
			return "550 5.1.1 no"
		}
		return ""
	}})
	d := w.send(shortContent, "a@one.test", "b@one.test", "c@two.test", "d@dead.test", "e@nowhere.test")
	same := w.send(shortContent, "f@two.test", "f@two.test")
	time.Sleep(10 * time.Second)
	s := w.snapshot()
	assert.Equal(t, []int{1, 2, 5, 0}, []int{s.Messages, s.Envelopes, s.Recipients, s.Resolving}, "one message in two envelopes is in flight, with five recipients")
	assert.Equal(t, []int{1, 0, 1}, []int{s.Sessions, s.Idle, s.HostsDown}, "on one session; a host is down")
	assert.Equal(t, []string{"delivered", "failed 5.1.1", "delivered", "deferred 4.4.1", "failed 5.1.2"}, d.wait(), "each has its outcome")
	assert.Equal(t, repeated("delivered", 2), same.wait(), "the same recipient twice is told twice")
	s = w.snapshot()
	assert.Equal(t, []uint64{2, 1, 7, 4}, []uint64{s.EnvelopesTotal, s.MessagesTotal, s.RecipientsTotal, s.Lookups}, "what came is counted")
	assert.Equal(t, []uint64{4, 1, 2, 0}, []uint64{s.Delivered, s.Deferred, s.Failed, s.Uncertain}, "what became of it is counted")
	assert.Equal(t, []uint64{2, 1, 1, 1, 1}, []uint64{s.Dials, s.DialsFailed, s.SessionsTotal, s.Transactions, s.Piggybacked}, "how it was done is counted")
	assert.Equal(t, []int{0, 0, 0, 1, 1}, []int{s.Messages, s.Envelopes, s.Recipients, s.Sessions, s.Idle}, "nothing is left but the session")
	time.Sleep(10 * time.Minute)
	s = w.snapshot()
	assert.Equal(t, []int{0, 0, 0}, []int{s.Sessions, s.Hosts, s.HostsDown}, "and that goes too")
}

// What is certain before anything is sent is refused at RCPT; what is not certain is accepted.
func TestRefusal(t *testing.T) {
	w := &table{refused: map[string]error{
		"null.test": &resolver.Error{Kind: resolver.NullMX}, "none.test": &resolver.Error{Kind: resolver.NoSuchDomain},
		"later.test": &resolver.Error{Kind: resolver.Temporary}, "fine.test": nil,
	}}
	f := New(Config{Resolver: w})
	assert.Equal(t, "failed 5.1.10", outcomeWords(f.Refusal("null.test")), "RFC 7505: a null MX is refused")
	assert.Equal(t, "failed 5.1.2", outcomeWords(f.Refusal("none.test")), "a domain that does not exist is refused")
	assert.Nil(t, f.Refusal("later.test"), "a temporary failure is none")
	assert.Nil(t, f.Refusal("fine.test"), "a known route is none")
	assert.Nil(t, f.Refusal("unknown.test"), "an unknown domain is none")
}

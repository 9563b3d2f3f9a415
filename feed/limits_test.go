package feed

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
	"github.com/stretchr/testify/assert"
)

// A limited is a host that takes only so much at once. Nobody is deferred for it: what it refuses is cut again and sent in the same
// attempt, and what it showed is kept for a while.
type limited struct {
	name     string
	host     mxsim.Config
	learned  string                             // as status has it
	said     func(*world, *mxsim.Server) uint64 // how often the host had to say so
	everSaid bool                               // it has no other way to tell
}

// refusals are RCPTs that the host refused.
func refusals(_ *world, s *mxsim.Server) uint64 { return uint64(s.Stats().Refused) }

// turnedAways are sessions that ended when they began another message.
func turnedAways(w *world, _ *mxsim.Server) uint64 { return w.snapshot().Stale }

// failedDials are sessions that never opened.
func failedDials(w *world, _ *mxsim.Server) uint64 { return w.snapshot().DialsFailed }

func limitedHosts() []limited {
	offer := func(limits string) []string { return []string{"PIPELINING", "SIZE 0", "LIMITS " + limits} }
	return []limited{
		{"421 to a fourth session", mxsim.Config{MaxSessions: 3}, "3 sessions", failedDials, true},
		{"452 4.5.3 to an eighth recipient", mxsim.Config{MaxRecipients: 7}, "7 recipients a transaction", refusals, true},
		{"451 to a second domain", mxsim.Config{SingleDomain: true}, "one domain a transaction", refusals, true},
		{"421 to a sixth message", mxsim.Config{MessagesPerSession: 5}, "5 messages a session", turnedAways, true},
		{"RFC 9422 RCPTMAX", mxsim.Config{MaxRecipients: 7, Keywords: offer("RCPTMAX=7")}, "7 recipients a transaction", refusals, false},
		{"RFC 9422 MAILMAX", mxsim.Config{MessagesPerSession: 5, Keywords: offer("MAILMAX=5")}, "5 messages a session", turnedAways, false},
		{"RFC 9422 RCPTDOMAINMAX", mxsim.Config{DomainsPerSession: 2, Keywords: offer("RCPTDOMAINMAX=2")}, "2 domains a session", refusals, false},
	}
}

// A list meets the limit, the next one knows it, and when the limit was not seen for its time it is tried beyond again.
func TestLimitsAreLearnedAndForgotten(t *testing.T) {
	for _, l := range limitedHosts() {
		t.Run(l.name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testLimitIsLearnedAndForgotten(t, l) }) })
	}
}

const limitsTTL = 10 * time.Minute

func testLimitIsLearnedAndForgotten(t *testing.T, l limited) {
	w, host := limitedWorld(t, l.host)
	say := func() uint64 { return l.said(w, host) }
	w.deliverAll(t, "first")
	first := say()
	assert.Equal(t, l.everSaid, first > 0, "the host says so, or its EHLO reply has")
	assert.Equal(t, l.learned, learnedOf(w, "mx1.test"), "status shows what was learned")

	time.Sleep(limitsTTL / 2)
	w.deliverAll(t, "second")
	assert.Equal(t, first, say(), "a second list is cut so that the host has nothing to say")
	assert.Equal(t, l.learned, learnedOf(w, "mx1.test"), "it is still known, although the sessions are gone")

	time.Sleep(2 * limitsTTL)
	assert.Empty(t, learnedOf(w, "mx1.test"), "after a while it is forgotten")
	w.deliverAll(t, "third")
	assert.Equal(t, l.everSaid, say() > first, "so a third list meets it again")
	assert.Equal(t, l.learned, learnedOf(w, "mx1.test"), "and learns it again")
	assert.Empty(t, host.Violations(), "nothing was wrong with the client")
}

// A host that always has some mail is never forgotten itself; its limits are, when they were not met for their time.
func TestLimitsOfABusyHostAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, host := limitedWorld(t, mxsim.Config{MaxRecipients: 7})
		w.deliverAll(t, "first")
		first := host.Stats().Refused
		for passed := time.Duration(0); passed < limitsTTL; passed += 20 * time.Second {
			assert.Equal(t, "7 recipients a transaction", learnedOf(w, "mx1.test"), "the limit is known %v later", passed)
			time.Sleep(20 * time.Second)
			assert.Equal(t, []string{"delivered"}, w.send(fmt.Sprint(passed), "a@d1.test").wait(), "single mails come all the time")
		}
		assert.Empty(t, learnedOf(w, "mx1.test"), "in the end it is not")
		w.deliverAll(t, "second")
		assert.Greater(t, host.Stats().Refused, first, "so a second list meets it again")
	})
}

// limitedWorld has five domains on one host.
func limitedWorld(t *testing.T, host mxsim.Config) (*world, *mxsim.Server) {
	w := newWorld(t, func(c *Config) { c.SessionsPerHost, c.RecipientsPerTransaction, c.LimitsTTL = 10, 10, limitsTTL })
	w.net.Default(netsim.Link{Latency: 25 * time.Millisecond})
	for _, domain := range limitedDomains() {
		w.table.set(domain, "10 mx1.test "+best)
	}
	host.Processing = 100 * time.Millisecond
	return w, w.serve(best, host)
}

func limitedDomains() (domains []string) {
	for i := range 5 {
		domains = append(domains, fmt.Sprintf("d%d.test", i))
	}
	return domains
}

// limitedList is how many recipients a list has: so many that each session must carry many transactions, and such that those of a
// domain do not fill them.
const limitedList = 5 * 185

// deliverAll sends a list to the five domains, all of whom must be delivered.
func (w *world) deliverAll(t *testing.T, content string) {
	var to []string
	for i := range limitedList {
		to = append(to, fmt.Sprintf("u%d@d%d.test", i, i%5))
	}
	d := w.send(content, to...)
	assert.Equal(t, repeated("delivered", len(to)), d.wait(), "of the %s list nobody is deferred for a limit", content)
	assert.Less(t, d.latest(), 10*time.Second, "nor held up for long")
}

// All limits at once, none of them announced.
func TestManyLimitsOfOneHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, host := limitedWorld(t, mxsim.Config{MaxSessions: 3, MaxRecipients: 7, SingleDomain: true, MessagesPerSession: 5})
		w.deliverAll(t, "first")
		w.deliverAll(t, "second")
		assert.Equal(t, 2*limitedList, host.Stats().Recipients, "everybody once a list")
		s := w.snapshot()
		assert.Zero(t, s.Deferred+s.Failed+s.Uncertain, "nobody is told of any of it")
		assert.Zero(t, s.HostsDown, "the host is well")
		assert.Positive(t, s.Splits, "the limits it showed are counted")
		assert.Positive(t, s.SessionsRetired, "and so are sessions closed in time")
	})
}

// A refused connection shows a limit only beside others that live. A host that turns the first one away, because others have taken
// all it grants, is down for a while: the mail goes to the next exchanger.
func TestNoSessionLeftIsNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.SessionsPerHost = 10 })
		w.twoDomains(true)
		w.serve(best, mxsim.Config{Greeting: func(int) string { return "421 4.7.0 too many connections" }})
		next := w.serve(backup, mxsim.Config{})
		assert.Equal(t, repeated("delivered", 300), w.send(shortContent, addresses(300, "one.test")...).wait(), "all are delivered")
		assert.Equal(t, 300, next.Stats().Recipients, "by the next exchanger")
		assert.Equal(t, 1, w.dials(best), "one session was tried")
		assert.Empty(t, learnedOf(w, "mx1.test"), "no limit is learned from that")
	})
}

// The limit of a session's messages holds for what rides behind a body too: nothing is sent that the host would refuse.
func TestNothingRidesBeyondALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.RecipientsPerTransaction = 1 })
		w.table.set("one.test", "10 mx1.test "+best)
		host := w.serve(best, mxsim.Config{MessagesPerSession: 3, Keywords: []string{"PIPELINING", "LIMITS MAILMAX=3"}})
		assert.Equal(t, repeated("delivered", 9), w.send(shortContent, addresses(9, "one.test")...).wait(), "all are delivered")
		perSession := map[int]int{}
		for _, m := range host.Messages() {
			perSession[m.Session]++
		}
		assert.Equal(t, map[int]int{1: 3, 2: 3, 3: 3}, perSession, "each session carries what it may")
		assert.Zero(t, w.snapshot().Stale, "and none is turned away")
		assert.EqualValues(t, 9-3-1, w.snapshot().Pipelined, "all rode but each session's first, and the one by which the host was tried")
	})
}

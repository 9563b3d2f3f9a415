package e2e

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// halfWay starts a list of n, and waits until some of it has arrived. The rest is not answered before the gate is open, so that the list is not
// finished however long it takes to do something to Postfix.
func halfWay(t *testing.T, n int) (s *system, gate *feedd.Gate) {
	t.Helper()
	gate = feedd.NewGate(t)
	var taken atomic.Int64 // recipients in messages that came to their end
	c := internet.Config{Domains: 300, Hosts: 30, RTT: 20 * time.Millisecond, Processing: 150 * time.Millisecond, Additional: true}
	c.MX.Final = func(m *mxsim.Message) string {
		if k := int64(len(m.To)); taken.Add(k)-k >= int64(n/5) {
			gate.Wait()
		}
		return ""
	}
	s = startSystem(t, systemConfig{
		world: c,
		feed:  feedd.Config{SMTP: "recipients_per_transaction = 10\nsessions_per_host = 1"}, // ten rounds
	})
	submit(t, s.postfix, mail{from: sender, to: internet.List(c, n), content: "Subject: list\r\n\r\nFor everybody.\r\n"})
	require.Eventually(t, func() bool { return s.world.Progress().Recipients >= n/5 }, feedd.Patience, 5*time.Millisecond, "the list is on its way")
	return s, gate
}

// "postfix reload" lets delivery agents finish what they do.
func TestReloadOfPostfixInTheMiddleOfAList(t *testing.T) {
	const n = 3000
	s, gate := halfWay(t, n)
	require.NoError(t, s.postfix.Reload(), "Postfix reads its configuration again")
	assert.Less(t, s.world.Progress().Recipients, n, "the list is not finished")
	gate.Open()
	s.arrived(t, n)
	require.Eventually(t, func() bool {
		flush(t, s.postfix) // what a delivery agent still had when the queue manager began anew is left until the next queue run
		left, err := s.postfix.Queue()
		return err == nil && len(left) == 0
	}, feedd.Patience, time.Second, "Postfix has nothing left")
	assert.Empty(t, s.world.Missing(n).First, "nobody is missing")
	sound(t, s.world)
	assert.Zero(t, s.feed.Status(t).LMTP.HostsLeft, "no transaction was broken off")
}

// "postfix stop" ends delivery agents in the middle of a transaction. What they have not been told by then is sent again, and the ledger
// knows who has it: nobody is lost, and nobody gets the mail twice.
func TestRestartOfPostfixInTheMiddleOfAList(t *testing.T) {
	const n = 3000
	s, gate := halfWay(t, n)
	require.NoError(t, s.postfix.Stop(), "Postfix ends")
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		st := s.feed.Status(c)
		assert.Equal(c, st.Feed.EnvelopesTotal, st.LMTP.HostsLeft, "envelopes that nobody waits for any more")
	}, feedd.Patience, 20*time.Millisecond, "smtpfeed sees that it has left")
	gate.Open()
	st := s.feed.Idle(t)
	atRest := s.world.Progress().Recipients
	assert.Less(t, atRest, n, "the list is not finished: what was not in a transaction is not sent for nobody")
	assert.Positive(t, st.LMTP.HostsLeft, "smtpfeed saw it leave")
	require.NoError(t, s.postfix.Start(), "Postfix starts")
	flush(t, s.postfix)
	require.Eventually(t, func() bool { return s.world.Missing(n).Count == 0 }, feedd.Patience, 20*time.Millisecond, "everybody gets the mail")
	assert.Empty(t, settled(t, s.postfix, feedd.Patience), "Postfix has nothing left")
	r := s.world.Report()
	assert.Equal(t, n, r.Recipients-r.Duplicates.Count, "everybody is counted once")
	assert.Zero(t, r.Duplicates.Count, "nobody gets it twice")
	assert.Positive(t, s.feed.Status(t).Feed.Recalled, "some were answered from the ledger")
	assert.Empty(t, append(r.Misrouted.First, r.Unknown.First...), "no mail goes astray")
	assert.Empty(t, s.returns.failures(), "nobody bounces")
	t.Logf("%d had the mail when Postfix ended, and %d were answered from the ledger", atRest, s.feed.Status(t).Feed.Recalled)
}

package resources

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hostsim"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// TestPartition cuts the whole network off in the middle of a list: DNS and all mail hosts. Every recipient is answered, 4xx but for
// those delivered before, inside the budget; and nothing of it stays in the process.
func TestPartition(t *testing.T) {
	for rule, cut := range map[string]func(*farland, *testing.T){
		"packets vanish":          (*farland).swallow,
		"the link has no carrier": (*farland).unplug,
	} {
		t.Run(rule, func(t *testing.T) { checkPartition(t, cut) })
	}
}

func checkPartition(t *testing.T, cut func(*farland, *testing.T)) {
	const hosts, budget = 200, 5 * time.Second
	recipients := 2000
	if large() {
		recipients = 50_000
	}
	arrived, enough := 0, make(chan struct{}) // closed when a tenth has arrived
	var mu sync.Mutex
	delivered := map[string]int{}
	gate := feedd.NewGate(t) // but for a fifth nobody is answered before the network is cut, however long that takes
	var taken atomic.Int64   // recipients in messages that came to their end
	final := func(m *mxsim.Message) string {
		if n := int64(len(m.To)); taken.Add(n)-n >= int64(recipients/5) {
			gate.Wait()
		}
		return ""
	}
	f := startFarland(t, mxsim.Config{RTT: 20 * time.Millisecond, Processing: 100 * time.Millisecond, Final: final, Sink: func(m *mxsim.Message) {
		mu.Lock()
		defer mu.Unlock()
		for _, to := range m.To {
			delivered[to]++
		}
		before := arrived
		if arrived += len(m.To); before <= recipients/10 && arrived > recipients/10 {
			close(enough)
		}
	}}, hosts)
	p := start(t, setup{dns: f.dns, resolve: defaultResolve, port: f.port, lmtp: "budget = \"" + budget.String() + "\"", smtp: "sessions = 50\nidle_timeout = \"1s\"\nconnect_timeout = \"2s\""})
	p.warm(t)
	before := p.footprint(t)

	m := hostsim.Message{From: "list@sender.test", Body: content(0, 20_000)}
	for i := range recipients {
		m.To = append(m.To, fmt.Sprintf("user%d@d%d.far.example", i, i))
	}
	answered := make(chan struct{}) // closed by the goroutine
	var outcomes []hostsim.Reply
	var took time.Duration
	var err error
	go func() {
		defer close(answered)
		outcomes, took, err = p.deliver(m)
	}()
	select {
	case <-enough:
	case <-answered:
		require.Fail(t, "all was over before the network could be cut", "%v %v", err, tally(outcomes))
	}
	cut(f, t)
	gate.Open()
	<-answered
	require.NoError(t, err, "smtpfeed answers the host")
	require.Len(t, outcomes, recipients, "every recipient is answered")
	t.Logf("%d recipients answered in %v: %v", recipients, took.Round(time.Millisecond), tally(outcomes))
	mu.Lock()
	ok, uncertain := 0, 0
	for i, o := range outcomes {
		switch {
		case o.Code == 250:
			ok++
			assert.Equal(t, 1, delivered[m.To[i]], "who counts as delivered got the message once")
		case delivered[m.To[i]] > 0:
			uncertain++
		}
		assert.Contains(t, []int{250, 450, 451}, o.Code, "the host MTA keeps what was not delivered")
	}
	mu.Unlock()
	assert.Positive(t, ok, "some were delivered before")
	assert.Positive(t, recipients-ok, "and others not")
	t.Logf("%d delivered; of the others %d have the mail and could not say so", ok, uncertain)
	// To the second that is tested in fake time. Here it must not be one of the other timeouts, which are minutes.
	assert.Less(t, took, 4*budget, "inside the budget, which is counted from the final dot")
	p.settle(t, before)
}

// warm makes everything that a process makes once.
func (p *program) warm(t *testing.T) {
	t.Helper()
	p.footprint(t)
	p.ask(t, "/metrics")
}

// settle waits until the process holds no more than before, but for what Go keeps of memory.
func (p *program) settle(t *testing.T, before footprint) {
	t.Helper()
	var after footprint
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		s := p.status(c)
		assert.Zero(c, s.Feed.Sessions+s.Feed.Recipients+s.Feed.Envelopes+s.Feed.Resolving, "no session, no recipient")
		assert.Zero(c, s.LMTP.Transactions+s.LMTP.Bodies, "no transaction")
		assert.Zero(c, s.LMTP.Bytes, "no content")
		after = p.footprint(c)
		// Four DNS sockets and their readers stay.
		assert.LessOrEqual(c, after.goroutines, before.goroutines+8, "goroutines")
		assert.LessOrEqual(c, after.descriptors, before.descriptors+6, "descriptors")
	}, feedd.Patience, 50*time.Millisecond, "everything is given back")
	t.Logf("before: %v", before)
	t.Logf("after:  %v", after)
}

package killloop

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
)

// A loop is everything that mail passes, over many rounds.
type loop struct {
	*world
	feed  *feedd.Daemon
	host  hostMTA
	tails []*Tail  // the recorders'
	sent  *Tail    // smtpfeed's delivery records
	log   *Tail    // its log
	heard []Answer // what was read of that since the last round
}

// startLoop starts it all.
func startLoop(t *testing.T, ledger feedd.Ledger, start func(*testing.T, *feedd.Daemon) hostMTA) *loop {
	t.Helper()
	l := &loop{world: startWorld(t)}
	for _, r := range l.recorders {
		l.tails = append(l.tails, NewTail(r.file))
	}
	l.feed = feedd.Start(t, feedd.Config{
		World:  l.world,
		Ledger: ledger,
		SMTP:   fmt.Sprintf("recipients_per_transaction = %d\nsessions_per_host = 2\ndown_time = \"1s\"", perTransaction),
	})
	l.sent, l.log = NewTail(l.feed.Path("deliveries.jsonl")), NewTail(l.feed.Path("log"))
	l.host = start(t, l.feed)
	return l
}

// A running round is one that is not over.
type running struct {
	toll  toll
	taken chan error // from the goroutine that submits, once
	done  bool       // it was
}

// round sends mail, kills what the plan says, waits until the host MTA has nothing left, and judges.
func (l *loop) round(t *testing.T, plan Round) (Verdict, toll) {
	t.Helper()
	mails, r := mailsOf(plan), &running{taken: make(chan error, 1)}
	for i, s := range plan.Strikes {
		reached := l.hub.after(s.Event, s.Nth)
		if i == 0 {
			go func() { r.taken <- l.submit(mails) }() // ends with its one submission
		}
		if s.Event == HandBack {
			l.killLate(t, r, s.Nth)
			continue
		}
		l.wait(t, r, s.Moment, reached)
		l.strike(t, r, s)
	}
	require.True(t, r.done || r.submitted(t, time.After(feedd.Patience)), "the host MTA takes the mail in time")
	l.drain(t)
	l.feed.Idle(t)
	e := l.evidence(t)
	e.Mails, e.Deaths, e.Dead, e.Agents = mails, r.toll.feeds, r.toll.recorders, r.toll.agents
	return Judge(e), r.toll
}

// submitted waits until the host MTA has all mail, or patience ends, which is said.
func (r *running) submitted(t *testing.T, patience <-chan time.Time) bool {
	t.Helper()
	select {
	case err := <-r.taken:
		require.NoError(t, err, "the host MTA takes the mail")
		r.done = true
	case <-patience:
	}
	return r.done
}

// mailsOf are a round's. Their senders are nobody else's.
func mailsOf(r Round) (all []Mail) {
	next := 0
	for i, n := range r.Lists {
		m := Mail{From: fmt.Sprintf("r%d-%d@lists.%s", r.Number, i, mailDomain)}
		for range n {
			m.To = append(m.To, recipient(next))
			next++
		}
		all = append(all, m)
	}
	return all
}

func (l *loop) submit(mails []Mail) error {
	var all []hosts.Mail
	for _, m := range mails {
		all = append(all, hosts.Mail{From: m.From, To: m.To, Content: "Subject: " + m.From + "\r\n\r\nFor everybody.\r\n"})
	}
	_, err := hosts.Submit(l.host.Addr(), all...)
	return err
}

// unmoved is after how many looks at the queue what seems to be under way is tried again too. Postfix's queue manager puts a
// message whose file a dying lmtp(8) still holds back among the incoming ones, and looks there again when another one comes.
const unmoved = 20

// drain has the host MTA try until it has nothing left.
func (l *loop) drain(t *testing.T) {
	t.Helper()
	looks := 0
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		all, err := l.host.Queue()
		require.NoError(c, err, "the queue can be listed")
		looks++
		l.again(c, all, looks%unmoved == 0)
		assert.Zero(c, len(all), "recipients in the queue, the first %v", all[:min(1, len(all))])
	}, 4*feedd.Patience, 100*time.Millisecond, "every recipient is delivered in the end")
}

// again has the host MTA try what it does not, or everything.
func (l *loop) again(t require.TestingT, all []hosts.Queued, everything bool) {
	active := slices.ContainsFunc(all, func(q hosts.Queued) bool { return q.Active })
	if len(all) > 0 && (everything || !active) {
		require.NoError(t, l.host.Flush(), "the host MTA tries again")
	}
}

// evidence is what was written since the last time.
func (l *loop) evidence(t *testing.T) (e Evidence) {
	t.Helper()
	for _, tail := range l.tails {
		entries, _, err := tail.Entries()
		require.NoError(t, err, "a recorder's file can be read")
		e.Entries = append(e.Entries, entries...)
	}
	var err error
	e.Records, _, err = l.sent.Records()
	require.NoError(t, err, "smtpfeed's delivery records can be read")
	l.listen(t)
	e.Answers, l.heard = l.heard, nil
	return e
}

// listen reads on in smtpfeed's log.
func (l *loop) listen(t *testing.T) {
	t.Helper()
	more, err := l.log.Answers()
	require.NoError(t, err, "smtpfeed's log can be read")
	l.heard = append(l.heard, more...)
}

// end ends the recorders, which then tell what they thought of smtpfeed.
func (l *loop) end(t *testing.T) {
	t.Helper()
	for _, r := range l.recorders {
		r.end(t)
	}
	late := Judge(l.evidence(t)).Wrong
	assert.Empty(t, late, "nothing comes behind the last round, and the hosts find no fault with smtpfeed's protocol")
}

package e2e

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// largeVariable, when set, makes the lists of these tests as large as those that smtpfeed is for.
const largeVariable = "SMTPFEED_E2E_LARGE"

// groupingWorld is where the lists go, and how many recipients they have.
func groupingWorld() (c internet.Config, n int) {
	c = internet.Config{
		Domains: 1000, Hosts: 100, RTT: 20 * time.Millisecond, Processing: 50 * time.Millisecond, DNSDelay: 5 * time.Millisecond, Additional: true,
	}
	if os.Getenv(largeVariable) == "" {
		return c, 20_000
	}
	c.Domains, c.Hosts = 10_000, 200
	return c, 100_000
}

// A cost is what a list took.
type cost struct {
	name                             string
	sessions, transactions, messages int
	last                             float64
}

func (c cost) String() string {
	return fmt.Sprintf("%s: %d sessions, %d transactions, %d messages, %.2f s", c.name, c.sessions, c.transactions, c.messages, c.last)
}

// costOf waits for a list of n to arrive and says what it took.
func costOf(t *testing.T, name string, w *internet.World, d *feedd.Daemon, n int) cost {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Equal(c, n, w.Progress().Recipients, "recipients with their mail")
	}, 4*feedd.Patience, 20*time.Millisecond, "mail arrives")
	st := d.Idle(t)
	assert.Empty(t, w.Missing(n).First, "nobody is missing")
	r := sound(t, w)
	return cost{name, r.Sessions, r.Transactions, int(st.Feed.MessagesTotal), r.Last}
}

// A parting is how a list is handed over: in envelopes of size recipients, on as many connections at a time as callers.
type parting struct {
	name             string
	n, size, callers int
}

// oneEnvelope is what the list costs when it is handed over as one.
func oneEnvelope(t *testing.T, c internet.Config, n int) cost {
	t.Helper()
	return inEnvelopes(t, c, parting{"one envelope", n, n, 1})
}

// inEnvelopes hands a list over. Hosts greet late, as many do to keep spam away: when all envelopes of a round are there. Four hundred
// connections take a machine that is busy seconds, and that would not matter to a list that is handed over as one. With several rounds hosts
// take one message a session, and so greet in each.
func inEnvelopes(t *testing.T, c internet.Config, p parting) cost {
	t.Helper()
	n, size := p.n, p.size
	round := min(n, size*p.callers)
	rounds := make([]*feedd.Gate, (n+round-1)/round)
	for i := range rounds {
		rounds[i] = feedd.NewGate(t)
	}
	c.MX.Greeting = func(session int) string { return rounds[min(session, len(rounds))-1].Greeting(session) }
	if len(rounds) > 1 {
		c.MX.MessagesPerSession = 1
	}
	w := startWorld(t, c)
	d := feedd.Start(t, feedd.Config{World: w, SMTP: `idle_timeout = "300s"`})
	list := internet.List(c, n)
	work := make(chan []string, n/size+1) // filled here, emptied by the callers
	for at := 0; at < n; at += size {
		work <- list[at:min(at+size, n)]
	}
	close(work)
	var all sync.WaitGroup
	for range p.callers {
		all.Go(func() {
			l := lhlo(t, d)
			for to := range work {
				for _, r := range (mail{from: sender, to: to, content: "Subject: list\r\n\r\nFor everybody.\r\n"}).deliver(l) {
					assert.Regexp(t, `^250 `, r, "nobody is put off")
				}
			}
			l.quit()
		})
	}
	for i, gate := range rounds {
		d.Gathered(t, min(n, (i+1)*round), 0)
		gate.Open()
	}
	all.Wait()
	return costOf(t, p.name, w, d, n)
}

// What counts is how many envelopes are under way at a time: a host MTA that waits for replies before it hands more over makes rounds.
func TestEnvelopesOfOneMessageCostWhatOneEnvelopeCosts(t *testing.T) {
	c, n := groupingWorld()
	for _, row := range []struct {
		name          string
		size, callers int
	}{
		{"chunks of 2,000 (Postfix)", 2000, n / 2000},
		{"batches of 500 (Mailman 3)", 500, n / 500},
		{"envelopes of 25 (Sympa)", 25, 400},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := min(n, row.size*row.callers)
			want, got := oneEnvelope(t, c, n), inEnvelopes(t, c, parting{row.name, n, row.size, row.callers})
			t.Log(want)
			t.Log(got)
			checkCost(t, want, got)
			assert.Equal(t, 1, got.messages, "one body is in memory")
		})
	}
}

// A host with fewer connections than parts hands over what it can and waits: each round costs what its part of the list costs alone.
func TestRoundsOfEnvelopesAreTransactionsOfTheirOwn(t *testing.T) {
	c, _ := groupingWorld()
	const n, size, callers, rounds = 10_000, 25, 100, 4
	got := inEnvelopes(t, c, parting{"envelopes of 25, 100 at a time", n, size, callers})
	t.Log(got)
	assert.LessOrEqual(t, got.sessions, c.Hosts*rounds*12/10, "a host gets a session a round")
	assert.LessOrEqual(t, got.transactions, c.Hosts*rounds*12/10, "and a transaction a round")
}

// checkCost compares what a list in parts took with what it takes in one.
func checkCost(t *testing.T, want, got cost) {
	t.Helper()
	assert.LessOrEqual(t, got.sessions, want.sessions, "the parts take no more sessions")
	assert.LessOrEqual(t, got.transactions, want.transactions*12/10, "and nearly the same number of transactions")
}

// postfixPage is how many recipients of a message Postfix's queue manager reads before it hands parts of them over and reads on.
const postfixPage = 5000

// Postfix itself cuts a list into parts. They come a page at a time, with a pause behind each, and smtpfeed waits for the next page only as
// long as that is short beside what the list has taken so far.
func TestListThatPostfixCutsIsJoinedAgain(t *testing.T) {
	c, n := groupingWorld()
	want := oneEnvelope(t, c, n)
	s := startSystem(t, systemConfig{world: c, feed: feedd.Config{SMTP: `idle_timeout = "300s"`}})
	began := time.Now()
	submit(t, s.postfix, mail{from: sender, to: internet.List(c, n), content: "Subject: list\r\n\r\nFor everybody.\r\n"})
	taken := time.Since(began).Seconds()
	got := costOf(t, "through Postfix", s.world, s.feed, n)
	t.Log(want)
	t.Logf("%s, %.2f s of them at Postfix's door; peak memory %s", got, taken, s.feed.Memory(t))
	assert.LessOrEqual(t, got.sessions, want.sessions, "the parts take no more sessions")
	assert.LessOrEqual(t, got.transactions, want.transactions+c.Hosts*(n/postfixPage+1), "and at most a transaction more for each page and host")
	st := s.feed.Status(t)
	assert.GreaterOrEqual(t, st.Feed.EnvelopesTotal, uint64(n/2000), "Postfix splits the list")
	assert.LessOrEqual(t, got.messages, n/postfixPage, "smtpfeed joins what is under way together")
	assert.Empty(t, settled(t, s.postfix, feedd.Patience), "Postfix has nothing left")
}

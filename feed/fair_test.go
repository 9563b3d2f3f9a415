package feed

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
	"github.com/stretchr/testify/assert"
)

const (
	fairTrip       = 50 * time.Millisecond
	fairProcessing = 100 * time.Millisecond
	// fairRound is from one body of a session at work to the next: the final reply takes a round trip and the processing, and brings
	// with it the replies to the commands that rode behind the body.
	fairRound = fairTrip + fairProcessing
	// fairTransaction is what a transaction takes on a session at work, from its MAIL to its final reply: a round in which its
	// commands ride behind the body before, and a round for its own body.
	fairTransaction = 2 * fairRound
)

// A list to one host, and one-recipient mails to the same host handed over in the middle of it: each is delivered within two
// transactions' time, whatever the length of the list. Time is exact here: the next session that can write is at most a round
// away, it takes the mail then or, when the list is before it in turn, at the next moment a session can write; and then the mail's
// own transaction. With ten sessions, all of which can write in a round, the mail waits one round at most; with one, two.
func TestOneMailIsNotHeldUpByAList(t *testing.T) {
	for _, c := range []struct {
		name       string
		sessions   int
		recipients int // of the list
		personal   bool
		gap        time.Duration // between the mails: they alone must not be more than the sessions can carry
		within     time.Duration
	}{
		{"50,000 recipients, ten sessions", 10, 50_000, false, fairRound + 7*time.Millisecond, fairRound + fairTransaction},
		{"15,000 recipients, one session", 1, 15_000, false, 5*fairRound + 7*time.Millisecond, 2*fairRound + fairTransaction},
		{"500 personal copies, ten sessions", 10, 500, true, fairRound + 7*time.Millisecond, fairRound + fairTransaction},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := fairWorld(t, c.sessions, c.personal)
				list := w.send(shortContent, addresses(c.recipients, "one.test")...)
				time.Sleep(2 * time.Second) // the host has granted its sessions
				for _, one := range w.oneByOne(20, c.gap) {
					assert.Equal(t, []string{"delivered"}, one.wait(), "the mail is delivered")
					assert.LessOrEqual(t, one.latest(), 2*fairTransaction, "within two transactions' time")
					assert.LessOrEqual(t, one.latest(), c.within, "when its turn comes")
				}
				assert.Contains(t, list.outcomes(), "", "the list is not finished by then")
				assert.Equal(t, repeated("delivered", c.recipients), list.wait(), "but is in the end")
				assert.Equal(t, fairTransaction, list.settled[c.recipients/2].Outcome.Via.Transfer, "a transaction in the middle of it takes what is said above")
				assert.Equal(t, c.sessions, w.dials(best), "the mails opened no sessions of their own")
			})
		})
	}
}

// fairWorld has one host with equal latency and processing for everything.
func fairWorld(t *testing.T, sessions int, personal bool) *world {
	w := newWorld(t, func(c *Config) {
		c.SessionsPerHost = sessions
		if personal {
			personally(c)
		}
	})
	w.net.Default(netsim.Link{Latency: fairTrip / 2})
	w.table.set("one.test", "10 mx1.test "+best)
	w.serve(best, mxsim.Config{Processing: fairProcessing, Sink: func(*mxsim.Message) {}})
	return w
}

// oneByOne hands n mails over, one each gap, whether or not the one before was delivered: a gap that is no multiple of a round
// meets the sessions at every moment of one.
func (w *world) oneByOne(n int, gap time.Duration) (all []*delivery) {
	for i := range n {
		time.Sleep(gap)
		all = append(all, w.sendFrom("shop@example.org", fmt.Sprint("Subject: ", i, "\r\n"), "urgent@one.test"))
	}
	return all
}

// Many lists and one mail: the mail waits one turn of each at most, not the length of any.
func TestOneMailAmongManyLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lists = 30
		w := fairWorld(t, 10, false)
		var all []*delivery
		for i := range lists {
			all = append(all, w.sendFrom(fmt.Sprintf("list%d@example.org", i), shortContent, addresses(2000, "one.test")...))
		}
		time.Sleep(2 * time.Second)
		one := w.sendFrom("shop@example.org", shortContent, "urgent@one.test")
		assert.Equal(t, []string{"delivered"}, one.wait(), "the mail is delivered")
		assert.LessOrEqual(t, one.latest(), (lists/10+1)*fairRound+fairTransaction, "when each list has had its turn")
		var waiting sync.WaitGroup
		for _, d := range all {
			waiting.Go(func() { assert.Equal(t, repeated("delivered", 2000), d.wait(), "each list is delivered") })
		}
		waiting.Wait()
		assert.Greater(t, all[0].latest(), 5*time.Second, "long after the mail")
	})
}

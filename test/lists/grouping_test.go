package lists

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// The list that is handed over in batches.
const (
	batchedRecipients = 10_000
	batchedHosts      = 200
	batchedDomains    = 3000
)

func batchedWorld() internet.Config {
	return internet.Config{
		Domains: batchedDomains, Hosts: batchedHosts, RTT: 40 * time.Millisecond, Processing: 50 * time.Millisecond,
		DNSDelay: 10 * time.Millisecond, Additional: true,
	}
}

// A run is one way to hand a list over.
type run struct {
	what   string
	world  internet.Config
	to     []string
	tables string // of smtpfeed's configuration
	hand   func(t *testing.T, s *system, to []string)
	equal  bool // Postfix writes the same Received: line for each batch
	held   bool // Postfix takes everything before it hands any of it to smtpfeed
	// together: hosts greet late, as many do to keep spam away: when smtpfeed has everything. So it is grouped, however slow this machine is.
	together bool
}

// A cost is what a list took to deliver.
type cost struct {
	sessions, transactions, contents int
	envelopes, messages              uint64
	bodies                           int     // most in smtpfeed's memory at once, as far as was seen
	handed, last                     float64 // seconds until the list server was done, and until the last arrival
}

// measure starts a system of its own, hands the list over and waits for the end of it.
func (r run) measure(t *testing.T) (c cost) {
	t.Helper()
	gate := feedd.NewGate(t)
	if r.together {
		r.world.MX.Greeting = gate.Greeting
	}
	s := startSystem(t, systemConfig{world: r.world, settings: []string{"header_checks = " + r.checks(t)}, tables: r.tables})
	s.world.Reset()
	began := time.Now()
	stop := s.watch(len(r.to), gate)
	defer stop() // also when the test does not go on
	r.hand(t, s, r.to)
	c.handed = time.Since(began).Seconds()
	if r.held {
		s.letGo(t, len(r.to))
	}
	s.arrived(t, len(r.to))
	c.bodies = stop()
	st := s.emptied(t)
	w := s.sound(t)
	assert.Equal(t, len(r.to), w.Recipients, "everybody got one")
	c.sessions, c.transactions, c.contents, c.last = w.Sessions, w.Transactions, w.Contents, w.Last
	c.envelopes, c.messages = st.Feed.EnvelopesTotal, st.Feed.MessagesTotal
	t.Logf("%s: handed over in %.2f s, last arrival %.2f s", r.what, c.handed, c.last)
	t.Logf("%d envelopes, %d contents, %d messages, %d bodies at once; %d sessions, %d transactions",
		c.envelopes, c.contents, c.messages, c.bodies, c.sessions, c.transactions)
	return c
}

// holding is the setting by which Postfix keeps lists until they are released.
const holding = "regexp:{{/^Subject: news/ HOLD}}"

// letGo waits until Postfix holds n recipients, lets smtpfeed have them, and begins the world's time anew.
func (s *system) letGo(t *testing.T, n int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		all, err := s.postfix.Queue()
		assert.NoError(c, err, "the queue can be listed")
		assert.Equal(c, n, len(all), "recipients in the queue")
	}, feedd.Patience, 100*time.Millisecond, "Postfix keeps what it must not deliver")
	require.Zero(t, s.world.Report().Sessions, "and does not try to")
	s.world.Reset()
	out, err := exec.Command("postsuper", "-c", s.dir, "-H", "ALL").CombinedOutput()
	require.NoError(t, err, "Postfix may deliver: %s", out)
	require.NoError(t, s.postfix.Flush(), "and does")
}

// watch looks at how many contents smtpfeed holds at once, until it is told to stop, and opens the gate when it has n recipients.
func (s *system) watch(n int, gate *feedd.Gate) (stop func() int) {
	done := make(chan struct{})
	most := make(chan int, 1) // from the watching goroutine, once
	go func() {
		bodies := 0
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				most <- bodies
				return
			case <-tick.C:
				st := s.feed.Status(new(assert.CollectT))
				bodies = max(bodies, st.LMTP.Bodies)
				if st.Gathered(n) {
					gate.Open()
				}
			}
		}
	}()
	return sync.OnceValue(func() int {
		close(done)
		return <-most
	})
}

// listSender is the envelope sender of a list in batches.
const listSender = "list-bounces@" + listDomain

// inOne gives Postfix a list in one submission.
func inOne(t *testing.T, s *system, to []string) {
	t.Helper()
	content := "From: member@sender.test\r\nTo: list@lists.test\r\nSubject: news\r\n\r\nFor everybody.\r\n"
	_, err := hosts.Submit(s.postfix.Addr(), hosts.Mail{From: listSender, To: to, Content: content})
	require.NoError(t, err, "Postfix takes the list")
}

// checks is what Postfix looks for in headers.
func (r run) checks(t *testing.T) (tables string) {
	t.Helper()
	if r.held {
		tables = holding + " "
	}
	if !r.equal {
		return tables
	}
	text, err := os.ReadFile("../../patches/lists/received.regexp")
	require.NoError(t, err, "the table is there")
	table := filepath.Join(feedd.NewDir(t, "received-"), "received.regexp") // where Postfix's processes can read it
	require.NoError(t, os.WriteFile(table, text, 0o644), "Postfix has the table")
	return tables + "regexp:" + table
}

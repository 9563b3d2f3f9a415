package lists

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/smtpfeed/smtpfeed/test/hostsim"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// few is what "nearly as few transactions as one envelope" means: every host has 50 recipients of the list, which are one.
const few = batchedHosts * 12 / 10

// checkFew says that a list with n contents was n messages, and cost what as many envelopes do.
func (c cost) checkFew(t *testing.T, n int) {
	t.Helper()
	assert.Equal(t, n, c.contents, "everybody got the same octets")
	assert.EqualValues(t, n, c.messages, "smtpfeed made one message of them")
	assert.LessOrEqual(t, c.bodies, n, "and held one body")
	assert.GreaterOrEqual(t, c.sessions, batchedHosts, "every host got mail")
	assert.LessOrEqual(t, c.sessions, n*batchedHosts, "by one session")
	assert.LessOrEqual(t, c.transactions, n*few, "and nearly always one transaction")
}

// A host MTA that has all batches of a list in its queue hands them over at the same time: here by as many LMTP connections, and
// without the time that a real one needs for each.
func TestEqualBatchesAtOnceAreOneMessage(t *testing.T) {
	to := internet.List(batchedWorld(), batchedRecipients)
	for what, size := range map[string]int{"Sympa's 25": 25, "Mailman's 500": 500} {
		t.Run(what, func(t *testing.T) {
			r := run{what: what, world: batchedWorld(), to: to, together: true, hand: func(t *testing.T, s *system, to []string) {
				require.NoError(t, s.deliver(to, size), "smtpfeed takes every batch")
			}}
			r.measure(t).checkFew(t, 1)
		})
	}
}

// deliver gives smtpfeed a list in batches, all at the same time. Each must be delivered.
func (s *system) deliver(to []string, size int) error {
	var g errgroup.Group
	for len(to) > 0 {
		batch := to[:min(size, len(to))]
		to = to[len(batch):]
		g.Go(func() error {
			c, err := hostsim.Dial("unix", s.feed.Socket())
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Deliver(hostsim.Message{From: listSender, To: batch, Body: []byte("Subject: news\r\n\r\nFor everybody.\r\n")}, nil)
			return err
		})
	}
	return g.Wait()
}

// Whoever can be told to hand a list over whole should be.
func TestListServersThatHandOverWhole(t *testing.T) {
	to := internet.List(batchedWorld(), batchedRecipients)
	for _, r := range []run{
		{what: "one submission", hand: inOne},
		{what: "Mailman, max_recipients 0", hand: mailman{maxRecipients: 0}.hand},
		{what: "Sympa, nrcpt and avg 20000", hand: sympa{20_000, 20_000, 40}.hand},
	} {
		t.Run(r.what, func(t *testing.T) {
			r.world, r.to, r.together = batchedWorld(), to, true
			r.measure(t).checkFew(t, 1)
		})
	}
}

// Batches that wait in Postfix's queue become one message when Postfix writes the same Received: line for each; or two, when a
// minute began while they came.
func TestMailmansBatchesWithEqualTraceAreOneMessage(t *testing.T) {
	r := run{
		what: "Mailman, 500 at a time", world: batchedWorld(), to: internet.List(batchedWorld(), batchedRecipients),
		hand: mailman{maxRecipients: 500}.hand, equal: true, held: true, together: true,
	}
	c := r.measure(t)
	assert.LessOrEqual(t, c.contents, 2, "nothing but the minute differs")
	c.checkFew(t, c.contents)
}

// liveVariable asks for the figures of patches/lists/README.md.
const liveVariable = "SMTPFEED_LISTS"

// What list servers do as they come, and while smtpfeed delivers: batches come more slowly than smtpfeed sends them on.
func TestFiguresOfBatches(t *testing.T) {
	if os.Getenv(liveVariable) != "figures" {
		t.Skip("set " + liveVariable + "=figures: it takes minutes")
	}
	to := internet.List(batchedWorld(), batchedRecipients)
	for _, r := range []run{
		{what: "one submission", hand: inOne},
		{what: "Mailman 500", hand: mailman{maxRecipients: 500}.hand},
		{what: "Mailman 500, equal trace", hand: mailman{maxRecipients: 500}.hand, equal: true},
		{what: "Mailman 0", hand: mailman{maxRecipients: 0}.hand},
		{what: "Mailman 500, held", hand: mailman{maxRecipients: 500}.hand, held: true},
		{what: "Mailman 500, equal trace, held", hand: mailman{maxRecipients: 500}.hand, equal: true, held: true},
		{what: "Mailman VERP, 1000 recipients", hand: mailman{verp: true}.hand, to: to[:1000]},
		{what: "Sympa as it comes, 1000 recipients", hand: sympa{25, 10, 40}.hand, to: to[:1000]},
		{what: "Sympa 25", hand: sympa{25, 25, 1}.hand},
		{what: "Sympa 25, equal trace", hand: sympa{25, 25, 1}.hand, equal: true},
		{what: "Sympa 25, held", hand: sympa{25, 25, 1}.hand, held: true},
		{what: "Sympa 25, equal trace, held", hand: sympa{25, 25, 1}.hand, equal: true, held: true},
		{what: "Sympa 20000", hand: sympa{20_000, 20_000, 40}.hand},
	} {
		t.Run(strings.ReplaceAll(r.what, ",", ""), func(t *testing.T) {
			r.world = batchedWorld()
			if r.to == nil {
				r.to = to
			}
			r.measure(t)
		})
	}
}

package hosts_test

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/smtpfeed/smtpfeed/test/hosts"
)

// makers makes an instance of each host.
var makers = map[string]func(hosts.Setup) (hosts.Host, error){
	"Postfix":  func(s hosts.Setup) (hosts.Host, error) { return hosts.NewPostfix(s) },
	"sendmail": func(s hosts.Setup) (hosts.Host, error) { return hosts.NewSendmail(s) },
	"OpenSMTPD": func(s hosts.Setup) (hosts.Host, error) {
		s.Feed = "tcp:127.0.0.1:1" // by TCP only
		return hosts.NewOpenSMTPD(s)
	},
	"Exim": func(s hosts.Setup) (hosts.Host, error) {
		s.Feed = "tcp:127.0.0.1:1" // by TCP only
		return hosts.NewExim(s)
	},
}

// patience ends tests that hang, however slow the machine is.
const patience = 2 * time.Minute

// newDir makes a directory that a host's processes can reach: those of t.TempDir are closed to other users.
func newDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "host-")
	require.NoError(t, err, "there is room for files")
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755), "the directory is opened to others")
	return dir
}

// begin makes and starts a host whose LMTP server does not exist.
func begin(t *testing.T, make func(hosts.Setup) (hosts.Host, error)) hosts.Host {
	t.Helper()
	dir := newDir(t)
	h, err := make(hosts.Setup{Dir: dir, Feed: "unix:" + dir + "/nobody.sock"})
	require.NoError(t, err, "an instance is made")
	require.NoError(t, h.Start(), "it starts")
	running := true
	t.Cleanup(func() {
		if running {
			assert.NoError(t, h.Stop(), "it ends")
		}
		if t.Failed() {
			log, _ := os.ReadFile(h.Log())
			t.Logf("%s", log)
		}
	})
	return h
}

// held waits until a host has tried n recipients and keeps them.
func held(t *testing.T, h hosts.Host, n int) (all []hosts.Queued) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var err error
		all, err = h.Queue()
		assert.NoError(c, err, "the queue can be listed")
		assert.Len(c, all, n, "recipients in the queue")
		for _, q := range all {
			assert.False(c, q.Active, "%s was tried", q.Address)
		}
	}, patience, 50*time.Millisecond, "what cannot be handed over stays")
	return all
}

func TestHostsKeepWhatNobodyTakes(t *testing.T) {
	for name, make := range makers {
		t.Run(name, func(t *testing.T) {
			h := begin(t, make)
			assert.Contains(t, h.Name(), name, "it says what it is")
			assert.Regexp(t, `\d\.\d`, h.Name(), "and its version")
			var to []string
			for i := range 5 {
				to = append(to, fmt.Sprintf("user%d@d%d.example", i, i))
			}
			replies, err := hosts.Submit(h.Addr(), hosts.Mail{From: "a@sender.test", To: to, Content: "Subject: x\r\n\r\n.x\r\n"})
			require.NoError(t, err, "mail is taken")
			assert.Len(t, replies, 1, "each with a reply")
			c := h.Sendmail("-oi", "-f", "b@sender.test", "user5@d5.example")
			c.Stdin = strings.NewReader("Subject: y\n\ny\n")
			out, err := c.CombinedOutput()
			require.NoError(t, err, "also from sendmail(1): %s", out)
			held(t, h, 6)

			assert.NoError(t, h.Reload(), "it reads its configuration again")
			assert.NoError(t, h.Flush(), "it tries again")
			held(t, h, 6)
			require.NoError(t, h.Stop(), "it can be stopped")
			require.NoError(t, h.Start(), "and started")
			var addresses []string
			for _, q := range held(t, h, 6) {
				addresses = append(addresses, q.Address)
				assert.NotEmpty(t, q.ID, "messages have names")
			}
			assert.ElementsMatch(t, append(to, "user5@d5.example"), addresses, "with the same queue")
		})
	}
}

// Who waits for an empty queue must not be told so while mail moves from one of the host's directories to the next.
func TestQueueMissesNoMailThatMoves(t *testing.T) {
	for name, make := range makers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := begin(t, make)
			const submitters, each = 4, 25
			var taken atomic.Int64
			var all errgroup.Group
			for range submitters {
				all.Go(func() error {
					for range each {
						if _, err := hosts.Submit(h.Addr(), hosts.Mail{From: "a@sender.test", To: []string{"b@d.example"}, Content: "Subject: x\r\n\r\nx\r\n"}); err != nil {
							return err
						}
						taken.Add(1)
					}
					return nil
				})
			}
			for before := int64(0); before < submitters*each; {
				before = taken.Load()
				queue, err := h.Queue()
				require.NoError(t, err, "the queue can be listed")
				ids := map[string]bool{}
				for _, q := range queue {
					ids[q.ID] = true
				}
				assert.GreaterOrEqual(t, int64(len(ids)), before, "mails in the queue")
			}
			assert.NoError(t, all.Wait(), "every mail is taken")
		})
	}
}

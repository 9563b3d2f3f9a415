package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
)

// A postfix is an instance of the host MTA of most tests.
type postfix struct {
	*hosts.Postfix
	dir string
}

// startPostfix makes and starts an instance that delivers through smtpfeed's socket; settings are added to its main.cf, where the
// last one of a name counts.
func startPostfix(t *testing.T, socket string, settings ...string) *postfix {
	t.Helper()
	p := newPostfix(t, socket, settings...)
	startHost(t, p)
	return p
}

// newPostfix is startPostfix without the start.
func newPostfix(t *testing.T, socket string, settings ...string) *postfix {
	t.Helper()
	dir := feedd.NewDir(t, "postfix-")
	p, err := hosts.NewPostfix(hosts.Setup{Dir: dir, Feed: "unix:" + socket, Settings: settings})
	require.NoError(t, err, "there is an instance of Postfix")
	feedd.ShowOnFailure(t, p.Log())
	return &postfix{p, dir}
}

// startHost starts a host MTA, which ends with the test.
func startHost(t *testing.T, h hosts.Host) {
	t.Helper()
	require.NoError(t, h.Start(), "the host MTA starts")
	t.Cleanup(func() { assert.NoError(t, h.Stop(), "the host MTA ends") })
}

// settled waits until a host MTA has done with everything for now, and returns what it keeps for later.
func settled(t *testing.T, h hosts.Host, within time.Duration) (kept []hosts.Queued) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		all, err := h.Queue()
		assert.NoError(c, err, "the queue can be listed")
		for _, q := range all {
			if q.Active {
				assert.Fail(c, fmt.Sprintf("%s of %s is still being tried", q.Address, q.ID))
				return
			}
		}
		kept = all
	}, within, 100*time.Millisecond, "the host MTA tries every recipient")
	return kept
}

// flush makes a host MTA try everything again now.
func flush(t *testing.T, h hosts.Host) {
	t.Helper()
	require.NoError(t, h.Flush(), "the host MTA tries again")
}

package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A system is everything mail passes: Postfix, smtpfeed, the world, and the host that takes what Postfix returns to senders.
type system struct {
	world   *internet.World
	feed    *feedd.Daemon
	postfix *postfix
	returns *exchanger
}

// A systemConfig is what differs between systems.
type systemConfig struct {
	world   internet.Config
	feed    feedd.Config // its world is the system's
	postfix []string     // settings
}

func startSystem(t *testing.T, c systemConfig) *system {
	t.Helper()
	feedd.NeedPostfix(t)
	s := &system{world: startWorld(t, c.world), returns: startExchanger(t, mxsim.Config{SMTPUTF8: true})}
	c.feed.World = s.world
	s.feed = feedd.Start(t, c.feed)
	s.postfix = startPostfix(t, s.feed.Socket(), append(c.postfix, s.returns.returnMail())...)
	return s
}

// startWorld makes an internet that ends with the test.
func startWorld(t *testing.T, c internet.Config) *internet.World {
	t.Helper()
	w, err := internet.Start(c)
	require.NoError(t, err, "the world begins")
	t.Cleanup(w.Close)
	return w
}

// arrived waits until n recipients have their mail.
func (s *system) arrived(t *testing.T, n int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Equal(c, n, s.world.Progress().Recipients, "recipients with their mail")
	}, feedd.Patience, 20*time.Millisecond, "mail arrives")
}

// sound checks what must hold whenever nothing is on its way, and returns the world's report.
func sound(t *testing.T, w *internet.World) internet.Report {
	t.Helper()
	r := w.Report()
	assert.Empty(t, r.Duplicates.First, "nobody gets a message twice")
	assert.Empty(t, r.Misrouted.First, "every recipient's mail goes to an exchanger of its domain")
	assert.Empty(t, r.Unknown.First, "no recipient is invented")
	assert.Empty(t, r.Broken, "no host finds fault with smtpfeed's protocol")
	return r
}

package feedd

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A Gate is where mail hosts wait until a test lets them go on, and at its end. How a list is grouped depends on what is there when a host
// takes mail: with hosts that wait for all of it, that is the same on a machine that is busy.
type Gate struct {
	opened  chan struct{} // closed by Open
	once    sync.Once
	testing context.Context // of the test: servers that are being closed wait for their hosts
}

// NewGate makes one that is closed.
func NewGate(t *testing.T) *Gate { return &Gate{opened: make(chan struct{}), testing: t.Context()} }

// Open lets everybody through who waits, and who comes later.
func (g *Gate) Open() { g.once.Do(func() { close(g.opened) }) }

// Wait returns when the gate is open.
func (g *Gate) Wait() {
	select {
	case <-g.opened:
	case <-g.testing.Done():
	}
}

// Greeting is mxsim.Config's: the usual one, as soon as the gate is open.
func (g *Gate) Greeting(int) string {
	g.Wait()
	return ""
}

// Gathered says that smtpfeed was handed n recipients since it began, and knows where each of them goes.
func (s *Status) Gathered(n int) bool {
	return s.Feed.RecipientsTotal >= uint64(n) && s.Feed.Resolving == 0
}

// Gathered waits until smtpfeed has n recipients, and knows where each of them goes and which hosts, so many, refuse connections.
func (d *Daemon) Gathered(t *testing.T, n, dead int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		s := d.Status(c)
		assert.True(c, s.Gathered(n), "%d recipients, of which %d domains are not known yet", s.Feed.RecipientsTotal, s.Feed.Resolving)
		assert.EqualValues(c, dead, s.Feed.DialsFailed, "hosts that refuse connections")
	}, Patience, 50*time.Millisecond, "smtpfeed gets the whole list")
}

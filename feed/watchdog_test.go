package feed

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/stretchr/testify/assert"
)

// A deaf connection is what a fault of ours would look like: from a certain moment on its writes hang, whatever the deadline, until it is
// closed.
type deaf struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
	after  time.Time
}

func (d *deaf) Write(p []byte) (int, error) {
	if time.Now().Before(d.after) {
		return d.Conn.Write(p)
	}
	<-d.closed
	return 0, errors.New("closed")
}

func (d *deaf) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.Conn.Close()
}

// A session that hangs costs its recipients a deferral in time, and nobody else anything: the next message has a session of its own, also
// where a host gets only one.
func TestASessionThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *world
		hang := true
		w = newWorld(t, func(c *Config) {
			dial := c.Dial
			c.Dial = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
				conn, err := dial(ctx, to)
				if err != nil || !hang {
					return conn, err
				}
				hang = false
				return &deaf{Conn: conn, closed: make(chan struct{}), after: time.Now().Add(time.Second)}, nil
			}
		})
		w.twoDomains(false)
		mx := w.serve(best, mxsim.Config{})
		first := w.sendIn(10*time.Second, "one", "a@one.test")
		assert.Equal(t, []string{"delivered"}, first.wait(), "the session works")
		time.Sleep(2 * time.Second)
		second := w.sendIn(20*time.Second, "two", "a@one.test")
		assert.Equal(t, []string{"deferred 4.4.7"}, second.wait(), "it hangs, and its recipient is told in time")
		time.Sleep(2 * stuckGrace)
		third := w.sendIn(20*time.Second, "three", "a@one.test")
		assert.Equal(t, []string{"delivered"}, third.wait(), "the next message has a session of its own")
		s := w.snapshot()
		assert.EqualValues(t, 1, s.Stuck, "the fault is counted")
		assert.Equal(t, 1, s.Sessions, "the hung session is forgotten")
		assert.Len(t, mx.Messages(), 2, "and its mail never sent")
	})
}

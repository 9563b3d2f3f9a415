package dnssim

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pendingLimit is how many messages a conn keeps unread; a datagram beyond is lost, as in a socket's buffer.
const pendingLimit = 20_000

// A conn is the asker's end of a connection to a Host: messages are kept apart for UDP and joined for TCP. Writes never
// block, so pipelining cannot deadlock as it does over net.Pipe.
type conn struct {
	host *Host
	tcp  bool

	mu       sync.Mutex
	pending  [][]byte
	partial  []byte // TCP: written and not yet a whole message
	err      error  // of the next Read, once
	closed   bool
	deadline time.Time     // of Read
	changed  chan struct{} // closed and replaced when something above changed
}

func (c *conn) Read(b []byte) (int, error) {
	for {
		c.mu.Lock()
		n, err, ok := c.take(b)
		changed, deadline := c.changed, c.deadline
		c.mu.Unlock()
		if ok {
			return n, err
		}
		if !wait(changed, deadline) {
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// take reads what there is.
func (c *conn) take(b []byte) (int, error, bool) {
	if c.closed {
		return 0, net.ErrClosed, true
	}
	if err := c.err; err != nil {
		c.err = nil
		return 0, err, true
	}
	if len(c.pending) == 0 {
		return 0, nil, false
	}
	n := copy(b, c.pending[0])
	if c.tcp && n < len(c.pending[0]) {
		c.pending[0] = c.pending[0][n:]
	} else {
		c.pending = c.pending[1:]
	}
	return n, nil, true
}

// wait returns false at the deadline.
func wait(changed chan struct{}, deadline time.Time) bool {
	if deadline.IsZero() {
		<-changed
		return true
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-changed:
		return true
	case <-timer.C:
		return false
	}
}

func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return 0, io.ErrClosedPipe
	}
	messages := [][]byte{b}
	if c.tcp {
		messages = c.split(b)
	}
	c.mu.Unlock()
	for _, m := range messages {
		c.host.heard(m, c)
	}
	return len(b), nil
}

// split returns the whole messages of a stream.
func (c *conn) split(b []byte) (messages [][]byte) {
	c.partial = append(c.partial, b...)
	for len(c.partial) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(c.partial))
		if len(c.partial) < end {
			break
		}
		messages = append(messages, c.partial[2:end:end])
		c.partial = c.partial[end:]
	}
	return messages
}

// change runs f with the lock held and wakes readers.
func (c *conn) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *conn) deliver(msg []byte) {
	c.change(func() {
		if len(c.pending) < pendingLimit {
			c.pending = append(c.pending, msg)
		}
	})
}

func (c *conn) fail(err error) { c.change(func() { c.err = err }) }

func (c *conn) Close() error {
	c.change(func() { c.closed = true })
	return nil
}

func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *conn) SetReadDeadline(t time.Time) error {
	c.change(func() { c.deadline = t })
	return nil
}

func (c *conn) SetWriteDeadline(time.Time) error { return nil } // writes never wait

func (c *conn) LocalAddr() net.Addr  { return memoryAddr("memory") }
func (c *conn) RemoteAddr() net.Addr { return memoryAddr("memory") }

type memoryAddr string

func (a memoryAddr) Network() string { return string(a) }
func (a memoryAddr) String() string  { return string(a) }

package netsim

import (
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// A Conn is one end of a connection. It is a net.Conn.
type Conn struct {
	n             *Net
	local, remote netip.AddrPort
	in, out       *stream

	closed     bool // by us; nothing is read or written any more
	read       deadline
	write      deadline
	shutWrites bool // CloseWrite was called
	abrupt     bool // SetLinger(0) was called
}

// A deadline ends the waits of one direction. Guarded by Net.mu.
type deadline struct {
	at    time.Time // zero: never
	timer *time.Timer
}

func newPair(n *Net, h *host, from, to netip.AddrPort) (client, server *Conn) {
	up, down := newStream(n, h), newStream(n, h)
	client = &Conn{n: n, local: from, remote: to, in: down, out: up}
	server = &Conn{n: n, local: to, remote: from, in: up, out: down}
	up.up, up.to, down.to = true, server, client
	n.open += 2
	return client, server
}

// Read returns what has arrived, waiting for the first octet, the end or the deadline.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	for {
		if err := c.blocked(&c.read); err != nil {
			return 0, c.opError("read", err)
		}
		if len(c.in.ready) > 0 {
			return c.in.take(p), nil
		}
		if err := c.in.readError(); err == io.EOF {
			return 0, io.EOF // package net does not wrap it either
		} else if err != nil {
			return 0, c.opError("read", err)
		}
		c.in.readable.Wait()
	}
}

// Write sends p, waiting whenever the window is full, until the deadline.
func (c *Conn) Write(p []byte) (int, error) {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	done := 0
	for {
		if err := c.writeError(); err != nil {
			return done, c.opError("write", err)
		}
		if room := c.out.room(); room > 0 {
			k := min(room, len(p)-done)
			c.out.send(p[done : done+k])
			done += k
		}
		if done == len(p) {
			return done, nil
		}
		c.out.writable.Wait()
	}
}

// CloseWrite sends FIN behind what was written; reading goes on.
func (c *Conn) CloseWrite() error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.shutWrites = true
	c.out.finish(fin)
	c.out.writable.Broadcast()
	return nil
}

// Close sends FIN behind what was written, or RST when something that arrived was not read, and gives the connection up.
func (c *Conn) Close() error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	k := fin
	if len(c.in.ready) > 0 || c.abrupt {
		k = rst
	}
	c.giveUp(k)
	return nil
}

// Reset gives the connection up with a RST, as SO_LINGER 0 does: the peer's reads and writes fail with ECONNRESET once it
// has arrived.
func (c *Conn) Reset() error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.abort()
	return nil
}

// SetLinger with 0 makes a later Close send RST, as with *net.TCPConn; other values change nothing.
func (c *Conn) SetLinger(sec int) error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	c.abrupt = sec == 0
	return nil
}

// LocalAddr is a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return tcpAddr(c.local) }

// RemoteAddr is a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return tcpAddr(c.remote) }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.setDeadlines(t, &c.read, &c.write)
}

// SetReadDeadline ends reads under way and to come at t; zero is never.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, &c.read) }

// SetWriteDeadline ends writes under way and to come at t; zero is never.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, &c.write) }

func (c *Conn) setDeadlines(t time.Time, ds ...*deadline) error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	for _, d := range ds {
		d.stop()
		d.at = t
		if !t.IsZero() {
			d.timer = time.AfterFunc(time.Until(t), c.wake)
		}
	}
	c.in.readable.Broadcast()
	c.out.writable.Broadcast()
	return nil
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func (c *Conn) wake() {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	c.in.readable.Broadcast()
	c.out.writable.Broadcast()
}

// blocked is why neither direction may go on: the caller's own doing.
func (c *Conn) blocked(d *deadline) error {
	if c.closed {
		return net.ErrClosed
	}
	if !d.at.IsZero() && !time.Now().Before(d.at) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *Conn) writeError() error {
	if err := c.blocked(&c.write); err != nil {
		return err
	}
	switch {
	case c.in.reset && !c.in.ended:
		return sysError("write", syscall.ECONNRESET)
	case c.in.reset || c.shutWrites:
		return sysError("write", syscall.EPIPE)
	}
	return nil
}

// resetByPeer is the arrival of a RST. The caller holds n.mu.
func (c *Conn) resetByPeer() {
	c.in.reset = true
	c.in.wake()
	c.out.wake()
}

// abort is Reset for callers that hold n.mu; on a closed end it does nothing.
func (c *Conn) abort() {
	if !c.closed {
		c.giveUp(rst)
	}
}

// giveUp closes this end and tells the peer. The caller holds n.mu.
func (c *Conn) giveUp(k kind) {
	c.closed = true
	c.n.open--
	c.read.stop()
	c.write.stop()
	c.in.ready = nil
	if !c.in.reset { // a connection that the peer reset has nobody to tell
		c.out.finish(k)
	}
	c.in.wake()
	c.out.wake()
}

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

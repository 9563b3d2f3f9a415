package netsim

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// A Listener is a listening socket with a queue without bound: whoever accepts nothing has clients that are connected and hear
// nothing, as with a full tcpserver.
type Listener struct {
	n      *Net
	addr   netip.AddrPort
	more   sync.Cond // on n.mu: ready or closed changed
	coming []*Conn   // handshake not complete here
	ready  []*Conn   // to be accepted
	closed bool
}

// Listen opens a listener; port 0 gives one away. The error is a *net.OpError around EADDRINUSE.
func (n *Net) Listen(at netip.AddrPort) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at.Port() == 0 {
		at = netip.AddrPortFrom(at.Addr(), n.nextPort())
	}
	if n.listeners[at] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: tcpAddr(at), Err: sysError("bind", syscall.EADDRINUSE)}
	}
	l := &Listener{n: n, addr: at}
	l.more.L = &n.mu
	n.listeners[at] = l
	return l, nil
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	for len(l.ready) == 0 && !l.closed {
		l.more.Wait()
	}
	if l.closed {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
	c := l.ready[0]
	l.ready = l.ready[1:]
	return c, nil
}

// Close ends the listener; connections that nobody accepted are reset.
func (l *Listener) Close() error {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	if l.closed {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
	l.closed = true
	delete(l.n.listeners, l.addr)
	for _, c := range l.ready {
		c.abort()
	}
	l.ready = nil
	l.more.Broadcast()
	return nil
}

// Addr is the *net.TCPAddr listened on.
func (l *Listener) Addr() net.Addr { return tcpAddr(l.addr) }

// arrive completes the next handshake. The caller holds n.mu.
func (l *Listener) arrive() {
	c := l.coming[0]
	l.coming = l.coming[1:]
	if l.closed {
		c.abort()
		return
	}
	l.ready = append(l.ready, c)
	l.more.Signal()
}

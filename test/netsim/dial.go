package netsim

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Dial connects from DefaultSource. Errors are *net.OpError, as those of net.Dialer: around ECONNREFUSED, EHOSTUNREACH, the
// link's DialError, or the context's error.
func (n *Net) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return n.DialFrom(ctx, DefaultSource, to)
}

// DialFrom is Dial from another address of ours.
func (n *Net) DialFrom(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	d := &dial{n: n, from: from, to: to}
	c, err := d.run(ctx)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Source: &net.TCPAddr{IP: from.AsSlice()}, Addr: tcpAddr(to), Err: err}
	}
	return c, nil
}

// A dial is one connection attempt.
type dial struct {
	n    *Net
	from netip.Addr
	to   netip.AddrPort
}

func (d *dial) run(ctx context.Context) (*Conn, error) {
	n := d.n
	n.mu.Lock()
	n.dials[d.to]++
	n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, contextError(err)
	}
	for {
		n.mu.Lock()
		h, changed := n.host(d.to.Addr()), n.changed
		link, lost := h.link, n.cut || h.cut || h.link.BlackHole
		n.mu.Unlock()
		if link.DialError != nil {
			return nil, sysError("connect", link.DialError)
		}
		if !lost {
			return d.handshake(ctx, link)
		}
		// TCP repeats its SYN: a link that comes back is noticed.
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, contextError(ctx.Err())
		}
	}
}

// handshake is the round trip of SYN and its answer.
func (d *dial) handshake(ctx context.Context, link Link) (*Conn, error) {
	if link.Latency > 0 {
		t := time.NewTimer(2 * link.Latency)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, contextError(ctx.Err())
		}
	}
	n := d.n
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.listeners[d.to]
	switch {
	case link.Unreachable:
		return nil, sysError("connect", syscall.EHOSTUNREACH)
	case link.Refuse || l == nil:
		return nil, sysError("connect", syscall.ECONNREFUSED)
	}
	return d.connect(l), nil
}

// connect makes both ends; the listener sees its own when the third packet of the handshake has arrived. The caller holds n.mu.
func (d *dial) connect(l *Listener) *Conn {
	n := d.n
	h := n.host(d.to.Addr())
	client, server := newPair(n, h, netip.AddrPortFrom(d.from, n.nextPort()), d.to)
	l.coming = append(l.coming, server)
	n.send(h, l.arrive)
	return client
}

package dnssim

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// A Network is servers in memory, for a resolver whose dial function is Dial. Safe in a synctest bubble: an answer is a
// timer, and no goroutine stays.
type Network struct {
	mu    sync.Mutex
	hosts map[string]*Host
}

// A Host is one server of a Network. Its fields are set before the first question.
type Host struct {
	counts
	Handler Handler
	Latency time.Duration    // there and back
	Lose    func(n int) bool // is the nth datagram from the asker lost, from 0; nil: none
	NoUDP   bool             // nobody listens: reads say connection refused
	NoTCP   bool             // dialing TCP is refused

	mu        sync.Mutex
	datagrams int
}

// Add puts a server at "HOST:PORT".
func (n *Network) Add(addr string, h *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = make(map[string]*Host)
	}
	n.hosts[addr] = h
}

// Dial connects to a server; network is "udp" or "tcp".
func (n *Network) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	h := n.hosts[addr]
	n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	tcp := network == "tcp"
	if h == nil || tcp && h.NoTCP {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s: %w", addr, syscall.ECONNREFUSED)}
	}
	return &conn{host: h, tcp: tcp, changed: make(chan struct{})}, nil
}

// heard is a datagram or message that came to the host; it is answered at once or by a timer.
func (h *Host) heard(msg []byte, c *conn) {
	if !c.tcp && h.lose() {
		return
	}
	if h.NoUDP && !c.tcp {
		c.fail(syscall.ECONNREFUSED)
		return
	}
	q, ok := readQuery(bytes.Clone(msg))
	if !ok {
		return
	}
	h.add(q.question)
	a := h.Handler(q.question, c.tcp)
	// Never zero: in a bubble go1.26 runs a timer that is due at once where it is made, and the race detector crashes there.
	time.AfterFunc(max(h.Latency+a.Delay, 1), func() {
		for _, stray := range a.strays(q) {
			c.deliver(stray)
		}
		if a.Drop {
			return
		}
		msg := a.pack(nil, q, c.tcp)
		if c.tcp {
			msg = frame(msg)
		}
		c.deliver(msg)
	})
}

func (h *Host) lose() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.datagrams
	h.datagrams++
	return h.Lose != nil && h.Lose(n)
}

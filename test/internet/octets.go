package internet

import (
	"net"
	"sync/atomic"
)

// counting is a listener that counts what its connections bring, also while they are open: a mailer keeps some for its next message.
// Their handshakes take turns.
type counting struct {
	net.Listener
	read  *atomic.Int64
	turns turns
}

func (w *World) counting(l net.Listener) counting { return counting{l, &w.read, w.turns} }

func (l counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &counted{TCPConn: c.(*net.TCPConn), read: l.read, turn: turn{of: l.turns}}, nil
}

// A counted connection is a TCP connection, half-closed and reset as one.
type counted struct {
	*net.TCPConn
	read *atomic.Int64
	turn turn
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.read.Add(int64(n))
	c.turn.came(b[:n])
	return n, err
}

func (c *counted) Write(b []byte) (int, error) {
	c.turn.end()
	return c.TCPConn.Write(b)
}

func (c *counted) Close() error {
	c.turn.end()
	return c.TCPConn.Close()
}

package internet

import (
	"net"
	"sync/atomic"
)

// counting is a listener that counts what its connections bring, also while they are open: a mailer keeps some for its next message.
type counting struct {
	net.Listener
	read *atomic.Int64
}

func (l counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return counted{c.(*net.TCPConn), l.read}, nil
}

// A counted connection is a TCP connection, half-closed and reset as one.
type counted struct {
	*net.TCPConn
	read *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.read.Add(int64(n))
	return n, err
}

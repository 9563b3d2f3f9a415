package feed

import (
	"net"
	"runtime"
)

// A gate is how many handshakes compute at once: as many as there are processors. A handshake is a millisecond of arithmetic, and a
// list begins thousands together. All of them runnable, the loop, the resolver and LMTP would wait for seconds behind them in the
// scheduler's queue, which is first come, first served.
type gate chan struct{}

func newGate() gate { return make(gate, runtime.GOMAXPROCS(0)) }

// pass makes a handshake through the gate. It is given the connection to make it on.
func (g gate) pass(c net.Conn, handshake func(net.Conn) error) error {
	p := &passing{Conn: c, gate: g}
	g <- struct{}{}
	err := handshake(p)
	<-g
	p.gate = nil
	return err
}

// A passing connection is outside of the gate while it waits for the peer, who may take as long as the deadline lets it.
type passing struct {
	net.Conn
	gate gate // nil once the handshake is over; nobody else reads yet when it changes
}

func (p *passing) Read(b []byte) (int, error) {
	if p.gate == nil {
		return p.Conn.Read(b)
	}
	<-p.gate
	n, err := p.Conn.Read(b)
	p.gate <- struct{}{}
	return n, err
}

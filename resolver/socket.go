package resolver

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"syscall"
	"time"
)

const (
	readBuffer   = 4 << 20 // asked of the kernel, which may give less; answers to thousands of questions come in bursts
	datagramSize = 4096    // what a server that ignores our size may send
	yieldEvery   = 32      // datagrams sent before other goroutines get a turn
)

// A port is a connected socket and the questions that may be answered on it, by ID. Connected: the kernel drops datagrams of other
// senders. The port's number is the kernel's random choice.
type port struct {
	server *server
	conn   net.Conn             // nil for a stream, whose goroutines hold its connection
	stream bool                 // TCP
	asked  map[uint16]*question // guarded by the upstream's lock
}

// A datagram is a question registered on a port and not yet written.
type datagram struct {
	port *port
	wire []byte
	id   uint16
}

// openPorts opens the sockets that servers lack. Only the sender goroutine calls it.
func (u *upstream) openPorts() {
	for _, s := range u.servers {
		u.mu.Lock()
		missing := portsPerServer - len(s.ports)
		wait := time.Now().Before(s.reopen) || u.closed
		u.mu.Unlock()
		for ; missing > 0 && !wait; missing-- {
			wait = !u.openPort(s)
		}
	}
}

// openPort opens one socket and starts its reader.
func (u *upstream) openPort(s *server) bool {
	ctx, cancel := context.WithTimeout(u.ctx, reopenAfter)
	defer cancel()
	conn, err := u.dial(ctx, "udp", s.addr)
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		s.reopen = time.Now().Add(reopenAfter)
		s.trouble = "cannot open a socket: " + err.Error()
		return false
	}
	if u.closed {
		conn.Close()
		return false
	}
	if c, ok := conn.(interface{ SetReadBuffer(int) error }); ok {
		_ = c.SetReadBuffer(readBuffer) // the kernel's default serves too, with more retransmissions
	}
	p := &port{server: s, conn: conn, asked: make(map[uint16]*question)}
	s.ports = append(s.ports, p)
	u.work.Go(func() { u.read(p) })
	return true
}

// read hands every datagram on until the socket ends. It has no deadline: an idle socket is no fault, and close ends it.
func (u *upstream) read(p *port) {
	buf := make([]byte, datagramSize)
	for {
		n, err := p.conn.Read(buf)
		if err == nil {
			u.receive(p, buf[:n])
			continue
		}
		if !u.keep(p, err) {
			return
		}
	}
}

// keep decides on a read error: a refusal is news of the server (its ICMP message), anything else ends the socket, and the
// sender opens another.
func (u *upstream) keep(p *port, err error) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.heardRefusal(p, err) {
		return true
	}
	if i := slices.Index(p.server.ports, p); i >= 0 {
		p.server.ports = slices.Delete(p.server.ports, i, i+1)
		p.server.reopen = time.Now().Add(reopenAfter)
		p.server.trouble = err.Error()
		p.conn.Close()
	}
	return false
}

// heardRefusal says whether an error is a refusal, and acts on it.
func (u *upstream) heardRefusal(p *port, err error) bool {
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return false
	}
	u.refused(time.Now(), p.server)
	u.nudge()
	return true
}

// unwritten hears of a failed write, which is a lost datagram: the retransmission repairs it, and the reader ends the socket
// if that is at fault. A refusal reported by a write belongs to an earlier datagram: true, this one may be written again.
func (u *upstream) unwritten(p *port, err error) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.heardRefusal(p, err) {
		return true
	}
	p.server.trouble = err.Error()
	return false
}

// send writes datagrams.
func (u *upstream) send(out []datagram) {
	for i, d := range out {
		setID(d.wire, d.id)
		if _, err := d.port.conn.Write(d.wire); err != nil && u.unwritten(d.port, err) {
			_, _ = d.port.conn.Write(d.wire)
		}
		if i%yieldEvery == yieldEvery-1 {
			runtime.Gosched()
		}
	}
}

package resolver

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
)

const (
	readBuffer   = 4 << 20 // asked of the kernel, which may give less; answers to thousands of questions come in bursts
	datagramSize = 4096    // what a server that ignores our size may send
	readBatch    = 32      // datagrams read at once
)

// A port is a connected socket and the questions that may be answered on it, by ID. Connected: the kernel drops datagrams of other
// senders. The port's number is the kernel's random choice.
type port struct {
	server *server
	conn   net.Conn             // nil for a stream, whose goroutines hold its connection
	many   *ipv4.PacketConn     // conn, when the system reads and writes many datagrams at once; nil: one by one
	stream bool                 // TCP
	asked  map[uint16]*question // guarded by the upstream's lock
}

func newPort(s *server, conn net.Conn) *port {
	p := &port{server: s, conn: conn, asked: make(map[uint16]*question)}
	if c, ok := conn.(*net.UDPConn); ok && runtime.GOOS == "linux" {
		p.many = ipv4.NewPacketConn(c) // its batches are for IPv6 sockets too; other systems would read one datagram a call
	}
	return p
}

// A datagram is a question registered on a port and not yet written.
type datagram struct {
	port *port
	id   uint16
	key  key
	form form
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
		s.gone = s.gone || isUnreachable(err)
		return false
	}
	if u.closed {
		conn.Close()
		return false
	}
	if c, ok := conn.(interface{ SetReadBuffer(int) error }); ok {
		_ = c.SetReadBuffer(readBuffer) // the kernel's default serves too, with more retransmissions
	}
	p := newPort(s, conn)
	s.ports = append(s.ports, p)
	u.work.Go(func() { u.read(p) })
	return true
}

// read hands all datagrams on until the socket ends. It has no deadline: an idle socket is no fault, and close ends it.
func (u *upstream) read(p *port) {
	var in inbox
	t := newTray(p)
	for {
		messages, err := t.read()
		if err == nil {
			u.receive(p, &in, messages)
			if p.many != nil && len(messages) < readBatch {
				u.gather()
			}
			continue
		}
		if !u.keep(p, err) {
			return
		}
	}
}

const (
	gatherFrom = 256                    // questions in flight
	gatherTime = 500 * time.Microsecond // timers of the system may make it 1 ms
)

// gather waits for more answers when many are under way. Without it a reader wakes for each datagram, and waking costs more
// than reading; the wait is little beside a round trip, and sockets hold the answers of a far longer time.
func (u *upstream) gather() {
	u.mu.Lock()
	many := u.window.inFlight >= gatherFrom
	u.mu.Unlock()
	if many {
		time.Sleep(gatherTime)
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
		p.server.gone = p.server.gone || isUnreachable(err)
		p.conn.Close()
	}
	return false
}

// isUnreachable says that nobody can be at a server's address, as far as this machine knows.
func isUnreachable(err error) bool {
	return slices.ContainsFunc([]syscall.Errno{syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, syscall.ENETUNREACH, syscall.EHOSTUNREACH},
		func(e syscall.Errno) bool { return errors.Is(err, e) })
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

package crash

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// An outward is a process's end of an SMTP connection.
type outward struct {
	*netsim.Conn
	process *process
	name    string

	mu       sync.Mutex // guards what follows: one goroutine writes, another one reads
	dialogue *dialogue
	closed   bool
}

// dial is a process's way to exchangers.
func (p *process) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	n := p.counted(to)
	name := fmt.Sprintf("%v#%d", to.Addr(), n)
	if p.act(dialing, name, nil).dead {
		return nil, net.ErrClosed
	}
	if p.world.refusesDial() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.life, cancel)()
	c, err := p.world.net.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	o := &outward{Conn: c.(*netsim.Conn), process: p, name: name, dialogue: newDialogue()}
	if !p.hold(o.Conn) {
		return nil, net.ErrClosed
	}
	p.world.know(o)
	return o, nil
}

// Write lets octets leave when it is their turn.
func (o *outward) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	t := o.process.act(speaking, o.name, b)
	if t.dead {
		return 0, net.ErrClosed
	}
	o.mu.Lock()
	o.dialogue.says(b[:t.octets]) // beforehand: the first of it may be answered while the last of it waits for room
	o.mu.Unlock()
	n, err := o.Conn.Write(b[:t.octets])
	o.mu.Lock()
	ended := o.dialogue.said(t.octets - n)
	o.mu.Unlock()
	for _, f := range ended {
		o.process.world.log.note("process %d: end of data to %s: %s for %v", o.process.n, o.name, f.message, f.to)
		o.process.world.compare(o, f)
	}
	if err == nil && n < len(b) {
		err = net.ErrClosed // it has died over it
	}
	return n, err
}

// Read notes what is read, while the process lives.
func (o *outward) Read(b []byte) (int, error) {
	n, err := o.Conn.Read(b)
	if !o.process.lives() {
		return 0, net.ErrClosed
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.dialogue.heard(b[:n]) {
		o.process.world.log.note("process %d: reads %d from %s: %s for %v", o.process.n, f.code, o.name, f.message, f.to)
	}
	return n, err
}

// Close is no action: the death of a process closes its connections too, and the other end cannot tell the two apart.
func (o *outward) Close() error {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	return o.Conn.Close()
}

// find is the transaction of that number; nil when there was none.
func (o *outward) find(number int) *flight {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.dialogue.flights {
		if f.number == number {
			return f
		}
	}
	return nil
}

// inDoubt are the recipients of transactions whose dot has left and whose reply was not read.
func (o *outward) inDoubt() (flights []*flight) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fs := o.dialogue.flights
	if f := o.dialogue.flight; f != nil && f.ending && (len(fs) == 0 || fs[len(fs)-1] != f) {
		fs = append(fs[:len(fs):len(fs)], f)
	}
	for _, f := range fs {
		if f.uncertain() {
			flights = append(flights, f)
		}
	}
	return flights
}

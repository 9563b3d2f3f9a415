package mxsim

import (
	"net"
	"sync"
	"time"
)

// outboxLimit is how many octets of replies may wait before the session stops reading, as a server with a full send buffer does.
const outboxLimit = 1 << 20

// An outbox writes replies when they are due, in order. The session's goroutine puts; a timer's callback writes. At most one of
// them writes at a time: the callback while something is queued, else the session.
type outbox struct {
	conn net.Conn // changes to TLS only while the queue is empty
	raw  net.Conn // as accepted
	gone func()   // called before the last reply
	bare bool     // the end is not announced by TLS's close_notify

	mu    sync.Mutex // never held while writing
	moved sync.Cond  // on mu: the queue became shorter
	queue []batch    // by due time
	size  int        // octets in the queue
	timer *time.Timer
	spare []byte // a buffer to be used again
	dead  bool   // nothing is written any more
}

// A batch is what is written at one moment.
type batch struct {
	due  time.Time
	data []byte
	end  ending // what follows
}

// An ending is how the server ends a connection.
type ending uint8

const (
	goOn   ending = iota
	finish        // FIN
	reset         // RST
)

func newOutbox(c net.Conn, gone func()) *outbox {
	o := &outbox{conn: c, raw: c, gone: gone}
	o.moved.L = &o.mu
	return o
}

// put takes data over, writes it when due, and returns an empty buffer for the next replies.
func (o *outbox) put(now time.Time, b batch) []byte {
	o.mu.Lock()
	if o.dead {
		o.mu.Unlock()
		return b.data[:0]
	}
	if len(o.queue) == 0 && !b.due.After(now) {
		o.mu.Unlock()
		o.write(b)
		return b.data[:0]
	}
	defer o.mu.Unlock()
	o.queue = append(o.queue, b)
	o.size += len(b.data)
	if len(o.queue) == 1 {
		o.arm(b.due.Sub(now))
	}
	for o.size > outboxLimit && !o.dead {
		o.moved.Wait()
	}
	spare := o.spare
	o.spare = nil
	return spare[:0]
}

// arm sets the one timer. The caller holds o.mu.
func (o *outbox) arm(d time.Duration) {
	if o.timer == nil {
		o.timer = time.AfterFunc(d, o.fire)
		return
	}
	o.timer.Reset(d)
}

// fire writes what is due. A batch leaves the queue only after it was written, so that put does not overtake it.
func (o *outbox) fire() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) > 0 && !o.dead {
		b := o.queue[0]
		if wait := time.Until(b.due); wait > 0 {
			o.arm(wait)
			return
		}
		o.mu.Unlock()
		o.write(b)
		o.mu.Lock()
		if len(o.queue) > 0 {
			o.queue = append(o.queue[:0], o.queue[1:]...)
		}
		o.size -= len(b.data)
		o.spare = b.data
		o.moved.Broadcast()
	}
}

// write puts one batch on the wire, and closes the connection when nothing can follow.
func (o *outbox) write(b batch) {
	if b.end != goOn {
		o.gone() // counted out first: a client that reads this 221 and connects again has not two sessions at once
	}
	_, err := o.conn.Write(b.data)
	if err == nil && b.end == goOn {
		return
	}
	switch {
	case b.end == reset:
		abort(o.raw)
	case o.bare:
		hangUp(o.raw)
	default:
		hangUp(o.conn)
	}
	o.shut()
}

// drain waits until everything put was written.
func (o *outbox) drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) > 0 && !o.dead {
		o.moved.Wait()
	}
}

// shut drops what was not written.
func (o *outbox) shut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dead = true
	o.queue, o.size = nil, 0
	if o.timer != nil {
		o.timer.Stop()
	}
	o.moved.Broadcast()
}

// hangUp sends FIN and, for what still comes, RST.
func hangUp(c net.Conn) {
	if c, ok := c.(interface{ CloseWrite() error }); ok {
		c.CloseWrite() // what fails here fails in Close as well
	}
	c.Close()
}

// abort sends RST at once.
func abort(c net.Conn) {
	if c, ok := c.(interface{ SetLinger(int) error }); ok {
		c.SetLinger(0) // what fails here fails in Close as well
	}
	c.Close()
}

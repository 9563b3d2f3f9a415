package feed

import (
	"bytes"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

const (
	// chunk is how many octets of a body are written between two looks at what the peer says meanwhile. Each has the body
	// timeout for itself, which at 180 s is the least rate we bear with: 500 octets a second.
	chunk = 88 << 10
	// tail is how many octets of a body's last chunk are copied to leave in one write with the end of data.
	tail = 1 << 10
	// recordWait is how long a TLS record that has come is given to turn out as a reply.
	recordWait = 20 * time.Millisecond
)

// early takes a reply that came before the end of data: the server does not want the rest. Without the end of data it has no
// message, whatever it says; the connection cannot be used again.
func (p *pipeline) early(r wire.Reply) {
	p.current.note(r)
	p.breakOff(&protocolError{stage: stageBody, reason: "replied before the end of data: " + r.String()}, false)
}

// writeBody writes the body and the end of data, with a look at what the peer says before each chunk.
func (p *pipeline) writeBody(x *exchange) {
	segments := x.content()
	begun := false // a part of it has left
	for {
		part, left := cutChunk(segments)
		if h, ok := p.overheard(); ok {
			p.heardEarly(h)
			return
		}
		if !time.Now().Before(x.order.deadline) {
			p.breakOff(brokenAt(stageBody, os.ErrDeadlineExceeded), true)
			return
		}
		if len(left) == 0 {
			if begun && p.unread() {
				if h, ok := p.lastWords(); ok {
					p.heardEarly(h)
					return
				}
			}
			p.writeEnd(x, part)
			return
		}
		begun = true
		if !p.writeChunk(x, part) {
			return
		}
		segments = left
	}
}

// content is all that goes on the wire between the last reply before the body and the end of data. The engine's header line
// begins with a letter and ends with CRLF, so it needs no stuffing and changes none.
func (x *exchange) content() [][]byte {
	body, first := x.order.body.Stuffed(), x.order.header
	if x.order.chunked {
		// RFC 3030 section 2: the octets go as they are; the size takes the place of the end of data.
		body, first = x.order.body.Raw(), append(wire.AppendBDAT(nil, x.size()), first...)
	}
	if len(first) == 0 {
		return body
	}
	return append([][]byte{first}, body...)
}

// writeChunk writes a part of the body that is not its last, with an ear for the peer all the while: servers that do not want
// the rest say so in the middle, and often stop reading. It says whether the body goes on.
func (p *pipeline) writeChunk(x *exchange, part net.Buffers) bool {
	p.writeUntil(p.writeBy(x))
	written := make(chan error, 1) // from the goroutine below, which is waited for here
	go func() {
		_, err := p.send(part)
		written <- err
	}()
	select {
	case err := <-written:
		if err != nil {
			x.failed = brokenAt(stageBody, err)
		}
		return err == nil
	case h := <-p.heard:
		p.conn.SetWriteDeadline(time.Now())
		<-written
		p.heardEarly(h)
		return false
	}
}

// unread says that the peer has said something that the receiver has not had the time to read: over a fast way a body is written within
// the time in which it is scheduled. A reply that came before the end of data must not be taken for the one behind it.
func (p *pipeline) unread() (waits bool) {
	c, ok := p.raw.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		waits = err == nil
	})
	return err == nil && waits
}

// lastWords is the reply that has begun to come, if it is complete soon. Inside TLS what has come may also be a ticket or a new key: then
// nothing is heard, and it is no reply.
func (p *pipeline) lastWords() (hearing, bool) {
	wait := lastWordsWait
	if p.tls.name != "" {
		wait = recordWait
	}
	soon := time.NewTimer(wait)
	defer soon.Stop()
	select {
	case h := <-p.heard:
		return h, true
	case <-soon.C:
		return hearing{}, p.tls.name == ""
	}
}

// send writes a part of a body. TLS makes records of each piece that it is given, with a system call each, so there they go together.
func (p *pipeline) send(part net.Buffers) (int64, error) {
	if p.tls.name == "" {
		return part.WriteTo(p.conn)
	}
	n, err := p.conn.Write(bytes.Join(part, nil))
	return int64(n), err
}

// overheard is what the peer said while the body was on its way.
func (p *pipeline) overheard() (hearing, bool) {
	select {
	case h := <-p.heard:
		return h, true
	default:
		return hearing{}, false
	}
}

// heardEarly takes what came before the end of data.
func (p *pipeline) heardEarly(h hearing) {
	if len(h.replies) > 0 {
		p.early(h.replies[0])
		return
	}
	err := h.err
	if err == nil {
		err = &protocolError{stage: stageBody, reason: "began a reply before the end of data"}
	}
	p.breakOff(brokenAt(stageBody, err), errors.Is(err, net.ErrClosed))
}

// writeEnd writes the last part of the body and the end of data: a dot, or with BDAT the last octet itself. From its first octet
// on the delivery is uncertain until the final reply was read.
func (p *pipeline) writeEnd(x *exchange, part net.Buffers) {
	size := sizeOf(part)
	p.writeUntil(p.writeBy(x))
	if x.order.chunked {
		size-- // the last octet is the end
	} else {
		part = endWithDot(part)
	}
	n, err := p.send(part)
	x.report.dotted = n > size
	x.stage, x.waiting = stageFinal, time.Now()
	if err != nil {
		x.failed = brokenAt(stageFinal, err)
		if !x.report.dotted {
			x.stage = stageBody
		}
		return
	}
	p.writeNext()
}

// endWithDot puts the end of data behind the last part of a body, in one piece with the line end before it. Some firewalls
// do not find CRLF.CRLF when it comes in two segments (Postfix's PIX workaround); with TLS each write is a record of its own.
func endWithDot(part net.Buffers) net.Buffers {
	if len(part) == 0 {
		return net.Buffers{[]byte(wire.EndOfData)}
	}
	last := part[len(part)-1]
	cut := max(len(last)-tail, 0)
	end := append(append(make([]byte, 0, tail+len(wire.EndOfData)), last[cut:]...), wire.EndOfData...)
	part[len(part)-1] = last[:cut]
	return append(part, end)
}

func sizeOf(b net.Buffers) (n int64) {
	for _, s := range b {
		n += int64(len(s))
	}
	return n
}

// cutChunk takes about a chunk off the front of a body, without copying and without writing to the body's own slice.
func cutChunk(segments [][]byte) (part net.Buffers, left [][]byte) {
	room := chunk
	for i, s := range segments {
		if len(s) > room {
			left = append([][]byte{s[room:]}, segments[i+1:]...)
			return append(part, s[:room]), left
		}
		part = append(part, s)
		room -= len(s)
	}
	return part, nil
}

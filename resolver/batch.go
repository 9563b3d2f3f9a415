package resolver

import (
	"golang.org/x/net/ipv4"
)

// A tray is what a reader reads into: room for the datagrams that one system call may give.
type tray struct {
	port     *port
	buffers  [][]byte
	messages []ipv4.Message // of the buffers
	filled   [][]byte
}

func newTray(p *port) *tray {
	n := 1
	if p.many != nil {
		n = readBatch
	}
	t := &tray{port: p, buffers: make([][]byte, n), messages: make([]ipv4.Message, n), filled: make([][]byte, 0, n)}
	for i := range n {
		t.buffers[i] = make([]byte, datagramSize)
		t.messages[i].Buffers = t.buffers[i : i+1]
	}
	return t
}

// read waits for a datagram and returns it with those behind it. They are valid until the next read.
func (t *tray) read() ([][]byte, error) {
	if t.port.many == nil {
		n, err := t.port.conn.Read(t.buffers[0])
		return append(t.filled[:0], t.buffers[0][:n]), err
	}
	n, err := t.port.many.ReadBatch(t.messages, 0)
	filled := t.filled[:0]
	for i := range max(n, 0) {
		filled = append(filled, t.buffers[i][:t.messages[i].N])
	}
	return filled, err
}

// send writes the datagrams of the outbox: those that stand together for one port with one system call.
func (u *upstream) send(out *outbox) {
	for left := out.datagrams; len(left) > 0; {
		p, n := left[0].port, 1
		for n < len(left) && left[n].port == p {
			n++
		}
		out.pack(left[:n])
		u.write(p, out.messages[:n])
		left = left[n:]
	}
}

// pack makes messages of datagrams.
func (o *outbox) pack(datagrams []datagram) {
	o.wire = o.wire[:0]
	for i, d := range datagrams {
		start := len(o.wire)
		o.wire = appendQuery(o.wire, d.id, d.key, d.form)
		if i == len(o.messages) {
			o.messages = append(o.messages, ipv4.Message{Buffers: make([][]byte, 1)})
		}
		// A buffer that has to grow moves; what was written before stays readable in its old place.
		o.messages[i].Buffers[0] = o.wire[start:len(o.wire):len(o.wire)]
	}
}

// write writes messages. One that fails is a lost datagram: the retransmission repairs it.
func (u *upstream) write(p *port, messages []ipv4.Message) {
	again := true
	for len(messages) > 0 {
		n, err := p.write(messages)
		messages = messages[max(n, 0):]
		if err == nil {
			continue
		}
		// A refusal belongs to an earlier datagram: this one may be written again, once.
		if refused := u.unwritten(p, err); refused && again {
			again = false
			continue
		}
		again = true
		messages = messages[1:]
	}
}

// write writes one message or more, and returns how many.
func (p *port) write(messages []ipv4.Message) (int, error) {
	if p.many != nil {
		return p.many.WriteBatch(messages, 0)
	}
	if _, err := p.conn.Write(messages[0].Buffers[0]); err != nil {
		return 0, err
	}
	return 1, nil
}

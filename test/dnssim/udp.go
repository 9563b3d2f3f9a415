package dnssim

import (
	"net"
	"time"

	"golang.org/x/net/ipv4"
)

const (
	batch       = 32 // datagrams read or written with one system call
	sockMsgSize = 4096
)

// serveUDP reads and answers until the server is closed. It takes datagrams by the batch: a server that costs more than what it
// is asked by would be what a benchmark measures.
func (s *Server) serveUDP() {
	messages := make([]ipv4.Message, batch)
	for i := range messages {
		messages[i].Buffers = [][]byte{make([]byte, sockMsgSize)}
	}
	var out []parcel
	for {
		n, err := s.packets.ReadBatch(messages, 0)
		if err != nil {
			if s.closed() {
				return
			}
			continue // an ICMP error about an earlier answer
		}
		out = out[:0]
		for _, m := range messages[:n] {
			out = s.answerUDP(out, m.Buffers[0][:m.N], m.Addr)
		}
		s.post(out)
		clear(out)
	}
}

func (s *Server) closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns == nil
}

// answerUDP appends what is to be sent for one datagram.
func (s *Server) answerUDP(out []parcel, msg []byte, from net.Addr) []parcel {
	q, ok := readQuery(msg)
	if !ok {
		return out
	}
	s.add(q.question)
	a := s.config.Handler(q.question, false)
	due := time.Now().Add(s.config.Delay + a.Delay)
	for _, stray := range a.strays(q) {
		out = append(out, parcel{due: due, to: from, msg: s.packed(func(buf []byte) []byte { return append(buf, stray...) })})
	}
	if !a.Drop {
		out = append(out, parcel{due: due, to: from, msg: s.packed(func(buf []byte) []byte { return a.pack(buf, q, false) })})
	}
	return out
}

// packed is a message in a buffer of the pool.
func (s *Server) packed(pack func([]byte) []byte) *[]byte {
	buf := s.buffers.Get().(*[]byte)
	*buf = pack((*buf)[:0])
	return buf
}

// post sends parcels that are due, and leaves the others to the delayer.
func (s *Server) post(parcels []parcel) {
	now := time.Now()
	var waiting, due []parcel
	for i, p := range parcels {
		if p.due.After(now) {
			waiting = parcels[i:]
			break
		}
		due = parcels[:i+1]
	}
	s.deliver(due)
	if len(waiting) > 0 {
		s.delayer.add(waiting) // which sends at once what is due all the same
	}
}

// deliver writes parcels; lost datagrams are a part of life.
func (s *Server) deliver(parcels []parcel) {
	var messages [batch]ipv4.Message
	var buffers [batch][1][]byte
	for len(parcels) > 0 {
		n := min(len(parcels), batch)
		for i, p := range parcels[:n] {
			buffers[i][0] = *p.msg
			messages[i] = ipv4.Message{Buffers: buffers[i][:], Addr: p.to}
		}
		sent, err := s.packets.WriteBatch(messages[:n], 0)
		if err != nil || sent == 0 {
			sent = 1 // the first could not be sent
		}
		for _, p := range parcels[:sent] {
			s.buffers.Put(p.msg)
		}
		parcels = parcels[sent:]
	}
}

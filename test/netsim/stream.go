package netsim

import (
	"io"
	"sync"
	"syscall"
)

// A kind says what a segment carries.
type kind uint8

const (
	octets kind = iota
	fin         // no more octets follow
	rst         // the connection is gone
)

// A segment is what one packet carries.
type segment struct {
	kind kind
	data []byte
}

// A stream is one direction of a connection. Everything in it is guarded by Net.mu.
type stream struct {
	n    *Net
	host *host // whose link it crosses
	up   bool  // towards the host: StallAfter and ResetAfter count here
	to   *Conn // who reads

	readable sync.Cond // the reader looks again
	writable sync.Cond // the writer looks again

	flight  []segment // sent and not arrived, in order
	ready   []byte    // arrived and not read
	used    int       // octets that count against the window: in flight, ready, or read and not acknowledged; never negative
	sent    int       // octets ever sent
	sentFin bool      // no octets follow; a rst may
	sentRst bool      // nothing follows
	ended   bool      // a fin arrived
	reset   bool      // a rst arrived
}

func newStream(n *Net, h *host) *stream {
	s := &stream{n: n, host: h}
	s.readable.L, s.writable.L = &n.mu, &n.mu
	return s
}

// room is how many octets may be sent now.
func (s *stream) room() int {
	w := s.host.link.Window
	if w <= 0 {
		w = defaultWindow
	}
	return w - s.used
}

// send puts a copy of p, which must fit into room, on its way.
func (s *stream) send(p []byte) {
	s.used += len(p)
	before := s.sent
	s.sent += len(p)
	if limit := s.host.link.StallAfter; s.up && limit > 0 && s.sent > limit {
		p = p[:max(0, limit-before)] // the rest is lost for ever, and keeps its part of the window
	}
	if len(p) > 0 {
		s.dispatch(segment{octets, append([]byte(nil), p...)})
	}
	if limit := s.host.link.ResetAfter; s.up && limit > 0 && s.sent >= limit {
		s.to.abort()
	}
}

// finish sends a fin or rst, each at most once and nothing behind a rst.
func (s *stream) finish(k kind) {
	if s.sentRst || s.sentFin && k == fin {
		return
	}
	s.sentFin, s.sentRst = true, k == rst
	s.dispatch(segment{kind: k})
}

func (s *stream) dispatch(seg segment) {
	s.flight = append(s.flight, seg)
	s.n.send(s.host, s.arrive)
}

// arrive takes the next segment from the flight: packets of one stream never overtake each other.
func (s *stream) arrive() {
	seg := s.flight[0]
	s.flight = s.flight[1:]
	switch seg.kind {
	case octets:
		s.deliver(seg.data)
	case fin:
		s.ended = true
	case rst:
		s.to.resetByPeer()
	}
	s.readable.Broadcast()
}

func (s *stream) deliver(p []byte) {
	if s.to.closed {
		// RFC 9293 section 3.6.1: "If the user of the TCP closes ... and data arrives, a RST".
		s.to.out.finish(rst)
		return
	}
	s.ready = append(s.ready, p...)
}

// take moves ready octets to p and acknowledges them one latency later.
func (s *stream) take(p []byte) int {
	k := copy(p, s.ready)
	s.ready = s.ready[k:]
	if len(s.ready) == 0 {
		s.ready = nil
	}
	s.n.send(s.host, func() {
		s.used -= k
		s.writable.Broadcast()
	})
	return k
}

// readError is why nothing will ever be readable again; nil while something may. Linux gives out what arrived before a reset,
// and remembers a fin over a reset that follows it.
func (s *stream) readError() error {
	switch {
	case len(s.ready) > 0:
		return nil
	case s.ended:
		return io.EOF
	case s.reset:
		return sysError("read", syscall.ECONNRESET)
	}
	return nil
}

func (s *stream) wake() {
	s.readable.Broadcast()
	s.writable.Broadcast()
}

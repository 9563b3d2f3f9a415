package resolver

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

const streamIdle = 10 * time.Second // a connection without questions is closed (RFC 7766 section 6.2.3)

// A stream is the TCP connection to one server that all truncated answers share, pipelined by ID (RFC 7766 section 6.2.1.1).
// It is born with its first question and ends with an error, in silence over a question, or idle. Its questions then go
// on as after an unusable answer.
type stream struct {
	port
	up     *upstream
	cancel context.CancelFunc

	out   []byte    // questions not yet written; guarded by the upstream's lock
	heard time.Time // last message; guarded by the upstream's lock
	ended bool      // takes no more questions; guarded by the upstream's lock

	// From overTCP to the stream's writer. Capacity 1: more than one says nothing new.
	more chan struct{}
}

// overTCP asks a question whose answer did not fit into a datagram over the server's stream; not nil: it is too late.
func (u *upstream) overTCP(now time.Time, q *question, s *server) *facts {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stats.Truncated++
	q.unsent()
	if u.closed {
		return failure(now, closedReason, "")
	}
	if s.stream == nil || s.stream.ended {
		s.stream = u.newStream(s)
	}
	s.stream.push(q.register(now, &s.stream.port), q)
	due := u.deadline(q)
	if len(u.servers) > 1 {
		due = earlier(due, now.Add(maxRTO)) // by then another server is asked as well
	}
	u.fly(q, due)
	u.nudge()
	return nil
}

func (u *upstream) newStream(server *server) *stream {
	ctx, cancel := context.WithCancel(u.ctx)
	s := &stream{up: u, cancel: cancel, more: make(chan struct{}, 1)}
	s.port = port{server: server, asked: make(map[uint16]*question), stream: true}
	u.work.Go(func() {
		defer cancel()
		s.end(s.talk(ctx))
	})
	return s
}

// push hands a question to the writer: two octets of length, then the message.
func (s *stream) push(id uint16, q *question) {
	start := len(s.out)
	s.out = appendQuery(append(s.out, 0, 0), id, q.key, q.form)
	binary.BigEndian.PutUint16(s.out[start:], uint16(len(s.out)-start-2))
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// note remembers that the peer lives.
func (s *stream) note(now time.Time, p *port) {
	if s != nil && p == &s.port {
		s.heard = now
	}
}

var errIdle = errors.New("idle")

// talk dials, starts the reader and writes what is pushed until something ends the connection.
func (s *stream) talk(ctx context.Context) error {
	dialCtx, cancel := context.WithTimeout(ctx, s.up.timeout)
	defer cancel()
	conn, err := s.up.dial(dialCtx, "tcp", s.server.addr)
	if err != nil {
		return err
	}
	// From the reader, its only sender, to this goroutine. Capacity 1: the reader must not wait for it.
	readEnded := make(chan error, 1)
	s.up.work.Go(func() { readEnded <- s.read(conn) })
	defer conn.Close()
	idle := time.NewTimer(streamIdle)
	defer idle.Stop()
	for {
		select {
		case <-s.more:
			idle.Reset(streamIdle)
			if err := s.write(conn); err != nil {
				return err
			}
		case <-idle.C:
			if s.finishIdle() {
				return errIdle
			}
			idle.Reset(streamIdle)
		case err := <-readEnded:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// write sends all that was pushed. Its deadline is that of a whole question: a peer that takes nothing for so long is dead.
func (s *stream) write(conn net.Conn) error {
	s.up.mu.Lock()
	out := s.out
	s.out = nil
	s.up.mu.Unlock()
	if err := conn.SetWriteDeadline(time.Now().Add(s.up.timeout)); err != nil {
		return err
	}
	_, err := conn.Write(out)
	return err
}

// finishIdle ends the stream if no question waits on it.
func (s *stream) finishIdle() bool {
	s.up.mu.Lock()
	defer s.up.mu.Unlock()
	s.ended = len(s.asked) == 0
	return s.ended
}

// read hands messages on until the connection ends. Silence is judged by the questions' deadlines (drop), not here.
func (s *stream) read(conn net.Conn) error {
	r := bufio.NewReader(conn)
	var in inbox
	var size [2]byte
	for {
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return err
		}
		msg := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(r, msg); err != nil {
			return err
		}
		s.up.receive(&s.port, &in, [][]byte{msg})
	}
}

// end sends the questions that the connection left unanswered on.
func (s *stream) end(err error) {
	s.up.mu.Lock()
	s.ended = true
	if s.server.stream == s {
		s.server.stream = nil
	}
	var left []*question
	for _, q := range s.asked {
		left = append(left, q)
	}
	for _, q := range left {
		q.forget(nil, 0)
		s.up.land(q)
	}
	s.up.nudge()
	s.up.mu.Unlock()
	now := time.Now()
	var given []answer
	for _, q := range left {
		if f := s.up.again(now, q, s.server, "over TCP: "+err.Error()); f != nil {
			given = append(given, answer{q, f})
		}
	}
	if len(given) > 0 {
		s.up.done(given)
	}
}

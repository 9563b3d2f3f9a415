package lmtp

import (
	"context"
	"io"
	"net"
	"time"
)

// A stage is how far the end of a Server has come. It only grows.
type stage uint8

const (
	serving  stage = iota // until Drain or Close
	draining              // no transaction begins any more; ends when none is open
	closing               // the listeners are closed and connections end; ends when none is left
	closed                // by Close: connections were broken off
)

// mailGrace is how long a drain that is otherwise done waits for the first MAIL of connections that have sent none.
const mailGrace = 2 * time.Second

// stopGrace is how long Close waits for goroutines whose connections it broke off.
const stopGrace = 2 * time.Second

// Drain ends the server gently. Hosts stop all mail for minutes after a connection that was refused or broke, so new
// connections are still greeted, and get 451 4.3.2 at MAIL, until the last open transaction was answered; connections between
// two transactions get 421 at once, the others then. The caller drains the Mailer, which settles what the transactions wait
// for. Drain returns when every connection has ended; when ctx is done before, it breaks off what is left.
func (s *Server) Drain(ctx context.Context) {
	s.advance(draining)
	select {
	case <-s.quiet:
		s.hearOut(ctx)
		s.advance(closing)
	case <-ctx.Done():
		s.Close()
		return
	}
	select {
	case <-s.ended():
	case <-ctx.Done():
		s.Close()
	}
}

// hearOut gives hosts that have just connected, and did not come to MAIL yet, a moment to hear 451 there: to some of them a
// connection that ends before says that nothing works here, and they stop all mail for minutes.
func (s *Server) hearOut(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, mailGrace)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for s.anySilent() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// anySilent says that a connection has not come to its first MAIL.
func (s *Server) anySilent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if !c.hasBegun() {
			return true
		}
	}
	return false
}

// Close breaks off everything: recipients of open transactions are cancelled, and get no reply. It returns when the
// connections' goroutines have ended, or after two seconds if something outside keeps one of them.
func (s *Server) Close() {
	s.advance(closed)
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-s.ended():
	case <-grace.C:
	}
}

// ended returns a channel that is closed when the last connection's goroutine has ended. It is for stages in which none begins.
func (s *Server) ended() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	return done
}

// advance enters a stage, unless it or a later one was entered already, and tells everybody.
func (s *Server) advance(to stage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage >= to {
		return
	}
	s.stage = to
	s.settleQuiet()
	if to >= closing {
		for l := range s.listeners {
			l.Close()
		}
	}
	if to == closed {
		close(s.hard)
	}
	for c := range s.conns {
		c.advance(to)
	}
}

// settleQuiet closes quiet once. After draining began no transaction does, so the count has only one way to go.
func (s *Server) settleQuiet() {
	if s.stage < draining || s.open > 0 {
		return
	}
	select {
	case <-s.quiet:
	default:
		close(s.quiet)
	}
}

func (s *Server) reached(at stage) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stage >= at
}

// begin opens a transaction; not when the server is draining.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != serving {
		return false
	}
	s.open++
	return true
}

// end closes a transaction.
func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	s.settleQuiet()
}

// listen makes l one of those that advance closes; not when that is past.
func (s *Server) listen(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage >= closing {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) unlisten(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// admit makes nc one of the connections that Drain and Close wait for. A server that has ended closes it.
func (s *Server) admit(nc net.Conn) (*conn, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage >= closing {
		nc.SetWriteDeadline(time.Now().Add(stopGrace))
		io.WriteString(nc, "421 4.3.2 "+s.config.Hostname+" is shutting down\r\n") // best effort: it was accepted too late
		nc.Close()
		return nil, false
	}
	c := newConn(nc, &s.config, s.counters.connections.Add(1))
	c.stage = s.stage
	s.conns[c] = struct{}{}
	s.wg.Add(1)
	return c, true
}

// leave ends what admit began.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.wg.Done()
}

package mxsim

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Replies of hooks that are no replies.
const (
	HangUp = "hang up" // close the connection without a reply, when the reply would be due
	Abort  = "abort"   // the same with RST
	Mute   = "mute"    // say nothing from now on, and go on reading
)

// Config is what a Server is told. Hooks return a reply without CRLF, "" for the usual one, HangUp, Abort or Mute; a reply that begins
// with 421 closes the connection behind it. They are called by many sessions at once.
type Config struct {
	Name     string   // in the greeting; "" is "mx.example"
	Keywords []string // offered in EHLO; nil is PIPELINING, 8BITMIME, SIZE 0, ENHANCEDSTATUSCODES
	SMTPUTF8 bool     // offer it too
	DSN      bool     // offer it too (RFC 3461)

	TLS         *tls.Config // STARTTLS is offered with it; nil: there is no TLS
	Implicit    bool        // TLS from the first octet instead (RFC 8314 section 3)
	TLSKeywords []string    // offered once encrypted instead of Keywords; nil: the same
	TLSAgain    bool        // STARTTLS is offered there as well
	OnlyTLS     bool        // MAIL in plaintext gets 530 5.7.0 (RFC 3207 section 4)
	RequireTLS  bool        // offer REQUIRETLS once encrypted (RFC 8689)
	Unclean     bool        // connections end without close_notify

	Auth        func(user, password string) string // offers AUTH PLAIN LOGIN once encrypted; the reply to credentials, "" accepts them
	AuthInClear bool                               // offers it in plaintext too
	AuthNeeded  bool                               // MAIL without it gets 530 5.7.0 (RFC 4954 section 6)

	RTT          time.Duration // replies are written this long after what they answer has arrived (see the package's model)
	Processing   time.Duration // what a final reply takes beyond that
	HoldGreeting time.Duration // what the greeting takes beyond that

	MaxRecipients      int  // per transaction, then 452 4.5.3; 0 is no limit
	SingleDomain       bool // recipients of a second domain get Google's 451 4.3.0
	MessagesPerSession int  // then MAIL gets 421; 0 is no limit
	DomainsPerSession  int  // RCPTs of further ones get 452 4.5.3 (RFC 9422 RCPTDOMAINMAX); 0 is no limit
	MaxSessions        int  // open at once, then the greeting is 421; 0 is no limit
	TakeEmpty          bool // DATA gets 354 even when every RCPT was refused (RFC 2920 section 3.2)
	KeepContent        bool // Message.Content is set

	Greeting func(session int) string                 // sessions are numbered from 1
	Hello    func(session int, encrypted bool) string // instead of EHLO's usual reply, one line
	StartTLS func(session int) string                 // instead of 220
	Mail     func(from string) string                 // once for each MAIL
	Rcpt     func(to string, nth int) string          // nth RCPT of its transaction, from 1
	Final    func(m *Message) string                  // at the end of data; m.Reply is not set yet
	Sink     func(m *Message)                         // takes every message; nil keeps them for Messages
}

// A Server is a polite mail exchanger; New makes one.
type Server struct {
	c         Config
	clear     offer          // in plaintext
	encrypted offer          // inside TLS
	refused   atomic.Int64   // counted outside of mu: once for each RCPT
	running   sync.WaitGroup // accepting goroutines of Start, and all sessions

	mu         sync.Mutex // never held while waiting
	listeners  []net.Listener
	sessions   map[*session]struct{}
	last       int // number of the latest session
	messages   []*Message
	violations []Violation
	stats      Stats
	closed     bool
}

// Stats are a Server's counters.
type Stats struct {
	Sessions   int   // connections accepted
	Open       int   // of those, still open
	MaxOpen    int   // most open at once
	Messages   int   // final 2xx given
	Recipients int   // in those messages
	Refused    int   // RCPT without 2xx
	Octets     int64 // read on sessions that are closed
	Violations int   // recorded or not

	Handshakes int // of TLS that succeeded
	Resumed    int // of those, with a session that was there before
	Unshaken   int // handshakes that failed
}

// maxViolations bounds what is kept: one wrong client makes the same mistake thousands of times.
const maxViolations = 1000

// A Violation is something that a client must not do.
type Violation struct {
	Session int    // from 1
	What    string // the rule
	Octets  string // what broke it, the beginning
}

// New returns a server; Start, Serve and ServeConn give it connections.
func New(c Config) *Server {
	if c.Name == "" {
		c.Name = "mx.example"
	}
	if c.Keywords == nil {
		c.Keywords = []string{"PIPELINING", "8BITMIME", "SIZE 0", "ENHANCEDSTATUSCODES"}
	}
	return &Server{c: c, clear: makeOffer(c, false), encrypted: makeOffer(c, true), sessions: make(map[*session]struct{})}
}

// Start serves a listener in the background until Close.
func (s *Server) Start(l net.Listener) {
	s.running.Go(func() { s.Serve(l) })
}

// Accept is l.Accept, but waits while the process or the machine is out of descriptors: sessions that end free some.
func Accept(l net.Listener) (net.Conn, error) {
	for {
		c, err := l.Accept()
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			return c, err
		}
		time.Sleep(acceptPause)
	}
}

// acceptPause is how long a server without descriptors waits for one.
const acceptPause = 10 * time.Millisecond

// Serve accepts connections until the listener fails or Close is called, and returns the listener's error.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	closed := s.closed
	s.mu.Unlock()
	if closed {
		l.Close()
	}
	for {
		c, err := Accept(l)
		if err != nil {
			return err
		}
		if x := s.admit(c); x != nil {
			go x.run()
		}
	}
}

// ServeConn plays the server on one connection and returns when it is closed.
func (s *Server) ServeConn(c net.Conn) {
	if x := s.admit(c); x != nil {
		x.run()
	}
}

// Close closes listeners and connections and waits until the sessions and what Start started have ended.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for _, l := range s.listeners {
		l.Close()
	}
	for x := range s.sessions {
		x.raw.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// Messages are those taken so far, in order of their ends of data, unless Config.Sink takes them.
func (s *Server) Messages() []*Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Message(nil), s.messages...)
}

// Violations are the first thousand.
func (s *Server) Violations() []Violation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Violation(nil), s.violations...)
}

// Stats are the counters now.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Refused = int(s.refused.Load())
	st.Open = len(s.sessions)
	return st
}

// Reset forgets messages, violations and counters. Sessions go on, and keep their numbers apart from those of new ones.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages, s.violations = nil, nil
	s.stats = Stats{MaxOpen: len(s.sessions)}
	s.refused.Store(0)
}

// admit counts a connection in; nil when the server is closed. The session's run must follow.
func (s *Server) admit(c net.Conn) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return nil
	}
	s.stats.Sessions++
	s.last++
	x := newSession(s, c, s.last)
	x.crowded = s.c.MaxSessions > 0 && len(s.sessions) >= s.c.MaxSessions
	s.sessions[x] = struct{}{}
	s.running.Add(1) // under mu, so that Close, which sets closed first, waits for it
	s.stats.MaxOpen = max(s.stats.MaxOpen, len(s.sessions))
	return x
}

// leave counts a connection out; twice is harmless.
func (s *Server) leave(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, x)
}

// ended is the end of a session's goroutine.
func (s *Server) ended(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, x)
	s.stats.Octets += x.octets
	s.running.Done()
}

// record takes a message in, after its reply was decided.
func (s *Server) record(m *Message) {
	s.mu.Lock()
	if m.Accepted() {
		s.stats.Messages++
		s.stats.Recipients += len(m.To)
	}
	if s.c.Sink == nil {
		s.messages = append(s.messages, m)
	}
	s.mu.Unlock()
	if s.c.Sink != nil {
		s.c.Sink(m)
	}
}

func (s *Server) violate(v Violation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Violations++
	if len(s.violations) < maxViolations {
		s.violations = append(s.violations, v)
	}
}

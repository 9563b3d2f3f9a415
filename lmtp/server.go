package lmtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// A Mailer delivers envelopes. *feed.Feeder is the real one.
type Mailer interface {
	Hint(domain string)
	Expect(domain string)
	Announce(from wire.Address, p feed.Params)
	Withdraw(from wire.Address, p feed.Params)
	Refusal(domain string) *feed.Outcome
	Send(*feed.Envelope)
	Cancel(*feed.Envelope)
	// Taken or Abandoned is called once for each envelope, by its ID, behind its last reply: the host MTA has read every reply, or has not and
	// is not going to.
	Taken(envelope string)
	Abandoned(envelope string)
}

// A Record is the fate of one recipient, as it is about to be told to the host MTA.
type Record struct {
	Time       time.Time
	Envelope   string // feed.Envelope.ID
	QueueID    string // the host MTA's; "" when unknown
	From       string // without brackets; "" for bounces
	To         string // without brackets
	Domain     string // as folded: what was looked up
	Settlement feed.Settlement
}

// Config is everything a Server is told. The zero value of a field means what its comment says.
type Config struct {
	Hostname string // in the greeting and in the reply to LHLO; "" is "localhost"
	Mailer   Mailer
	Log      *slog.Logger // nil discards

	// Record is called with recipients that were settled, by the goroutine of their envelope, before their replies are written.
	// It may block and may keep the slice. nil: nobody wants them.
	Record func([]Record)

	// DSN offers the extension of RFC 3461, and thereby takes the duty to notify of deliveries over from the host MTA: Notify has to be set.
	// false: the host MTA keeps that duty, and its parameters are refused.
	DSN bool
	// Notify has senders notified of deliveries behind which nobody else does (notice.go). It returns when somebody has taken the
	// notification who keeps it, or with an error; it should be bounded to about 30 s. It may be called from several goroutines at once, for
	// different envelopes. nil: none is ever sent, which is counted.
	Notify func(Notice) error
	// RequireTLS offers REQUIRETLS (RFC 8689) on connections that pass no network: of unix sockets, pipes and the loopback interface.
	// false: MAIL with it is refused.
	RequireTLS bool

	MaxMessageSize int64         // octets of content; a larger one bounces; 0 is 64 MiB
	Memory         int64         // octets of all contents held at once; past it 452 4.3.1; 0 is 1 GiB
	Budget         time.Duration // from the host's final dot to our last reply; 0 is 540 s
	Connections    int           // open at once; further ones wait in the system's queue to be accepted; 0 is no limit

	CommandTimeout time.Duration // how long a command may take to come; 0 is 600 s
	DataTimeout    time.Duration // how long the content may make no progress; 0 is 300 s
	WriteTimeout   time.Duration // how long a write may not move; 0 is 300 s
}

func (c Config) withDefaults() Config {
	orDefault(&c.Hostname, "localhost")
	orDefault(&c.Log, slog.New(slog.DiscardHandler))
	orDefault(&c.MaxMessageSize, 64<<20)
	orDefault(&c.Memory, 1<<30)
	orDefault(&c.Budget, 540*time.Second)
	orDefault(&c.CommandTimeout, 600*time.Second)
	orDefault(&c.DataTimeout, 300*time.Second)
	orDefault(&c.WriteTimeout, 300*time.Second)
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// A Server speaks LMTP with host MTAs. Its methods may be called from any goroutine.
type Server struct {
	config   Config
	memory   memory
	counters counters

	// slots has an element for each connection that is open or may be accepted next, its capacity is Config.Connections; nil: no limit.
	// Serve puts one in, whoever ends the connection takes one out.
	slots chan struct{}

	quiet chan struct{} // closed when draining and no transaction is open
	hard  chan struct{} // closed by Close
	wg    sync.WaitGroup

	mu        sync.Mutex // guards what follows
	stage     stage
	conns     map[*conn]struct{}
	listeners map[net.Listener]struct{}
	open      int // transactions: from MAIL to the last reply, RSET or the end
}

// New returns a Server that listens nowhere yet.
func New(c Config) *Server {
	c = c.withDefaults()
	var slots chan struct{}
	if c.Connections > 0 {
		slots = make(chan struct{}, c.Connections)
	}
	return &Server{
		slots:     slots,
		config:    c,
		memory:    newMemory(c.Memory),
		quiet:     make(chan struct{}),
		hard:      make(chan struct{}),
		conns:     make(map[*conn]struct{}),
		listeners: make(map[net.Listener]struct{}),
	}
}

// Serve serves every connection l accepts, and closes l in the end. Several calls may run at once, each with its own listener.
// It returns nil after Drain or Close.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.listen(l) {
		return nil
	}
	defer s.unlisten(l)
	wait := time.Duration(0)
	for {
		if !s.reserve() {
			return nil
		}
		nc, err := l.Accept()
		if err != nil {
			s.vacate()
		}
		switch {
		case err == nil:
			wait = 0
			s.start(nc)
		case s.reached(closing):
			return nil
		case !passing(err):
			return fmt.Errorf("lmtp: accept on %s: %w", l.Addr(), err)
		default:
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			s.config.Log.Warn("lmtp: no connection could be accepted", "listener", l.Addr(), "error", err, "again", wait)
			s.rest(wait)
		}
	}
}

// reserve waits until one more connection may be open: DNS, sessions and whoever asks for status need descriptors, too. Host MTAs wait
// meanwhile for their greeting. False: Close was called.
func (s *Server) reserve() bool {
	if s.slots == nil {
		return true
	}
	select {
	case s.slots <- struct{}{}:
		return true
	default:
	}
	s.counters.crowded.Add(1)
	select {
	case s.slots <- struct{}{}:
		return true
	case <-s.hard:
		return false
	}
}

// vacate undoes reserve.
func (s *Server) vacate() {
	if s.slots != nil {
		<-s.slots
	}
}

// passing says that the next Accept may succeed: what was missing comes back when some connection ends.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// rest waits, but not past Close.
func (s *Server) rest(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.hard:
	}
}

// start serves an accepted connection in its own goroutine. Drain and Close wait for it; the connection's deadlines end it.
func (s *Server) start(nc net.Conn) {
	c, ok := s.admit(nc)
	if !ok {
		s.vacate()
		return
	}
	go func() {
		defer s.vacate()
		if err := s.run(c); err != nil {
			s.config.Log.Debug("lmtp: connection failed", "conn", c.id, "error", err)
		}
	}()
}

// ServeConn serves one connection to its end, as for a host MTA that runs us as a program. Its error says why the connection
// broke; a host that leaves or stays silent is no error.
func (s *Server) ServeConn(nc net.Conn) error {
	c, ok := s.admit(nc)
	if !ok {
		return errors.New("lmtp: the server is closed")
	}
	return s.run(c)
}

// run gives the connection its own go-smtp server: that is how one connection of its has an owner that can wait for its end.
func (s *Server) run(c *conn) error {
	defer s.leave(c)
	p := s.protocol(c)
	once := &single{conn: c}
	if err := p.Serve(once); !errors.Is(err, io.EOF) {
		return err
	}
	// Serve left the connection to a goroutine. Close would break it off; a server without listeners waits for it.
	err := p.Shutdown(context.Background())
	return errors.Join(err, c.failure())
}

// protocol is the only place that configures go-smtp.
func (s *Server) protocol(c *conn) *smtp.Server {
	p := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		c.session = &session{server: s, conn: c}
		return c.session, nil
	}))
	p.LMTP = true
	p.Domain = s.config.Hostname
	p.EnableSMTPUTF8 = true
	p.EnableDSN = s.config.DSN
	p.EnableREQUIRETLS = c.requireTLS // so that it takes the parameter; it announces it inside of TLS only
	p.ErrorLog = errorLog{s.config.Log}
	// Its limit counts inside the content too, and would answer 554 to all recipients; conn caps command lines.
	p.MaxLineLength = 0
	// A cap is not continued on the same connection by any host: it defers the rest.
	p.MaxRecipients = 0
	// Announced, it makes hosts bounce larger mail. It is enforced when the content is read.
	p.MaxMessageBytes = 0
	// After one of its timeouts inside the content it runs the rest as commands. conn has the deadlines.
	p.ReadTimeout, p.WriteTimeout = 0, 0
	return p
}

// A single is a listener with one connection.
type single struct{ conn *conn }

// Accept returns the connection, and io.EOF from then on.
func (l *single) Accept() (net.Conn, error) {
	if l.conn == nil {
		return nil, io.EOF
	}
	c := l.conn
	l.conn = nil
	return c, nil
}

func (l *single) Close() error   { return nil }
func (l *single) Addr() net.Addr { return &net.UnixAddr{Name: "single", Net: "unix"} }

// An errorLog takes what go-smtp wants to tell somebody.
type errorLog struct{ log *slog.Logger }

// Printf is called with panics, which are faults of ours, and with broken connections, which are not.
func (l errorLog) Printf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if strings.HasPrefix(format, "panic") {
		l.log.Error("lmtp: " + text)
		return
	}
	l.log.Debug("lmtp: " + text)
}

// Println is part of go-smtp's interface.
func (l errorLog) Println(v ...any) { l.log.Debug("lmtp: " + strings.TrimSpace(fmt.Sprintln(v...))) }

package feed

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver/prohibited"
)

const (
	// repliesOwed bounds the replies a server may be ahead of us: two transactions at the largest configured size are far below.
	repliesOwed = 8192
	// lastWordsWait is how long replies are still read after a write failed: the peer's reason is often on its way.
	lastWordsWait = 2 * time.Second
)

// A speaker speaks SMTP on one connection: the device driver of one session. It is two goroutines. The sender (run) dials,
// greets, writes and keeps the time; the receiver reads replies all the while, so that a peer that will not read before it
// is read from cannot block us, and a 421 or a close is known at once also when nothing is owed.
type speaker struct {
	id     sessionID
	config *Config
	events chan<- event       // to the loop
	orders chan *order        // from the loop; capacity 2: the engine never has more in a session's hands; closed by hangup
	heard  chan hearing       // from the receiver to the sender; capacity 1: see hear
	giveUp context.CancelFunc // ends a dial
	hung   bool               // hangup was called; the loop's
	who    *Credentials       // that the host was told: what it says from then on may repeat them
	linger bool               // as hangup said, before it closed orders

	kit  *tlsKit
	raw  net.Conn // the connection; conn is it, or TLS on it
	conn net.Conn

	reader  *wire.Reader
	tls     protection
	caps    wire.Caps
	fixup   bool
	started time.Time
	armed   time.Time // the connection's write deadline
	done    int       // transactions finished
}

var errProhibited = errors.New("connect: the address is prohibited")

// A hearing is what the receiver heard since the sender last listened.
type hearing struct {
	replies []wire.Reply
	more    bool  // behind the replies a further one has begun
	err     error // after the replies; the receiver has ended
}

// startSpeaker begins a session. It ends with one ended event.
func (f *Feeder) startSpeaker(life context.Context, d dial) *speaker {
	ctx, giveUp := context.WithCancel(life)
	s := &speaker{id: d.session, config: &f.config, kit: f.kit, events: f.events, orders: make(chan *order, 2),
		heard: make(chan hearing, 1), giveUp: giveUp, started: time.Now()}
	f.work.Go(func() {
		defer giveUp()
		c := s.run(ctx, d)
		f.events <- ended{session: s.id, closing: c}
		s.log(d, c)
	})
	return s
}

// tell gives the sender an order. Called by the loop only; it never waits, because the engine keeps within the capacity.
func (s *speaker) tell(o *order) {
	select {
	case s.orders <- o:
	default:
		panic("BUG: more than two transactions in a session's hands")
	}
}

// hangup tells the sender that there will be no more orders. It may be called again to abort.
func (s *speaker) hangup(a hangup) {
	if !s.hung {
		s.hung, s.linger = true, a.linger
		close(s.orders)
	}
	if a.abort {
		s.giveUp()
	}
}

// run is the sender from dial to the end of the connection.
func (s *speaker) run(ctx context.Context, d dial) closing {
	if c := s.dial(ctx, d); !c.orderly() {
		return c
	}
	// Not conn: what TLS says at its end may wait for a peer that does not read.
	defer context.AfterFunc(ctx, func() { s.raw.Close() })()
	defer s.raw.Close()
	if c := s.prepare(d); !c.orderly() {
		return c
	}
	s.conn.SetReadDeadline(time.Time{}) // from here on the sender's clock ends every wait
	received := make(chan struct{})
	go func() {
		defer close(received)
		s.receive()
	}()
	s.events <- opened{session: s.id, caps: s.caps, fixup: s.fixup, tls: s.tls, connect: time.Since(s.started)}
	c := s.converse(ctx)
	s.raw.Close()
	<-received
	return c
}

// sourceOf is our address of a connection.
func sourceOf(c net.Conn) netip.Addr {
	a, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return a.AddrPort().Addr().Unmap()
}

// dial connects. A context with a deadline would cost three timers where one does.
func (s *speaker) dial(ctx context.Context, d dial) closing {
	// The engine asks no such dial. This is the second lock, where the address is the one that is dialled.
	if !d.configured && prohibited.Contains(s.config.Prohibited, d.to.Addr()) {
		s.config.Log.Error("BUG: a prohibited address was to be dialled", "addr", d.to.String())
		return closing{stage: stageConnect, err: errProhibited}
	}
	late := time.AfterFunc(d.timeout, s.giveUp)
	conn, err := s.config.Dial(ctx, d.to)
	if !late.Stop() {
		if err == nil {
			conn.Close()
		}
		err = context.DeadlineExceeded
	}
	if err != nil {
		unbound := isUnbound(err)
		if unbound {
			err = s.config.unboundError(d.to)
		}
		return closing{stage: stageConnect, err: brokenAt(stageConnect, err), local: isLocal(err), unbound: unbound,
			noRoute: errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EAFNOSUPPORT)}
	}
	s.raw, s.conn, s.reader = conn, conn, wire.NewReader(conn)
	s.events <- connected{session: s.id, source: sourceOf(conn)}
	return closing{}
}

// isLocal tells our own want of descriptors, ports or memory from a host's refusal: it must never be charged to a host.
func isLocal(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.Is(err, context.Canceled)
}

// greet waits for the greeting and says hello. Not an octet is written before the greeting: some hosts turn away who talks early.
func (s *speaker) greet() closing {
	r, err := s.ask("", stageGreeting)
	if err != nil || r.Code/100 != 2 {
		return s.turnedAway(stageGreeting, r, err)
	}
	s.fixup = isFixup(r)
	r, err = s.ehlo()
	if err == nil && r.Code/100 == 5 {
		// RFC 5321 section 3.2: a server that does not know EHLO gets HELO, on the same connection.
		r, err = s.ask(string(wire.AppendHELO(nil, s.config.Hostname)), stageHello)
		if err == nil && r.Code/100 == 2 {
			return closing{}
		}
	}
	if err != nil || r.Code/100 != 2 {
		return s.turnedAway(stageHello, r, err)
	}
	s.caps = wire.ParseCaps(r)
	return closing{}
}

// ehlo says hello.
func (s *speaker) ehlo() (wire.Reply, error) {
	r, err := s.ask(string(wire.AppendEHLO(nil, s.config.Hostname)), stageHello)
	if err == nil && r.Code == 220 {
		err = &protocolError{stage: stageHello, reason: "greeted twice"} // the reply to EHLO would be taken for MAIL's
	}
	return r, err
}

// ask writes a command and reads its reply, alone: nothing may be left over, for a server that says more than it was asked
// has lost count. The deadline is absolute for the whole reply.
func (s *speaker) ask(command string, at stage) (wire.Reply, error) {
	if until := time.Now().Add(s.config.Timeouts.of(at)); s.arm(until) {
		s.conn.SetDeadline(until)
	}
	if command != "" {
		if _, err := s.conn.Write([]byte(command)); err != nil {
			return wire.Reply{}, err
		}
	}
	r, err := s.reader.ReadReply()
	if err == nil && s.reader.Buffered() > 0 {
		err = &protocolError{stage: at, reason: "sent more than one reply"}
	}
	return r, err
}

// arm says whether a deadline has to be set: one that stands already and is at most a little earlier does as well. Setting one
// costs more than most writes.
func (s *speaker) arm(until time.Time) bool {
	if early := until.Sub(s.armed); early >= 0 && early <= time.Until(until)/16 {
		return false
	}
	s.armed = until
	return true
}

// turnedAway is the end of a session that never opened. A host that refuses in words is told goodbye, without waiting for
// its answer.
func (s *speaker) turnedAway(at stage, r wire.Reply, err error) closing {
	if err != nil {
		return closing{stage: at, err: brokenAt(at, err)}
	}
	s.quitNow()
	return closing{stage: at, reply: r}
}

// quitNow says goodbye, as best as it can: the session is over either way.
func (s *speaker) quitNow() {
	s.conn.SetWriteDeadline(time.Now().Add(s.config.Timeouts.Quit))
	s.conn.Write([]byte(wire.QUIT))
}

// isFixup recognises the greeting of a PIX firewall's "fixup", which hides all but digits and stars, and which mishandles
// what follows an end of data in the same segment.
func isFixup(r wire.Reply) bool {
	return strings.Contains(r.Text, "**") && strings.Trim(r.Text, "02 *") == ""
}

// receive is the receiver: it reads replies until the connection ends.
func (s *speaker) receive() {
	for {
		var h hearing
		var r wire.Reply
		r, h.err = s.reader.ReadReply()
		for h.err == nil {
			h.replies = append(h.replies, s.who.hide(r))
			if !s.reader.Pending() || len(h.replies) > repliesOwed {
				break
			}
			r, h.err = s.reader.ReadReply()
		}
		h.more = s.reader.Buffered() > 0
		if syntax := (*wire.SyntaxError)(nil); s.who != nil && errors.As(h.err, &syntax) {
			syntax.Line = s.who.hide(wire.Reply{Text: syntax.Line}).Text
		}
		if s.hear(h) != nil {
			return
		}
	}
}

// hear hands replies to the sender without ever waiting for it: what it has not listened to yet is taken back and put in front.
// Only the receiver puts hearings into the channel, so there is always room.
func (s *speaker) hear(h hearing) error {
	select {
	case old := <-s.heard:
		h.replies = append(old.replies, h.replies...)
	default:
	}
	if h.err == nil && len(h.replies) > repliesOwed {
		h.err = &protocolError{stage: stageIdle, reason: "sent replies nobody asked for"}
	}
	s.heard <- h
	return h.err
}

// log tells of the session's end: one line a session.
func (s *speaker) log(d dial, c closing) {
	attrs := []any{"session", uint64(s.id), "addr", d.to.String(), "transactions", s.done, "seconds", time.Since(s.started).Seconds()}
	if c.reply.Code != 0 {
		attrs = append(attrs, "stage", c.stage.String(), "reply", c.reply.String())
	}
	if c.err != nil {
		attrs = append(attrs, "stage", c.stage.String(), "error", wire.Clean(c.err.Error(), 200))
	}
	s.config.Log.Info("session closed", attrs...)
}

// A protocolError is a peer that does not keep to SMTP: the session is closed, for nothing later can be trusted.
type protocolError struct {
	stage  stage
	reason string
}

func (e *protocolError) Error() string {
	return "protocol error at " + e.stage.String() + ": peer " + e.reason
}

// A brokenError is a dialogue that broke off.
type brokenError struct {
	stage stage
	err   error
}

// brokenAt says at which stage err broke the dialogue off; errors that speak for themselves stay as they are.
func brokenAt(at stage, err error) error {
	var syntax *wire.SyntaxError
	var protocol *protocolError
	if errors.As(err, &syntax) || errors.As(err, &protocol) {
		return err
	}
	return &brokenError{stage: at, err: err}
}

// Error is "connect: connection refused" or "timed out at rcpt", fit for the host MTA's log.
func (e *brokenError) Error() string {
	var errno syscall.Errno
	switch {
	case errors.Is(e.err, os.ErrDeadlineExceeded), errors.Is(e.err, context.DeadlineExceeded):
		return "timed out at " + e.stage.String()
	case errors.Is(e.err, context.Canceled), errors.Is(e.err, net.ErrClosed):
		return "given up at " + e.stage.String()
	case errors.As(e.err, &errno):
		return e.stage.String() + ": " + errno.Error()
	case e.stage == stageConnect, e.stage == stageHandshake && !isEnd(e.err): // one of us does not want the other's TLS
		return e.stage.String() + ": " + e.err.Error()
	default:
		return "connection lost at " + e.stage.String() + ": " + e.err.Error()
	}
}

// isEnd says that the peer ended the connection, and said nothing of why.
func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func (e *brokenError) Unwrap() error { return e.err }

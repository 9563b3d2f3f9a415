package mxsim

import (
	"bytes"
	"errors"
	"io"
	"net"
	"time"
)

// A session is one connection of a Server. All of it belongs to the goroutine in run, except the outbox.
type session struct {
	s    *Server
	raw  net.Conn // as accepted
	conn net.Conn // raw, or TLS on it
	n    int      // number, from 1
	out  *outbox

	buf    []byte // buf[r:w] was read and not consumed
	r, w   int
	full   bool  // the last read filled it, and it may grow
	octets int64 // read in all

	now     time.Time // when the last octets arrived
	busy    time.Time // until when the server handles what came earlier
	replies []byte    // to be put in the outbox together
	due     time.Time // of replies

	owed     awaited
	envelope awaited // the reply to the last RCPT, which BDAT must wait for

	crowded      bool // one connection too many: greeted with 421
	muted        bool
	leaving      bool     // the last reply was given: nothing more is parsed
	channel      *Channel // nil in plaintext
	user         string   // that AUTH named
	login        login
	transactions int
	txn          transaction
	content      content
	inContent    bool
	chunk        chunk
	domains      []string // that were named in RCPT, with Config.DomainsPerSession
}

// An awaited is a reply that the client must have read before it may go on (RFC 2920 section 3.1).
type awaited struct {
	after string    // the command, or "" when nothing is owed
	due   time.Time // of the reply
	same  bool      // no octets were read since: whatever is left in the buffer came too early
}

// early says that what is read now was sent before the reply.
func (a awaited) early(now time.Time) bool { return a.same || now.Before(a.due) }

// maxLine is how long a command line may be; RFC 5321 section 4.5.3.1.4 asks for 512, parameters and UTF-8 add to it.
const maxLine = 4096

const (
	firstBuffer = 4 << 10
	fullBuffer  = 64 << 10
)

func newSession(s *Server, c net.Conn, n int) *session {
	x := &session{s: s, raw: c, conn: c, n: n, buf: make([]byte, firstBuffer)}
	x.out = newOutbox(c, func() { s.leave(x) })
	return x
}

func (x *session) run() {
	defer x.s.ended(x)
	defer x.out.shut()
	defer x.raw.Close()
	if x.s.c.Implicit && !x.handshake() {
		return
	}
	x.greet()
	for {
		if err := x.read(); err != nil {
			x.ended(err)
			return
		}
		x.consume()
		x.flush()
	}
}

func (x *session) greet() {
	x.now = time.Now()
	x.busy = x.now.Add(x.s.c.HoldGreeting)
	reply := ""
	if x.s.c.Greeting != nil {
		reply = x.s.c.Greeting(x.n)
	}
	switch {
	case x.crowded:
		reply = "421 4.7.0 too many connections"
	case reply == "":
		reply = "220 " + x.s.c.Name + " ESMTP"
	}
	x.reply(reply)
	x.syncPoint("connecting")
	x.owed.same = false
	x.flush()
}

// read waits for octets. The buffer grows to what the client sends at once.
func (x *session) read() error {
	x.w = copy(x.buf, x.buf[x.r:x.w])
	x.r = 0
	if x.full || x.w == len(x.buf) {
		x.buf = append(make([]byte, 0, 2*len(x.buf)), x.buf...)[:2*len(x.buf)]
	}
	k, err := x.conn.Read(x.buf[x.w:])
	x.now = time.Now()
	x.w += k
	x.octets += int64(k)
	x.owed.same, x.envelope.same = false, false
	x.full = x.w == len(x.buf) && len(x.buf) < fullBuffer
	if k > 0 {
		return nil // an error comes again
	}
	return err
}

// ended is the end of what the client sends. One that only closed its sending half still gets the replies that it is owed.
func (x *session) ended(err error) {
	if errors.Is(err, io.EOF) {
		x.out.drain()
	}
}

// consume handles all that is complete in the buffer.
func (x *session) consume() {
	for x.r < x.w && !x.leaving {
		x.checkSync()
		if x.inContent {
			used, end := x.content.take(x.buf[x.r:x.w])
			x.r += used
			if !end {
				return
			}
			x.final()
			continue
		}
		if x.chunk.open {
			x.takeChunk()
			continue
		}
		line, ok := x.line()
		switch {
		case !ok:
			return
		case x.login.step != noLogin:
			x.credentials(line)
		default:
			x.command(line)
		}
	}
	if x.leaving {
		x.r = x.w // a 421 may meet a whole group under way
	}
}

// line takes a complete line, without its end, from the buffer.
func (x *session) line() ([]byte, bool) {
	rest := x.buf[x.r:x.w]
	i := bytes.IndexByte(rest, '\n')
	if i < 0 {
		if len(rest) > maxLine {
			x.violation("command line too long", rest)
			x.reply("500 5.5.2 line too long")
			x.leave(finish)
		}
		return nil, false
	}
	x.r += i + 1
	// RFC 5321 section 2.3.8: "SMTP client implementations MUST NOT transmit" CR or LF "except when they are intended as line
	// terminators and then MUST ... transmit them only as a <CRLF> sequence."
	if i == 0 || rest[i-1] != '\r' {
		x.violation("bare LF in a command", rest[:i+1])
		return rest[:i], true
	}
	if bytes.IndexByte(rest[:i-1], '\r') >= 0 {
		x.violation("bare CR in a command", rest[:i+1])
	}
	return rest[:i-1], true
}

// syncPoint says that nothing may come before the reply given last.
func (x *session) syncPoint(after string) { x.owed = awaited{after, x.due, true} }

// checkSync looks at octets that are there: were they sent before the reply they had to wait for?
func (x *session) checkSync() {
	if x.owed.after == "" {
		return
	}
	if x.owed.early(x.now) {
		x.violation("talk before the reply to "+x.owed.after, x.buf[x.r:x.w])
	}
	x.owed.after = ""
}

// reply appends one reply line. All replies that are due together are written together.
func (x *session) reply(text string) {
	if x.muted || x.leaving {
		return
	}
	switch text {
	case Mute:
		x.muted = true
		return
	case HangUp:
		x.leave(finish)
		return
	case Abort:
		x.leave(reset)
		return
	}
	x.owe()
	x.replies = append(append(x.replies, text...), '\r', '\n')
	if len(text) > 3 && text[:3] == "421" {
		x.leave(finish)
	}
}

// owe prepares for a reply to what is being handled: it is due one round trip after the server has come to it.
func (x *session) owe() {
	due := x.now
	if due.Before(x.busy) {
		due = x.busy
	}
	due = due.Add(x.s.c.RTT)
	if len(x.replies) > 0 && !due.Equal(x.due) {
		x.flush()
	}
	x.due = due
}

// flush hands the replies gathered to the outbox.
func (x *session) flush() {
	if len(x.replies) > 0 {
		x.replies = x.out.put(x.now, batch{due: x.due, data: x.replies})
	}
}

// leave closes the connection behind the replies given so far.
func (x *session) leave(how ending) {
	if x.leaving {
		return
	}
	if len(x.replies) == 0 {
		x.owe()
	}
	x.leaving = true
	x.out.put(x.now, batch{due: x.due, data: x.replies, end: how})
	x.replies = nil
}

// violation records what the client must not do, with the beginning of the octets that show it.
func (x *session) violation(what string, octets []byte) {
	x.s.violate(Violation{x.n, what, string(octets[:min(len(octets), 80)])})
}

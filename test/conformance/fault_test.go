package conformance

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// A stage is where in a dialogue an exchanger misbehaves: instead of its polite reply to that.
type stage string

const (
	atConnect  stage = "connect" // before the greeting
	atGreeting stage = "greeting"
	atEhlo     stage = "EHLO"
	atHelo     stage = "HELO"

	atStartTLS  stage = "STARTTLS"
	atHandshake stage = "handshake" // when the ClientHello was read
	atEhloTLS   stage = "EHLO inside TLS"

	atMail stage = "MAIL"
	atRcpt stage = "RCPT"
	atData stage = "DATA"
	inBody stage = "body"
	atDot  stage = "end of data"
	atRset stage = "RSET"
	atQuit stage = "QUIT"
	atIdle stage = "idle" // behind the reply to the end of data, if nothing has come behind that
)

// A fault is a misbehaviour of an exchanger.
type fault struct {
	at      stage
	of      string             // at RCPT: of recipients whose address begins so; "" is any
	after   int                // in the body: when so many octets have come
	nth     int                // in this transaction of a connection, from 1; 0 is any
	conn    int                // on this connection of the exchanger, from 1; 0 is any
	beyond  int                // on connections behind this one
	grouped bool               // only if more commands have come already, before this one was answered
	when    func(*server) bool // only then; nil is whenever
	times   int                // how often in all; 0 is once
	do      []act
}

// always as a number of times has no end.
const always = 1 << 30

// An act is one thing that a misbehaving exchanger does.
type act struct {
	name   string
	judged bool // nothing but QUIT may come from the client after the fault
	last   bool // the exchanger says nothing more and reads on: the client must leave
	run    func(*server) (goesOn bool)
}

func do(acts ...act) []act { return acts }

// say replies with lines. The first one's code decides how the dialogue stands afterwards. What is said together leaves in one
// write.
func say(lines ...string) act { return raw(strings.Join(lines, "\r\n") + "\r\n") }

// raw writes a text as it is.
func raw(text string) act {
	return act{name: fmt.Sprintf("say %q", text), run: func(s *server) bool { s.say(text); return true }}
}

// pause lets time pass.
func pause(d time.Duration) act {
	return act{name: fmt.Sprint("pause ", d), run: func(s *server) bool { return s.flush() && s.wait(d) }}
}

// drip writes a text one octet at a time, with a gap before each.
func drip(gap time.Duration, text string) act {
	return act{name: fmt.Sprintf("drip %q", text), run: func(s *server) bool {
		s.code(text)
		if !s.flush() {
			return false
		}
		for i := range len(text) {
			if !s.wait(gap) || !s.write(text[i:i+1]) {
				return false
			}
		}
		return true
	}}
}

// flood writes the same text n times, as far as the client lets it.
func flood(text string, n int) act {
	return act{name: fmt.Sprintf("%d times %q", n, text), judged: true, run: func(s *server) bool {
		if !s.flush() {
			return false
		}
		for range n {
			if _, err := io.WriteString(s.conn, text); err != nil {
				break
			}
		}
		return false
	}}
}

// quiet wants the client to send nothing for a while.
func quiet(d time.Duration) act {
	return act{name: fmt.Sprint("quiet ", d), run: func(s *server) bool {
		if !s.flush() {
			return false
		}
		if n := s.pending(s.host.scaled(d)); n > 0 {
			s.complain("%d octets came while nothing was asked", n)
		}
		return true
	}}
}

// swallow throws away what has come behind the command: the server read it together with that, and forgot it.
var swallow = act{name: "swallow", run: func(s *server) bool {
	s.in.Discard(s.pending(shortly))
	return true
}}

// watched lets the dialogue go on, and wants nothing but QUIT from the client.
var watched = act{name: "watched", judged: true, run: func(*server) bool { return true }}

// blamed is a fault of the client's: it must not have come here.
func blamed(why string) act {
	return act{name: why, run: func(s *server) bool { s.complain("%s", why); return true }}
}

// The ends of connections, each in its way.
var (
	// hush is silence for ever; the client must leave.
	hush = act{name: "hush", judged: true, last: true, run: func(s *server) bool { s.flush(); s.discard(); return false }}
	// leaves is hush for a client that may say more.
	leaves = act{name: "leaves", run: func(s *server) bool { s.flush(); s.discard(); return false }}
	// pauses is leaves for a client in the middle of a body: it fills the buffers on the way, and has heard what was said when it may go on.
	pauses = act{name: "leaves, after a pause", run: func(s *server) bool {
		if s.flush() && s.pauseFor(300*time.Millisecond) {
			s.discard()
		}
		return false
	}}
	// deaf neither reads nor writes any more, so that the client's window fills.
	deaf = act{name: "deaf", run: func(s *server) bool { s.flush(); s.stay(); return false }}
	// fin closes the connection.
	fin = act{name: "FIN", run: func(s *server) bool { s.flush(); s.hangUp(); return false }}
	// shut ends what the exchanger says.
	shut = act{name: "FIN", run: func(s *server) bool { s.flush(); s.closeWrite(); return true }}
	// half ends what the exchanger says and goes on reading.
	half = act{name: "FIN, and goes on reading", judged: true, last: true, run: func(s *server) bool {
		if s.flush() {
			s.closeWrite()
			s.discard()
		}
		return false
	}}
	// rst closes the connection with RST.
	rst = act{name: "RST", run: func(s *server) bool {
		s.flush()
		if c, ok := s.raw.(interface{ SetLinger(int) error }); ok {
			c.SetLinger(0) // what fails here fails in Close as well
		}
		s.raw.Close()
		return false
	}}
)

// slowly reads n octets a second until the client leaves.
func slowly(n int) act {
	return act{name: fmt.Sprintf("reads %d octets a second", n), run: func(s *server) bool {
		b := make([]byte, n)
		for s.flush() && s.wait(time.Second) {
			if _, err := io.ReadFull(s.in, b); err != nil {
				break
			}
		}
		return false
	}}
}

// A manner is how an exchanger writes.
type manner struct {
	gap   time.Duration // before each octet; each goes alone
	lf    bool          // lines end in LF
	eager bool          // each reply is written at once, also when more commands have come
}

// write writes as a manner is.
func (m manner) write(c net.Conn, text string, wait func(time.Duration) bool) error {
	if m.lf {
		text = strings.ReplaceAll(text, "\r\n", "\n")
	}
	if m.gap == 0 {
		_, err := io.WriteString(c, text)
		return err
	}
	for i := range len(text) {
		if !wait(m.gap) {
			return net.ErrClosed
		}
		if _, err := io.WriteString(c, text[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

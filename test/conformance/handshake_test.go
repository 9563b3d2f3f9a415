package conformance

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// startTLS answers the command, and makes the handshake.
func (s *server) startTLS(line string) (ok bool) {
	s.syncPoint(line)
	polite := "220 2.0.0 go"
	switch {
	case s.channel != nil:
		s.complain("STARTTLS inside TLS")
		polite = "503 5.5.1 it is on"
	case s.host.tls == nil:
		polite = "454 4.7.0 TLS is not available"
	}
	code, ok := s.answer(atStartTLS, "", polite)
	if !ok || code != 220 || s.channel != nil {
		return ok
	}
	return s.flush() && s.handshake()
}

// handshake makes the server's side, after the fault that a ClientHello may meet.
func (s *server) handshake() bool {
	hello, under, err := mxsim.ReadClientHello(&buffered{s.conn, s.in})
	if err != nil {
		if !errors.Is(err, io.EOF) {
			s.complain("no ClientHello behind STARTTLS: %v", err)
		}
		s.gone()
		return false
	}
	s.hello, s.under = hello, under
	s.host.locked(func() { s.rec.hellos = append(s.rec.hellos, hello) })
	if f := s.fault(atHandshake, ""); f != nil && !s.misbehave(f) {
		return false
	}
	conn, state, err := s.secure()
	if err != nil {
		s.gone() // the client has failed us, or we have failed it
		return false
	}
	s.host.locked(func() { s.rec.channel = &state })
	s.conn.off = true
	s.channel, s.txn = &state, nil
	s.conn = &recorder{Conn: conn, mu: &s.host.mu, rec: s.rec}
	s.in = bufio.NewReaderSize(s.conn, inputSize)
	return true
}

func (s *server) secure() (net.Conn, tls.ConnectionState, error) {
	if s.host.tls.sealed {
		c, err := mxsim.Seal(s.under, s.host.config)
		if err != nil {
			return nil, tls.ConnectionState{}, err
		}
		return c, c.ConnectionState(), nil
	}
	c := tls.Server(s.under, s.host.config)
	err := c.Handshake()
	return c, c.ConnectionState(), err
}

// A buffered is a connection of which something may have been read already.
type buffered struct {
	net.Conn
	in io.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.in.Read(p) }

// large and postQuantum are ClientHellos of a kind: conditions of faults.
func postQuantum(s *server) bool { return mxsim.PostQuantum(s.hello) }
func large(s *server) bool       { return mxsim.LargerThan(1000)(s.hello) }

// trickle lets the server's side of the handshake go on, an octet at a time.
func trickle(gap time.Duration) act {
	return act{name: fmt.Sprint("an octet each ", gap), run: func(s *server) bool {
		s.under = &trickling{s.under, gap, s}
		return true
	}}
}

type trickling struct {
	net.Conn
	gap time.Duration
	s   *server
}

func (t *trickling) Write(b []byte) (int, error) {
	for i := range b {
		if !t.s.wait(t.gap) {
			return i, net.ErrClosed
		}
		if _, err := t.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// cutAfter lets so many octets of the server's side of the handshake through, and ends the connection as an act does.
func cutAfter(octets int, end act) act {
	return act{name: fmt.Sprintf("%d octets, %s", octets, end.name), run: func(s *server) bool {
		s.under = &cutting{s.under, octets}
		s.secure()
		return end.run(s)
	}}
}

type cutting struct {
	net.Conn
	left int
}

func (c *cutting) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b[:min(len(b), c.left)])
	c.left -= n
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
}

// below writes a text under TLS, as it is.
func below(text string) act {
	return act{name: fmt.Sprintf("%q under TLS", text), run: func(s *server) bool {
		if !s.flush() {
			return false
		}
		_, err := io.WriteString(s.raw, text)
		return err == nil
	}}
}

// alert is a fatal alert of TLS: encrypted where the host is sealed, else in plaintext.
func alert(description byte) act {
	return act{name: fmt.Sprint("alert ", description), run: func(s *server) bool {
		if !s.flush() {
			return false
		}
		if c, ok := s.conn.Conn.(*mxsim.Sealed); ok {
			return c.Alert(description) == nil
		}
		_, err := s.raw.Write([]byte{21, 3, 3, 0, 2, 2, description})
		return err == nil
	}}
}

// keyUpdates and emptyRecords are for hosts that are sealed.
func keyUpdates(n int) act {
	return act{name: fmt.Sprint(n, " KeyUpdates"), run: func(s *server) bool {
		return s.flush() && s.conn.Conn.(*mxsim.Sealed).KeyUpdates(n) == nil
	}}
}

func emptyRecords(n int) act {
	return act{name: fmt.Sprint(n, " empty records"), run: func(s *server) bool {
		ok := s.flush()
		for i := 0; i < n && ok; i++ {
			ok = s.conn.Conn.(*mxsim.Sealed).Record(23, nil) == nil
		}
		return true // the client may have left
	}}
}

// unclean closes the connection under TLS: no close_notify.
var unclean = act{name: "FIN without close_notify", run: func(s *server) bool {
	s.flush()
	s.closeRaw()
	s.raw.Close()
	return false
}}

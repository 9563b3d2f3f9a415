package mxsim

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// StartTLS expects the command, says 220 and makes the handshake.
func StartTLS(c *tls.Config) Step {
	s := Seq(Expect("STARTTLS"), Reply("220 2.0.0 go"), Handshake(c))
	s.name = "StartTLS()"
	return s
}

// Invite expects STARTTLS and says 220: what follows is up to the script.
func Invite() Step {
	s := Seq(Expect("STARTTLS"), Reply("220 2.0.0 go"))
	s.name = "Invite()"
	return s
}

// Handshake makes the server's side of a TLS handshake; what follows is encrypted. It also stands at the beginning of a script
// for TLS from the first octet (RFC 8314 section 3).
func Handshake(c *tls.Config) Step {
	return Step{"Handshake()", func(p *peer) error { return p.handshake(p.under, c) }}
}

// handshake makes the server's side on a connection.
func (p *peer) handshake(under net.Conn, c *tls.Config) error {
	if err := p.nothingEarly(); err != nil {
		return err
	}
	t := tls.Server(under, c)
	if err := t.Handshake(); err != nil {
		return err
	}
	p.result.TLS = append(p.result.TLS, t.ConnectionState())
	p.use(t)
	return nil
}

// nothingEarly wants the client to have waited. RFC 3207 section 4.2: nothing may follow STARTTLS before the handshake.
func (p *peer) nothingEarly() error {
	if n := p.in.Buffered(); n > 0 {
		b, _ := p.in.Peek(n)
		return &errUnexpected{string(b), nil}
	}
	return nil
}

// HandshakeSealed is Handshake for scripts that go on with Alert, KeyUpdates and EmptyRecords. Its sessions are not resumed.
func HandshakeSealed(c *tls.Config) Step {
	return Step{"HandshakeSealed()", func(p *peer) error {
		if err := p.nothingEarly(); err != nil {
			return err
		}
		s, err := Seal(p.under, c)
		if err != nil {
			return err
		}
		p.result.TLS = append(p.result.TLS, s.ConnectionState())
		p.use(s)
		return nil
	}}
}

// HandshakeSlowly is Handshake with a gap before each of the server's octets.
func HandshakeSlowly(gap time.Duration, c *tls.Config) Step {
	return Step{fmt.Sprintf("HandshakeSlowly(%v)", gap), func(p *peer) error { return p.handshake(&dripping{p.under, gap, p}, c) }}
}

// HandshakeCut makes a handshake of which the client gets no more than so many octets. Drop, Reset or StallForever should follow.
func HandshakeCut(octets int, c *tls.Config) Step {
	return Step{fmt.Sprintf("HandshakeCut(%d)", octets), func(p *peer) error {
		if err := p.handshake(&cut{p.under, octets}, c); err != nil && !errors.Is(err, errCut) {
			return err
		}
		return nil
	}}
}

// HandshakeFails makes the server's side of a handshake that must fail, here or at the client. In TLS 1.3 one that demands a
// certificate (tls.RequireAnyClientCert) fails here only, when the client has finished: its first read gets the alert.
func HandshakeFails(c *tls.Config) Step {
	return Step{"HandshakeFails()", func(p *peer) error {
		if err := p.nothingEarly(); err != nil {
			return err
		}
		if tls.Server(p.under, c).Handshake() == nil {
			return &errUnexpected{"a handshake that succeeded", nil}
		}
		return nil
	}}
}

// ReadHello reads the ClientHello and keeps it in Result.Hellos. Handshake may follow.
func ReadHello() Step {
	return Step{"ReadHello()", func(p *peer) error {
		_, err := p.readHello()
		return err
	}}
}

func (p *peer) readHello() (ClientHello, error) {
	if err := p.nothingEarly(); err != nil {
		return ClientHello{}, err
	}
	h, under, err := ReadClientHello(p.under)
	if err == nil {
		p.result.Hellos = append(p.result.Hellos, h)
		p.under = under
	}
	return h, err
}

// errEnough ends a script without an error.
var errEnough = errors.New("mxsim: enough")

// RefuseHello reads the ClientHello. To one that is unfit these steps are played, and the script ends; else it goes on, with
// Handshake. It is how servers and the boxes before them treat what they do not understand:
//
//	mxsim.RefuseHello(mxsim.LargerThan(1000), mxsim.Reset())
func RefuseHello(unfit func(ClientHello) bool, instead ...Step) Step {
	refuse := Seq(instead...)
	return Step{"RefuseHello(" + refuse.name + ")", func(p *peer) error {
		h, err := p.readHello()
		if err != nil || !unfit(h) {
			return err
		}
		if err := refuse.run(p); err != nil {
			return err
		}
		return errEnough
	}}
}

// Raw writes octets below TLS, as they are.
func Raw(octets string) Step {
	return Step{fmt.Sprintf("Raw(%q)", octets), func(p *peer) error {
		_, err := p.raw.Write([]byte(octets))
		return err
	}}
}

// Alert sends a fatal alert (RFC 8446 section 6.2), behind HandshakeSealed an encrypted one.
func Alert(description byte) Step {
	return Step{fmt.Sprintf("Alert(%d)", description), func(p *peer) error {
		if s, ok := p.conn.(*Sealed); ok {
			return s.Alert(description)
		}
		_, err := p.raw.Write(append([]byte{recordAlert, 3, 3, 0, 2}, alert(description)...))
		return err
	}}
}

// KeyUpdates changes the server's key n times, behind HandshakeSealed.
func KeyUpdates(n int) Step {
	return sealed(fmt.Sprintf("KeyUpdates(%d)", n), func(s *Sealed) error { return s.KeyUpdates(n) })
}

// EmptyRecords sends n records without octets, behind HandshakeSealed.
func EmptyRecords(n int) Step {
	return sealed(fmt.Sprintf("EmptyRecords(%d)", n), func(s *Sealed) error {
		for range n {
			if err := s.Record(recordData, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// sealed is a step that needs HandshakeSealed before it.
func sealed(name string, f func(*Sealed) error) Step {
	return Step{name, func(p *peer) error {
		s, ok := p.conn.(*Sealed)
		if !ok {
			return errors.New("HandshakeSealed does not stand before it")
		}
		return f(s)
	}}
}

// DropUnclean closes the connection below TLS: FIN without close_notify.
func DropUnclean() Step {
	return Step{"DropUnclean()", func(p *peer) error {
		hangUp(p.raw)
		return nil
	}}
}

// A dripping is a connection that is written to one octet at a time.
type dripping struct {
	net.Conn
	gap  time.Duration
	peer *peer
}

func (d *dripping) Write(b []byte) (int, error) {
	for i := range b {
		if err := d.peer.pause(d.gap); err != nil {
			return i, err
		}
		if _, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// A cut is a connection to which no more than so many octets can be written.
type cut struct {
	net.Conn
	left int
}

// errCut is what the handshake sees of it.
var errCut = errors.New("mxsim: cut here")

func (c *cut) Write(b []byte) (int, error) {
	if len(b) <= c.left {
		c.left -= len(b)
		return c.Conn.Write(b)
	}
	n, err := c.Conn.Write(b[:c.left])
	c.left = 0
	if err != nil {
		return n, err
	}
	return n, errCut
}

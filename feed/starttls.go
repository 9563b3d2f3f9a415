package feed

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

var (
	errNoStartTLS = errors.New("TLS is required, but the host does not offer STARTTLS")
	errNoTLS      = errors.New("TLS is required, but the host refuses STARTTLS")
)

// protect gives the session TLS, as far as its policy has it.
func (s *speaker) protect(d dial) closing {
	switch {
	case d.policy.level == levelNone, d.plain, d.policy.implicit:
		return closing{}
	case !s.caps.StartTLS:
		return s.unprotected(d, errNoStartTLS)
	}
	r, err := s.ask(wire.STARTTLS, stageStartTLS)
	switch {
	case errors.As(err, new(*protocolError)):
		// What stands behind the 220 came before the handshake, from anybody on the way: it would be taken for what the host says
		// inside TLS (CVE-2021-38371).
		s.config.Log.Warn("octets behind the reply to STARTTLS: an attack, or a broken server", "addr", d.to.String())
		return s.tlsClosing(stageStartTLS, &tlsError{result: "validation-failure", status: wire.Enhanced{Class: 4, Subject: 7}, final: true, err: err})
	case err != nil:
		return s.tlsClosing(stageStartTLS, handshakeError(brokenAt(stageStartTLS, err)))
	case r.Code == 421: // RFC 5321 section 3.8: it closes, and that is no word on TLS
		return s.turnedAway(stageStartTLS, r, nil)
	case r.Code/100 == 4: // RFC 3207 section 4: "454 TLS not available due to temporary reason"
		s.tls.later = true
		return s.unprotected(d, errNoTLS)
	case r.Code/100 != 2: // 220 it should be; some say 250, and mean it
		return s.unprotected(d, errNoTLS)
	}
	return s.secure(d)
}

// unprotected goes on in plaintext, where the policy has nothing against it.
func (s *speaker) unprotected(d dial, why error) closing {
	if !d.policy.demands() {
		return closing{}
	}
	s.quitNow()
	return s.tlsClosing(stageStartTLS, &tlsError{result: "starttls-not-supported", status: status474, err: why})
}

func (s *speaker) tlsClosing(at stage, err *tlsError) closing {
	return closing{stage: at, err: err, tls: err}
}

// secure does the handshake, within one deadline for all of it, and greets again: RFC 3207 section 4.2 has the client forget all it knows of
// the server.
func (s *speaker) secure(d dial) closing {
	until := time.Now().Add(s.config.Timeouts.StartTLS)
	s.conn.SetDeadline(until)
	s.armed = until
	var t *tls.Conn
	err := s.kit.gate.pass(s.conn, func(c net.Conn) error {
		t = tls.Client(c, s.kit.config(d, &s.tls))
		return t.Handshake()
	})
	if err != nil {
		return s.tlsClosing(stageHandshake, handshakeError(err))
	}
	s.tls = protectionOf(t.ConnectionState(), s.tls)
	s.conn, s.reader, s.caps = t, wire.NewReader(t), wire.Caps{}
	if d.policy.implicit {
		return closing{} // its greeting is yet to come
	}
	r, err := s.ehlo()
	switch {
	case err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.As(err, new(*protocolError)) && !errors.As(err, new(*wire.SyntaxError)):
		// TLS 1.3 ends the handshake before the server has agreed: its refusal comes with the first that is read.
		return s.tlsClosing(stageHandshake, handshakeError(err))
	case err != nil || r.Code/100 != 2:
		return s.turnedAway(stageHello, r, err) // no HELO inside TLS: who knows that knows EHLO
	}
	s.caps = wire.ParseCaps(r)
	return closing{}
}

// prepare takes the session from the connection to where mail can go by it.
func (s *speaker) prepare(d dial) closing {
	steps := []func() closing{s.greet, func() closing { return s.protect(d) }, func() closing { return s.authenticate(d) }}
	if d.policy.implicit {
		steps = append([]func() closing{func() closing { return s.secure(d) }}, steps...)
	}
	for _, step := range steps {
		if c := step(); !c.orderly() {
			return c
		}
	}
	return closing{}
}

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// A peer is an SMTP connection as the raw client and the injection use it: everything pipelined, no reply forgiven.
type peer struct {
	conn net.Conn
	in   *bufio.Reader
}

// peerTimeout ends a run that hangs.
const peerTimeout = 5 * time.Minute

// dial connects and says EHLO.
func dial(addr string) (*peer, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	// Without keep-alive probes: each would cost four system calls, and smtpfeed has none either.
	conn, err := (&net.Dialer{KeepAlive: -1}).DialTCP(context.Background(), "tcp4", netip.AddrPort{}, to)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(peerTimeout))
	p := &peer{conn: conn, in: bufio.NewReaderSize(conn, 2<<10)}
	if err := p.expect("220"); err != nil {
		conn.Close()
		return nil, err
	}
	if err := p.hello(); err != nil {
		conn.Close()
		return nil, err
	}
	return p, nil
}

func (p *peer) hello() error { return p.say([]byte("EHLO raw.example\r\n"), "250") }

// secure goes over to TLS and says EHLO again.
func (p *peer) secure(c *tls.Config) error {
	if err := p.say([]byte("STARTTLS\r\n"), "220"); err != nil {
		return err
	}
	t := tls.Client(p.conn, c)
	if err := t.Handshake(); err != nil {
		return fmt.Errorf("handshake with %v: %w", p.conn.RemoteAddr(), err)
	}
	p.conn = t
	p.in.Reset(t)
	return p.hello()
}

// say writes a command and reads its reply.
func (p *peer) say(command []byte, code string) error {
	if _, err := p.conn.Write(command); err != nil {
		return err
	}
	return p.expect(code)
}

// quit does not wait for the reply.
func (p *peer) quit() {
	p.conn.Write([]byte("QUIT\r\n"))
	p.conn.Close()
}

// expect reads one reply, of several lines or one.
func (p *peer) expect(code string) error {
	for {
		line, err := p.in.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("reply of %v: %w", p.conn.RemoteAddr(), err)
		}
		if len(line) < 4 || string(line[:3]) != code {
			return fmt.Errorf("reply of %v: %q instead of %s", p.conn.RemoteAddr(), line, code)
		}
		if line[3] != '-' {
			return nil
		}
	}
}

// deliver does transactions one after the other. The next one's commands ride behind a body (RFC 2920 section 3.1).
func (p *peer) deliver(body []byte, transactions []transaction) error {
	out := transactions[0].commands(nil)
	for i, t := range transactions {
		owed := append(slices.Repeat([]string{"250"}, 1+len(t.To)), "354")
		if i > 0 {
			owed = append([]string{"250"}, owed...) // to the body before
		}
		if err := p.group(out, owed); err != nil {
			return err
		}
		out = body
		if i+1 < len(transactions) {
			out = transactions[i+1].commands(body)
		}
	}
	return p.group(out, []string{"250"})
}

// small is a group that certainly fits into the buffers between two machines.
const small = 16 << 10

// group writes commands and reads their replies, at once when they are many: a group larger than the peer's window would otherwise wait for
// ever.
func (p *peer) group(out []byte, owed []string) error {
	if len(out) <= small {
		if _, err := p.conn.Write(out); err != nil {
			return err
		}
		return p.expectAll(owed)
	}
	wrote := make(chan error, 1) // from the writing goroutine, once
	go func() {
		_, err := p.conn.Write(out)
		wrote <- err
	}()
	if err := p.expectAll(owed); err != nil {
		return err
	}
	return <-wrote
}

func (p *peer) expectAll(owed []string) error {
	for _, code := range owed {
		if err := p.expect(code); err != nil {
			return err
		}
	}
	return nil
}

// commands are a transaction's up to DATA, behind what comes before them.
func (t transaction) commands(before []byte) []byte {
	b := make([]byte, 0, len(before)+64*(len(t.To)+2))
	b = append(b, before...)
	b = append(append(append(b, "MAIL FROM:<"...), t.From...), ">"...)
	b = append(append(b, t.Params...), "\r\n"...)
	for _, a := range t.To {
		b = append(append(append(b, "RCPT TO:<"...), a...), ">\r\n"...)
	}
	return append(b, "DATA\r\n"...)
}

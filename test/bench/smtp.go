package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
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
	conn, err := net.DialTimeout("tcp4", addr, peerTimeout)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(peerTimeout))
	p := &peer{conn: conn, in: bufio.NewReaderSize(conn, 4<<10)}
	if err := p.expect("220"); err != nil {
		conn.Close()
		return nil, err
	}
	if err := p.say([]byte("EHLO raw.example\r\n"), "250"); err != nil {
		conn.Close()
		return nil, err
	}
	return p, nil
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
func (p *peer) deliver(from string, body []byte, transactions [][]string) error {
	out := envelope(from, transactions[0])
	for i, to := range transactions {
		owed := append(slices.Repeat([]string{"250"}, 1+len(to)), "354")
		if i > 0 {
			owed = append([]string{"250"}, owed...) // to the body before
		}
		if err := p.group(out, owed); err != nil {
			return err
		}
		out = body
		if i+1 < len(transactions) {
			out = append(bytes.Clone(body), envelope(from, transactions[i+1])...)
		}
	}
	return p.group(out, []string{"250"})
}

// group writes and reads at once: a group larger than the peer's window would otherwise wait for ever.
func (p *peer) group(out []byte, owed []string) error {
	wrote := make(chan error, 1) // from the writing goroutine, once
	go func() {
		_, err := p.conn.Write(out)
		wrote <- err
	}()
	for _, code := range owed {
		if err := p.expect(code); err != nil {
			return err
		}
	}
	return <-wrote
}

// envelope is a transaction's commands.
func envelope(from string, to []string) []byte {
	b := make([]byte, 0, 48*(len(to)+2))
	b = fmt.Appendf(b, "MAIL FROM:<%s>\r\n", from)
	for _, a := range to {
		b = append(append(append(b, "RCPT TO:<"...), a...), ">\r\n"...)
	}
	return append(b, "DATA\r\n"...)
}

package mxsim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// Send writes text as it is: nothing is added, not even CRLF.
func Send(text string) Step {
	return Step{fmt.Sprintf("Send(%q)", text), func(p *peer) error { return p.write(text) }}
}

// Reply writes lines, each with CRLF, in one write.
func Reply(lines ...string) Step {
	text := strings.Join(lines, "\r\n") + "\r\n"
	return Step{fmt.Sprintf("Reply(%q)", lines), func(p *peer) error { return p.write(text) }}
}

// Drip writes text one octet at a time, with a gap before each: many segments, and slow if the gap is long.
func Drip(gap time.Duration, text string) Step {
	return Step{fmt.Sprintf("Drip(%v, %q)", gap, text), func(p *peer) error {
		for i := range len(text) {
			if err := p.pause(gap); err != nil {
				return err
			}
			if err := p.write(text[i : i+1]); err != nil {
				return err
			}
		}
		return nil
	}}
}

// Hello greets, expects EHLO and offers these keywords.
func Hello(name string, keywords ...string) Step {
	offer := append([]string{name}, keywords...)
	for i := range offer {
		sep := "-"
		if i == len(offer)-1 {
			sep = " "
		}
		offer[i] = "250" + sep + offer[i]
	}
	s := Seq(Reply("220 "+name+" ESMTP"), Expect("EHLO "), Reply(offer...))
	s.name = fmt.Sprintf("Hello(%q, %q)", name, keywords)
	return s
}

// Deliver takes one message for n recipients, all in one pipelined group, and says 250 to everything.
func Deliver(n int) Step {
	accept := make([]string, n+1)
	for i := range accept {
		accept[i] = "250 2.1.0 ok"
	}
	s := Seq(Expect("MAIL FROM:<"), ExpectN(n, "RCPT TO:<"), Expect("DATA"), Reply(append(accept, "354 go")...), ReadBody(), Reply("250 2.0.0 queued"))
	s.name = fmt.Sprintf("Deliver(%d)", n)
	return s
}

// DeliverChunked is Deliver for a client that sends the content by BDAT, in one chunk behind the replies to RCPT.
func DeliverChunked(n int) Step {
	accept := make([]string, n+1)
	for i := range accept {
		accept[i] = "250 2.1.0 ok"
	}
	s := Seq(Expect("MAIL FROM:<"), ExpectN(n, "RCPT TO:<"), Reply(accept...), ReadBDAT(), Reply("250 2.0.0 queued"))
	s.name = fmt.Sprintf("DeliverChunked(%d)", n)
	return s
}

// Bye expects QUIT, answers it and drops.
func Bye() Step {
	s := Seq(Expect("QUIT"), Reply("221 2.0.0 bye"), Drop())
	s.name = "Bye()"
	return s
}

// Seq makes one step of several; an error names the one that failed.
func Seq(steps ...Step) Step {
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = s.name
	}
	return Step{"Seq(" + strings.Join(names, ", ") + ")", func(p *peer) error {
		for _, s := range steps {
			if err := s.run(p); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
		return nil
	}}
}

// Expect reads one line and wants it to begin with prefix.
func Expect(prefix string) Step {
	return Step{fmt.Sprintf("Expect(%q)", prefix), func(p *peer) error {
		line, err := p.line()
		if err == nil && !strings.HasPrefix(line, prefix) {
			return &errUnexpected{line, nil}
		}
		return err
	}}
}

// ExpectAll reads a group of lines, one for each prefix, in order.
func ExpectAll(prefixes ...string) Step {
	steps := make([]Step, len(prefixes))
	for i, prefix := range prefixes {
		steps[i] = Expect(prefix)
	}
	s := Seq(steps...)
	s.name = fmt.Sprintf("ExpectAll(%q)", prefixes)
	return s
}

// ExpectN reads n lines that all begin with prefix.
func ExpectN(n int, prefix string) Step {
	s := ExpectAll(strings.Split(strings.Repeat(prefix+"\n", n), "\n")[:n]...)
	s.name = fmt.Sprintf("ExpectN(%d, %q)", n, prefix)
	return s
}

// ExpectSilence wants the client to send nothing for d; a client that leaves meanwhile is an error too.
func ExpectSilence(d time.Duration) Step {
	return Step{fmt.Sprintf("ExpectSilence(%v)", d), func(p *peer) error {
		if err := p.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
			return err
		}
		b, err := p.in.Peek(1)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return p.conn.SetReadDeadline(time.Time{})
		}
		if err == nil {
			b, _ = p.in.Peek(p.in.Buffered())
		}
		return &errUnexpected{string(b), err}
	}}
}

// ExpectEnd wants the client to close without another octet.
func ExpectEnd() Step {
	return Step{"ExpectEnd()", func(p *peer) error {
		rest, err := io.ReadAll(p.in)
		if len(rest) > 0 {
			return &errUnexpected{string(rest), err}
		}
		return err
	}}
}

// ReadBody reads message content up to CRLF.CRLF (RFC 5321 section 4.1.1.4) and keeps it in Result.Bodies.
func ReadBody() Step {
	return Step{"ReadBody()", func(p *peer) error {
		var body []byte
		for {
			line, err := p.in.ReadBytes('\n')
			if err != nil {
				return &errUnexpected{string(line), err}
			}
			if string(line) == ".\r\n" && (len(body) == 0 || bytes.HasSuffix(body, []byte("\r\n"))) {
				p.result.Bodies = append(p.result.Bodies, body)
				return nil
			}
			body = append(body, line...)
		}
	}}
}

// ReadBDAT reads one BDAT command and its octets (RFC 3030 section 2). With LAST what was read since the one before is kept in
// Result.Bodies, as on the wire, for nothing is stuffed there. The replies are the script's.
func ReadBDAT() Step {
	return Step{"ReadBDAT()", func(p *peer) error {
		line, err := p.line()
		if err != nil {
			return err
		}
		args, found := strings.CutPrefix(line, "BDAT ")
		c, ok := parseChunk([]byte(args))
		if !found || !ok {
			return &errUnexpected{line, nil}
		}
		var octets bytes.Buffer
		n, err := io.CopyN(&octets, p.in, c.size)
		if err != nil {
			return &errUnexpected{fmt.Sprintf("%s and %d octets", line, n), err}
		}
		p.chunks = append(p.chunks, octets.Bytes()...)
		if c.last {
			p.result.Bodies = append(p.result.Bodies, p.chunks)
			p.chunks = nil
		}
		return nil
	}}
}

// ReadOctets reads n octets, whatever they are.
func ReadOctets(n int) Step {
	return Step{fmt.Sprintf("ReadOctets(%d)", n), func(p *peer) error {
		_, err := io.CopyN(io.Discard, p.in, int64(n))
		return err
	}}
}

// Stall does nothing for d: it neither reads nor writes.
func Stall(d time.Duration) Step {
	return Step{fmt.Sprintf("Stall(%v)", d), func(p *peer) error { return p.pause(d) }}
}

// StallForever says nothing more, and reads until the client leaves.
func StallForever() Step {
	return Step{"StallForever()", func(p *peer) error {
		io.Copy(io.Discard, p.in) // how the client leaves does not matter
		return nil
	}}
}

// StopReading neither reads nor writes any more, so that the client's window fills. Only Player.Close ends it.
func StopReading() Step {
	return Step{"StopReading()", func(p *peer) error {
		<-p.stop
		return nil
	}}
}

// Drop closes the connection: FIN for the client, and RST for what it still sends.
func Drop() Step {
	return Step{"Drop()", func(p *peer) error {
		// Unread octets would turn the FIN of a bare Close into RST. Behind TLS the close_notify goes first.
		for _, c := range []net.Conn{p.conn, p.raw} {
			if c, ok := c.(interface{ CloseWrite() error }); ok {
				c.CloseWrite() // what fails here fails in Close as well
			}
		}
		p.raw.Close() // Player.Close may have been faster
		return nil
	}}
}

// Reset closes the connection with RST.
func Reset() Step {
	return Step{"Reset()", func(p *peer) error {
		abort(p.raw)
		return nil
	}}
}

// Do is any other thing to do with the connection.
func Do(name string, f func(net.Conn) error) Step {
	return Step{name, func(p *peer) error { return f(p.conn) }}
}

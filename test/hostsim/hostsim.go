package hostsim

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// PostfixGroup is the Group of Postfix's lmtp(8): its stream's buffer.
const PostfixGroup = 4096

// A Message is what is handed over.
type Message struct {
	From string
	To   []string
	Body []byte // with CRLF line ends; dots are stuffed here
}

// A Reply is one line of the server.
type Reply struct {
	Code int
	Text string        // behind the code
	At   time.Duration // since MAIL was written
}

// A Result is all that was answered.
type Result struct {
	Accepted []Reply       // to each RCPT, in order
	Final    []Reply       // to each accepted recipient, in their order
	Dot      time.Duration // when the end of data was written, since MAIL
}

// Outcomes is what became of each recipient, in order: its final reply, or its RCPT reply when that refused it.
func (r Result) Outcomes() []Reply {
	out := make([]Reply, 0, len(r.Accepted))
	final := r.Final
	for _, a := range r.Accepted {
		if a.Code/100 == 2 {
			a, final = final[0], final[1:]
		}
		out = append(out, a)
	}
	return out
}

// A Client is one LMTP connection after LHLO.
type Client struct {
	// Group is how many octets of commands are written before their replies are awaited; at least one command is. 0: all are.
	Group int

	conn net.Conn
	in   *bufio.Reader
}

// Dial connects ("unix", PATH or "tcp", HOST:PORT) and says LHLO.
func Dial(network, addr string) (*Client, error) {
	conn, err := net.Dial(network, addr)
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn, in: bufio.NewReader(conn)}
	if _, err := c.expect(220); err != nil {
		conn.Close()
		return nil, err
	}
	fmt.Fprintf(conn, "LHLO hostsim\r\n")
	if _, err := c.expect(250); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// Close says QUIT and closes the connection.
func (c *Client) Close() error {
	fmt.Fprintf(c.conn, "QUIT\r\n")
	return c.conn.Close()
}

// Deliver hands a message over and reads all its replies. final, when not nil, is called with the number of each final reply
// as it comes.
func (c *Client) Deliver(m Message, final func(n int)) (Result, error) {
	r := Result{Accepted: make([]Reply, 0, len(m.To))}
	start := time.Now()
	group := fmt.Appendf(nil, "MAIL FROM:<%s>\r\n", m.From)
	owed := []int{250} // codes of the group's replies; 0 for any
	for _, to := range m.To {
		if c.Group > 0 && len(owed) > 0 && len(group)+len("RCPT TO:<>\r\n")+len(to) > c.Group {
			if err := c.exchange(group, owed, start, &r); err != nil {
				return r, err
			}
			group, owed = group[:0], owed[:0]
		}
		group = append(append(append(group, "RCPT TO:<"...), to...), ">\r\n"...)
		owed = append(owed, 0)
	}
	group, owed = append(group, "DATA\r\n"...), append(owed, 354)
	if err := c.exchange(group, owed, start, &r); err != nil {
		return r, err
	}
	r.Dot = time.Since(start)
	if _, err := c.conn.Write(append(stuffed(m.Body), ".\r\n"...)); err != nil {
		return r, err
	}
	return r, c.finals(&r, start, final)
}

// exchange writes a group of commands and reads its replies, both at once: either side's window may be smaller.
func (c *Client) exchange(group []byte, owed []int, start time.Time, r *Result) error {
	wrote := make(chan error, 1) // from the writing goroutine, once
	go func() {
		_, err := c.conn.Write(group)
		wrote <- err
	}()
	for _, code := range owed {
		reply, err := c.reply(start)
		switch {
		case err != nil:
			return err
		case code == 0:
			r.Accepted = append(r.Accepted, reply)
		case code != reply.Code:
			return fmt.Errorf("hostsim: got %d %s instead of %d", reply.Code, reply.Text, code)
		}
	}
	return <-wrote
}

// finals reads the final replies, one for each accepted recipient.
func (c *Client) finals(r *Result, start time.Time, final func(n int)) error {
	for _, a := range r.Accepted {
		if a.Code/100 != 2 {
			continue
		}
		reply, err := c.reply(start)
		if err != nil {
			return err
		}
		r.Final = append(r.Final, reply)
		if final != nil {
			final(len(r.Final))
		}
	}
	return nil
}

// stuffed is the body with RFC 5321 section 4.5.2's dots.
func stuffed(body []byte) []byte {
	s := strings.ReplaceAll("\r\n"+string(body), "\r\n.", "\r\n..")
	return []byte(s[2:])
}

// reply reads one reply; of a multi-line one it keeps the last line.
func (c *Client) reply(start time.Time) (Reply, error) {
	for {
		line, err := c.in.ReadSlice('\n') // a line longer than the buffer is no reply
		if err != nil {
			return Reply{}, fmt.Errorf("hostsim: reply: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		code, err := strconv.Atoi(string(line[:min(3, len(line))]))
		if err != nil {
			return Reply{}, fmt.Errorf("hostsim: no reply: %q", line)
		}
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		return Reply{Code: code, Text: string(bytes.TrimSpace(line[3:])), At: time.Since(start)}, nil
	}
}

func (c *Client) expect(code int) (Reply, error) {
	r, err := c.reply(time.Now())
	if err == nil && r.Code != code {
		err = fmt.Errorf("hostsim: got %d %s instead of %d", r.Code, r.Text, code)
	}
	return r, err
}

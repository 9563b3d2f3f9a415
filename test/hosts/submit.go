package hosts

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// A Mail is what a client submits. The content ends in CRLF and is not dot-stuffed.
type Mail struct {
	From    string
	To      []string
	Params  string // of MAIL, with a space in front
	Content string
	Taken   func() // called when the server has accepted the end of data; nil is nothing
}

// patience is how long the whole of a submission may take: sendmail needs minutes for a hundred thousand recipients.
const patience = 15 * time.Minute

// Submit gives mails to an SMTP server over one connection, one after the other. Each sender and all recipients must be accepted. It
// returns the server's replies to the ends of data.
func Submit(addr string, mails ...Mail) (replies []string, err error) {
	return SubmitUntil(time.Now().Add(patience), addr, mails...)
}

// SubmitUntil is Submit with another end to patience. Past it the error is os.ErrDeadlineExceeded.
func SubmitUntil(end time.Time, addr string, mails ...Mail) (replies []string, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(end)
	c := &client{conn: conn, in: bufio.NewReader(conn)}
	if _, err := c.expect("220"); err != nil {
		return nil, err
	}
	if err := c.say("EHLO client.hosts.test", "250"); err != nil {
		return nil, err
	}
	for _, m := range mails {
		r, err := c.submit(m)
		if err != nil {
			return replies, err
		}
		replies = append(replies, r)
		if m.Taken != nil {
			m.Taken()
		}
	}
	return replies, c.say("QUIT", "221")
}

// A client is the client's side of SMTP.
type client struct {
	conn       net.Conn
	in         *bufio.Reader
	pipelining bool // the server offered it; OpenSMTPD does not
}

// submit does one transaction.
func (c *client) submit(m Mail) (reply string, err error) {
	if err := c.say("MAIL FROM:<"+m.From+">"+m.Params, "250"); err != nil {
		return "", err
	}
	if err := c.recipients(m.To); err != nil {
		return "", err
	}
	if err := c.say("DATA", "354"); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c.conn, Stuff(m.Content)+".\r\n"); err != nil {
		return "", err
	}
	return c.expect("250")
}

// recipients tells the recipients, pipelined (RFC 2920) if the server knows that: while their replies are read, as neither side can
// keep many thousands.
func (c *client) recipients(all []string) error {
	if !c.pipelining {
		for _, to := range all {
			if err := c.say("RCPT TO:<"+to+">", "250"); err != nil {
				return err
			}
		}
		return nil
	}
	sent := make(chan error, 1) // from the writing goroutine, once
	go func() {
		w := bufio.NewWriter(c.conn)
		for _, to := range all {
			fmt.Fprintf(w, "RCPT TO:<%s>\r\n", to)
		}
		sent <- w.Flush()
	}()
	for range all {
		if _, err := c.expect("250"); err != nil {
			return err
		}
	}
	return <-sent
}

// say writes a command and expects a reply.
func (c *client) say(line, code string) error {
	if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
		return err
	}
	_, err := c.expect(code)
	return err
}

// expect reads a reply with this code, and returns its last line.
func (c *client) expect(code string) (string, error) {
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("reply of %v: %w (so far %q)", c.conn.RemoteAddr(), err, line)
		}
		if len(line) < 4 || line[:3] != code {
			return "", fmt.Errorf("reply of %v: %q instead of %s", c.conn.RemoteAddr(), line, code)
		}
		c.pipelining = c.pipelining || strings.TrimSpace(line[4:]) == "PIPELINING"
		if line[3] != '-' {
			return strings.TrimRight(line, "\r\n"), nil
		}
	}
}

// Stuff doubles the dots that begin lines (RFC 5321 section 4.5.2).
func Stuff(content string) string {
	stuffed := strings.ReplaceAll(content, "\r\n.", "\r\n..")
	if strings.HasPrefix(stuffed, ".") {
		return "." + stuffed
	}
	return stuffed
}

package internet_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

const body = "Subject: test\r\n\r\nThe same text for everybody.\r\n"

// A client is a simple mailer: it knows the hosts, pipelines everything and believes the replies.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	err  error
}

// connect greets host j.
func connect(w *internet.World, j int) *client {
	at := netip.AddrPortFrom(internet.HostAddr(j), uint16(w.Port()))
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		return &client{err: err}
	}
	m := &client{conn: c, r: bufio.NewReader(c)}
	m.expect("220 ")
	m.say("EHLO test\r\n")
	m.expect("250 ")
	return m
}

func (c *client) say(text string) {
	if c.err == nil {
		_, c.err = io.WriteString(c.conn, text)
	}
}

// expect reads up to the last line of a reply.
func (c *client) expect(want string) (line string) {
	for c.err == nil {
		line, c.err = c.r.ReadString('\n')
		if c.err == nil && line[3] == ' ' {
			if !strings.HasPrefix(line, want) {
				c.err = fmt.Errorf("want %q, got %q", want, line)
			}
			return line
		}
	}
	return ""
}

// send is one transaction; it returns the recipients that RCPT refused, with the replies.
func (c *client) send(from, text string, to []string) (refused map[string]string) {
	var b strings.Builder
	fmt.Fprintf(&b, "MAIL FROM:<%s>\r\n", from)
	for _, a := range to {
		fmt.Fprintf(&b, "RCPT TO:<%s>\r\n", a)
	}
	b.WriteString("DATA\r\n")
	c.say(b.String())
	c.expect("250 ")
	refused = make(map[string]string)
	for _, a := range to {
		if reply := c.expect(""); !strings.HasPrefix(reply, "250") {
			refused[a] = reply
		}
	}
	if len(refused) == len(to) {
		c.expect("554 ")
		return refused
	}
	c.expect("354 ")
	c.say(text + ".\r\n")
	c.expect("250 ")
	return refused
}

func (c *client) quit(t testing.TB) {
	t.Helper()
	c.say("QUIT\r\n")
	c.expect("221 ")
	require.NoError(t, c.err, "the hosts take what is sent")
	c.conn.Close()
}

// How long a test waits for what a host does when its client has gone already, and how often it looks.
const (
	patience = 10 * time.Second
	tick     = 5 * time.Millisecond
)

func numeral(n int) string { return strconv.Itoa(n) }

// get reads what is at an address.
func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	require.NoError(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

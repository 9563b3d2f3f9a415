package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
)

// A dialog is a client's side of a line protocol: LMTP with smtpfeed, SMTP with Postfix. It sends whatever it is told to.
type dialog struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// dial connects and reads the greeting. The whole dialog must be over in time.
func dial(t *testing.T, network, address string) *dialog {
	t.Helper()
	conn, err := net.Dial(network, address)
	require.NoError(t, err, "%s takes a connection", address)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(feedd.Patience)), "every wait ends")
	d := &dialog{t: t, conn: conn, in: bufio.NewReader(conn)}
	d.expect("220")
	return d
}

// lhlo begins LMTP with smtpfeed.
func lhlo(t *testing.T, d *feedd.Daemon) *dialog {
	t.Helper()
	c := dial(t, "unix", d.Socket())
	c.say("LHLO client.e2e.test", "250")
	return c
}

// send writes text as it is.
func (d *dialog) send(text string) {
	d.t.Helper()
	_, err := io.WriteString(d.conn, text)
	require.NoError(d.t, err, "the server reads")
}

// reply reads one reply; lines are joined by "\n".
func (d *dialog) reply() string {
	d.t.Helper()
	var all []string
	for {
		line, err := d.in.ReadString('\n')
		require.NoError(d.t, err, "the server replies (so far %q, then %q)", all, line)
		all = append(all, strings.TrimSuffix(line, "\r\n"))
		require.True(d.t, strings.HasSuffix(line, "\r\n") && len(line) >= 6, "%q is a line of a reply", line)
		if line[3] == ' ' {
			return strings.Join(all, "\n")
		}
	}
}

// expect reads a reply that begins with code.
func (d *dialog) expect(code string) string {
	d.t.Helper()
	r := d.reply()
	require.Regexp(d.t, "^(?:"+code+")", r, "the reply has the expected code")
	return r
}

// say sends a line and expects a reply.
func (d *dialog) say(line, code string) string {
	d.t.Helper()
	d.send(line + "\r\n")
	return d.expect(code)
}

// quit ends the dialog in order: nothing more than the farewell comes.
func (d *dialog) quit() {
	d.t.Helper()
	d.say("QUIT", "221")
	rest, err := io.ReadAll(d.in)
	require.NoError(d.t, err, "the server closes the connection")
	require.Empty(d.t, rest, "there is one reply to each command, and no more")
}

// leave breaks off without a word.
func (d *dialog) leave() { d.conn.Close() }

// A mail is what a client submits. The content ends in CRLF and is not dot-stuffed.
type mail struct {
	from    string
	to      []string
	params  string // of MAIL, with a space in front
	content string
}

// send gives a mail to a server that must accept its sender and all its recipients, up to the end of data. Recipients are
// pipelined (RFC 2920) while their replies are read, as neither side can keep many thousands.
func (m mail) send(d *dialog) {
	d.t.Helper()
	d.say("MAIL FROM:<"+m.from+">"+m.params, "250")
	sent := make(chan error, 1) // sent by the goroutine below, once
	go func() {
		w := bufio.NewWriter(d.conn)
		for _, to := range m.to {
			fmt.Fprintf(w, "RCPT TO:<%s>\r\n", to)
		}
		sent <- w.Flush()
	}()
	for range m.to {
		d.expect("250")
	}
	require.NoError(d.t, <-sent, "the server reads")
	d.say("DATA", "354")
	d.send(hosts.Stuff(m.content) + ".\r\n")
}

// final is what every host MTA understands as a final reply: few codes, one short line of printable ASCII.
var final = regexp.MustCompile(`^(?:250 2|45[012] 4|55[04] 5)\.[0-9]{1,3}\.[0-9]{1,3} [ -~]{1,485}$`)

// deliver gives smtpfeed a mail and returns the final reply of each recipient.
func (m mail) deliver(d *dialog) (replies []string) {
	d.t.Helper()
	m.send(d)
	for range m.to {
		r := d.reply()
		assert.Regexp(d.t, final, r, "the host MTA can understand the reply")
		replies = append(replies, r)
	}
	return replies
}

// submit gives a host MTA mails over one connection, and returns its replies to the ends of data.
func submit(t *testing.T, h hosts.Host, mails ...mail) []string {
	t.Helper()
	var all []hosts.Mail
	for _, m := range mails {
		all = append(all, hosts.Mail{From: m.from, To: m.to, Params: m.params, Content: m.content})
	}
	replies, err := hosts.Submit(h.Addr(), all...)
	require.NoError(t, err, "the host MTA takes the mail")
	return replies
}

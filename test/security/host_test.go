package security

import (
	"bufio"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A host is the host MTA's side of LMTP. It sends whatever octets it is told to.
type host struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// lhlo connects as a host MTA.
func lhlo(t *testing.T, d *daemon) *host {
	t.Helper()
	conn, err := net.Dial("unix", d.socket())
	require.NoError(t, err, "smtpfeed takes the connection")
	t.Cleanup(func() { conn.Close() })
	h := &host{t: t, conn: conn, in: bufio.NewReader(conn)}
	h.expect("220 ")
	h.send("LHLO host.security.test\r\n")
	for h.line()[3] == '-' {
	}
	return h
}

// patience is how long smtpfeed may take to read or to reply, which is longer than any reason that it has here (see listens). No verdict
// depends on its length.
const patience = 3 * time.Minute

// renew begins another wait, which ends.
func (h *host) renew() {
	h.t.Helper()
	require.NoError(h.t, h.conn.SetDeadline(time.Now().Add(patience)), "every wait ends")
}

func (h *host) send(octets string) {
	h.t.Helper()
	h.renew()
	_, err := io.WriteString(h.conn, octets)
	require.NoError(h.t, err, "smtpfeed reads")
}

// printable is what every line of every reply is, whatever was said to smtpfeed.
var printable = regexp.MustCompile(`^[2345][0-9]{2}[ -][ -~]{1,506}$`)

// line reads a line of a reply.
func (h *host) line() string {
	h.t.Helper()
	h.renew()
	line, err := h.in.ReadString('\n')
	require.NoError(h.t, err, "smtpfeed replies (so far %q)", line)
	require.True(h.t, strings.HasSuffix(line, "\r\n"), "%q ends in CRLF", line)
	line = strings.TrimSuffix(line, "\r\n")
	require.Regexp(h.t, printable, line, "a reply is one short line of printable ASCII")
	return line
}

// expect reads a reply of one line.
func (h *host) expect(begins string) string {
	h.t.Helper()
	line := h.line()
	require.True(h.t, strings.HasPrefix(line, begins), "%q begins with %q", line, begins)
	return line
}

// say sends a command and expects a reply of one line.
func (h *host) say(command, begins string) string {
	h.t.Helper()
	h.send(command + "\r\n")
	return h.expect(begins)
}

// transaction sends a content, as it is, to recipients who must be accepted. Recipients, DATA and content are pipelined as hosts do.
func (h *host) transaction(from string, to []string, sent string) (final []string) {
	h.t.Helper()
	h.send("MAIL FROM:<" + from + ">\r\nRCPT TO:<" + strings.Join(to, ">\r\nRCPT TO:<") + ">\r\nDATA\r\n")
	h.expect("250 2.1.0 ")
	for range to {
		h.expect("250 2.1.5 ")
	}
	h.expect("354 ")
	h.send(sent)
	for range to {
		final = append(final, h.line())
	}
	return final
}

// quit ends in order: there was one reply to each command and each recipient, and no more.
func (h *host) quit() {
	h.t.Helper()
	h.say("QUIT", "221 ")
	rest, err := io.ReadAll(h.in)
	require.NoError(h.t, err, "smtpfeed closes the connection")
	require.Empty(h.t, rest, "nothing was answered that was not asked")
}

// delivered asserts that final replies are all good.
func delivered(t *testing.T, final []string) {
	t.Helper()
	for _, line := range final {
		assert.True(t, strings.HasPrefix(line, "250 2."), "%q says delivered", line)
	}
}

// wire is a content as a host MTA puts it on the wire: dots stuffed where RFC 5321 section 4.5.2 has lines, and nowhere else.
func wire(content string) string {
	content = strings.ReplaceAll("\r\n"+content, "\r\n.", "\r\n..")[2:]
	if !strings.HasSuffix(content, "\r\n") && content != "" {
		content += "\r\n"
	}
	return content + ".\r\n"
}

package main

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// conversation is what sendmail writes to a program mailer.
const conversation = "LHLO host.example.test\r\nMAIL FROM:<list@example.net>\r\nRCPT TO:<a@example.test>\r\nRCPT TO:<b@null.test>\r\nDATA\r\n" +
	"Subject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n"

// replies reads reply lines until the end and returns their codes; a multi-line reply counts once.
func replies(t *testing.T, r io.Reader) string {
	t.Helper()
	var codes []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		require.GreaterOrEqual(t, len(line), 4, "a reply has a code and a text: %q", line)
		if line[3] == ' ' {
			codes = append(codes, line[:3])
		}
	}
	return strings.Join(codes, " ")
}

func TestConverseOverPipes(t *testing.T) {
	w := newWorld(t, mxsim.Config{})
	conf, err := Load(w.config(t, ""))
	require.NoError(t, err, "the configuration is read")
	inRead, inWrite, err := os.Pipe()
	require.NoError(t, err, "a pipe")
	outRead, outWrite, err := os.Pipe()
	require.NoError(t, err, "a pipe")
	conn := &pipeConn{in: inRead, out: outWrite}
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)), "pipes have deadlines")
	ended := make(chan error, 1)
	log := slog.New(slog.DiscardHandler)
	d, err := newDelivery(conf, recordsOrNone(conf.Log.Deliveries, log), log)
	require.NoError(t, err, "the parts are built")
	defer d.close()
	go func() { ended <- d.converse(conn, time.Minute) }()
	_, err = io.WriteString(inWrite, conversation)
	require.NoError(t, err, "the conversation is written")
	got := replies(t, outRead)
	// Whether the domain without mail is refused at RCPT or at the end depends on how fast DNS answers.
	assert.Contains(t, []string{"220 250 250 250 250 354 250 550 221", "220 250 250 250 550 354 250 221"}, got, "each recipient has its reply")
	require.NoError(t, <-ended, "it ends with QUIT")
	assert.Len(t, w.mx.Messages(), 1, "the mail arrived")
	assert.NotEmpty(t, readLines(t, w.path("deliveries.jsonl")), "delivery records are written to the same file as the daemon's")
}

func TestBridge(t *testing.T) {
	w := newWorld(t, mxsim.Config{})
	w.start(t, w.config(t, ""))
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- bridge("unix:"+w.path("lmtp.sock"), streams{strings.NewReader(conversation), in, io.Discard})
		in.Close()
	}()
	assert.Regexp(t, "^220 250 .* 221$", replies(t, out), "the host MTA ended its half, and still gets every reply")
	require.NoError(t, <-ended, "the bridge ends with the daemon's end")
	assert.Len(t, w.mx.Messages(), 1, "the mail arrived")
}

func TestBridgeEndsWithTheDaemon(t *testing.T) {
	path := t.TempDir() + "/s"
	l, err := net.Listen("unix", path)
	require.NoError(t, err, "a daemon listens")
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.WriteString(c, "421 4.3.2 bye\r\n")
			c.Close()
		}
	}()
	silent, keep := io.Pipe() // a host MTA that says nothing and does not end
	defer keep.Close()
	var out strings.Builder
	require.NoError(t, bridge("unix:"+path, streams{silent, &out, io.Discard}), "the bridge does not wait for the host MTA")
	assert.Equal(t, "421 4.3.2 bye\r\n", out.String(), "and has passed on what the daemon said")
}

func TestPipeConnIsAConnection(t *testing.T) {
	file, err := os.Open(os.DevNull)
	require.NoError(t, err, "the null device opens")
	c := &pipeConn{in: file, out: file}
	assert.NoError(t, c.SetDeadline(time.Now().Add(time.Second)), "a file that cannot have deadlines is no error")
	assert.Equal(t, "stdio", c.RemoteAddr().String(), "it has a name for the log")
	var _ net.Conn = c
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err, "a socket pair")
	a, b := os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	defer b.Close()
	nc, err := net.FileConn(a)
	require.NoError(t, err, "one end of it is a connection")
	a.Close()
	assert.NoError(t, nc.SetDeadline(time.Now().Add(time.Second)), "with deadlines")
	assert.NoError(t, nc.Close(), "that closes")
}

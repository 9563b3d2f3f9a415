package lmtp

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// watch reads ahead, losing nothing, until the host leaves or stop is called: while the Mailer works on its envelope, nobody
// else reads, and go-smtp would not notice. stop waits for the goroutine's end and gives the input back.
func (c *conn) watch() (stop func()) {
	if c.Conn.SetReadDeadline(time.Time{}) != nil {
		return func() {} // a pipe that cannot be interrupted; a write will tell
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.readAhead()
	}()
	return func() {
		c.Conn.SetReadDeadline(past)
		<-done
	}
}

// readAhead returns when the host left, when it has sent more than can be kept (a host that sends is there), and when it is
// interrupted.
func (c *conn) readAhead() {
	for c.inputErr == nil && c.w-c.r < len(c.buf) {
		if err := c.fill(); errors.Is(err, os.ErrDeadlineExceeded) {
			c.inputErr = nil // stop's deadline, not the host's
			return
		}
	}
	if c.inputErr != nil && c.inputErr != io.EOF || c.inputErr == io.EOF && (!c.saidQuit() || hungUp(c.Conn)) {
		c.left()
	}
}

// saidQuit says that the last thing the host sent is QUIT. Postfix sends it right behind the content, and then waits for the
// final replies: the end of its sending is not the end of its reading.
func (c *conn) saidQuit() bool {
	sent, complete := bytes.CutSuffix(c.buf[c.r:c.w], []byte("\n"))
	last := sent[bytes.LastIndexByte(sent, '\n')+1:]
	return complete && isQuit(last)
}

func isQuit(line []byte) bool { return bytes.EqualFold(bytes.TrimSpace(line), []byte("QUIT")) }

// hungUp says that the other end closed both directions, where the connection can tell: of a TCP connection only after a reset.
func hungUp(c any) bool {
	return events(c, 0)&(unix.POLLHUP|unix.POLLERR) != 0
}

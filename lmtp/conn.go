package lmtp

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

const (
	inputSize = 32 << 10 // what is read ahead at most
	maxLine   = 8 << 10  // of a command; RFC 5321 section 4.5.3.1.4 asks for 512 and more for each extension
)

// endOfData is the content go-smtp gets to see.
var endOfData = []byte(".\r\n")

// A conn is the connection of a host MTA, as go-smtp is given it. Each Read returns octets of one command line only: when the
// next one is asked for, the commands before it have been executed and answered. So conn knows what go-smtp knows, keeps what
// the host sent ahead to itself, and can hand the content to the session past go-smtp.
//
// The input belongs to one goroutine at a time, see doc.go; replies may be written meanwhile.
type conn struct {
	net.Conn
	id     uint64
	config *Config
	out    *replies

	requireTLS bool // REQUIRETLS is offered

	session  *session // once the host has said LHLO; used by the goroutine that reads commands
	answered []string // envelopes whose final replies were given, and perhaps not read yet; its too
	ahead    bool     // the host had sent something behind the last content before it could read the last reply

	buf       []byte // input; [r:w] is not yet taken
	r, w      int
	line      []byte // what is left of the line go-smtp is reading; part of buf
	inContent bool   // the host was told to send its content, and its end was not found yet
	inputErr  error  // what ended the input, once it has; a deadline of the host's too ends it for good
	ended     bool   // by us, while the host may still listen

	gone     chan struct{} // closed when the host left, or we: it cannot read replies any more
	goneOnce sync.Once

	mu      sync.Mutex // guards what follows, against the goroutine that drains
	stage   stage
	open    bool // a transaction is
	begun   bool // the host has sent a MAIL
	waiting bool // for a command
	parting bool // for the end, behind QUIT
}

func newConn(nc net.Conn, config *Config, id uint64) *conn {
	c := &conn{Conn: nc, id: id, config: config, gone: make(chan struct{})}
	c.buf = make([]byte, inputSize)
	c.out = newReplies(nc, config, c.left)
	if config.RequireTLS && isPrivate(nc.RemoteAddr()) {
		c.requireTLS, c.out.instead = true, requireTLS
	}
	return c
}

// isPrivate says that what the host sends passes no network. RFC 8689 section 2 has REQUIRETLS announced where TLS protects the connection;
// here the kernel does.
func isPrivate(host net.Addr) bool {
	switch a := host.(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case nil:
		return false
	}
	return host.Network() == "pipe"
}

// Read is called by go-smtp: for its next command, and behind a content for the end of one that it gets to see as empty.
func (c *conn) Read(p []byte) (int, error) {
	if c.inContent {
		return 0, c.cutOff()
	}
	if len(c.line) == 0 {
		line, err := c.nextCommand()
		if err != nil {
			return 0, err
		}
		c.line = line
	}
	n := copy(p, c.line)
	c.line = c.line[n:]
	return n, nil
}

// cutOff is why nothing can be read any more: the session has not found the content's end, and what follows, wherever it belongs
// to, must not be taken for commands.
func (c *conn) cutOff() error {
	if c.inputErr == nil {
		c.inputErr = io.ErrUnexpectedEOF
	}
	return c.inputErr
}

// Write is called by go-smtp for replies.
func (c *conn) Write(p []byte) (int, error) { return c.out.Write(p) }

// Close is called by go-smtp after QUIT and when the input has ended. What was answered still goes out.
func (c *conn) Close() error {
	c.out.close()
	if len(c.answered) > 0 {
		c.part(c.readAll())
	}
	c.left()
	return c.Conn.Close()
}

// left marks the host as gone.
func (c *conn) left() { c.goneOnce.Do(func() { close(c.gone) }) }

func (c *conn) hasLeft() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// failure is what broke the connection; nil when it ended as connections do.
func (c *conn) failure() error {
	for _, err := range []error{c.inputErr, c.out.failure()} {
		if err != nil && err != io.EOF && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return nil
}

// nextCommand returns the next line for go-smtp. What go-smtp need not or must not see is executed here.
func (c *conn) nextCommand() ([]byte, error) {
	for {
		line, err := c.readLine()
		if err != nil {
			return nil, err
		}
		if c.session.takePlain(line) {
			continue
		}
		if len(line) < 4 || !strings.EqualFold(string(line[:4]), "BDAT") {
			return c.session.withoutAsks(line), nil
		}
		if err := c.refuseChunk(line); err != nil {
			return nil, err
		}
	}
}

// readLine returns a line with its end. It stays valid until the next read.
func (c *conn) readLine() ([]byte, error) {
	// When the host has left nobody would learn what commands that wait here did: it sends them again.
	if c.hasLeft() {
		return nil, cmp.Or(c.out.failure(), io.EOF)
	}
	var deadline time.Time // absolute for the whole line; zero when it was here already
	for seen := 0; ; {
		i := bytes.IndexByte(c.buf[c.r+seen:c.w], '\n')
		if n := seen + i + 1; i >= 0 && n <= maxLine {
			line := c.buf[c.r : c.r+n]
			c.r += n
			if !deadline.IsZero() && !c.ahead {
				c.part(true)
			}
			return line, nil
		}
		if seen = c.w - c.r; seen >= maxLine {
			c.inputErr = smtp.ErrTooLongLine // go-smtp answers 500 and closes
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(c.config.CommandTimeout)
		}
		if err := c.awaitCommand(deadline); err != nil {
			return nil, err
		}
	}
}

// awaitCommand waits for more of a line. When the server drains, that is when the connection ends.
func (c *conn) awaitCommand(deadline time.Time) error {
	if c.inputErr != nil {
		return c.inputErr
	}
	c.out.flush()
	until := deadline
	if soon := time.Now().Add(restTime); len(c.answered) > 0 && soon.Before(deadline) {
		until = soon
	}
	c.wait(until)
	err := c.fill()
	ending, late := c.waited(), errors.Is(err, os.ErrDeadlineExceeded)
	if late && allRead(c.Conn) {
		c.part(true) // it keeps the connection for later, as pools of connections do
	}
	switch {
	case late && ending:
		return c.goodbye()
	case late && until.Before(deadline):
		c.inputErr = nil
		return nil
	}
	return err // go-smtp answers 421 to a deadline
}

// wait arms the deadline; when the connection has to end, for as long as it is still listened to.
func (c *conn) wait(deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = true
	if left, ending := c.patience(); ending {
		if soon := time.Now().Add(left); soon.Before(deadline) {
			deadline = soon
		}
	}
	c.Conn.SetReadDeadline(deadline)
}

func (c *conn) waited() (ending bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = false
	_, ending = c.patience()
	return ending
}

const (
	// restTime is how long a host that has its replies, and says nothing, may take to read and act on them before it is looked at what
	// it has read.
	restTime = 500 * time.Millisecond
	// quietGrace is how long a connection without a transaction is listened to while the server ends. A host that was refused at
	// MAIL is still sending what it had written behind it, and must find no broken connection.
	quietGrace = time.Second
	// openGrace is the same for one with a transaction whose host has fallen silent between two commands, and for one whose host has
	// yet to read its last replies.
	openGrace = 5 * time.Second
)

// patience is how long the server, when it ends, waits for the connection's next command. A host whose first MAIL is still to
// come would take the end of its connection for a broken server; until the listeners close it may send it, to hear 451.
func (c *conn) patience() (left time.Duration, ending bool) {
	switch {
	case c.stage < draining, c.stage == draining && !c.begun:
		return 0, false
	case c.open, c.parting:
		return openGrace, true
	default:
		return quietGrace, true
	}
}

// goodbye ends the connection. RFC 5321 section 3.8: 421 is the reply to any command of a server that shuts down.
func (c *conn) goodbye() error {
	c.out.say("421 4.3.2 " + c.config.Hostname + " is shutting down")
	c.inputErr, c.ended = io.EOF, true
	return io.EOF
}

// advance is called by the goroutine that drains. It interrupts a wait that has to end.
func (c *conn) advance(to stage) {
	if to == closed {
		c.left()
		c.Conn.Close() // without waiting for a writer that holds the replies
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stage = to
	if left, ending := c.patience(); c.waiting && ending {
		c.Conn.SetReadDeadline(time.Now().Add(left))
	}
}

// past is a deadline that has expired.
var past = time.Unix(1, 0)

// hasBegun says that the host has sent a MAIL.
func (c *conn) hasBegun() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begun
}

// transact notes that the host has sent MAIL, and whether a transaction is open.
func (c *conn) transact(open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun, c.open = true, open
}

// awaitContent waits for more of the content. Any octet is progress.
func (c *conn) awaitContent() error {
	if c.inputErr != nil {
		return c.inputErr
	}
	c.out.flush()
	c.Conn.SetReadDeadline(time.Now().Add(c.config.DataTimeout))
	return c.fill()
}

// fill reads what the host has sent. Its error ends the input, behind what was read with it.
func (c *conn) fill() error {
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	n, err := c.Conn.Read(c.buf[c.w:])
	c.w += n
	c.inputErr = err
	if n > 0 {
		return nil
	}
	return err
}

// refuseChunk refuses a BDAT without ever running the octets that follow it (RFC 3030 section 2: the data is sent behind
// the command's line without waiting for a reply). CHUNKING was not announced, so no host should send one.
func (c *conn) refuseChunk(line []byte) error {
	words := strings.Fields(string(line))
	if len(words) >= 2 {
		if size, err := strconv.ParseInt(words[1], 10, 64); err == nil && size >= 0 {
			c.out.say("502 5.5.1 CHUNKING is not offered here, use DATA")
			return c.discard(size)
		}
	}
	c.out.say("501 5.5.4 BDAT without a size, closing connection")
	c.inputErr = io.EOF
	return io.EOF
}

// discard skips n octets of input.
func (c *conn) discard(n int64) error {
	for {
		k := min(n, int64(c.w-c.r))
		c.r += int(k)
		n -= k
		if n == 0 {
			return nil
		}
		if err := c.awaitContent(); err != nil {
			return err
		}
	}
}

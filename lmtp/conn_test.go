package lmtp

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
)

// counted counts the writes of a connection.
type counted struct {
	net.Conn
	writes *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// pair is a real connection: the host's end, and ours.
func pair(t testing.TB) (theirs, ours net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err, "a loopback port is free")
	defer l.Close()
	theirs, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err, "the host can connect")
	ours, err = l.Accept()
	require.NoError(t, err, "the connection arrives")
	require.NoError(t, theirs.SetDeadline(time.Now().Add(realTimeout)), "a deadline can be set")
	return theirs, ours
}

// Without gathering they are 40,013 writes.
func TestRepliesAreGathered(t *testing.T) {
	const recipients = 20000
	m := newMailer()
	m.onSend = deliverAll
	s := New(Config{Mailer: m})
	theirs, ours := pair(t)
	var writes atomic.Int64
	done := make(chan error, 1)
	go func() { done <- s.ServeConn(counted{ours, &writes}) }()
	h := newHost(t, theirs).hello()
	go func() {
		var b strings.Builder
		b.WriteString("MAIL FROM:<>\r\n")
		for i := range recipients {
			fmt.Fprintf(&b, "RCPT TO:<user%d@example%d.example>\r\n", i, i%1000)
		}
		b.WriteString("DATA\r\n")
		io.WriteString(theirs, b.String())
	}()
	h.expect("250 2.1.0 ")
	for range recipients {
		h.expect("250 2.1.5 ")
	}
	h.expect("354 ")
	h.content("text")
	for range recipients {
		h.expect("250 2.0.0 ")
	}
	h.send("QUIT")
	h.expect("221 ")
	h.closed()
	assert.NoError(t, <-done, "ServeConn ends without an error")
	assert.Less(t, writes.Load(), int64(400), "few writes carry the 40,000 replies")
}

func TestTimeouts(t *testing.T) {
	config := Config{CommandTimeout: 10 * time.Minute, DataTimeout: 5 * time.Minute, WriteTimeout: 5 * time.Minute}
	t.Run("a host that sends no command gets 421", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, connect := simulated(t, config)
			h := connect().hello()
			began := time.Now()
			h.expect("421 4.4.2 ")
			h.closed()
			assert.Equal(t, 10*time.Minute, time.Since(began).Round(time.Second), "the command timeout ends the connection")
		})
	})
	t.Run("the time is for the whole command", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, connect := simulated(t, config)
			h := connect().hello()
			began := time.Now()
			for range 3 {
				h.raw("N")
				time.Sleep(199 * time.Second)
			}
			h.expect("421 4.4.2 ")
			assert.Equal(t, 10*time.Minute, time.Since(began).Round(time.Second), "an octet now and then does not prolong it")
		})
	})
	t.Run("a host that pauses inside its content gets 451 and is closed, and the rest is no command (HST-07)", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, connect := simulated(t, config)
			h := connect().hello()
			h.envelope("a@x.example", "b@x.example")
			h.raw("Subject: x\r\n\r\n")
			time.Sleep(config.DataTimeout - time.Second)
			h.raw("progress\r\n") // then it pauses
			began := time.Now()
			h.expect("451 4.4.2 ", "451 4.4.2 ", "421 4.4.2 ")
			assert.Equal(t, config.DataTimeout, time.Since(began).Round(time.Second), "the time begins again with each octet")
			io.WriteString(h.conn, "MAIL FROM:<forged@x.example>\r\nRCPT TO:<v@x.example>\r\nDATA\r\nforged\r\n.\r\n")
			h.closed()
			f.nothingSent()
		})
	})
	t.Run("a host that reads no replies is given up (HST-13)", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, connect := simulated(t, config)
			h := connect().hello()
			h.envelope(many(5000)...)
			h.content("")
			e := f.envelope()
			long := delivered("250 2.0.0 " + strings.Repeat("x", 300))
			settle(e, long, all(e)[1:]...)
			settle(e, long, 0) // 2 MB of replies, more than the window
			time.Sleep(config.WriteTimeout + time.Second)
			synctest.Wait()
			assert.Zero(t, f.server.Stats().Connections, "the write timeout ends the connection")
		})
	})
}

func many(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("u%d@x.example", i)
	}
	return list
}

// A recipient that is settled while the replies before it are stuck must not hold up the Mailer.
func TestSlowHostDoesNotBlockTheMailer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, connect := simulated(t, Config{})
		h := connect().hello()
		h.envelope(many(5000)...)
		h.content("")
		e := f.envelope()
		o := delivered("250 2.0.0 " + strings.Repeat("x", 300))
		for i := range e.Recipients {
			settle(e, o, i) // none of these waits, though nobody reads
		}
		synctest.Wait()
		for range e.Recipients {
			h.expect("250 2.0.0 ")
		}
	})
}

func TestLongCommandLine(t *testing.T) {
	tests := []struct {
		rule, line string
		ok         bool
	}{
		{"8 KiB pass", "NOOP " + strings.Repeat("x", maxLine-7) + "\r\n", true},
		{"one octet more does not", "NOOP " + strings.Repeat("x", maxLine-6) + "\r\n", false},
		{"nor does a line without end", strings.Repeat("x", 100<<10), false},
	}
	f := newFixture(t, Config{})
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			h := f.host()
			go io.WriteString(h.conn, tt.line)
			if tt.ok {
				h.expect("250 ")
				return
			}
			h.expect("500 5.4.0 Too long line")
		})
	}
}

// go-smtp cannot be kept from BDAT, and takes a chunk that breaks off for a whole message; so it never sees one.
func TestBDAT(t *testing.T) {
	tests := []struct{ rule, sent, reply string }{
		{"the chunk is skipped", "BDAT 28 LAST\r\nMAIL FROM:<forged@x.example>NOOP\r\n", "502 5.5.1 "},
		{"an empty chunk", "bdat 0 LAST\r\nNOOP\r\n", "502 5.5.1 "},
		{"a chunk above 4 GiB is no command", "BDAT 5000000000\r\nMAIL FROM:<>\r\n", "502 5.5.1 "},
		{"no size: nobody knows where the chunk ends", "BDAT\r\nMAIL FROM:<>\r\n", "501 5.5.4 "},
		{"a bad size", "BDAT -1 LAST\r\nMAIL FROM:<>\r\n", "501 5.5.4 "},
	}
	f := newFixture(t, Config{})
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			h := f.host()
			h.send("MAIL FROM:<>", "RCPT TO:<a@x.example>")
			h.expect("250 ", "250 ")
			h.raw(tt.sent)
			h.expect(tt.reply)
			if strings.HasSuffix(tt.sent, "NOOP\r\n") {
				h.expect("250 ")
				h.send("DATA", ".")
				h.expect("354 ")
				deliverAll(f.envelope())
				h.expect("250 2.0.0 ")
				return
			}
			require.NoError(t, h.conn.(*net.UnixConn).CloseWrite(), "the host half-closes")
			h.conn.SetReadDeadline(time.Now().Add(realTimeout))
			rest, _ := io.ReadAll(h.in)
			assert.NotContains(t, string(rest), "250", "nothing behind it is run")
		})
	}
	f.nothingSent()
}

// What a host sends must not come back into its log as it is.
func TestRepliesAreASCII(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	h.send("\x1b[2J \xff\x00")
	line := h.line()
	assert.Equal(t, "500 5.5.2 Syntax errors, ?[2J command unrecognized", line, "the command is quoted clean")
	h.send("<\x00\x01\x02 x")
	assert.Equal(t, "500 5.5.2 Syntax errors, <??? command unrecognized", h.line(), "and never taken for a final reply")
}

// A connection that takes no deadlines, as some pipes do, can be served; only timeouts are lost.
func TestConnectionWithoutDeadlines(t *testing.T) {
	m := newMailer()
	m.onSend = func(e *feed.Envelope) { go deliverAll(e) }
	theirs, ours := pair(t)
	done := make(chan error, 1)
	go func() { done <- New(Config{Mailer: m}).ServeConn(noDeadlines{ours}) }()
	h := newHost(t, theirs).hello()
	h.envelope("a@x.example")
	h.content("")
	h.expect("250 2.0.0 ")
	h.send("QUIT")
	h.expect("221 ")
	assert.NoError(t, <-done, "ServeConn ends")
}

type noDeadlines struct{ net.Conn }

func (noDeadlines) SetReadDeadline(time.Time) error  { return net.ErrClosed }
func (noDeadlines) SetWriteDeadline(time.Time) error { return net.ErrClosed }

// After a fault of ours inside the content nobody knows where it ends, so nothing behind it is run.
func TestContentThatWasNotReadIsNeverRun(t *testing.T) {
	config := Config{}.withDefaults()
	_, ours := pair(t)
	c := newConn(ours, &config, 1)
	defer c.Close()
	c.w = copy(c.buf, "half a content\r\n.\r\nNOOP\r\n")
	c.beginContent()
	for range 2 {
		n, err := c.Read(make([]byte, 100))
		assert.Zero(t, n, "nothing can be read")
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "and never again")
	}
}

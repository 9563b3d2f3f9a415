package lmtp

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// A host that leaves behind its final dot has heard nothing, and sends everything again.
func TestHostLeaves(t *testing.T) {
	tests := []struct {
		rule  string
		leave func(*testing.T, *host)
	}{
		{"it closes", func(t *testing.T, h *host) { h.conn.Close() }},
		{"it dies behind a pipelined QUIT", func(t *testing.T, h *host) { h.send("QUIT"); h.conn.Close() }},
		{"it half-closes without a QUIT", func(t *testing.T, h *host) { require.NoError(t, h.conn.(*net.UnixConn).CloseWrite(), "it half-closes") }},
		{"it dies inside a QUIT", func(t *testing.T, h *host) { h.raw("QUI"); h.conn.Close() }},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			var records []Record
			recorded := make(chan struct{}, 10)
			f := newFixture(t, Config{Record: func(b []Record) { records = append(records, b...); recorded <- struct{}{} }})
			h := f.host()
			h.envelope("a@x.example", "b@x.example")
			h.content("text")
			e := f.envelope()
			tt.leave(t, h)
			assert.Same(t, e, <-f.mailer.cancelled, "the envelope is cancelled")
			settle(e, deferred("451 4.3.0 cancelled"), 0)
			<-recorded
			settle(e, delivered("250 2.0.0 was in flight"), 1)
			<-recorded
			require.Len(t, records, 2, "every outcome is still recorded")
			assert.Equal(t, feed.Delivered, records[1].Settlement.Outcome.Class, "what was delivered all the same too")
			f.server.Drain(t.Context())
			st := f.server.Stats()
			assert.EqualValues(t, 1, st.HostsLeft, "the host is counted")
			assert.Zero(t, st.Bytes, "the memory is given back")
			assert.Empty(t, f.mailer.cancelled, "once is enough")
		})
	}
}

func TestHostResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, connect := simulated(t, Config{})
		h := connect().hello()
		h.envelope("a@x.example")
		h.content("text")
		e := f.envelope()
		h.send("QUIT")
		require.NoError(t, h.conn.(*netsim.Conn).Reset(), "the host resets")
		assert.Same(t, e, <-f.mailer.cancelled, "a reset behind QUIT means that the host left")
		deliverAll(e)
	})
}

// Postfix sends dot and QUIT back to back. One reply too few, and it takes 221 for the missing one.
func TestQuitBehindTheContent(t *testing.T) {
	tests := []struct {
		rule      string
		halfClose bool
	}{{"the host keeps its side open", false}, {"the host half-closes", true}}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			f := newFixture(t, Config{})
			h := f.host()
			h.envelope("a@x.example", "b@x.example")
			h.send("text", ".", "QUIT")
			e := f.envelope()
			if tt.halfClose {
				require.NoError(t, h.conn.(*net.UnixConn).CloseWrite(), "the host half-closes")
			}
			settle(e, failed("550 5.1.1 no"), 1)
			settle(e, delivered("250 2.0.0 Ok"), 0)
			h.expect("250 2.0.0 ", "550 5.1.1 ", "221 ")
			h.closed()
			assert.Empty(t, f.mailer.cancelled, "the host had not left")
		})
	}
}

// Reading ahead loses nothing, however much the host sends behind its content.
func TestCommandsBehindTheContent(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	h.envelope("a@x.example")
	n := 3 * inputSize / len("NOOP\r\n")
	go func() { h.conn.Write([]byte("text\r\n.\r\n" + strings.Repeat("NOOP\r\n", n) + "QUIT\r\n")) }()
	e := f.envelope()
	deliverAll(e)
	h.expect("250 2.0.0 mx1")
	for range n {
		h.expect("250 2.0.0 I have")
	}
	h.expect("221 ")
	h.closed()
}

func TestHostLeavesBetweenCommandsAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, connect := simulated(t, Config{})
		for range 3 { // interrupted watches leave a usable connection
			h := connect().hello()
			for range 3 {
				h.envelope("a@x.example")
				h.content("text")
				e := f.envelope()
				synctest.Wait()
				deliverAll(e)
				h.expect("250 2.0.0 ")
			}
			h.conn.Close()
		}
		assert.Empty(t, f.mailer.cancelled, "nothing was cancelled")
	})
}

// After a write failed, commands that wait behind it are not run: nobody would hear of them, and the host sends them again.
func TestNothingRunsBehindAFailedWrite(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	h.envelope("a@x.example")
	h.send("one", ".", "MAIL FROM:<>", "RCPT TO:<b@x.example>", "DATA", "two", ".")
	e := f.envelope()
	h.conn.Close()
	<-f.mailer.cancelled
	deliverAll(e)
	f.server.Drain(t.Context())
	f.nothingSent()
}

package lmtp

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// A host that has read its replies does not send the recipients again, and the ledger forgets them. One that has not does.
func TestHostHasReadItsReplies(t *testing.T) {
	tests := []struct {
		rule, want string
		then       func(*testing.T, *host)
	}{
		{"it sends a further MAIL", "taken", func(t *testing.T, h *host) { h.send("MAIL FROM:<>"); h.expect("250 2.1.0") }},
		{"it sends RSET", "taken", func(t *testing.T, h *host) { h.send("RSET"); h.expect("250 ") }},
		{"it says QUIT, and closes", "taken", func(t *testing.T, h *host) { h.send("QUIT"); h.expect("221 "); h.conn.Close() }},
		{"it closes without QUIT", "taken", func(t *testing.T, h *host) { h.conn.Close() }},
		{"it half-closes without QUIT", "taken", func(t *testing.T, h *host) {
			require.NoError(t, h.conn.(*net.UnixConn).CloseWrite(), "it half-closes")
			h.closed()
		}},
		{"it says QUIT, and dies with the goodbye unread", "taken", func(t *testing.T, h *host) {
			h.send("QUIT")
			_, err := h.conn.Read(make([]byte, 1))
			require.NoError(t, err, "the goodbye has come")
			h.conn.Close()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			f := newFixture(t, Config{})
			h := f.host()
			h.envelope("a@x.example", "b@x.example")
			h.content("text")
			e := f.envelope()
			deliverAll(e)
			h.expect("250 2.0.0 ", "250 2.0.0 ")
			tt.then(t, h)
			f.parts(e.ID + " " + tt.want)
		})
	}
}

// parts expects what the Mailer is told of a host, once.
func (f *fixture) parts(want string) {
	f.t.Helper()
	select {
	case got := <-f.mailer.parted:
		assert.Equal(f.t, want, got, "the Mailer is told whether the host has read its replies")
	case <-time.After(realTimeout):
		require.FailNow(f.t, "the Mailer is told whether the host has read its replies")
	}
	f.server.Close()
	assert.Empty(f.t, f.mailer.parted, "the Mailer is told once")
}

// Postfix sends QUIT right behind its content: that it came says nothing. What a host has read, its end tells.
func TestHostPipelinesQuit(t *testing.T) {
	for _, dies := range []bool{false, true} {
		want := map[bool]string{false: "taken", true: "abandoned"}[dies]
		t.Run(want, func(t *testing.T) {
			f := newFixture(t, Config{})
			h := f.host()
			h.envelope("a@x.example", "b@x.example")
			h.send("text", ".", "QUIT")
			e := f.envelope()
			deliverAll(e)
			if dies {
				_, err := h.conn.Read(make([]byte, 10))
				require.NoError(t, err, "the first reply has come")
			} else {
				h.expect("250 2.0.0 ", "250 2.0.0 ", "221 ")
				h.closed()
				assert.Empty(t, f.mailer.parted, "the server waits for the host")
			}
			h.conn.Close()
			f.parts(e.ID + " " + want)
		})
	}
}

// A host that left before its recipients were settled has read nothing.
func TestHostThatLeftHasReadNothing(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	h.envelope("a@x.example")
	h.content("text")
	e := f.envelope()
	h.conn.Close()
	<-f.mailer.cancelled
	assert.Empty(t, f.mailer.parted, "its envelope is not settled yet")
	deliverAll(e)
	f.parts(e.ID + " abandoned")
}

// Over TCP a host that dies with replies unread resets the connection too; a host that neither reads nor ends is not waited for for ever.
func TestHostOverTCPPartsSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, connect := simulated(t, Config{WriteTimeout: 10 * time.Second})
		h := connect().hello()
		h.envelope("a@x.example")
		h.send("text", ".", "QUIT")
		e := f.envelope()
		deliverAll(e)
		h.expect("250 2.0.0 ", "221 ")
		f.parts(e.ID + " abandoned")
	})
	synctest.Test(t, func(t *testing.T) {
		f, connect := simulated(t, Config{})
		h := connect().hello()
		h.envelope("a@x.example")
		h.send("text", ".", "QUIT")
		e := f.envelope()
		deliverAll(e)
		h.expect("250 2.0.0 ")
		require.NoError(t, h.conn.(*netsim.Conn).Reset(), "the host resets")
		f.parts(e.ID + " abandoned")
	})
}

// A drain gives hosts a moment to read their last replies, and is not held up by one that does not.
func TestDrainDoesNotWaitForAHostThatReadsNothing(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	h.envelope("a@x.example")
	h.send("text", ".", "QUIT")
	e := f.envelope()
	deliverAll(e)
	h.expect("250 2.0.0 ", "221 ")
	h.closed()
	f.server.Drain(t.Context())
	f.parts(e.ID + " abandoned")
}

// Two envelopes on one connection, each with its own fate.
func TestHostTakesOneEnvelopeAndDiesInTheNext(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	var ids []string
	for range 2 {
		h.envelope("a@x.example")
		h.content("text")
		e := f.envelope()
		ids = append(ids, e.ID)
		deliverAll(e)
		if len(ids) == 1 {
			h.expect("250 2.0.0 ")
		}
	}
	_, err := h.conn.Read(make([]byte, 1))
	require.NoError(t, err, "the reply has come")
	h.conn.Close()
	assert.Equal(t, []string{ids[0] + " taken", ids[1] + " abandoned"}, []string{<-f.mailer.parted, <-f.mailer.parted}, "each is told")
}

// Without a way to close one direction nothing is waited for.
func TestHostBehindPipes(t *testing.T) {
	theirs, ours := pair(t)
	m := newMailer()
	m.onSend = deliverAll
	done := make(chan error, 1)
	go func() { done <- New(Config{Mailer: m}).ServeConn(struct{ net.Conn }{ours}) }()
	h := newHost(t, theirs).hello()
	h.envelope("a@x.example")
	h.send("text", ".", "QUIT")
	h.expect("250 2.0.0 ", "221 ")
	require.NoError(t, <-done, "the connection ends before the host does")
	assert.True(t, strings.HasSuffix(<-m.parted, " taken"), "what was written is in the host's hands")
}

// A host may keep its connection for later. When it has read all that was written, it has read the replies.
func TestHostRestsWithItsRepliesRead(t *testing.T) {
	tests := []struct {
		rule   string
		config Config
	}{
		{"in a pool of connections", Config{}},
		{"until it has been silent for too long", Config{CommandTimeout: 300 * time.Millisecond}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			f := newFixture(t, tt.config)
			h := f.host()
			h.envelope("a@x.example")
			h.content("text")
			e := f.envelope()
			deliverAll(e)
			h.expect("250 2.0.0 ")
			f.parts(e.ID + " taken")
		})
	}
}

// One that rests and has read nothing is not believed to have, also when it is this server that ends the connection.
func TestDrainOfAHostThatHasReadNothing(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	h.envelope("a@x.example", "b@x.example")
	h.content("text")
	e := f.envelope()
	deliverAll(e)
	f.server.Drain(t.Context())
	f.parts(e.ID + " abandoned")
}

// Nobody settled in time, so the host was told 451; what becomes of its recipients afterwards it has not heard.
func TestHostThatWasToldWhatIsNotSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, connect := simulated(t, Config{Budget: 10 * time.Second})
		h := connect().hello()
		h.envelope("a@x.example")
		h.content("text")
		e := f.envelope()
		h.expect("451 ")
		h.send("NOOP")
		h.expect("250 ")
		f.parts(e.ID + " abandoned")
		deliverAll(e)
	})
}

// Whatever goes wrong here, the Mailer waits for word of each envelope.
func TestPartingAfterAPanic(t *testing.T) {
	f := newFixture(t, Config{Record: func([]Record) { panic("records") }})
	f.mailer.onSend = deliverAll
	h := f.host()
	h.envelope("a@x.example")
	h.content("text")
	h.expect("451 ")
	h.send("QUIT")
	h.expect("221 ")
	h.conn.Close()
	assert.Regexp(t, ` (taken|abandoned)$`, <-f.mailer.parted, "the Mailer is told")
}

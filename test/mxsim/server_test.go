package mxsim_test

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

const (
	rtt        = 50 * time.Millisecond
	processing = 100 * time.Millisecond
)

// serve plays one server to one client in a bubble, without the latency of the net, and checks that both leave nothing behind.
func serve(t *testing.T, c mxsim.Config, talk func(t *testing.T, s *mxsim.Server, c *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n, l := world(t)
		n.Default(link0)
		s := mxsim.New(c)
		s.Start(l)
		us := dial(t, n)
		talk(t, s, us)
		us.Close()
		synctest.Wait()
		s.Close()
		assert.Equal(t, 0, n.Open(), "nothing stays open")
		assert.Equal(t, 0, s.Stats().Open, "no session is left")
	})
}

func (c *client) hello() {
	c.t.Helper()
	c.hear("220 mx.example ESMTP")
	c.say("EHLO us\r\n")
	for line := "-"; len(line) < 4 || line[3] == '-'; {
		var err error
		line, err = c.r.ReadString('\n')
		require.NoError(c.t, err, "EHLO is answered")
	}
}

func digest(text string) [32]byte { return sha256.Sum256([]byte(text)) }

func rules(s *mxsim.Server) []string {
	var r []string
	for _, v := range s.Violations() {
		r = append(r, v.What)
	}
	return r
}

func TestServerTakesPipelinedMessages(t *testing.T) {
	serve(t, mxsim.Config{KeepContent: true, SMTPUTF8: true}, func(t *testing.T, s *mxsim.Server, c *client) {
		c.hear("220 mx.example ESMTP")
		c.say("EHLO us\r\n")
		c.hear("250-mx.example", "250-PIPELINING", "250-8BITMIME", "250-SIZE 0", "250-ENHANCEDSTATUSCODES", "250 SMTPUTF8")
		c.say("MAIL FROM:<a@x> BODY=8BITMIME SIZE=12 SMTPUTF8\r\nRCPT TO:<b@y>\r\nrcpt to:<\"odd>one\"@y>\r\nDATA\r\n")
		c.hear("250 2.1.0 Ok", "250 2.1.5 Ok", "250 2.1.5 Ok", "354 go ahead")
		c.say("..one\r\ntwo\r\n...\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<d@y>\r\nDATA\r\n")
		c.hear("250 2.0.0 Ok: queued", "250 2.1.0 Ok", "250 2.1.5 Ok", "354 go ahead")
		c.say(".\r\nQUIT\r\n")
		c.hear("250 2.0.0 Ok: queued", "221 2.0.0 Bye")
		c.end(io.EOF)

		m := s.Messages()
		require.Len(t, m, 2, "both messages are recorded")
		assert.Equal(t, []string{"b@y", `"odd>one"@y`}, m[0].To, "recipients are in order, as on the wire")
		assert.Equal(t, "a@x", m[0].From)
		assert.Equal(t, "BODY=8BITMIME SIZE=12 SMTPUTF8", m[0].Params)
		assert.Equal(t, ".one\r\ntwo\r\n..\r\n", string(m[0].Content), "dot-stuffing is undone")
		assert.Equal(t, digest(".one\r\ntwo\r\n..\r\n"), m[0].Digest, "the digest is the content's")
		assert.EqualValues(t, 15, m[0].Size, "so is the size")
		assert.True(t, m[0].Accepted(), "the final reply was 2xx")
		assert.Equal(t, [2]int{1, 2}, [2]int{m[1].Session, m[1].Transaction}, "session and transaction are numbered")
		assert.Equal(t, "", m[1].From, "the null sender")
		assert.Zero(t, m[1].Size, "an empty message")
		assert.Empty(t, s.Violations(), "nothing was wrong")
		st := s.Stats()
		assert.Equal(t, []int{1, 1, 2, 3, 0}, []int{st.Sessions, st.MaxOpen, st.Messages, st.Recipients, st.Refused}, "the counters agree")
	})
}

func TestServerModelsARoundTripWithoutStoppingToRead(t *testing.T) {
	serve(t, mxsim.Config{RTT: rtt, Processing: processing, HoldGreeting: time.Second}, func(t *testing.T, s *mxsim.Server, c *client) {
		start := time.Now()
		at := func(want time.Duration, what string) {
			t.Helper()
			assert.Equal(t, want, time.Since(start), what)
			start = time.Now()
		}
		c.hear("220 mx.example ESMTP")
		at(time.Second+rtt, "the greeting is held, and takes a round trip")
		c.say("EHLO us\r\n")
		c.hear("250-mx.example")
		at(rtt, "a reply takes a round trip")
		c.hear("250-PIPELINING", "250-8BITMIME", "250-SIZE 0", "250 ENHANCEDSTATUSCODES")

		c.say("MAIL FROM:<a@x>\r\n")
		time.Sleep(rtt / 2)
		c.say("RCPT TO:<b@y>\r\nDATA\r\n")
		c.hear("250 2.1.0 Ok")
		at(rtt, "the first group's reply is due one round trip after it was sent")
		c.hear("250 2.1.5 Ok", "354 go ahead")
		at(rtt/2, "the second's overlaps with it")

		c.say("x\r\n.\r\nMAIL FROM:<a@x>\r\nRCPT TO:<c@y>\r\nDATA\r\n")
		c.hear("250 2.0.0 Ok: queued", "250 2.1.0 Ok", "250 2.1.5 Ok", "354 go ahead")
		at(rtt+processing, "what is pipelined behind the dot is handled after Processing, and comes with the final reply")
		c.say("x\r\n.\r\nQUIT\r\n")
		c.hear("250 2.0.0 Ok: queued", "221 2.0.0 Bye")
		at(rtt+processing, "QUIT too")
		assert.Empty(t, s.Violations(), "an answer at the very moment of the reply is no early talk")
		assert.Len(t, s.Messages(), 2)
	})
}

func TestServerRepliesInOneWriteToOneGroup(t *testing.T) {
	serve(t, mxsim.Config{RTT: rtt}, func(t *testing.T, s *mxsim.Server, c *client) {
		c.hello()
		c.say("MAIL FROM:<a@x>\r\n" + strings.Repeat("RCPT TO:<b@y>\r\n", 100) + "DATA\r\n")
		b := make([]byte, 64<<10)
		k, err := c.r.Read(b)
		require.NoError(t, err)
		assert.Equal(t, 102, strings.Count(string(b[:k]), "\r\n"), "all replies come together")
	})
}

func TestServerRefusals(t *testing.T) {
	refuse := func(to string, nth int) string {
		if strings.HasPrefix(to, "no") {
			return fmt.Sprintf("550 5.1.1 recipient %d unknown", nth)
		}
		return ""
	}
	grey := &mxsim.Greylist{}
	const group = "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@Y>\r\nRCPT TO:<no@z>\r\nDATA\r\n"
	for name, c := range map[string]struct {
		config  mxsim.Config
		say     string
		hear    []string
		refused int
	}{
		"the hook decides": {mxsim.Config{Rcpt: refuse}, group,
			[]string{"250 2.1.0 Ok", "250 2.1.5 Ok", "250 2.1.5 Ok", "550 5.1.1 recipient 3 unknown", "354 go ahead"}, 1},
		"452 after MaxRecipients": {mxsim.Config{MaxRecipients: 1}, group,
			[]string{"250 2.1.0 Ok", "250 2.1.5 Ok", "452 4.5.3 too many recipients", "452 4.5.3 too many recipients", "354 go ahead"}, 2},
		"one domain a transaction": {mxsim.Config{SingleDomain: true}, group,
			[]string{"250 2.1.0 Ok", "250 2.1.5 Ok", "250 2.1.5 Ok",
				"451 4.3.0 Multiple destination domains per transaction is unsupported. Please try again.", "354 go ahead"}, 1},
		"554 at DATA when all were refused": {mxsim.Config{Rcpt: refuse}, "MAIL FROM:<>\r\nRCPT TO:<no@y>\r\nDATA\r\n",
			[]string{"250 2.1.0 Ok", "550 5.1.1 recipient 1 unknown", "554 5.5.1 no valid recipients"}, 1},
		"354 at DATA although all were refused": {mxsim.Config{Rcpt: refuse, TakeEmpty: true}, "MAIL FROM:<>\r\nRCPT TO:<no@y>\r\nDATA\r\n",
			[]string{"250 2.1.0 Ok", "550 5.1.1 recipient 1 unknown", "354 go ahead"}, 1},
		"a greylist refuses once": {mxsim.Config{Rcpt: grey.Rcpt}, "MAIL FROM:<>\r\nRCPT TO:<g@y>\r\nRCPT TO:<g@y>\r\n",
			[]string{"250 2.1.0 Ok", "450 4.2.0 greylisted, try again later", "250 2.1.5 Ok"}, 1},
		"MAIL by hook": {mxsim.Config{Mail: func(from string) string { return "450 4.7.1 not " + from }}, "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n",
			[]string{"450 4.7.1 not a@x", "503 5.5.1 need MAIL"}, 1},
		"a declared size too big": {mxsim.Config{Keywords: []string{"PIPELINING", "SIZE 100"}}, "MAIL FROM:<a@x> SIZE=101\r\nMAIL FROM:<a@x> SIZE=100\r\n",
			[]string{"552 5.3.4 message too big", "250 2.1.0 Ok"}, 0},
		"RSET forgets": {mxsim.Config{}, "MAIL FROM:<a@x>\r\nRSET\r\nRCPT TO:<b@y>\r\n",
			[]string{"250 2.1.0 Ok", "250 2.0.0 Ok", "503 5.5.1 need MAIL"}, 1},
		"HELO is spoken": {mxsim.Config{}, "HELO us\r\nMAIL FROM:<a@x>\r\n", []string{"250 mx.example", "250 2.1.0 Ok"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, c.config, func(t *testing.T, s *mxsim.Server, us *client) {
				us.hello()
				us.say(c.say)
				us.hear(c.hear...)
				assert.Equal(t, c.refused, s.Stats().Refused, "refusals are counted")
				assert.Empty(t, s.Violations(), "nothing was wrong with the client")
			})
		})
	}
}

func TestServerFinalReplies(t *testing.T) {
	for name, c := range map[string]struct {
		config   mxsim.Config
		hear     []string
		end      bool
		accepted bool
	}{
		"the hook decides":           {mxsim.Config{Final: func(m *mxsim.Message) string { return "451 4.3.0 " + m.To[0] }}, []string{"451 4.3.0 b@y"}, false, false},
		"content too big":            {mxsim.Config{Keywords: []string{"PIPELINING", "SIZE 1"}}, []string{"552 5.3.4 message too big"}, false, false},
		"HangUp leaves it uncertain": {mxsim.Config{Final: func(*mxsim.Message) string { return mxsim.HangUp }}, nil, true, false},
		"421 closes":                 {mxsim.Config{Final: func(*mxsim.Message) string { return "421 4.3.2 bye" }}, []string{"421 4.3.2 bye"}, true, false},
		"no recipient was accepted": {mxsim.Config{TakeEmpty: true, Rcpt: func(string, int) string { return "550 5.1.1 no" }},
			[]string{"554 5.5.1 no valid recipients"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, c.config, func(t *testing.T, s *mxsim.Server, us *client) {
				us.hello()
				us.say("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n")
				for line := ""; !strings.HasPrefix(line, "354"); {
					var err error
					line, err = us.r.ReadString('\n')
					require.NoError(t, err)
				}
				us.say("text\r\n.\r\n")
				us.hear(c.hear...)
				if c.end {
					us.end(io.EOF)
				}
				for _, m := range s.Messages() {
					assert.Equal(t, c.accepted, m.Accepted(), "the record knows the reply")
				}
			})
		})
	}
}

func TestServerEndsConnectionsWhenTheReplyWouldBeDue(t *testing.T) {
	for reply, want := range map[string]error{mxsim.HangUp: io.EOF, mxsim.Abort: syscall.ECONNRESET} {
		hook := func(string, int) string { return reply }
		serve(t, mxsim.Config{Rcpt: hook, RTT: rtt}, func(t *testing.T, s *mxsim.Server, c *client) {
			c.hello()
			start := time.Now()
			c.say("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n")
			c.hear("250 2.1.0 Ok")
			c.end(want)
			assert.Equal(t, rtt, time.Since(start), "%s comes after a round trip", reply)
		})
	}
}

func TestServerServesManySessionsAtOnce(t *testing.T) { synctest.Test(t, testManySessions) }
func testManySessions(t *testing.T) {
	const sessions, messages = 100, 5
	n, l := world(t)
	s := mxsim.New(mxsim.Config{RTT: rtt, Processing: processing})
	s.Start(l)
	start := time.Now()
	var clients sync.WaitGroup
	for i := range sessions {
		clients.Go(func() {
			c := dial(t, n)
			c.hello()
			for k := range messages {
				c.say(fmt.Sprintf("MAIL FROM:<a@x>\r\nRCPT TO:<%d.%d@y>\r\nDATA\r\n", i, k))
				c.hear("250 2.1.0 Ok", "250 2.1.5 Ok", "354 go ahead")
				c.say("x\r\n.\r\n")
				c.hear("250 2.0.0 Ok: queued")
			}
			c.say("QUIT\r\n")
			c.hear("221 2.0.0 Bye")
			c.end(io.EOF)
		})
	}
	clients.Wait()
	const trips = 3 + 2*messages // greeting, EHLO, QUIT; envelope and body of each message
	assert.Equal(t, 2*lag+trips*(rtt+2*lag)+messages*processing, time.Since(start), "sessions do not wait for each other")
	s.Close()
	seen := make(map[string]bool)
	for _, m := range s.Messages() {
		seen[m.To[0]] = true
	}
	assert.Len(t, seen, sessions*messages, "every message of every session arrived")
	assert.Empty(t, s.Violations(), "nothing was wrong")
	assert.Equal(t, 0, n.Open(), "nothing stays open")
	s.Reset()
	assert.Equal(t, mxsim.Stats{}, s.Stats(), "a reset forgets the counters")
	assert.Empty(t, s.Messages(), "and the messages")
}

func TestServerMuteReadsOn(t *testing.T) {
	serve(t, mxsim.Config{Rcpt: func(string, int) string { return mxsim.Mute }}, func(t *testing.T, s *mxsim.Server, c *client) {
		c.hello()
		c.say("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n")
		c.hear("250 2.1.0 Ok")
		c.SetReadDeadline(time.Now().Add(time.Hour))
		_, err := c.r.ReadByte()
		assert.Error(t, err, "nothing more is said")
		c.SetDeadline(time.Now().Add(time.Hour))
		_, err = io.WriteString(c, strings.Repeat("RSET\r\n", 1<<17))
		assert.NoError(t, err, "and everything is read")
	})
}

func TestServerLimitsSessions(t *testing.T) { synctest.Test(t, testLimitsSessions) }
func testLimitsSessions(t *testing.T) {
	n, l := world(t)
	s := mxsim.New(mxsim.Config{MaxSessions: 1, MessagesPerSession: 1})
	s.Start(l)
	first, second := dial(t, n), dial(t, n)
	second.hear("421 4.7.0 too many connections")
	second.end(io.EOF)
	first.hello()
	first.say("MAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nRCPT TO:<b@y>\r\n")
	first.hear("250 2.1.0 Ok", "250 2.0.0 Ok", "421 4.7.0 too many messages in this session")
	first.end(io.EOF)
	time.Sleep(time.Second)
	third := dial(t, n)
	third.hear("220 mx.example ESMTP")
	third.Close()
	s.Close()
	assert.Equal(t, 2, s.Stats().MaxOpen, "the refused one was open for a moment")
	assert.Equal(t, 0, n.Open(), "nothing stays open")
}

func TestServerGreetingByHook(t *testing.T) {
	greet := func(n int) string { return fmt.Sprintf("554 no service for session %d", n) }
	serve(t, mxsim.Config{Greeting: greet}, func(t *testing.T, s *mxsim.Server, c *client) {
		c.hear("554 no service for session 1")
	})
}

func TestServerAnswersAClientThatClosedItsSendingHalf(t *testing.T) {
	serve(t, mxsim.Config{RTT: rtt}, func(t *testing.T, s *mxsim.Server, c *client) {
		c.hello()
		c.say("MAIL FROM:<a@x>\r\n")
		c.Conn.(interface{ CloseWrite() error }).CloseWrite()
		c.hear("250 2.1.0 Ok")
		c.end(io.EOF)
	})
}

func TestServerSpeaksTLS(t *testing.T) {
	server, trust := certificate(t)
	serve(t, mxsim.Config{TLS: server, RTT: rtt}, func(t *testing.T, s *mxsim.Server, c *client) {
		c.hear("220 mx.example ESMTP")
		c.say("EHLO us\r\n")
		c.hear("250-mx.example", "250-PIPELINING", "250-8BITMIME", "250-SIZE 0", "250-ENHANCEDSTATUSCODES", "250 STARTTLS")
		c.say("STARTTLS\r\n")
		c.hear("220 2.0.0 go ahead")
		e := tls.Client(c.Conn, trust)
		require.NoError(t, e.Handshake(), "the handshake succeeds")
		c = &client{e, t, bufio.NewReader(e)}
		c.say("EHLO us\r\n")
		c.hear("250-mx.example", "250-PIPELINING", "250-8BITMIME", "250-SIZE 0", "250 ENHANCEDSTATUSCODES")
		c.say("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n")
		c.hear("250 2.1.0 Ok", "250 2.1.5 Ok", "354 go ahead")
		c.say("x\r\n.\r\nQUIT\r\n")
		c.hear("250 2.0.0 Ok: queued", "221 2.0.0 Bye")
		c.end(io.EOF)
		assert.True(t, s.Messages()[0].TLS, "the record says that it was encrypted")
		assert.Empty(t, s.Violations(), "nothing was wrong")
	})
}

package mxsim_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
)

var mx = netip.MustParseAddrPort("192.0.2.1:25")

const lag = 10 * time.Millisecond // one way, in most tests

// world is one listener on an internet in memory.
func world(t *testing.T) (*netsim.Net, net.Listener) {
	t.Helper()
	n := netsim.New()
	n.Default(netsim.Link{Latency: lag})
	l, err := n.Listen(mx)
	require.NoError(t, err)
	return n, l
}

// A client is the test's end of a connection.
type client struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func dial(t *testing.T, n *netsim.Net) *client {
	t.Helper()
	c, err := n.Dial(t.Context(), mx)
	require.NoError(t, err, "the server listens")
	return &client{c, t, bufio.NewReader(c)}
}

func (c *client) say(text string) {
	c.t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(c.t, err, "the server takes %q", text)
}

// hear wants these lines, as they come.
func (c *client) hear(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		got, err := c.r.ReadString('\n')
		require.NoError(c.t, err, "waiting for %q", want)
		require.Equal(c.t, want+"\r\n", got, "the server says what is due")
	}
}

func (c *client) end(want error) {
	c.t.Helper()
	_, err := c.r.ReadByte()
	require.ErrorIs(c.t, err, want, "how the connection ends")
	c.Close()
}

func TestScriptPlaysAWholeSession(t *testing.T) { synctest.Test(t, testWholeSession) }
func testWholeSession(t *testing.T) {
	n, l := world(t)
	p := mxsim.Play(l, mxsim.Script{mxsim.Hello("mx.example", "PIPELINING", "SIZE 0"), mxsim.Deliver(2), mxsim.Bye()})
	c := dial(t, n)
	c.hear("220 mx.example ESMTP")
	c.say("EHLO us\r\n")
	c.hear("250-mx.example", "250-PIPELINING", "250 SIZE 0")
	c.say("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n")
	c.hear("250 2.1.0 ok", "250 2.1.0 ok", "250 2.1.0 ok", "354 go")
	c.say("one\r\n..two\r\n.\r\n")
	c.hear("250 2.0.0 queued")
	c.say("QUIT\r\n")
	c.hear("221 2.0.0 bye")
	c.end(io.EOF)
	p.Close()
	require.NoError(t, p.Err(), "the client kept to the script")
	r := p.Results()[0]
	assert.Equal(t, "one\r\n..two\r\n", string(r.Bodies[0]), "the body is kept as it was on the wire")
	assert.Equal(t, []string{"EHLO us", "MAIL FROM:<a@x>", "RCPT TO:<b@y>", "RCPT TO:<c@y>", "DATA", "QUIT"}, r.Lines, "so are the commands")
	assert.Contains(t, string(r.Read), "DATA\r\none\r\n..two\r\n.\r\nQUIT\r\n", "and all octets")
	assert.Equal(t, 0, n.Open(), "nothing stays open")
}

func TestScriptSaysWhatCameInstead(t *testing.T) {
	for name, c := range map[string]struct {
		step  mxsim.Step
		say   string
		error string
	}{
		"another command":           {mxsim.Expect("MAIL "), "RSET\r\n", `mxsim: step 0, Expect("MAIL "): got "RSET"`},
		"another within a group":    {mxsim.ExpectAll("MAIL ", "DATA"), "MAIL x\r\nRSET\r\n", `mxsim: step 0, ExpectAll(["MAIL " "DATA"]): got "RSET"`},
		"bare LF":                   {mxsim.Expect("MAIL "), "MAIL x\n", `mxsim: step 0, Expect("MAIL "): got "MAIL x\n"`},
		"the end inside a line":     {mxsim.Expect("MAIL "), "MAI", `mxsim: step 0, Expect("MAIL "): got "MAI" EOF`},
		"the end of the connection": {mxsim.Expect("MAIL "), "", `mxsim: step 0, Expect("MAIL "): EOF`},
		"talk where silence is due": {mxsim.ExpectSilence(time.Second), "EHLO", `mxsim: step 0, ExpectSilence(1s): got "EHLO"`},
		"leaving where silence is":  {mxsim.ExpectSilence(time.Second), "", `mxsim: step 0, ExpectSilence(1s): EOF`},
		"more before the end":       {mxsim.ExpectEnd(), "QUIT\r\n", `mxsim: step 0, ExpectEnd(): got "QUIT\r\n"`},
		"a body without its end":    {mxsim.ReadBody(), "text\r\n.\n", `mxsim: step 0, ReadBody(): EOF`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, l := world(t)
				p := mxsim.Play(l, mxsim.Script{c.step})
				us := dial(t, n)
				us.say(c.say)
				us.Conn.(*netsim.Conn).CloseWrite()
				io.Copy(io.Discard, us)
				us.Close()
				p.Close()
				var e *mxsim.ScriptError
				require.ErrorAs(t, p.Err(), &e, "the script failed")
				assert.EqualError(t, e, c.error, "and says how")
				assert.Equal(t, 0, p.Results()[0].Steps, "at its first step")
			})
		})
	}
}

func TestSteps(t *testing.T) {
	for name, c := range map[string]struct {
		script mxsim.Script
		client func(t *testing.T, c *client)
	}{
		"Drip sends one octet a time": {mxsim.Script{mxsim.Drip(time.Second, "250 ok\r\n"), mxsim.ExpectEnd()}, func(t *testing.T, c *client) {
			start := time.Now()
			c.hear("250 ok")
			assert.Equal(t, 8*time.Second+2*lag, time.Since(start), "each with its gap")
		}},
		"Stall waits and goes on": {mxsim.Script{mxsim.Stall(time.Minute), mxsim.Reply("220 late")}, func(t *testing.T, c *client) {
			start := time.Now()
			c.hear("220 late")
			assert.Equal(t, time.Minute+2*lag, time.Since(start), "after the pause")
		}},
		"StallForever is silent until the client leaves": {mxsim.Script{mxsim.StallForever()}, func(t *testing.T, c *client) {
			c.SetReadDeadline(time.Now().Add(time.Hour))
			_, err := c.r.ReadByte()
			assert.Error(t, err, "nothing comes")
			c.say("hello?")
		}},
		"StopReading lets the window fill": {mxsim.Script{mxsim.StopReading()}, func(t *testing.T, c *client) {
			c.SetWriteDeadline(time.Now().Add(time.Hour))
			_, err := c.Write(make([]byte, 1<<20))
			assert.Error(t, err, "the client cannot write on")
		}},
		"Drop is a FIN even on unread octets": {mxsim.Script{mxsim.Stall(time.Second), mxsim.Drop()}, func(t *testing.T, c *client) {
			c.say("EHLO x\r\n")
			c.end(io.EOF)
		}},
		"Reset is a RST": {mxsim.Script{mxsim.Reset()}, func(t *testing.T, c *client) { c.end(syscall.ECONNRESET) }},
		"Send adds nothing": {mxsim.Script{mxsim.Send("250-a\n"), mxsim.Send("250 b\n")}, func(t *testing.T, c *client) {
			b, _ := io.ReadAll(c.r)
			assert.Equal(t, "250-a\n250 b\n", string(b), "the octets are those given")
		}},
		"ReadOctets counts": {mxsim.Script{mxsim.ReadOctets(5), mxsim.Reply("250 ok"), mxsim.Expect("QUIT")}, func(t *testing.T, c *client) {
			c.say("a\r\n.bQUIT\r\n")
			c.hear("250 ok")
		}},
		"ReadBody takes an empty body": {mxsim.Script{mxsim.ReadBody(), mxsim.Reply("250 ok")}, func(t *testing.T, c *client) {
			c.say(".\r\n")
			c.hear("250 ok")
		}},
		"ReadBody is not ended by LF.CRLF": {mxsim.Script{mxsim.ReadBody(), mxsim.Reply("250 ok")}, func(t *testing.T, c *client) {
			c.say("a\n.\r\nb\r\n.\r\n")
			c.hear("250 ok")
		}},
		"ExpectSilence passes": {mxsim.Script{mxsim.ExpectSilence(time.Second), mxsim.Expect("EHLO"), mxsim.ExpectEnd()}, func(t *testing.T, c *client) {
			time.Sleep(2 * time.Second)
			c.say("EHLO x\r\n")
		}},
		"Do does anything": {mxsim.Script{mxsim.Do("half", func(c net.Conn) error { return c.(*netsim.Conn).CloseWrite() }), mxsim.Expect("bye")}, func(t *testing.T, c *client) {
			_, err := c.r.ReadByte()
			assert.Equal(t, io.EOF, err)
			c.say("bye\r\n")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, l := world(t)
				p := mxsim.Play(l, c.script)
				us := dial(t, n)
				c.client(t, us)
				us.Close()
				synctest.Wait()
				time.Sleep(lag)
				synctest.Wait()
				p.Close()
				assert.NoError(t, p.Err(), "the script was kept")
				assert.Equal(t, 0, n.Open(), "nothing stays open")
			})
		})
	}
}

func TestPlayGivesEachConnectionItsScript(t *testing.T) { synctest.Test(t, testPlay) }
func testPlay(t *testing.T) {
	n, l := world(t)
	p := mxsim.Play(l, mxsim.Script{mxsim.Reply("220 first")}, mxsim.Script{mxsim.Reply("220 second")})
	for _, greeting := range []string{"220 first", "220 second"} {
		c := dial(t, n)
		c.hear(greeting)
		c.end(io.EOF)
	}
	dial(t, n).end(syscall.ECONNRESET)
	p.Close()
	assert.ErrorContains(t, p.Err(), "connection 2: mxsim: step 0, no connection expected", "one too many is an error")
	assert.Len(t, p.Results(), 3)
}

func TestPlayLoopRepeatsTheLastScript(t *testing.T) { synctest.Test(t, testPlayLoop) }
func testPlayLoop(t *testing.T) {
	n, l := world(t)
	p := mxsim.PlayLoop(l, mxsim.Script{mxsim.Reply("421 go away")}, mxsim.Script{mxsim.Reply("220 welcome")})
	for _, greeting := range []string{"421 go away", "220 welcome", "220 welcome"} {
		c := dial(t, n)
		c.hear(greeting)
		c.end(io.EOF)
	}
	p.Close()
	p.Close() // twice is harmless
	assert.NoError(t, p.Err())
}

func TestCloseEndsScriptsUnderWay(t *testing.T) { synctest.Test(t, testCloseUnderWay) }
func testCloseUnderWay(t *testing.T) {
	n, l := world(t)
	p := mxsim.Play(l, mxsim.Script{mxsim.Expect("EHLO")}, mxsim.Script{mxsim.StopReading()}, mxsim.Script{mxsim.Stall(time.Hour)})
	var clients []*client
	for range 3 {
		clients = append(clients, dial(t, n))
		time.Sleep(2 * lag)
	}
	start := time.Now()
	p.Close()
	assert.Zero(t, time.Since(start), "Close waits for no script")
	assert.ErrorIs(t, p.Err(), net.ErrClosed, "what was expected did not come")
	for _, c := range clients {
		c.Close()
	}
	assert.Equal(t, 0, n.Open(), "nothing stays open")
}

func TestStartTLS(t *testing.T) { synctest.Test(t, testStartTLS) }
func testStartTLS(t *testing.T) {
	n, l := world(t)
	server, trust := certificate(t)
	p := mxsim.Play(l,
		mxsim.Script{mxsim.Hello("mx", "STARTTLS"), mxsim.StartTLS(server), mxsim.Expect("EHLO"), mxsim.Reply("250 mx"), mxsim.Bye()},
		mxsim.Script{mxsim.StartTLS(server)})
	c := dial(t, n)
	c.hear("220 mx ESMTP")
	c.say("EHLO us\r\n")
	c.hear("250-mx", "250 STARTTLS")
	c.say("STARTTLS\r\n")
	c.hear("220 2.0.0 go")
	s := tls.Client(c.Conn, trust)
	require.NoError(t, s.Handshake(), "the handshake works in memory")
	c = &client{s, t, bufio.NewReader(s)}
	c.say("EHLO us\r\n")
	c.hear("250 mx")
	c.say("QUIT\r\n")
	c.hear("221 2.0.0 bye")
	c.end(io.EOF)

	early := dial(t, n)
	early.say("STARTTLS\r\nEHLO injected\r\n")
	early.hear("220 2.0.0 go")
	early.r.ReadByte()
	early.Close()
	p.Close()
	results := p.Results()
	assert.NoError(t, results[0].Err, "the encrypted session was kept")
	assert.ErrorContains(t, results[1].Err, `got "EHLO injected`, "nothing may follow STARTTLS in clear text")
}

package mxsim_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// tcp is a listener on real sockets, and a way to dial it.
func tcp(t testing.TB) (net.Listener, func() *client) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	return l, func() *client {
		c, err := net.Dial("tcp4", l.Addr().String())
		require.NoError(t, err)
		tt, _ := t.(*testing.T)
		return &client{c, tt, bufio.NewReader(c)}
	}
}

func TestScriptsWorkOverTCP(t *testing.T) {
	l, dial := tcp(t)
	p := mxsim.Play(l,
		mxsim.Script{mxsim.Hello("mx", "PIPELINING"), mxsim.Deliver(1), mxsim.Bye()},
		mxsim.Script{mxsim.Expect("EHLO"), mxsim.Reset()},
		mxsim.Script{mxsim.Expect("EHLO"), mxsim.Reply("421 bye"), mxsim.Drop()})
	c := dial()
	c.hear("220 mx ESMTP")
	c.say("EHLO us\r\n")
	c.hear("250-mx", "250 PIPELINING")
	c.say("MAIL FROM:<>\r\nRCPT TO:<b@y>\r\nDATA\r\n")
	c.hear("250 2.1.0 ok", "250 2.1.0 ok", "354 go")
	c.say("x\r\n.\r\n")
	c.hear("250 2.0.0 queued")
	c.say("QUIT\r\n")
	c.hear("221 2.0.0 bye")
	c.end(io.EOF)

	c = dial()
	c.say("EHLO us\r\n")
	c.end(syscall.ECONNRESET)

	c = dial()
	c.say("EHLO us\r\n" + strings.Repeat("RSET\r\n", 1000))
	c.hear("421 bye")
	c.end(io.EOF)
	p.Close()
	assert.NoError(t, p.Err(), "the client kept to the scripts")
}

func TestServerWorksOverTCP(t *testing.T) {
	l, dial := tcp(t)
	s := mxsim.New(mxsim.Config{Rcpt: func(to string, _ int) string {
		if to == "gone@y" {
			return mxsim.Abort
		}
		return ""
	}})
	s.Start(l)
	c := dial()
	c.hello()
	c.say("MAIL FROM:<>\r\nRCPT TO:<b@y>\r\nDATA\r\n")
	c.hear("250 2.1.0 Ok", "250 2.1.5 Ok", "354 go ahead")
	c.say("x\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<gone@y>\r\n")
	c.hear("250 2.0.0 Ok: queued", "250 2.1.0 Ok")
	c.end(syscall.ECONNRESET)
	open := dial()
	open.hello()
	s.Close()
	_, err := open.r.ReadByte()
	assert.Error(t, err, "Close ends open sessions")
	assert.Len(t, s.Messages(), 1, "the message arrived")
}

// BenchmarkServer is what the server itself costs: one session, transactions of 100 recipients, everything pipelined.
func BenchmarkServer(b *testing.B) {
	l, dial := tcp(b)
	s := mxsim.New(mxsim.Config{Sink: func(*mxsim.Message) {}})
	s.Start(l)
	defer s.Close()
	c := dial()
	io.WriteString(c, "EHLO us\r\n")
	var group strings.Builder
	group.WriteString("MAIL FROM:<list@sender.example>\r\n")
	for i := range 100 {
		fmt.Fprintf(&group, "RCPT TO:<user%d@d1.1.example>\r\n", i)
	}
	group.WriteString("DATA\r\n")
	content := strings.Repeat("A line of the message, that is sixty characters long, more...\r\n", 50) + ".\r\n"
	replies := func(last string) {
		for {
			line, err := c.r.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			if strings.HasPrefix(string(line), last) {
				return
			}
		}
	}
	replies("250 ")
	b.ReportAllocs()
	for b.Loop() {
		io.WriteString(c, group.String())
		replies("354 ")
		io.WriteString(c, content)
		replies("250 2.0.0")
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "recipients/s")
}

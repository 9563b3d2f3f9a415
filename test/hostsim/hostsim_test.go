package hostsim

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// realTimeout ends a test that would hang; no test depends on its length.
const realTimeout = 20 * time.Second

// A server is LMTP's other side as a script: it answers each line of a host by what answer says.
type server struct {
	lines  []string      // all it was sent, without line ends
	bursts []int         // octets it found when it had answered everything before
	done   chan struct{} // closed when the host has left
}

// serve answers one host; the server may be looked at when done is closed.
func serve(t *testing.T, answer func(s *server, line string) string) (socket string, s *server) {
	socket = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err, "the socket can be made")
	s = &server{done: make(chan struct{})}
	go func() {
		defer close(s.done)
		defer l.Close()
		if c, err := l.Accept(); err == nil {
			s.talk(c, answer)
		}
	}()
	return socket, s
}

func (s *server) talk(c net.Conn, answer func(*server, string) string) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(realTimeout))
	in := bufio.NewReaderSize(c, 1<<20)
	reply := "220 server\r\n"
	for {
		if in.Buffered() == 0 || reply == "" {
			fmt.Fprint(c, reply)
			reply = ""
			if _, err := in.Peek(1); err != nil {
				return
			}
			s.bursts = append(s.bursts, in.Buffered())
		}
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		s.lines = append(s.lines, line)
		reply += answer(s, line)
	}
}

// polite accepts every recipient but those at "no.example", and delivers.
func polite() func(*server, string) string {
	accepted, inContent := 0, false
	return func(_ *server, line string) string {
		switch {
		case inContent && line == ".":
			inContent = false
			return strings.Repeat("250 2.0.0 Ok\r\n", accepted)
		case inContent:
			return ""
		case line == "DATA":
			inContent = true
			return "354 Go\r\n"
		case strings.HasPrefix(line, "LHLO"):
			return "250-server\r\n250 PIPELINING\r\n"
		case strings.HasSuffix(line, "@no.example>"):
			return "550 5.1.1 no\r\n"
		case strings.HasPrefix(line, "RCPT"):
			accepted++
		}
		return "250 2.1.0 Ok\r\n"
	}
}

func people(n int) []string {
	to := make([]string, n)
	for i := range to {
		to[i] = fmt.Sprintf("user%d@example.org", i)
	}
	return to
}

// deliver hands a message over and waits for the server's end.
func deliver(t *testing.T, group int, m Message, answer func(*server, string) string) (*server, Result, error) {
	socket, s := serve(t, answer)
	c, err := Dial("unix", socket)
	require.NoError(t, err, "the server greets")
	c.Group = group
	r, err := c.Deliver(m, nil)
	require.NoError(t, c.Close(), "the connection closes")
	<-s.done
	return s, r, err
}

func TestDeliver(t *testing.T) {
	m := Message{From: "sender@example.org", To: []string{"a@yes.example", "b@no.example", "c@yes.example"}, Body: []byte(".dot\r\ntext\r\n")}
	s, r, err := deliver(t, 0, m, polite())
	require.NoError(t, err, "everything is answered")
	assert.Equal(t, []string{"LHLO hostsim", "MAIL FROM:<sender@example.org>", "RCPT TO:<a@yes.example>", "RCPT TO:<b@no.example>",
		"RCPT TO:<c@yes.example>", "DATA", "..dot", "text", ".", "QUIT"}, s.lines, "the dialogue is LMTP's, with dots stuffed")
	require.Len(t, r.Accepted, 3, "each RCPT has a reply")
	require.Len(t, r.Final, 2, "each accepted recipient has another")
	var codes []int
	for _, o := range r.Outcomes() {
		codes = append(codes, o.Code)
	}
	assert.Equal(t, []int{250, 550, 250}, codes, "outcomes stand in the order of the recipients")
}

func TestGroups(t *testing.T) {
	const recipients = 1000
	tests := []struct {
		rule  string
		group int
		least int // groups
	}{
		{"as Postfix", PostfixGroup, recipients * len("RCPT TO:<user000@example.org>\r\n") / PostfixGroup},
		{"a group has at least one command", 1, recipients + 2},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			s, r, err := deliver(t, tt.group, Message{To: people(recipients)}, polite())
			require.NoError(t, err, "everything is answered")
			assert.Len(t, r.Final, recipients, "every recipient is delivered")
			assert.GreaterOrEqual(t, len(s.bursts), tt.least, "replies are awaited between groups")
			for _, octets := range s.bursts {
				assert.LessOrEqual(t, octets, max(tt.group, len("RCPT TO:<user000@example.org>\r\n")+len("DATA\r\n")), "no group is larger")
			}
		})
	}
}

func TestServerThatBreaksTheProtocol(t *testing.T) {
	tests := []struct {
		rule, to, with string
		says           string
	}{
		{"another code for MAIL", "MAIL", "451 4.3.2 later\r\n", "451 4.3.2 later instead of 250"},
		{"another code for DATA", "DATA", "503 5.5.1 no\r\n", "503 5.5.1 no instead of 354"},
		{"no code", "RCPT", "hello\r\n", `no reply: "hello"`},
		{"a line without end", "RCPT", strings.Repeat("2", 5000), "buffer full"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			rest := polite()
			_, _, err := deliver(t, 0, Message{To: people(2)}, func(s *server, line string) string {
				if strings.HasPrefix(line, tt.to) {
					return tt.with
				}
				return rest(s, line)
			})
			assert.ErrorContains(t, err, tt.says, "the error says what was answered")
		})
	}
}

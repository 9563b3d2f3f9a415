package lmtp

import (
	"bytes"
	"io"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
)

// A tape is a connection whose host sent everything at once, in pieces, and then left; it keeps what was answered.
type tape struct {
	net.Conn // for deadlines and addresses only
	in       []byte
	piece    int
	out      bytes.Buffer
}

func (t *tape) Read(p []byte) (int, error) {
	if len(t.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), t.piece)], t.in)
	t.in = t.in[n:]
	return n, nil
}

func (t *tape) Write(p []byte) (int, error) { return t.out.Write(p) }

// play serves what a host sent, with a Mailer that settles everything at once; it returns the lines answered and the number of
// recipients handed over. Deadlines fail, so that no goroutine reads ahead and every run of the same octets is the same.
func play(t *testing.T, sent []byte, piece int) (lines []string, handedOver int) {
	m := newMailer()
	var n atomic.Int64
	m.onSend = func(e *feed.Envelope) {
		n.Add(int64(len(e.Recipients)))
		assert.Len(t, e.Routes, len(e.Recipients), "every recipient has a route")
		deliverAll(e)
	}
	theirs, ours := net.Pipe()
	defer theirs.Close()
	conn := &tape{Conn: noDeadlines{ours}, in: sent, piece: piece}
	s := New(Config{Mailer: m, MaxMessageSize: 1 << 16, Memory: 1 << 20})
	assert.NoError(t, s.ServeConn(conn), "the end of the input is no error")
	st := s.Stats()
	assert.Zero(t, st.Panics, "nothing panics")
	assert.Zero(t, int64(st.Connections+st.Transactions+st.Bodies)+st.Bytes, "nothing is left behind")
	lines = strings.SplitAfter(conn.out.String(), "\r\n")
	require.Empty(t, lines[len(lines)-1], "the last reply is complete")
	for i := range lines {
		lines[i] = badParameter.ReplaceAllString(lines[i], "504 5.5.4 bad")
	}
	return lines[:len(lines)-1], int(n.Load())
}

// badParameter is what go-smtp says of parameters; when several are bad, it takes any of them.
var badParameter = regexp.MustCompile(`^50\d 5\.5\.4 [ -~]*`)

var replyLine = regexp.MustCompile(`^[2345][0-9][0-9][ -][ -~]*\r\n$`)

func FuzzSession(f *testing.F) {
	head := "LHLO x\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nRCPT TO:<b@x.example>\r\n"
	for _, s := range []string{
		head + "DATA\r\ntext\r\n.\r\nQUIT\r\n",
		head + "DATA\r\ntext\r\r\n.\r\nNOOP\r\n",
		head + "DATA\r\ntext\r\n.",
		head + "MAIL FROM:<>\r\nRSET\r\nMAIL FROM:<> SMTPUTF8 BODY=8BITMIME\r\nRCPT TO:<\"\\\"x> y\"@x.example>\r\ndata\n.\r\n",
		head + "RCPT TO:<@x>\r\nrcpt to:<c@y.example>\r\nRCPT TO:<c@-y>\r\nRCPT TO:<d.@Y.example.>\r\nRCPT TO:<e@192.0.2.1>\r\nDATA\r\n.\r\n",
		head + "BDAT 10 LAST\r\n0123456789BDAT 5\r\nQUIT\r\n",
		"NOOP\nSTARTTLS\r\nAUTH PLAIN\r\nVRFY x\r\nEHLO x\r\n<\x00\x00\x00 x\r\n",
		head + "LHLO y\r\nRCPT TO:<@r:c@y.example> NOTIFY=NEVER\r\nDATA\r\n",
		head + "DATA\r\n" + strings.Repeat("x", 70000) + "\r\n.\r\nNOOP\r\n",
	} {
		f.Add([]byte(s), 7)
	}
	f.Fuzz(func(t *testing.T, sent []byte, piece int) {
		piece = 1 + (piece&0xff)*(piece&0xff)
		lines, handedOver := play(t, sent, piece)
		final, go354 := 0, 0
		for _, line := range lines {
			require.Regexp(t, replyLine, line, "every reply is a line of printable ASCII")
			if strings.Contains(line, "said: 250 2.0.0 Ok") {
				final++
			}
			if strings.HasPrefix(line, "354") {
				go354++
			}
		}
		assert.Equal(t, handedOver, final, "every recipient handed over is answered once, and nothing else is")
		assert.LessOrEqual(t, go354, bytes.Count(bytes.ToUpper(sent), []byte("DATA")), "each DATA begins one content at most")
		again, _ := play(t, sent, 1+piece/2)
		assert.Equal(t, lines, again, "how the octets were cut makes no difference")
		if len(sent) < 4<<10 { // below all limits, or the added octets could make a difference
			lines, _ = play(t, unplain(sent), piece)
			assert.Equal(t, lines, again, "whether go-smtp or we take a recipient makes no difference")
		}
	})
}

var plainBegin = regexp.MustCompile(`(?i)(rcpt) (to:<)`)

// unplain gives go-smtp all recipients: it takes two spaces for one.
func unplain(sent []byte) []byte { return plainBegin.ReplaceAll(sent, []byte("$1  $2")) }

// Whatever is cut off at whatever octet, an incomplete content is never handed over.
func TestEveryPrefixOfASession(t *testing.T) {
	sent := "LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@x.example>\r\nDATA\r\n.stuffed\r\n..\r\n\r\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<b@x.example>\r\nRCPT TO:<c@x.example>\r\nDATA\r\n.\r\nQUIT\r\n"
	first := strings.Index(sent, "\r\n.\r\nMAIL") + len("\r\n.\r\n")
	second := strings.Index(sent, "QUIT")
	for n := range len(sent) + 1 {
		want := 0
		if n >= first {
			want++
		}
		if n >= second {
			want += 2
		}
		_, handedOver := play(t, []byte(sent[:n]), 1+n%5)
		require.Equal(t, want, handedOver, "recipients handed over behind %d octets", n)
	}
}

package lmtp

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
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

// play serves what a host sent, with a Mailer that settles everything at once; it returns the lines answered and the recipients handed
// over, with what they asked for. Deadlines fail, so that no goroutine reads ahead and every run of the same octets is the same.
func play(t *testing.T, c Config, sent []byte, piece int) (lines, handedOver []string) {
	m := newMailer()
	m.onSend = func(e *feed.Envelope) {
		checkEnvelope(t, e)
		handedOver = append(handedOver, askedOf(e)...)
		deliverAll(e)
	}
	theirs, ours := net.Pipe()
	defer theirs.Close()
	conn := &tape{Conn: noDeadlines{ours}, in: sent, piece: piece}
	c.Mailer, c.MaxMessageSize, c.Memory = m, 1<<16, 1<<20
	s := New(c)
	assert.NoError(t, s.ServeConn(conn), "the end of the input is no error")
	st := s.Stats()
	assert.Zero(t, st.Panics, "nothing panics")
	assert.Zero(t, int64(st.Connections+st.Transactions+st.Bodies)+st.Bytes, "nothing is left behind")
	lines = strings.SplitAfter(conn.out.String(), "\r\n")
	require.Empty(t, lines[len(lines)-1], "the last reply is complete")
	for i := range lines {
		lines[i] = badParameter.ReplaceAllString(lines[i], "504 5.5.4 bad")
	}
	return lines[:len(lines)-1], handedOver
}

// checkEnvelope checks what the Mailer relies on: nothing in an envelope can end an argument of a command, or a line.
func checkEnvelope(t *testing.T, e *feed.Envelope) {
	assert.Len(t, e.Routes, len(e.Recipients), "every recipient has a route")
	assert.Contains(t, []int{0, len(e.Recipients)}, len(e.Notify), "all recipients have their parameters, or none has")
	assert.Regexp(t, `\A[ -~]{0,100}\z`, e.Params.DSN.EnvID, "ENVID is short and printable")
	assert.Contains(t, []string{"", "FULL", "HDRS"}, e.Params.DSN.Ret, "RET is one of its words")
	for _, p := range e.Notify {
		assert.LessOrEqual(t, len(p.ORCPT), maxORCPT, "ORCPT is short")
		assert.Regexp(t, `\A(?:|[a-z0-9-]+;[ -~]+|utf-8;[^\p{Cc}]+)\z`, p.ORCPT, "and has a type, and no control character")
		assert.True(t, utf8.ValidString(p.ORCPT), "and is UTF-8")
		assert.True(t, p.Notify&wire.NotifyNever == 0 || p.Notify == wire.NotifyNever, "NEVER stands alone")
	}
}

// askedOf is each recipient with what it and its sender asked for.
func askedOf(e *feed.Envelope) []string {
	list := make([]string, len(e.Recipients))
	for i, a := range e.Recipients {
		var asked wire.RcptParams
		if e.Notify != nil {
			asked = e.Notify[i]
		}
		list[i] = fmt.Sprintf("%+v %s %+v", e.Params, a, asked)
	}
	return list
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
		"LHLO x\r\nMAIL FROM:<a@x.example> RET=hdrs ENVID=a+20b+3D REQUIRETLS\r\nRCPT TO:<b@x.example> ORCPT=rfc822;b@x.example\r\n" +
			"RCPT TO:<b@x.example> ORCPT=rfc822;list@x.example NOTIFY=SUCCESS,delay\r\nRCPT TO:<c@x.example> NOTIFY=NEVER ORCPT=utf-8;\\x{FC}@x.example\r\nDATA\r\nTLS-Required: No\r\n\r\n.\r\n",
		head + "RCPT TO:<c@x.example> ORCPT=rfc822;b+0D+0ARSET\r\nRCPT TO:<c@x.example> NOTIFY=NEVER,SUCCESS\r\nRCPT TO:<c@x.example> ORCPT=utf-8;\\x{01}\r\nDATA\r\n.\r\n",
		"NOOP\nSTARTTLS\r\nAUTH PLAIN\r\nVRFY x\r\nEHLO x\r\n<\x00\x00\x00 x\r\n",
		head + "LHLO y\r\nRCPT TO:<@r:c@y.example> NOTIFY=NEVER\r\nDATA\r\n",
		head + "DATA\r\n" + strings.Repeat("x", 70000) + "\r\n.\r\nNOOP\r\n",
	} {
		f.Add([]byte(s), 7, false)
		f.Add([]byte(s), 7, true)
	}
	f.Fuzz(func(t *testing.T, sent []byte, piece int, extended bool) {
		piece = 1 + (piece&0xff)*(piece&0xff)
		c := Config{DSN: extended, RequireTLS: extended}
		lines, handedOver := play(t, c, sent, piece)
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
		assert.Equal(t, len(handedOver), final, "every recipient handed over is answered once, and nothing else is")
		assert.LessOrEqual(t, go354, bytes.Count(bytes.ToUpper(sent), []byte("DATA")), "each DATA begins one content at most")
		again, _ := play(t, c, sent, 1+piece/2)
		assert.Equal(t, lines, again, "how the octets were cut makes no difference")
		if len(sent) < 4<<10 && !bytes.Contains(bytes.ToUpper(sent), []byte("ORCPT")) { // below all limits, or the added octets could make a difference
			lines, others := play(t, c, unplain(sent), piece)
			assert.Equal(t, lines, again, "whether go-smtp or we take a recipient makes no difference")
			assert.Equal(t, handedOver, others, "nor in what it asked for")
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
		_, handedOver := play(t, Config{}, []byte(sent[:n]), 1+n%5)
		require.Len(t, handedOver, want, "recipients handed over behind %d octets", n)
	}
}

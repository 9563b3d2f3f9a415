package lmtp

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A sheet is a connection that keeps each write.
type sheet struct {
	net.Conn
	err error

	mu     sync.Mutex
	writes []string
}

// written returns the writes so far.
func (s *sheet) written() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

func (s *sheet) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, string(p))
	return len(p), s.err
}

func (s *sheet) SetWriteDeadline(time.Time) error { return nil }

func newSheet(err error) (*sheet, *replies, *int) {
	s, failures := &sheet{err: err}, 0
	return s, newReplies(s, &Config{Hostname: "feed.example"}, func() { failures++ }), &failures
}

func TestMend(t *testing.T) {
	tests := []struct{ rule, line, sent string }{
		{"what needs no mending stays", "250 2.0.0 Session reset\r\n", "250 2.0.0 Session reset\r\n"},
		{"our name in the reply to LHLO", "250-Hello \x1b[2Jevil\r\n", "250-feed.example\r\n"},
		{"CHUNKING is not announced", "250-CHUNKING\r\n", ""},
		{"SIZE says that there is no limit", "250 SIZE\r\n", "250 SIZE 0\r\n"},
		{"RCPT", "250 2.0.0 I'll make sure <a\xff@x> gets this\r\n", "250 2.1.5 Ok\r\n"},
		{"MAIL", "250 2.0.0 Roger, accepting mail from <a\x00@x>\r\n", "250 2.1.0 Ok\r\n"},
		{"a final reply of go-smtp is dropped", "451 4.3.0 <a@x> \x00\r\n", ""},
		{"whatever the recipient", "451 4.3.0 <\"a> b <\"@x> \x00\r\n", ""},
		{"ours is not", "451 4.3.0 smtpfeed could not handle this, try again later\r\n", "451 4.3.0 smtpfeed could not handle this, try again later\r\n"},
		{"a mark elsewhere is just an octet", "500 5.5.2 Syntax errors, <\x00ab command unrecognized\r\n", "500 5.5.2 Syntax errors, <?ab command unrecognized\r\n"},
		{"a mark without a recipient too", "451 4.3.0 \x00\r\n", "451 4.3.0 ?\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			for cut := range len(tt.line) { // go-smtp's buffer may cut a long line
				s, r, _ := newSheet(nil)
				io.WriteString(r, tt.line[:cut])
				io.WriteString(r, tt.line[cut:])
				r.close()
				assert.Equal(t, tt.sent, strings.Join(s.written(), ""), "the line is mended, cut at %d", cut)
			}
		})
	}
}

func TestGathering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r, _ := newSheet(nil)
		line := "250 2.0.0 " + strings.Repeat("x", 88) + "\r\n" // 100 octets
		for range 2 * gather / len(line) {
			io.WriteString(r, line)
		}
		require.Len(t, s.written(), 1, "a full buffer is written")
		assert.GreaterOrEqual(t, len(s.written()[0]), gather, "not before it is full")
		time.Sleep(linger)
		synctest.Wait()
		assert.Len(t, s.written(), 2, "the rest when nothing joined it for a while")
		io.WriteString(r, line)
		r.flush()
		assert.Len(t, s.written(), 3, "or when somebody waits for it")
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Len(t, s.written(), 3, "nothing is written twice")
		io.WriteString(r, line)
		r.close()
		assert.Len(t, s.written(), 4, "the last is written before the end")
		_, err := io.WriteString(r, line)
		assert.ErrorIs(t, err, net.ErrClosed, "nothing is taken after it")
	})
}

func TestFailedWrite(t *testing.T) {
	broken := errors.New("broken")
	s, r, failures := newSheet(broken)
	io.WriteString(r, "250 2.0.0 one\r\n")
	r.flush()
	_, err := io.WriteString(r, "250 2.0.0 two\r\n")
	assert.ErrorIs(t, err, broken, "go-smtp is told")
	r.say("421 4.3.2 bye")
	r.close()
	assert.Len(t, s.written(), 1, "nothing is written after a write that failed")
	assert.Equal(t, 1, *failures, "the host is marked as gone once")
	assert.ErrorIs(t, r.failure(), broken, "the error is kept")
}

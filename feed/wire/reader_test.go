package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readAll reads replies until the first error.
func readAll(r *Reader) (replies []Reply, err error) {
	for {
		reply, err := r.ReadReply()
		if err != nil {
			return replies, err
		}
		replies = append(replies, reply)
	}
}

func TestReadReply(t *testing.T) {
	long := strings.Repeat("x", MaxLine-len("250 \r\n"))
	for _, c := range []struct {
		rule, wire string
		want       []Reply
	}{
		{"one line", "250 Ok\r\n", []Reply{{250, Enhanced{}, "Ok"}}},
		{"bare LF ends a line", "250 Ok\n", []Reply{{250, Enhanced{}, "Ok"}}},
		{"a bare code", "220\r\n", []Reply{{220, Enhanced{}, ""}}},
		{"a bare code and a bare LF", "220\n", []Reply{{220, Enhanced{}, ""}}},
		{"a code and a blank", "220 \r\n", []Reply{{220, Enhanced{}, ""}}},
		{"pipelined replies", "250 a\r\n550 b\n354 c\r\n", []Reply{{250, Enhanced{}, "a"}, {550, Enhanced{}, "b"}, {354, Enhanced{}, "c"}}},
		{"lines are joined", "250-a\r\n250-b\n250 c\r\n", []Reply{{250, Enhanced{}, "a\nb\nc"}}},
		{"a bare code ends a reply of several lines", "250-a\r\n250\r\n", []Reply{{250, Enhanced{}, "a\n"}}},
		{"empty lines of a reply stay lines", "250-\r\n250-\r\n250 x\r\n", []Reply{{250, Enhanced{}, "\n\nx"}}},
		{"the enhanced code is cut off every line", "550-5.1.1 no\r\n550 5.1.1 user\r\n", []Reply{{550, Enhanced{5, 1, 1}, "no\nuser"}}},
		{"the enhanced code may stand on the first line only", "550-5.1.1 no\r\n550 user\r\n", []Reply{{550, Enhanced{5, 1, 1}, "no\nuser"}}},
		{"the first line's enhanced code counts", "550-5.1.1 no\r\n550 5.7.1 user\r\n", []Reply{{550, Enhanced{5, 1, 1}, "no\n5.7.1 user"}}},
		{"none on the first line is none", "550-no\r\n550 5.7.1 user\r\n", []Reply{{550, Enhanced{}, "no\n5.7.1 user"}}},
		{"the code decides against the enhanced code", "450 5.1.1 x\r\n", []Reply{{450, Enhanced{}, "5.1.1 x"}}},
		{"NUL, CR, ESC and 8-bit are text", "250 a\x00b\rc\x1b\xff\r\n", []Reply{{250, Enhanced{}, "a\x00b\rc\x1b\xff"}}},
		{"of CR CR LF one CR is the line's end", "250 a\r\r\n", []Reply{{250, Enhanced{}, "a\r"}}},
		{"delivered and closing in one segment", "250 ok\r\n421 closing\r\n", []Reply{{250, Enhanced{}, "ok"}, {421, Enhanced{}, "closing"}}},
		{"the longest line", "250 " + long + "\r\n", []Reply{{250, Enhanced{}, long}}},
		{"equal texts with other codes", "250 x\r\n450 x\r\n250-x\r\n250 y\r\n", []Reply{{250, Enhanced{}, "x"}, {450, Enhanced{}, "x"}, {250, Enhanced{}, "x\ny"}}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got, err := readAll(NewReader(strings.NewReader(c.wire)))
			assert.Equal(t, c.want, got, "all replies are read")
			assert.Equal(t, io.EOF, err, "the end between replies is a clean one")
			drip, err := readAll(NewReader(iotest.OneByteReader(strings.NewReader(c.wire))))
			assert.Equal(t, c.want, drip, "one octet a segment makes no difference")
			assert.Equal(t, io.EOF, err, "nor does it for the end")
		})
	}
}

func TestReadReplyRefuses(t *testing.T) {
	for _, c := range []struct{ rule, wire, line string }{
		{"garbage", "hello world\r\n", "hello world"},
		{"an empty line", "\r\n250 Ok\r\n", ""},
		{"a leading blank", " 250 Ok\r\n", " 250 Ok"},
		{"four digits", "2200 x\r\n", "2200 x"},
		{"a binary line", "\x16\x03\x01\x00\n", "?"},
		{"codes that differ within a reply", "250-a\r\n550 b\r\n", "550 b"},
		{"a hyphen, then another code with a hyphen", "250-a\r\n251-b\r\n", "251-b"},
		{"garbage inside a reply", "250-a\r\nxyz\r\n", "xyz"},
		{"a line one octet too long", "250 " + strings.Repeat("x", MaxLine-5) + "\r\n", "250 " + strings.Repeat("x", maxErrorText-4)},
		{"a line that never ends", strings.Repeat("2", 10<<20), strings.Repeat("2", maxErrorText)},
	} {
		t.Run(c.rule, func(t *testing.T) {
			_, err := NewReader(strings.NewReader(c.wire)).ReadReply()
			var bad *SyntaxError
			require.ErrorAs(t, err, &bad, "it is no reply")
			assert.Equal(t, c.line, bad.Line, "the error quotes the line, clean and cut")
			assert.NotEmpty(t, bad.Reason, "the error says why")
			assert.True(t, isClean(err.Error()), "the error is fit for a log")
		})
	}
}

func TestGarbageBetweenRepliesShiftsNothing(t *testing.T) {
	got, err := readAll(NewReader(strings.NewReader("250 a\r\nhello world\r\n221 Bye\r\n")))
	assert.Equal(t, []Reply{{250, Enhanced{}, "a"}}, got, "the reply before the garbage counts and none behind it")
	var bad *SyntaxError
	assert.ErrorAs(t, err, &bad, "the garbage is never skipped")
}

func TestSyntaxErrorIsForEver(t *testing.T) {
	r := NewReader(strings.NewReader("x\r\n250 Ok\r\n"))
	_, first := r.ReadReply()
	_, second := r.ReadReply()
	assert.Error(t, first, "the first line is no reply")
	assert.Equal(t, first, second, "no reply is found behind a bad line")
	assert.NotZero(t, r.Buffered(), "the synchronisation is lost")
	assert.True(t, r.Pending(), "the error needs no further octet")
}

func TestReplyLimits(t *testing.T) {
	lines := func(n int, text string) string {
		return strings.Repeat("250-"+text+"\r\n", n-1) + "250 " + text + "\r\n"
	}
	line := strings.Repeat("x", 1018) // 1024 octets on the wire
	for _, c := range []struct {
		rule, wire string
		ok         bool
	}{
		{"as many lines as allowed", lines(MaxReplyLines, "x"), true},
		{"one line too many", lines(MaxReplyLines+1, "x"), false},
		{"as many octets as allowed", lines(64, line), true},
		{"one octet too many", strings.Repeat("250-"+line+"\r\n", 63) + "250 " + line + "x\r\n", false},
		{"a line too many for the octets", lines(65, line), false},
		{"two million lines", strings.Repeat("220-x\r\n", 2_000_000), false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			r := NewReader(strings.NewReader(c.wire))
			_, err := r.ReadReply()
			assert.Equal(t, c.ok, err == nil, "the reply is within the limits or not: %v", err)
			assert.LessOrEqual(t, len(r.buf), MaxLine, "the buffer never holds more than a line")
			assert.LessOrEqual(t, cap(r.part.text), keepText, "no large text is kept")
		})
	}
}

// A gate is a peer that falls silent: reading past its octets is a failure of the test.
type gate struct {
	t *testing.T
	r io.Reader
}

func (g *gate) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	require.NotEqual(g.t, io.EOF, err, "nothing more is read than needed")
	return n, err
}

func TestBadLineIsKnownAtOnce(t *testing.T) {
	for _, c := range []struct{ rule, wire string }{
		{"garbage", "SSH-2.0-x\r\n"},
		{"codes that differ", "250-a\r\n550-b\r\n"},
		{"a line without end", strings.Repeat("x", MaxLine)},
		{"the last line that is allowed says that one more follows", strings.Repeat("250-x\n", MaxReplyLines)},
	} {
		t.Run(c.rule, func(t *testing.T) {
			_, err := NewReader(&gate{t, strings.NewReader(c.wire)}).ReadReply()
			var bad *SyntaxError
			assert.ErrorAs(t, err, &bad, "the error does not wait for more")
		})
	}
}

func TestEndOfInput(t *testing.T) {
	for _, c := range []struct {
		rule, wire string
		want       error
	}{
		{"nothing at all", "", io.EOF},
		{"between replies", "250 Ok\r\n", io.EOF},
		{"inside a line", "250 2.0.0 queu", io.ErrUnexpectedEOF},
		{"inside a line end", "250 2.0.0 queued\r", io.ErrUnexpectedEOF},
		{"behind a continuation line", "250-a\r\n", io.ErrUnexpectedEOF},
		{"inside a reply of several lines", "250-a\r\n25", io.ErrUnexpectedEOF},
	} {
		t.Run(c.rule, func(t *testing.T) {
			for _, src := range []io.Reader{strings.NewReader(c.wire), iotest.DataErrReader(strings.NewReader(c.wire))} {
				_, err := readAll(NewReader(src))
				assert.Equal(t, c.want, err, "an incomplete reply is no reply")
			}
		})
	}
}

func TestOwnErrorOfTheSourcePasses(t *testing.T) {
	r := NewReader(io.MultiReader(strings.NewReader("250-a\r\n250 b"), iotest.ErrReader(os.ErrDeadlineExceeded)))
	_, err := r.ReadReply()
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "the source's error is returned as it is")
}

func TestReadingGoesOnAfterATimeout(t *testing.T) {
	r := NewReader(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("250-a\r\n250 b\r\n"))))
	_, err := r.ReadReply()
	require.ErrorIs(t, err, iotest.ErrTimeout, "the second read times out")
	got, err := r.ReadReply()
	require.NoError(t, err, "the reply is read on")
	assert.Equal(t, Reply{250, Enhanced{}, "a\nb"}, got, "nothing was lost at the timeout")
}

func TestSourceWithoutProgress(t *testing.T) {
	_, err := NewReader(stuckReader{}).ReadReply()
	assert.ErrorIs(t, err, io.ErrNoProgress, "a source that never gives anything is given up")
}

type stuckReader struct{}

func (stuckReader) Read([]byte) (int, error) { return 0, nil }

// TestBufferedAndPending feeds segments and looks at what the Reader says of itself after each.
func TestBufferedAndPending(t *testing.T) {
	src := new(bytes.Buffer)
	r := NewReader(src)
	assert.Zero(t, r.Buffered(), "nothing was read yet")
	assert.False(t, r.Pending(), "nothing was read yet")

	src.WriteString("220 a\r\n220 b\r\n250-c\r\n2")
	_, err := r.ReadReply()
	require.NoError(t, err, "the first greeting is complete")
	assert.Equal(t, len("220 b\r\n250-c\r\n2"), r.Buffered(), "the peer sent more than one greeting")
	assert.True(t, r.Pending(), "a second reply is complete")
	assert.Equal(t, len("220 b\r\n250-c\r\n2"), r.Buffered(), "asking changes nothing")

	_, err = r.ReadReply()
	require.NoError(t, err, "the second greeting is complete")
	assert.False(t, r.Pending(), "a reply without its end is not pending")
	assert.Equal(t, len("250-c\r\n2"), r.Buffered(), "lines already parsed still belong to no reply")

	src.WriteString("50 d\r\n")
	_, err = r.ReadReply()
	require.NoError(t, err, "the reply is complete now")
	assert.Zero(t, r.Buffered(), "all octets belong to replies")
	assert.False(t, r.Pending(), "nothing is left")
}

func TestPendingSeesErrors(t *testing.T) {
	r := NewReader(strings.NewReader("250 a\r\nrubbish\r\n"))
	_, err := r.ReadReply()
	require.NoError(t, err, "the first line is a reply")
	assert.True(t, r.Pending(), "the bad line is certain")

	r = NewReader(iotest.DataErrReader(strings.NewReader("250 a\r\n25")))
	_, err = r.ReadReply()
	require.NoError(t, err, "the first line is a reply")
	assert.True(t, r.Pending(), "the end came together with the octets")
	_, err = r.ReadReply()
	assert.Equal(t, io.ErrUnexpectedEOF, err, "and it came inside a reply")
}

func TestReaderIsSmall(t *testing.T) {
	r := NewReader(strings.NewReader(strings.Repeat("250 2.1.5 Ok\r\n", 200)))
	_, err := readAll(r)
	require.Equal(t, io.EOF, err, "all replies are read")
	assert.Len(t, r.buf, 1024, "short replies need the first buffer only")
	assert.LessOrEqual(t, int(unsafe.Sizeof(*r))+MaxLine, 2500, "even a session with long lines stays small")
}

func TestEqualRepliesCostNothing(t *testing.T) {
	wire := []byte(strings.Repeat("250 2.1.5 Ok\r\n", 100))
	src := bytes.NewReader(wire)
	r := NewReader(src)
	allocs := testing.AllocsPerRun(20, func() {
		src.Reset(wire)
		for range 100 {
			if _, err := r.ReadReply(); err != nil {
				panic(err)
			}
		}
	})
	assert.Zero(t, allocs, "a server that repeats itself costs no allocation")
}

func TestReplyDoesNotChangeLater(t *testing.T) {
	r := NewReader(strings.NewReader("250-aaaa\r\n250 bbbb\r\n250-cccc\r\n250 dddd\r\n"))
	first, err := r.ReadReply()
	require.NoError(t, err, "the first reply is complete")
	_, err = r.ReadReply()
	require.NoError(t, err, "the second reply is complete")
	assert.Equal(t, "aaaa\nbbbb", first.Text, "a reply is not in the Reader's memory")
}

func TestSyntaxErrorText(t *testing.T) {
	err := fmt.Errorf("mx1.example: %w", &SyntaxError{Line: `say "hi"`, Reason: "no reply code"})
	assert.EqualError(t, err, `mx1.example: no SMTP reply: no reply code: "say \"hi\""`, "the error tells what came and why it is bad")
	var bad *SyntaxError
	assert.True(t, errors.As(err, &bad), "it is found by its type")
}

func BenchmarkReadReply(b *testing.B) {
	for _, c := range []struct{ name, wire string }{
		{"100 equal", strings.Repeat("250 2.1.5 Ok\r\n", 100)},
		{"100 different", differentReplies(100)},
	} {
		b.Run(c.name, func(b *testing.B) {
			wire := []byte(c.wire)
			src := bytes.NewReader(wire)
			r := NewReader(src)
			b.ReportAllocs()
			b.SetBytes(int64(len(wire)))
			for b.Loop() {
				src.Reset(wire)
				for range 100 {
					if _, err := r.ReadReply(); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/reply")
		})
	}
}

func differentReplies(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "250 2.1.5 <user%d@example.org> Ok\r\n", i)
	}
	return b.String()
}

package wire

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The oracles' grammar: RFC 5321 section 4.2 as we read it, and RFC 3463 section 2.
var (
	replyGrammar    = regexp.MustCompile(`(?s)^([2-5][0-9][0-9])(?:([ -])(.*))?$`)
	enhancedGrammar = regexp.MustCompile(`(?s)^([245])\.([0-9]{1,3})\.([0-9]{1,3})(?:[ \t](.*))?$`)
)

// A cutter gives its octets in the segments that cuts asks for, and counts the reads.
type cutter struct {
	data, cuts []byte
	reads      int
}

func (c *cutter) Read(p []byte) (int, error) {
	c.reads++
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := len(c.data)
	if len(c.cuts) > 0 {
		n = min(n, int(c.cuts[0])+1)
		c.cuts = append(c.cuts[1:], c.cuts[0])
	}
	n = copy(p[:min(n, len(p))], c.data)
	c.data = c.data[n:]
	return n, nil
}

// FuzzReply: any split of the same octets gives the same replies and the same error, memory is bounded, Pending and Buffered
// tell the truth, and a slow reading by the grammar agrees.
func FuzzReply(f *testing.F) {
	for _, wire := range []string{
		"250 Ok\r\n", "250\n", "250-a\r\n250 b\r\n221 Bye\r\n", "550-5.1.1 x\r\n550 5.1.1 y\r\n", "250-a\r\n550 b\r\n", "2200 x\r\n",
		"220 ******2******0*\r\n", "250 2.0.0 queu", "250-a\r\n", "\r\n", "250 a\r\r\n250 \x00\xff\x1b\r\n", "354 go\n354\r\n", "450 5.1.1 x\r\n",
		strings.Repeat("250-x\n", 130), strings.Repeat("9", 3000), "250-" + strings.Repeat("y", 2000) + "\r\n250 z\r\n",
		"250-" + strings.Repeat("y", 1500) + "\r\n", // ends inside a reply whose text is long
	} {
		f.Add([]byte(wire), []byte{0})
		f.Add([]byte(wire), []byte{3, 0, 7})
	}
	f.Fuzz(func(t *testing.T, wire, cuts []byte) {
		whole, wholeErr := readAll(NewReader(bytes.NewReader(wire)))
		cut, cutErr := readChecked(t, wire, cuts)
		assert.Equal(t, whole, cut, "segments make no difference for the replies")
		assert.Equal(t, wholeErr, cutErr, "segments make no difference for the error")
		want, wantErr := readSlowly(string(wire))
		assert.Equal(t, want, whole, "the grammar gives the same replies")
		assert.IsType(t, wantErr, wholeErr, "the grammar gives the same end")
	})
}

// readChecked reads all replies and checks after each step what the Reader promises.
func readChecked(t *testing.T, wire, cuts []byte) (replies []Reply, err error) {
	src := &cutter{data: wire, cuts: bytes.Clone(cuts)}
	r := NewReader(src)
	for {
		pending, reads := r.Pending(), src.reads
		reply, err := r.ReadReply()
		assert.Equal(t, pending, src.reads == reads, "Pending says whether the next reply needs a read")
		assert.LessOrEqual(t, len(r.buf), MaxLine, "the buffer holds one line at most")
		assert.LessOrEqual(t, cap(r.part.text), 2*MaxReply, "inside a reply its text is bounded")
		if err != nil {
			return replies, err
		}
		assert.LessOrEqual(t, cap(r.part.text), keepText, "between replies no large text is held")
		used := len(wire) - len(src.data) - r.Buffered()
		assert.Positive(t, used, "the reply's octets are no longer counted as buffered")
		assert.True(t, used == len(wire) || wire[used-1] == '\n', "Buffered begins at a line")
		checkReply(t, reply)
		replies = append(replies, reply)
	}
}

func checkReply(t *testing.T, r Reply) {
	assert.True(t, r.Code >= 200 && r.Code <= 599, "the code is one of RFC 5321: %d", r.Code)
	assert.LessOrEqual(t, len(r.Text), MaxReply, "the text is bounded")
	if r.Enhanced != (Enhanced{}) {
		assert.Equal(t, r.Code/100, int(r.Enhanced.Class), "the enhanced class is the code's")
	}
	assert.LessOrEqual(t, len(r.String()), maxReplyText, "the clean line is bounded")
	assert.True(t, isClean(r.String()), "the clean line is clean")
}

// readSlowly is an oracle: the grammar as a pattern, without any regard for time and memory.
func readSlowly(wire string) (replies []Reply, err error) {
	var text []string
	code, octets := "", 0
	for {
		line, rest, found := strings.Cut(wire, "\n")
		switch {
		case len(line) >= MaxLine:
			return replies, &SyntaxError{}
		case !found && line == "" && text == nil:
			return replies, io.EOF
		case !found:
			return replies, io.ErrUnexpectedEOF
		}
		wire, octets = rest, octets+len(line)+1
		m := replyGrammar.FindStringSubmatch(strings.TrimSuffix(line, "\r"))
		if m == nil || text != nil && m[1] != code {
			return replies, &SyntaxError{}
		}
		code, text = m[1], append(text, m[3])
		if octets > MaxReply || m[2] == "-" && len(text) == MaxReplyLines {
			return replies, &SyntaxError{}
		}
		if m[2] != "-" {
			replies = append(replies, assemble(code, text))
			text, octets = nil, 0
		}
	}
}

// assemble joins the oracle's lines.
func assemble(code string, lines []string) Reply {
	n := int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	first, _ := slowEnhanced(lines[0], n)
	for i, line := range lines {
		if e, rest := slowEnhanced(line, n); e == first {
			lines[i] = rest
		}
	}
	return Reply{n, first, strings.Join(lines, "\n")}
}

// slowEnhanced is an oracle for cutEnhanced.
func slowEnhanced(text string, code int) (Enhanced, string) {
	m := enhancedGrammar.FindStringSubmatch(text)
	if m == nil || int(m[1][0]-'0') != code/100 {
		return Enhanced{}, text
	}
	number := func(s string) (n uint16) {
		for _, c := range s {
			n = n*10 + uint16(c-'0')
		}
		return n
	}
	return Enhanced{number(m[1]), number(m[2]), number(m[3])}, m[4]
}

func FuzzEnhanced(f *testing.F) {
	for _, text := range []string{"5.1.1 x", "2.1.5", "4.999.999 y", "5.1.1000", "5..1", "5.1.1.1", "5.01.001\tz", "5.1.", ""} {
		f.Add([]byte(text), 550)
		f.Add([]byte(text), 250)
	}
	f.Fuzz(func(t *testing.T, text []byte, code int) {
		if code < 200 || code > 599 {
			return
		}
		e, rest := cutEnhanced(text, code)
		wantCode, wantRest := slowEnhanced(string(text), code)
		require.Equal(t, wantCode, e, "the grammar finds the same enhanced code")
		require.Equal(t, wantRest, string(rest), "the grammar leaves the same text")
		if e != (Enhanced{}) {
			again, none := cutEnhanced([]byte(e.String()), code)
			assert.Equal(t, e, again, "an enhanced code is read back as it is written")
			assert.Empty(t, none, "and nothing is left")
		}
	})
}

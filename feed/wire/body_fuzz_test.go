package wire

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzBody: however the content is cut, the body is the same and canonical; undoing the stuffing gives the content back; and
// no receiver, strict or lenient, sees anything but exactly one message.
func FuzzBody(f *testing.F) {
	ends := []string{"\r\n", "\n", "\r", "\r\r\n", "\n\r", "\r\x00\n", "\r\n\x00", "\x00\r\n"}
	for _, before := range ends {
		for _, behind := range ends {
			f.Add([]byte("a"+before+"."+behind+"MAIL FROM:<x>"+behind), []byte{0})
		}
	}
	for _, s := range []string{"", ".", "..", "\r\n", "\r", "\x00", "\xff\x80.\r\n", ".\r\n.\r\n.\r\n", "a\r\n.b\r\nc", strings.Repeat("x", 5000) + "\r\n.y"} {
		f.Add([]byte(s), []byte{3, 0, 1})
	}
	f.Fuzz(func(t *testing.T, content, cuts []byte) {
		b := bodyOf(string(content))
		want, mended := canonicalSlowly(content)
		require.Equal(t, string(want), raw(b), "the content is canonical and nothing else changed")
		assert.Equal(t, mended, b.Mended(), "each change is counted")
		assert.Equal(t, sha256.Sum256(want), b.Digest(), "the digest is that of Raw")
		assert.Equal(t, bytes.ContainsFunc(want, func(c rune) bool { return c > 127 }), b.Has8Bit(), "8-bit is seen")
		assert.EqualValues(t, len(want), b.Size(), "Size is that of Raw")
		checkStuffed(t, b)
		checkSplit(t, b, content, cuts)
		checkStuffedAcrossChunks(t, want, cuts)
	})
}

// canonicalSlowly is an oracle, octet by octet.
func canonicalSlowly(content []byte) (out []byte, mended int) {
	for i, c := range content {
		switch {
		case c == '\n' && i > 0 && content[i-1] == '\r':
			out = append(out, "\r\n"...)
		case c == '\n':
			out = append(out, "\r\n"...)
			mended++
		case c == '\r' && i+1 < len(content) && content[i+1] == '\n':
		case c == '\r' || c == 0:
			out = append(out, ' ')
			mended++
		default:
			out = append(out, c)
		}
	}
	if len(out) > 0 && out[len(out)-1] != '\n' {
		return append(out, "\r\n"...), mended + 1
	}
	return out, mended
}

// checkStuffed plays every receiver against what a session sends.
func checkStuffed(t *testing.T, b *Body) {
	wire := stuffed(b)
	assert.EqualValues(t, len(wire), b.StuffedSize(), "StuffedSize is that of Stuffed")
	wire += EndOfData
	for _, eol := range [][]string{{"\r\n"}, {"\r\n", "\n"}, {"\r\n", "\r"}, {"\r\n", "\n", "\r"}, {"\r\r\n", "\r\n"}, {"\r\x00\n", "\r\n", "\n"}} {
		content, rest, ok := receive(wire, eol)
		require.True(t, ok, "a receiver whose lines end in %q sees the end", eol)
		require.Empty(t, rest, "and sees it at the end and nowhere before")
		assert.Equal(t, raw(b), content, "and has the content unstuffed")
	}
	_, rest, ok := receive(strings.ReplaceAll(wire, "\x00", ""), []string{"\r\n", "\n", "\r"})
	assert.True(t, ok && rest == "", "a receiver that drops NUL sees one message too")
}

// receive is a server's DATA phase that takes each of eol for a line's end, wherever it stands.
func receive(wire string, eol []string) (content, rest string, ok bool) {
	var out strings.Builder
	for wire != "" {
		line, end := cutLine(wire, eol)
		if end == "" {
			return "", "", false
		}
		wire = wire[len(line)+len(end):]
		if line == "." {
			return out.String(), wire, true
		}
		out.WriteString(strings.TrimPrefix(line, ".") + "\r\n")
	}
	return "", "", false
}

// cutLine finds the first place where any of eol stands.
func cutLine(s string, eol []string) (line, end string) {
	for i := range len(s) {
		for _, e := range eol {
			if strings.HasPrefix(s[i:], e) {
				return s[:i], e
			}
		}
	}
	return s, ""
}

// checkSplit writes the content in the segments that cuts asks for.
func checkSplit(t *testing.T, whole *Body, content, cuts []byte) {
	var w BodyWriter
	for i := 0; len(content) > 0; i++ {
		n := len(content)
		if len(cuts) > 0 {
			n = min(n, int(cuts[i%len(cuts)]))
		}
		if n == 0 {
			n = 1
		}
		took, err := w.Write(content[:n])
		require.NoError(t, err, "Write never fails")
		require.Equal(t, n, took, "Write takes all")
		content = content[n:]
	}
	assert.LessOrEqual(t, w.Size(), 2*w.size+largeChunk+stuffing(w.size, w.dots), "memory is bounded by the content")
	b := w.Body()
	assert.Equal(t, raw(whole), raw(b), "segments make no difference for the content")
	assert.Equal(t, stuffed(whole), stuffed(b), "nor for its stuffed view")
	assert.Equal(t, whole.Digest(), b.Digest(), "nor for the digest")
	assert.Equal(t, whole.Mended(), b.Mended(), "nor for the count of changes")
	assert.Equal(t, whole.Has8Bit(), b.Has8Bit(), "nor for 8-bit")
	assert.Equal(t, whole.StuffedSize(), b.StuffedSize(), "nor for the sizes")
}

// checkStuffedAcrossChunks stuffs the same content in chunks far smaller than the writer's, by both ways.
func checkStuffedAcrossChunks(t *testing.T, content, cuts []byte) {
	if len(content) == 0 || len(cuts) == 0 {
		return
	}
	var pieces, copies []byte
	bol := true
	for i := 0; len(content) > 0; i++ {
		n := min(len(content), int(cuts[i%len(cuts)])+1)
		pieces = append(pieces, bytes.Join(cutAtDots(nil, content[:n], bol), nil)...)
		copies = append(copies, copyStuffed(content[:n], bol)...)
		bol = content[n-1] == '\n'
		content = content[n:]
	}
	assert.Equal(t, string(pieces), string(copies), "pieces and copies are the same octets")
	_, rest, ok := receive(string(pieces)+EndOfData, []string{"\r\n"})
	assert.True(t, ok && rest == "", "and one message")
}

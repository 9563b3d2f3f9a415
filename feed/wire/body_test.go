package wire

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bodyOf writes each segment with its own call.
func bodyOf(segments ...string) *Body {
	var w BodyWriter
	for _, s := range segments {
		_, _ = w.Write([]byte(s))
	}
	return w.Body()
}

func raw(b *Body) string { return string(bytes.Join(b.Raw(), nil)) }

func stuffed(b *Body) string { return string(bytes.Join(b.Stuffed(), nil)) }

func TestBodyIsCanonical(t *testing.T) {
	for _, c := range []struct {
		rule, in, raw, stuffed string
		mended                 int
	}{
		{"empty stays empty", "", "", "", 0},
		{"canonical content is kept", "a: b\r\n\r\nc\r\n", "a: b\r\n\r\nc\r\n", "a: b\r\n\r\nc\r\n", 0},
		{"only CRLF", "\r\n", "\r\n", "\r\n", 0},
		{"a last line gets its CRLF", "a\r\nb", "a\r\nb\r\n", "a\r\nb\r\n", 1},
		{"a bare LF becomes CRLF", "a\nb\r\n", "a\r\nb\r\n", "a\r\nb\r\n", 1},
		{"only a bare LF", "\n", "\r\n", "\r\n", 1},
		{"a bare CR becomes a space", "a\rb\r\n", "a b\r\n", "a b\r\n", 1},
		{"a CR at the end becomes a space", "a\r", "a \r\n", "a \r\n", 2},
		{"only a CR", "\r", " \r\n", " \r\n", 2},
		{"CR CR LF: the second belongs to the LF", "a\r\r\nb\r\n", "a \r\nb\r\n", "a \r\nb\r\n", 1},
		{"LF CR: both are bare", "a\n\rb\r\n", "a\r\n b\r\n", "a\r\n b\r\n", 2},
		{"NUL becomes a space", "a\x00b\r\n", "a b\r\n", "a b\r\n", 1},
		{"CR NUL LF: all three are bare", "a\r\x00\nb\r\n", "a  \r\nb\r\n", "a  \r\nb\r\n", 3},
		{"only NUL", "\x00", " \r\n", " \r\n", 2},
		{"8-bit is kept", "\xff\xfe\x80\r\n", "\xff\xfe\x80\r\n", "\xff\xfe\x80\r\n", 0},
		{"other controls are kept", "\x01\x1b\t\x0c\x7f\r\n", "\x01\x1b\t\x0c\x7f\r\n", "\x01\x1b\t\x0c\x7f\r\n", 0},
		{"a dot on the first line", ".a\r\n", ".a\r\n", "..a\r\n", 0},
		{"a dot on a later line", "a\r\n.b\r\n", "a\r\n.b\r\n", "a\r\n..b\r\n", 0},
		{"only a dot", ".", ".\r\n", "..\r\n", 1},
		{"only a dot's line", ".\r\n", ".\r\n", "..\r\n", 0},
		{"two dots get a third", "..\r\n", "..\r\n", "...\r\n", 0},
		{"dot lines in a row", ".\r\n.\r\n.\r\n", ".\r\n.\r\n.\r\n", "..\r\n..\r\n..\r\n", 0},
		{"a dot inside a line is text", "a.b\r\n", "a.b\r\n", "a.b\r\n", 0},
		{"LF . LF", "a\n.\nb\r\n", "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n", 2},
		{"LF . CR LF", "a\n.\r\nb\r\n", "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n", 1},
		{"LF . CR", "a\n.\rb\r\n", "a\r\n. b\r\n", "a\r\n.. b\r\n", 2},
		{"CR LF . LF", "a\r\n.\nb\r\n", "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n", 1},
		{"CR LF . CR", "a\r\n.\rb\r\n", "a\r\n. b\r\n", "a\r\n.. b\r\n", 1},
		{"CR . LF", "a\r.\nb\r\n", "a .\r\nb\r\n", "a .\r\nb\r\n", 2},
		{"CR . CR", "a\r.\rb\r\n", "a . b\r\n", "a . b\r\n", 2},
		{"CR . CR LF", "a\r.\r\nb\r\n", "a .\r\nb\r\n", "a .\r\nb\r\n", 1},
		{"CR CR LF . CR CR LF", "a\r\r\n.\r\r\nb\r\n", "a \r\n. \r\nb\r\n", "a \r\n.. \r\nb\r\n", 2},
		{"CR LF . CR CR LF", "a\r\n.\r\r\nb\r\n", "a\r\n. \r\nb\r\n", "a\r\n.. \r\nb\r\n", 1},
		{"CR LF NUL . CR LF", "a\r\n\x00.\r\nb\r\n", "a\r\n .\r\nb\r\n", "a\r\n .\r\nb\r\n", 1},
		{"CR LF . NUL CR LF", "a\r\n.\x00\r\nb\r\n", "a\r\n. \r\nb\r\n", "a\r\n.. \r\nb\r\n", 1},
		{"CR NUL LF . CR LF", "a\r\x00\n.\r\nb\r\n", "a  \r\n.\r\nb\r\n", "a  \r\n..\r\nb\r\n", 3},
	} {
		t.Run(c.rule, func(t *testing.T) {
			for _, b := range []*Body{bodyOf(c.in), bodyOf(strings.Split(c.in, "")...)} {
				assert.Equal(t, c.raw, raw(b), "the content is canonical and nothing else changed")
				assert.Equal(t, c.stuffed, stuffed(b), "each line that begins with a dot has one more")
				assert.Equal(t, c.mended, b.Mended(), "each change is counted")
				assert.EqualValues(t, len(c.raw), b.Size(), "Size is that of Raw")
				assert.EqualValues(t, len(c.stuffed), b.StuffedSize(), "StuffedSize is that of Stuffed")
				assert.Equal(t, sha256.Sum256([]byte(c.raw)), b.Digest(), "the digest is that of Raw")
			}
		})
	}
}

func TestEmptyBodyHasNoSegments(t *testing.T) {
	b := bodyOf()
	assert.Empty(t, b.Raw(), "no content, no segments")
	assert.Empty(t, b.Stuffed(), "no content, nothing to stuff")
	assert.EqualValues(t, 0, b.StuffedSize()+b.Size(), "no content has no size")
	assert.Equal(t, sha256.Sum256(nil), b.Digest(), "the digest of nothing is a digest")
}

func TestHas8Bit(t *testing.T) {
	for i := range 20 {
		p := bytes.Repeat([]byte("a"), 20)
		assert.False(t, has8Bit(p[:i]), "ASCII is ASCII")
		p[i] = 0x80
		assert.True(t, has8Bit(p), "one octet at %d is seen", i)
	}
	assert.True(t, bodyOf("a\r\n", "\xff", "b\r\n").Has8Bit(), "8-bit in any call counts")
	assert.False(t, bodyOf("a\r\n", "\x7f", "b\r\n").Has8Bit(), "DEL is no 8-bit octet")
}

// TestDotAtEveryChunkBoundary moves a dot line over the end of the first chunk.
func TestDotAtEveryChunkBoundary(t *testing.T) {
	for n := firstChunk - 8; n < firstChunk+8; n++ {
		text := strings.Repeat("x", n) + "\r\n.\r\n..y\r\n"
		b := bodyOf(text)
		require.Len(t, b.Raw(), 2, "the content lies in two chunks")
		assert.Equal(t, text, raw(b), "nothing is lost at the boundary")
		assert.Equal(t, strings.ReplaceAll(text, "\n.", "\n.."), stuffed(b), "each dot line has exactly one more dot")
		assert.EqualValues(t, len(text)+2, b.StuffedSize(), "the size counts them")
	}
}

func TestLongLinesAreKept(t *testing.T) {
	for _, n := range []int{998, 999, 10_000, 1 << 20} {
		text := strings.Repeat("y", n) + "\r\nend\r\n"
		assert.Equal(t, text, raw(bodyOf(text)), "no line is folded or cut")
	}
}

func TestStuffedSharesMemory(t *testing.T) {
	plain := bodyOf(strings.Repeat("a line of text\r\n", 10_000))
	assert.Same(t, &plain.Raw()[0], &plain.Stuffed()[0], "without dot lines both views are one")

	dotted := bodyOf(strings.Repeat(strings.Repeat("a line of text\r\n", 10)+".dot\r\n", 100))
	chunk := dotted.Raw()[0]
	assert.Same(t, &chunk[0], &dotted.Stuffed()[0][0], "the stuffed view begins in the same memory")
	assert.Greater(t, len(dotted.Stuffed()), 100, "it is cut at each dot")
}

func TestDenseDotsDoNotMultiplyMemory(t *testing.T) {
	for _, line := range []string{".\r\n", ".0123456789012345678901234567890\r\n", "..........\r\n", "x\r\n.\r\n"} {
		text := strings.Repeat(line, 100_000)
		b := bodyOf(text)
		own := len(b.Stuffed()) * sliceHeader
		if &b.Stuffed()[0][0] != &b.Raw()[0][0] {
			for _, s := range b.Stuffed() {
				own += cap(s)
			}
		}
		assert.LessOrEqual(t, own, len(text)*3/2, "the stuffed view of %q takes little more than a copy", line)
		assert.LessOrEqual(t, b.Memory(), int64(len(text)*5/2), "and the body says so")
		assert.Equal(t, strings.ReplaceAll("\n"+text, "\n.", "\n..")[1:], stuffed(b), "and is right")
	}
}

func TestMemoryOfABody(t *testing.T) {
	small := bodyOf(strings.Repeat("x", 500))
	require.Len(t, small.Raw(), 1, "a short content has one chunk")
	assert.Equal(t, 502, cap(small.Raw()[0]), "a short content takes what it needs")

	var w BodyWriter
	line := []byte(strings.Repeat("z", 62) + "\r\n")
	for range 1 << 16 { // 4 MiB
		_, _ = w.Write(line)
	}
	assert.InDelta(t, 4<<20, w.Size(), largeChunk, "Size is at most a chunk ahead of the content")
	b := w.Body()
	held := 0
	for _, chunk := range b.Raw() {
		held += cap(chunk)
	}
	assert.Equal(t, 4<<20, held, "no chunk has room left")
	assert.Less(t, len(b.Raw()), 30, "a large content has large chunks")
}

func TestSegmentsCannotBeAppendedInto(t *testing.T) {
	sparse := strings.Repeat("x", 200) + "\r\n.b\r\n.c\r\n" // cut at its dots
	dense := "a\r\n.b\r\n.c\r\n"                            // copied
	for _, text := range []string{sparse, dense} {
		b := bodyOf(text)
		for _, s := range slices.Concat(b.Raw(), b.Stuffed()) {
			_ = append(s, '!') // one octet: more would not fit and be copied
		}
		assert.Equal(t, text, raw(b), "append by a caller does not change the content")
		assert.Equal(t, strings.ReplaceAll(text, "\n.", "\n.."), stuffed(b), "nor its stuffed view")
	}
	assert.Len(t, bodyOf(sparse).Stuffed(), 3, "the first content is cut into pieces")
	assert.Len(t, bodyOf(dense).Stuffed(), 1, "the second is copied")
}

func TestWriteCountsAllOctets(t *testing.T) {
	var w BodyWriter
	n, err := w.Write([]byte("a\n\r\x00b"))
	assert.Equal(t, 5, n, "Write takes all it is given, whatever it stores")
	assert.NoError(t, err, "Write never fails")
	n, err = w.Write(nil)
	assert.Zero(t, n, "nothing is nothing")
	assert.NoError(t, err, "nothing is no error")
}

func TestWriteKeepsNoReference(t *testing.T) {
	var w BodyWriter
	p := []byte("abc\r\n")
	_, _ = w.Write(p)
	copy(p, "XXXXX")
	assert.Equal(t, "abc\r\n", raw(w.Body()), "the caller may use its buffer again")
}

// TestHostileContentTakesLinearTime would not end in time if any octet made the writer look at the rest again.
func TestHostileContentTakesLinearTime(t *testing.T) {
	for _, s := range []string{"\r", "\n", "\x00", ".", "\r\x00", "\n."} {
		text := strings.Repeat(s, 1<<20)
		b := bodyOf(text)
		assert.NotZero(t, b.Size(), "%d MiB of %q are taken", len(text)>>20, s)
	}
}

func BenchmarkBody(b *testing.B) {
	line := strings.Repeat("x", 76) + "\r\n"
	for _, c := range []struct {
		name, text string
		segment    int
	}{
		{"500 octets", strings.Repeat("x", 48) + "\r\n" + strings.Repeat(line, 6)[:450], 4 << 10},
		{"1 MiB", strings.Repeat(line, 1<<20/78), 4 << 10},
		{"1 MiB with dot lines", strings.Repeat(strings.Repeat(line, 20)+"."+line, 1<<20/78/21), 4 << 10},
		{"1 MiB with bare LF", strings.ReplaceAll(strings.Repeat(line, 1<<20/78), "\r\n", "\n"), 4 << 10},
	} {
		b.Run(c.name, func(b *testing.B) {
			text := []byte(c.text)
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				var w BodyWriter
				for p := text; len(p) > 0; p = p[min(len(p), c.segment):] {
					_, _ = w.Write(p[:min(len(p), c.segment)])
				}
				w.Body()
			}
		})
	}
}

func ExampleBodyWriter() {
	var w BodyWriter
	fmt.Fprint(&w, "Subject: x\n\n.hidden\n")
	b := w.Body()
	fmt.Printf("%q\n%q\n%d mended\n", bytes.Join(b.Raw(), nil), bytes.Join(b.Stuffed(), nil), b.Mended())
	// Output:
	// "Subject: x\r\n\r\n.hidden\r\n"
	// "Subject: x\r\n\r\n..hidden\r\n"
	// 3 mended
}

func TestHeaders8Bit(t *testing.T) {
	long := strings.Repeat("X-Filler: of a chunk and more\r\n", 5000)
	for content, want := range map[string]bool{
		"Subject: \xc3\xa4\r\n\r\nx\r\n":              true,
		"Subject: a\r\n\r\n\xc3\xa4\r\n":              false,
		"\r\nSubject: \xc3\xa4\r\n":                   false,
		"Subject: a\n\n\xe4":                          false,
		"Subject: a\n\xe4":                            true,
		"Subject: a\r\n b\r\n\xe4: b\r\n\r\nx":        true,
		long + "Subject: \xc3\xa4\r\n\r\nx\r\n":       true,
		long + "Subject: a\r\n\r\n\xc3\xa4x\r\n":      false,
		long + "\r\n" + long + "\xe4":                 false,
		"":                                            false,
		"no line end \xe4":                            true,
		"Subject: a\r\n\r\nno octet beyond ASCII\r\n": false,
	} {
		w := &BodyWriter{}
		w.Write([]byte(content))
		assert.Equal(t, want, w.Body().Header8Bit(), "the header of %.40q ends at the first empty line", content)
	}
}

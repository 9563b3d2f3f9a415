package lmtp

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// frame reads a content that comes in pieces of these sizes, over and over.
func frame(in []byte, sizes ...int) (content []byte, n int, done bool) {
	var f framing
	for i := 0; n < len(in) && !done; i++ {
		var k int
		k, done = f.read(in[n:min(len(in), n+max(1, sizes[i%len(sizes)]))], func(p []byte) { content = append(content, p...) })
		n += k
	}
	return content, n, done
}

// reference is RFC 5321 section 4.5.2 on the whole input.
func reference(in []byte) (content []byte, n int, done bool) {
	in = append([]byte("\r\n"), in...)
	end := bytes.Index(in, []byte("\r\n.\r\n"))
	if end >= 0 {
		content, n, done = in[:end+2], end+3, true
	} else {
		content, n = in, len(in)-2
	}
	return bytes.ReplaceAll(content, []byte("\r\n."), []byte("\r\n"))[2:], n, done
}

func TestFraming(t *testing.T) {
	tests := []struct {
		rule, in, content string
		rest              string // behind the end
		done              bool
	}{
		{"empty", ".\r\n", "", "", true},
		{"a line", "a\r\n.\r\n", "a\r\n", "", true},
		{"what follows is left", "a\r\n.\r\nQUIT\r\n", "a\r\n", "QUIT\r\n", true},
		{"a dot is unstuffed", "..\r\n.a\r\n...b\r\n.\r\n", ".\r\na\r\n..b\r\n", "", true},
		{"a dot inside a line stays", "a.b\r\n.\r\n", "a.b\r\n", "", true},
		{"CR CR LF ends a line", "a\r\r\n.\r\n", "a\r\r\n", "", true},
		{"dot CR CR LF is no end", ".\r\r\n.\r\n", "\r\r\n", "", true},
		{"dot CR x loses nothing", ".\rx\r\n.\r\n", "\rx\r\n", "", true},
		{"LF dot LF is no end", "a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", "", true},
		{"LF dot CR LF is no end", "a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", "", true},
		{"CR dot CR LF is no end", "a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n", "", true},
		{"CR LF dot LF is no end", "a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", "", true},
		{"CR LF dot CR is no end", "a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", "", true},
		{"CR LF NUL dot CR LF is no end", "a\r\n\x00.\r\nb\r\n.\r\n", "a\r\n\x00.\r\nb\r\n", "", true},
		{"no line end before the end", "a.\r\n", "a.\r\n", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			for size := 1; size <= len(tt.in)+1; size++ { // MSG-03: every boundary
				content, n, done := frame([]byte(tt.in), size)
				require.Equal(t, tt.content, string(content), "the content, in pieces of %d", size)
				require.Equal(t, tt.rest, tt.in[n:], "what is left, in pieces of %d", size)
				require.Equal(t, tt.done, done, "whether the end was seen, in pieces of %d", size)
			}
		})
	}
}

func TestFramingAgainstReference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		in := make([]byte, r.IntN(30))
		for i := range in {
			in[i] = "\r\n..a"[r.IntN(5)]
		}
		checkFraming(t, in, 1+r.IntN(5))
	}
}

func FuzzContent(f *testing.F) {
	for _, s := range []string{".\r\n", "a\r\r\n.\r\n", "..\r\n.\rx\r\n.\r\nQUIT\r\n", "\r\n.", strings.Repeat("\r\n..", 20)} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, size int) { checkFraming(t, in, size%64) })
}

func checkFraming(t *testing.T, in []byte, size int) {
	t.Helper()
	want, wantN, wantDone := reference(in)
	got, n, done := frame(in, size, size+1)
	require.Equal(t, wantDone, done, "the end is seen where it is: %q", in)
	require.Equal(t, wantN, n, "all up to the end is taken: %q", in)
	if !done { // the last octets may be held back until it is clear what they are
		require.True(t, bytes.HasPrefix(want, got), "the content so far is right: %q", in)
		return
	}
	assert.Equal(t, string(want), string(got), "the content is right: %q", in)
}

package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestClean(t *testing.T) {
	for _, c := range []struct {
		rule, in string
		n        int
		want     string
	}{
		{"printable ASCII stays", " !azAZ09~", 100, " !azAZ09~"},
		{"a run of anything else is one question mark", "a\x00\x01\x7f\xffb", 100, "a?b"},
		{"a UTF-8 letter is one question mark", "caf\u00e9!", 100, "caf?!"},
		{"a tab is no printable octet", "a\tb", 100, "a?b"},
		{"ESC cannot act", "\x1b]0;title\x07x", 100, "?]0;title?x"},
		{"CRLF is one space", "a\r\nb", 100, "a b"},
		{"a run of line breaks is one space", "a\n\n\r\rb", 100, "a b"},
		{"breaks and others are told apart", "a\n\x00\nb", 100, "a ? b"},
		{"real question marks and blanks are not merged", "a??  b", 100, "a??  b"},
		{"cut at n", "abcdef", 3, "abc"},
		{"cut at n behind a run", "\xff\xffabcdef", 3, "?ab"},
		{"nothing fits", "abc", 0, ""},
		{"a negative length is none", "abc", -1, ""},
		{"empty", "", 10, ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			assert.Equal(t, c.want, Clean(c.in, c.n), "the text is clean")
		})
	}
}

func TestCleanTextCostsNothing(t *testing.T) {
	s := strings.Repeat("Ok ", 30)
	assert.Zero(t, testing.AllocsPerRun(100, func() { Clean(s, 200) }), "clean text is not copied")
}

func FuzzClean(f *testing.F) {
	f.Add("250 Ok\r\n\x00\xff", 10)
	f.Fuzz(func(t *testing.T, s string, n int) {
		got := Clean(s, n)
		assert.LessOrEqual(t, len(got), max(n, 0), "at most n octets")
		assert.LessOrEqual(t, len(got), len(s), "cleaning adds nothing")
		assert.True(t, isClean(got), "only printable ASCII is left: %q", got)
		assert.Equal(t, got, Clean(got, n), "cleaning twice is cleaning once")
	})
}

func isClean(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

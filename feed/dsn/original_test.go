package dsn

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHeaderOf(t *testing.T) {
	for _, c := range []struct{ rule, content, header string }{
		{"nothing", "", ""},
		{"header and body", "A: b\r\nC: d\r\n\r\nE: f\r\n", "A: b\r\nC: d\r\n"},
		{"no body", "A: b\r\n\r\n", "A: b\r\n"},
		{"no blank line", "A: b\r\n", "A: b\r\n"},
		{"no header", "\r\nbody\r\n", ""},
		{"only a blank line", "\r\n", ""},
		{"what is no header is returned as it is", "hello\r\nworld\r\n\r\n", "hello\r\nworld\r\n"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			assert.Equal(t, c.header, string(headerOf(content(c.content))), "in one segment")
			var segments [][]byte
			for i := range len(c.content) {
				segments = append(segments, []byte(c.content[i:i+1]))
			}
			assert.Equal(t, c.header, string(headerOf(segments)), "in segments of one octet")
		})
	}
}

func TestLongHeader(t *testing.T) {
	field := "X-Long: " + strings.Repeat("a", 80) + "\r\n " + strings.Repeat("b", 80) + "\r\n"
	segments := content(strings.Repeat(field, 1000) + "\r\nbody\r\n")
	header := headerOf(segments)
	assert.LessOrEqual(t, len(header), maxHeader, "no more than the bound")
	assert.Greater(t, len(header), maxHeader-2*len(field), "nor much less")
	assert.Zero(t, len(header)%len(field), "fields are whole")
	assert.True(t, bytes.HasPrefix([]byte(strings.Repeat(field, 1000)), header), "they are the first ones")

	assert.Empty(t, headerOf(content("X: "+strings.Repeat("a", 2*maxHeader)+"\r\n\r\n")), "a field that is longer than all is left out")
	folded := "X: a\r\n" + strings.Repeat(" b\r\n", maxHeader)
	assert.Empty(t, headerOf(content(folded)), "however it is folded")
	exact := "X: " + strings.Repeat("a", maxHeader-5) + "\r\n"
	require.Len(t, exact, maxHeader)
	assert.Equal(t, exact, string(headerOf(content(exact+"Y: b\r\n\r\n"))), "a field that just fits is kept")
}

func TestLongLinesAreEncoded(t *testing.T) {
	n := notice(t)
	header := "X: " + strings.Repeat("a", 2000) + "\r\n"
	n.Original = content(header + "\r\n")
	r := read(t, Relayed(n).Content)
	assert.Equal(t, header, r.original, "it is returned whole")
	assert.Equal(t, "quoted-printable", r.encodings[2], "in lines that may be sent")
}

func TestBoundaryInOriginal(t *testing.T) {
	n := notice(t)
	first := Relayed(n).Content
	at := bytes.Index(first, []byte("boundary=\"")) + len("boundary=\"")
	boundary := string(first[at : at+bytes.IndexByte(first[at:], '"')])
	n.Original = content("A: b\r\n--" + boundary + "\r\n--" + boundary + "--\r\n--=_\r\n--\r\n\r\n")
	r := read(t, Relayed(n).Content)
	assert.Contains(t, r.original, "--"+boundary+"--\r\n", "a boundary in the original ends nothing")

	p := []part{{body: []byte("x")}}
	taken := boundaryFor(p)
	assert.Len(t, taken, 34, "a boundary is short")
	assert.LessOrEqual(t, len(taken), 70, "RFC 2046 section 5.1.1")
}

func TestMessageID(t *testing.T) {
	for _, c := range []struct{ rule, header, id string }{
		{"the usual", "A: b\r\nMessage-ID: <1.2@x>\r\nB: c\r\n", "<1.2@x>"},
		{"its name in any case", "MESSAGE-id:<1@x>\r\n", "<1@x>"},
		{"on the next line", "Message-ID:\r\n\t<1@x>\r\n", "<1@x>"},
		{"the first of two", "Message-ID: <1@x>\r\nMessage-ID: <2@x>\r\n", "<1@x>"},
		{"none", "A: b\r\n", ""},
		{"not in another field's lines", "A: b\r\n Message-ID: <1@x>\r\n", ""},
		{"empty", "Message-ID:\r\n", ""},
		{"without brackets", "Message-ID: 1@x\r\n", ""},
		{"without a right side", "Message-ID: <1>\r\n", ""},
		{"with a blank", "Message-ID: <1 2@x>\r\n", ""},
		{"folded within", "Message-ID: <1@x\r\n y>\r\n", ""},
		{"two in one", "Message-ID: <1@x> <2@x>\r\n", ""},
		{"in UTF-8", "Message-ID: <ä@x>\r\n", ""},
		{"with a control", "Message-ID: <\x01@x>\r\n", ""},
		{"too long", "Message-ID: <" + strings.Repeat("a", 300) + "@x>\r\n", ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			assert.Equal(t, c.id, messageID([]byte(c.header)), "what may be quoted")
		})
	}
}

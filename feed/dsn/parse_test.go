package dsn

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A report is a notification as a reader sees it. It is read by the standard library, not by what composed it.
type report struct {
	header    mail.Header
	words     string
	media     [3]string
	message   fields
	each      []fields
	original  string
	encodings [3]string
}

// fields are those of one group, by name; each name may stand there once.
type fields map[string]string

// read takes a notification apart, and fails the test if it breaks a rule that holds for all of them.
func read(t testing.TB, content []byte) (r report) {
	t.Helper()
	checkLines(t, content)
	m, err := mail.ReadMessage(bytes.NewReader(content))
	require.NoError(t, err, "it is a message")
	r.header = m.Header
	for name, values := range m.Header {
		require.Len(t, values, 1, "%s stands there once", name)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err, "it has a type")
	require.Equal(t, "multipart/report", kind, "which is RFC 6522's")
	parts := multipart.NewReader(m.Body, params["boundary"])
	var bodies [3]string
	for i := range bodies {
		p, err := parts.NextRawPart()
		require.NoError(t, err, "there are three parts")
		r.media[i], r.encodings[i] = p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding")
		bodies[i] = decoded(t, p, r.encodings[i])
	}
	_, err = parts.NextRawPart()
	require.ErrorIs(t, err, io.EOF, "and no more")
	require.Equal(t, "message/"+params["report-type"], r.media[1], "report-type is the second part's subtype")
	r.words, r.original = bodies[0], bodies[2]
	groups := strings.Split(bodies[1], "\r\n\r\n")
	r.message = readFields(t, groups[0], messageFields)
	for _, g := range groups[1:] {
		r.each = append(r.each, readFields(t, g, recipientFields))
	}
	return r
}

func decoded(t testing.TB, p io.Reader, encoding string) string {
	if encoding == "quoted-printable" {
		p = quotedprintable.NewReader(p)
	}
	body, err := io.ReadAll(p)
	require.NoError(t, err, "a part can be read")
	if encoding == "" {
		require.True(t, isASCII(body), "what has no encoding is ASCII")
	}
	return string(body)
}

// checkLines holds for every message that is sent (RFC 5321 section 2.3.8, RFC 5322 section 2.1.1).
func checkLines(t testing.TB, content []byte) {
	t.Helper()
	require.True(t, bytes.HasSuffix(content, []byte("\r\n")), "it ends with a line")
	for line := range bytes.SplitSeq(bytes.TrimSuffix(content, []byte("\r\n")), []byte("\r\n")) {
		// Without testify: there are a hundred thousand of them.
		if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") {
			t.Fatalf("a line is not too long, and has no bare CR, bare LF or NUL: %.60q", line)
		}
	}
}

const dateForm = `[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}`

// whole is a form that a whole value must have.
func whole(form string) *regexp.Regexp { return regexp.MustCompile("^(" + form + ")$") }

// messageFields is the grammar of RFC 3464 section 2.2, of what we use of it.
var messageFields = map[string]*regexp.Regexp{
	"Reporting-MTA":        whole(`dns; [A-Za-z0-9._\[\]:-]+`),
	"Original-Envelope-Id": whole(`[!-~]([ -~]*[!-~])?`),
	"Arrival-Date":         whole(dateForm),
}

// recipientFields is that of section 2.3; generic-address is *text, and with RFC 6533 also UTF-8.
var recipientFields = map[string]*regexp.Regexp{
	"Original-Recipient": whole(`[A-Za-z0-9-]+; [^[:cntrl:]]+`),
	"Final-Recipient":    whole(`(rfc822|utf-8); [^[:cntrl:]]+@[^[:cntrl:]]+`),
	"Action":             whole(`relayed`),
	"Status":             whole(`2\.\d{1,3}\.\d{1,3}`),
	"Remote-MTA":         whole(`dns; [!-~]([ -~]*[!-~])?`),
	"Diagnostic-Code":    whole(`smtp; \d{3}( [ -~]*)?`),
	"Last-Attempt-Date":  whole(dateForm),
}

func readFields(t testing.TB, group string, grammar map[string]*regexp.Regexp) fields {
	t.Helper()
	found := make(fields)
	unfolded := strings.ReplaceAll(strings.TrimSuffix(group, "\r\n"), "\r\n ", " ")
	for line := range strings.SplitSeq(unfolded, "\r\n") {
		name, value, ok := strings.Cut(line, ": ")
		form := grammar[name]
		if _, twice := found[name]; !ok || form == nil || twice || !form.MatchString(value) {
			t.Fatalf("a line is a field of this group, in its form, and there once: %q", line)
		}
		found[name] = value
	}
	return found
}

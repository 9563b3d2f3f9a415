package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A parsed is a report's mail as its receiver has it.
type parsed struct {
	mail.Header
	text       string
	attachment string // its name
	report     []byte
}

// parseMail reads a mail as RFC 8460 section 5.3 has it.
func parseMail(t *testing.T, m Mail) (p parsed) {
	msg, err := mail.ReadMessage(bytes.NewReader(m.Message))
	require.NoError(t, err, "the message is one")
	p.Header = msg.Header
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	require.NoError(t, err, "its type is one")
	require.Equal(t, "multipart/report", kind, "it is a report")
	require.Equal(t, "tlsrpt", params["report-type"], "of this kind")
	parts := multipart.NewReader(msg.Body, params["boundary"])

	part, err := parts.NextRawPart()
	require.NoError(t, err, "there is a part for people")
	require.Equal(t, "text/plain; charset=us-ascii", part.Header.Get("Content-Type"), "which is text")
	text, err := io.ReadAll(part)
	require.NoError(t, err, "to be read")
	p.text = string(text)

	part, err = parts.NextRawPart()
	require.NoError(t, err, "there is a part for machines")
	require.Equal(t, "application/tlsrpt+gzip", part.Header.Get("Content-Type"), "which is compressed")
	require.Equal(t, "base64", part.Header.Get("Content-Transfer-Encoding"), "and fit for 7 bit")
	p.attachment = part.FileName()
	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, part))
	require.NoError(t, err, "it is gzip")
	p.report, err = io.ReadAll(z)
	require.NoError(t, err, "to the end")
	_, err = parts.NextRawPart()
	require.ErrorIs(t, err, io.EOF, "there is no third part")
	return p
}

func TestMailIsTheFile(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open(w.config())
		w.wants("a.example", "v=TLSRPTv1; rua=mailto:tls@a.example?subject=x%0d%0aBcc:%20y@z.example")
		w.observe(sts(bad("a.example", "certificate-expired", "x"), "mx.a.example"))
		pass(29 * time.Hour)
		require.Len(t, w.mailed(), 1, "a mail is sent")
		m := w.mailed()[0]
		assert.Equal(t, []string{"tls@a.example", "a.example"}, []string{m.To, m.Domain}, "to who asked")
		p := parseMail(t, m)
		assert.Equal(t, string(w.read(w.reports()[0])), string(p.report), "its attachment is the file")
		assert.Equal(t, w.reports()[0]+".gz", p.attachment, "and has the file's name")
		r := decode(t, p.report)
		day, _, _ := strings.Cut(r.ID, ".")
		assert.Equal(t, "20000101", day, "the Report-ID tells the day")
		assert.Equal(t, "Report Domain: a.example Submitter: mx.sender.test Report-ID: <"+r.ID+">", p.Get("Subject"), "the subject is the RFC's")
		for name, value := range map[string]string{
			"From": `"TLS reports" <tls@sender.test>`, "To": "<tls@a.example>", "Tls-Report-Domain": "a.example", "Tls-Report-Submitter": "mx.sender.test",
			"Tls-Required": "No", "Auto-Submitted": "auto-generated", "Mime-Version": "1.0",
		} {
			assert.Equal(t, []string{value}, p.Header[name], "%s stands there once", name)
		}
		assert.Len(t, p.Header, 11, "and there are no others: %v", p.Header)
		at, err := p.Date()
		require.NoError(t, err, "it has a date")
		assert.WithinDuration(t, time.Now(), at, 5*time.Hour, "of when it was made")
		assert.Regexp(t, `^<20000101\.[0-9a-f]{12}\.a\.example\.[0-9a-f]{16}@mx\.sender\.test>$`, p.Get("Message-Id"), "and an ID")
		assert.Contains(t, p.text, "about mail sessions on 2000-01-01 (UTC) with the hosts of\r\na.example\r\n", "people can read what it is")
		w.shut()
	})
}

func TestMailKeepsToTheLimitsOfMail(t *testing.T) {
	long := strings.Repeat("a23456789.", 25) + "abc"
	require.Len(t, long, maxDomain, "the longest name")
	l := letter{
		from: "<x@" + long + ">", to: strings.Repeat("l", maxLocal) + "@" + long, hostname: long, domain: long, id: "20000101.0123456789ab." + long + "@" + long,
		attachment: attachmentName(long, long, 10957, "0123456789ab") + ".json.gz", day: 10957, now: time.Unix(0, 0),
		report: bytes.Repeat([]byte("some report with \xff octets\r\n.\r\n"), 1000),
	}
	b, err := l.message()
	require.NoError(t, err, "it is composed")
	for line := range bytes.SplitAfterSeq(b, []byte("\n")) {
		assert.LessOrEqual(t, len(line), 1000, "RFC 5321 section 4.5.3.1.6: a line has at most 1000 octets")
		assert.True(t, len(line) == 0 || bytes.HasSuffix(line, []byte("\r\n")) && bytes.Count(line, []byte("\r")) == 1, "each line ends with CRLF")
	}
	assert.False(t, bytes.ContainsFunc(b, func(r rune) bool { return r > '~' || r == 0 }), "and is 7 bit")
	assert.Equal(t, l.report, parseMail(t, Mail{Message: b}).report, "and carries any report")

	again, err := l.message()
	require.NoError(t, err, "it is composed again")
	assert.Equal(t, b, again, "the same report makes the same mail")
	l.to = "other@a.example"
	other, err := l.message()
	require.NoError(t, err, "and for somebody else")
	assert.NotEqual(t, parseMail(t, Mail{Message: b}).Get("Message-Id"), parseMail(t, Mail{Message: other}).Get("Message-Id"),
		"two mails have two IDs")
}

func TestOneAddressOfTwoRefuses(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.config()
		send := c.Mail
		tries := 0
		c.Mail = func(ctx context.Context, m Mail) error {
			if m.To == "x@a.example" {
				tries++
				return errors.New("no such user")
			}
			return send(ctx, m)
		}
		w.open(c)
		w.wants("a.example", wanted("x@a.example,mailto:y@a.example"))
		w.observe(good("a.example"))
		pass(48 * time.Hour)
		assert.Len(t, w.mailed(), 1, "the other one has it once")
		assert.Equal(t, maxRetries+1, tries, "the one is tried again")
		assert.Equal(t, []uint64{1, 1, 1}, []uint64{w.Stats().Written, w.Stats().Mailed, w.Stats().Failed}, "and counted as failed")
		w.shut()
	})
}

package e2e

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A notification is a delivery status notification as it arrived (RFC 3464): the fields of the message, and groups of those of recipients.
type notification struct {
	content    string
	header     netmail.Header
	fields     map[string]string // by name in lower case, without the type: "rfc822;"
	recipients []map[string]string
	returned   string // what it has of the message that it is about
}

// notifications are those that the exchanger has taken: everything that calls itself a report.
func (x *exchanger) notifications(t *testing.T) (all []notification) {
	t.Helper()
	for _, content := range x.contents() {
		m, err := netmail.ReadMessage(strings.NewReader(content))
		require.NoError(t, err, "what arrives has a header: %q", content)
		if kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type")); err == nil && kind == "multipart/report" {
			assert.Equal(t, "delivery-status", params["report-type"], "a report is one of RFC 3464 section 2")
			n := notification{content: content, header: m.Header}
			n.read(t, multipart.NewReader(m.Body, params["boundary"]))
			all = append(all, n)
		}
	}
	return all
}

// read reads the parts: for people, for programs, and the message or its header (RFC 6522 section 3).
func (n *notification) read(t *testing.T, parts *multipart.Reader) {
	t.Helper()
	var kinds []string
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		require.NoError(t, err, "the report has parts: %s", n.content)
		text, err := io.ReadAll(part)
		require.NoError(t, err, "the part has an end: %s", n.content)
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		require.NoError(t, err, "the part says what it is: %s", n.content)
		kinds = append(kinds, strings.Replace(kind, "/global-", "/", 1)) // RFC 6533: the same with UTF-8
		switch len(kinds) {
		case 2:
			n.readStatus(text)
		case 3:
			n.returned = string(text)
		}
	}
	require.GreaterOrEqual(t, len(kinds), 2, "the report has a text and a status: %s", n.content)
	assert.Equal(t, []string{"text/plain", "message/delivery-status"}, kinds[:2], "in this order")
	assert.NotEmpty(t, n.recipients, "the status is about somebody: %s", n.content)
}

func (n *notification) readStatus(text []byte) {
	for i, group := range bytes.Split(bytes.TrimSpace(text), []byte("\r\n\r\n")) {
		if fields := statusFields(string(group)); i == 0 {
			n.fields = fields
		} else {
			n.recipients = append(n.recipients, fields)
		}
	}
}

// statusFields are fields by name.
func statusFields(group string) map[string]string {
	fields := map[string]string{}
	for _, line := range strings.Split(strings.NewReplacer("\r\n ", " ", "\r\n\t", " ").Replace(group), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if kind, rest, typed := strings.Cut(value, ";"); typed && !strings.Contains(kind, " ") {
			value = strings.TrimSpace(rest)
		}
		fields[strings.ToLower(name)] = value
	}
	return fields
}

// told is what notifications say of recipients: "ACTION STATUS" by the final recipient. Nobody may be told of twice.
func told(t *testing.T, all []notification) map[string]string {
	t.Helper()
	said := map[string]string{}
	for _, n := range all {
		for _, r := range n.recipients {
			who := r["final-recipient"]
			assert.NotContains(t, said, who, "a recipient is told of once")
			said[who] = r["action"] + " " + r["status"]
		}
	}
	return said
}

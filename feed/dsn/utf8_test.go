package dsn

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestUTF8 has what is ASCII and what is not, and which forms of RFC 6533 come of it.
func TestUTF8(t *testing.T) {
	const (
		plain, global     = "message/delivery-status", "message/global-delivery-status"
		headers, gheaders = "text/rfc822-headers", "message/global-headers"
	)
	utf8Header, latin1 := "Subject: grüße\r\n\r\n", "Subject: gr\xfc\xdfe\r\n\r\n"
	for _, c := range []struct {
		rule, to, rcpt, orcpt, header string
		utf8                          bool // the original came by SMTPUTF8
		status, original, encoding    string
		needs, eight                  bool
	}{
		{"all ASCII", "a@x", "b@y", "", "A: b\r\n\r\n", false, plain, headers, "", false, false},
		{"all ASCII by SMTPUTF8", "a@x", "b@y", "utf-8;b@y", "A: b\r\n\r\n", true, plain, headers, "", false, false},
		{"a sender in UTF-8", "ä@x", "b@y", "", "A: b\r\n\r\n", true, plain, headers, "", true, true},
		{"a recipient in UTF-8", "a@x", "ö@y", "", "A: b\r\n\r\n", true, global, headers, "", true, true},
		{"an original recipient in UTF-8", "a@x", "b@y", "utf-8;ö@y", "A: b\r\n\r\n", true, global, headers, "", true, true},
		{"one by a sender without SMTPUTF8", "a@x", "b@y", "utf-8;ö@y", "A: b\r\n\r\n", false, plain, headers, "", false, false},
		{"a header in UTF-8", "a@x", "b@y", "", utf8Header, true, plain, gheaders, "8bit", true, true},
		{"one by a sender without SMTPUTF8 is encoded", "a@x", "b@y", "", utf8Header, false, plain, headers, "quoted-printable", false, false},
		{"a header in no UTF-8 is encoded", "a@x", "b@y", "", latin1, true, plain, headers, "quoted-printable", false, false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			n := notice(t)
			n.To, n.UTF8, n.Original = address(t, c.to), c.utf8, content(c.header)
			n.Recipients[0].To, n.Recipients[0].ORCPT = address(t, c.rcpt), c.orcpt
			m := Relayed(n)
			r := read(t, m.Content)
			assert.Equal(t, c.status, r.media[1], "the type of the second part")
			assert.Equal(t, c.original, r.media[2], "the type of the third part")
			assert.Equal(t, c.encoding, r.encodings[2], "the encoding of the third part")
			assert.Equal(t, c.header[:len(c.header)-2], r.original, "the original's header, whatever its encoding")
			assert.Equal(t, c.needs, m.SMTPUTF8, "whether the next hop must know SMTPUTF8")
			assert.Equal(t, c.eight, m.EightBit, "whether there are octets above 127")
		})
	}
}

func TestUTF8AddressesAreWhole(t *testing.T) {
	n := notice(t)
	n.UTF8 = true
	n.Recipients[0].To, n.Recipients[0].ORCPT = address(t, "用户@例.example"), "utf-8;Ünicode+1@例.example"
	r := read(t, Relayed(n).Content)
	assert.Equal(t, "utf-8; 用户@例.example", r.each[0]["Final-Recipient"], "in its own form")
	assert.Equal(t, "utf-8; Ünicode+1@例.example", r.each[0]["Original-Recipient"], "in its own form")
	assert.Contains(t, r.words, "<用户@例.example>\r\n", "the words are UTF-8 too")
	assert.Equal(t, "text/plain; charset=utf-8", r.media[0], "and say so")
	assert.Equal(t, "8bit", r.header.Get("Content-Transfer-Encoding"), "RFC 2045 section 6.4: the whole is what its parts are")
}

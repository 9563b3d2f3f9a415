package dsn

import (
	"bytes"
	"flag"
	"fmt"
	"net/mail"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.FixedZone("", 3600))

func address(t testing.TB, s string) wire.Address {
	a, err := wire.ParseAddress(s)
	require.NoError(t, err, "it is an address: %s", s)
	return a
}

// content is a message as wire.Body holds it.
func content(s string) [][]byte {
	var w wire.BodyWriter
	_, _ = w.Write([]byte(s))
	return w.Body().Raw()
}

// notice is a usual one.
func notice(t testing.TB) Notice {
	return Notice{
		ReportingMTA: "lists.example.org", From: "postmaster@example.org", To: address(t, "sender@example.org"),
		EnvID: "QQ314159", Arrival: noon.Add(-time.Minute), Now: noon, ID: "4f2a.1",
		Original: content("From: sender@example.org\r\nSubject: hello\r\nMessage-ID:\r\n <1@example.org>\r\n\r\nbody\r\n"),
		Recipients: []Recipient{{
			To: address(t, "user@example.net"), ORCPT: "rfc822;Original@example.net", RemoteMTA: "mx.example.net",
			Addr: netip.MustParseAddr("192.0.2.1"), Status: wire.Enhanced{Class: 2, Subject: 1, Detail: 5},
			Reply: wire.Reply{Code: 250, Enhanced: wire.Enhanced{Class: 2}, Text: "Ok: queued as 4XyZ"}, At: noon.Add(-time.Second),
		}},
	}
}

func TestGolden(t *testing.T) {
	several := notice(t)
	for i := range 52 {
		several.Recipients = append(several.Recipients, Recipient{To: address(t, fmt.Sprintf("user%d@example.net", i))})
	}
	several.Recipients[1].Reply = wire.Reply{Code: 250, Text: "2.0.0 it is a very long reply, in which the host tells of all that it is\nand of all that it has done for this message before it was taken"}
	utf8 := notice(t)
	utf8.UTF8, utf8.To = true, address(t, "отправитель@пример.example")
	utf8.Original = content("From: отправитель@пример.example\r\nSubject: привет\r\n\r\nтело\r\n")
	utf8.Recipients[0].To, utf8.Recipients[0].ORCPT = address(t, "用户@例え.example"), "utf-8;用户+tag@例え.example"
	bare := Notice{ReportingMTA: "lists.example.org", To: address(t, "sender@example.org"), Now: noon, ID: "1",
		Recipients: []Recipient{{To: address(t, "user@example.net")}}}
	for name, n := range map[string]Notice{"plain": notice(t), "several": several, "utf8": utf8, "bare": bare} {
		t.Run(name, func(t *testing.T) {
			got := strings.ReplaceAll(string(Relayed(n).Content), "\r\n", "\n")
			path := "testdata/" + name + ".eml"
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err, "the golden file is there")
			assert.Equal(t, string(want), got, "the notification is the golden file with CRLF")
			read(t, Relayed(n).Content)
		})
	}
}

func TestRelayed(t *testing.T) {
	m := Relayed(notice(t))
	assert.False(t, m.SMTPUTF8, "an ASCII notification goes anywhere")
	assert.False(t, m.EightBit, "an ASCII notification goes anywhere")
	r := read(t, m.Content)
	for name, value := range map[string]string{
		"From": "Mail Delivery System <postmaster@example.org>", "To": "<sender@example.org>", "Auto-Submitted": "auto-replied",
		"Mime-Version": "1.0", "Message-Id": "<relayed.4f2a-1@lists.example.org>", "In-Reply-To": "<1@example.org>",
		"References": "<1@example.org>", "Subject": "Delivery report: mail relayed to 1 recipient",
	} {
		assert.Equal(t, value, r.header.Get(name), "the field %s", name)
	}
	at, err := mail.ParseDate(r.header.Get("Date"))
	require.NoError(t, err, "the date is one")
	assert.True(t, at.Equal(noon), "and it is now")
	assert.Equal(t, fields{"Reporting-MTA": "dns; lists.example.org", "Original-Envelope-Id": "QQ314159",
		"Arrival-Date": "Sun, 22 Nov 2026 11:59:00 +0100"}, r.message, "the fields about the message")
	assert.Equal(t, []fields{{"Original-Recipient": "rfc822; Original@example.net", "Final-Recipient": "rfc822; user@example.net",
		"Action": "relayed", "Status": "2.1.5", "Remote-MTA": "dns; mx.example.net", "Diagnostic-Code": "smtp; 250 2.0.0 Ok: queued as 4XyZ",
		"Last-Attempt-Date": "Sun, 22 Nov 2026 11:59:59 +0100"}}, r.each, "the fields about the recipient")
	assert.Contains(t, r.words, "<user@example.net>\r\n    mx.example.net[192.0.2.1] said: 250 2.0.0 Ok: queued as 4XyZ\r\n", "the words say it too")
	assert.Equal(t, "From: sender@example.org\r\nSubject: hello\r\nMessage-ID:\r\n <1@example.org>\r\n", r.original, "the original's header, no body")
	assert.Equal(t, [3]string{"text/plain; charset=us-ascii", "message/delivery-status", "text/rfc822-headers"}, r.media, "the parts")
}

func TestNobodyToTell(t *testing.T) {
	n := notice(t)
	n.To = wire.Address{}
	assert.Zero(t, Relayed(n), "RFC 3461 section 6.1: what came from the null path is not reported")
	n = notice(t)
	n.Recipients = []Recipient{{}}
	assert.Zero(t, Relayed(n), "a notification tells of somebody")
	n.Recipients = append(n.Recipients, notice(t).Recipients...)
	assert.Len(t, read(t, Relayed(n).Content).each, 1, "the null path is no recipient")
}

func TestOriginalRecipient(t *testing.T) {
	for _, c := range []struct {
		rule, orcpt   string
		ascii, global string
	}{
		{"none", "", "", ""},
		{"the usual", "rfc822;User@example.net", "rfc822; User@example.net", "rfc822; User@example.net"},
		{"its type in any case", "RFC822;a@b.example", "RFC822; a@b.example", "RFC822; a@b.example"},
		{"another type", "x400;/C=de/S=a/", "x400; /C=de/S=a/", "x400; /C=de/S=a/"},
		{"a semicolon in the address", "rfc822;a;b@c", "rfc822; a;b@c", "rfc822; a;b@c"},
		{"a blank in the address", `rfc822;"a b"@c`, `rfc822; "a b"@c`, `rfc822; "a b"@c`},
		{"UTF-8", "utf-8;用户+tag@x", `utf-8; \x{7528}\x{6237}\x{2B}tag@x`, "utf-8; 用户+tag@x"},
		{"no type", "a@b.example", "", ""},
		{"an empty type", ";a@b.example", "", ""},
		{"a type that is no atom", "a b;c@d", "", ""},
		{"an empty address", "rfc822;", "", ""},
		{"blanks around the address", "rfc822; a@b ", "", ""},
		{"a line end", "rfc822;a@b\r\nFinal-Recipient: rfc822; evil@x", "", ""},
		{"a bare CR", "rfc822;a\rb", "", ""},
		{"a C1 control", "utf-8;a\u0085b", "", ""},
		{"UTF-8 that is not called so", "rfc822;用户@x", "", ""},
		{"no UTF-8", "utf-8;\xff@x", "", ""},
		{"too long", "rfc822;" + strings.Repeat("a", maxAddress+1), "", ""},
		{"too long only when encoded", "utf-8;" + strings.Repeat("用", 160), "", "utf-8; " + strings.Repeat("用", 160)},
	} {
		t.Run(c.rule, func(t *testing.T) {
			assert.Equal(t, c.ascii, originalRecipient(c.orcpt, false), "in message/delivery-status")
			assert.Equal(t, c.global, originalRecipient(c.orcpt, true), "in message/global-delivery-status")
		})
	}
}

func TestFieldsOfHostileText(t *testing.T) {
	n := notice(t)
	n.EnvID = "x\r\n\r\nFinal-Recipient: rfc822; evil@example.com"
	n.ReportingMTA, n.From, n.ID = "a\r\nX: y", "a\r\nX: y", "1>\r\nX: y"
	n.Recipients[0].RemoteMTA = "mx\r\n\r\nX: y"
	n.Recipients[0].Reply.Text = "Ok\r\n\r\nFinal-Recipient: rfc822; evil@example.com\x1b[2J\xff"
	n.Recipients[0].Status = wire.Enhanced{Class: 5, Subject: 1, Detail: 1}
	r := read(t, Relayed(n).Content)
	assert.NotContains(t, r.message, "Original-Envelope-Id", "an identifier that cannot be told is not told")
	assert.Equal(t, "dns; localhost", r.message["Reporting-MTA"], "a name that is none is replaced")
	assert.Equal(t, "Mail Delivery System <postmaster@localhost>", r.header.Get("From"), "an address that is none is replaced")
	assert.NotContains(t, r.header, "X", "no field comes in")
	require.Len(t, r.each, 1, "no recipient comes in")
	assert.Equal(t, "smtp; 250 2.0.0 Ok Final-Recipient: rfc822; evil@example.com?[2J?", r.each[0]["Diagnostic-Code"], "the reply is one line")
	assert.Equal(t, "2.0.0", r.each[0]["Status"], "relayed is a success")
}

func TestManyRecipients(t *testing.T) {
	n := notice(t)
	one := n.Recipients[0]
	n.Recipients = nil
	for i := range 10_000 {
		one.To = address(t, fmt.Sprintf("user%d@example.net", i))
		n.Recipients = append(n.Recipients, one)
	}
	m := Relayed(n)
	r := read(t, m.Content)
	require.Len(t, r.each, 10_000, "the report has them all")
	assert.Equal(t, "rfc822; user9999@example.net", r.each[9999]["Final-Recipient"], "in their order")
	assert.Contains(t, r.words, "And 9950 more", "the words name some")
	assert.Less(t, len(r.words), 10_000, "and stay short")
}

func TestLongestRecipient(t *testing.T) {
	n := notice(t)
	long := strings.Repeat("a", 640) + "@" + strings.Repeat("b.", 120) + "example"
	n.To, n.Recipients[0].To = address(t, long), address(t, long)
	n.Recipients[0].RemoteMTA = strings.Repeat("m", 300)
	n.Recipients[0].Reply.Text = strings.Repeat("x", 5000)
	r := read(t, Relayed(n).Content)
	assert.Equal(t, "rfc822; "+long, r.each[0]["Final-Recipient"], "an address is never cut")
	assert.Equal(t, "<"+long+">", r.header.Get("To"), "an address is never cut")
}

func TestSame(t *testing.T) {
	assert.True(t, bytes.Equal(Relayed(notice(t)).Content, Relayed(notice(t)).Content), "equal notices make equal notifications")
}

package dsn

import (
	"net/netip"
	"testing"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/stretchr/testify/require"
)

// FuzzRelayed gives every field hostile text. The notification must be one, with the recipients that were given and no others.
func FuzzRelayed(f *testing.F) {
	f.Add("sender@x.example", "user@y.example", "QQ1", "rfc822;u@y.example", "mx.y.example", "Ok", "host.example", "Subject: a\r\n\r\nb", false)
	f.Add("ä@x", "ö@y", "\r\n\r\nX: y", "utf-8;\r\n", "\r\n", "\r\n\r\nFinal-Recipient: rfc822; a@b", "\r\n", "\xff\r\n--=_\r\n", true)
	f.Add(`a"b\ c@x`, "a@[192.0.2.1]", " ", "utf-8;\\x{41}", "--", "--\r\n--", "[::1]", "Message-ID: <a@b>\r\n\r\n", true)
	f.Add("a@x", "b@y", "=?utf-8?q?=0d=0a?=", "x;y", "m m", "\x00", "h", "A: "+string(make([]byte, 1200)), false)
	f.Fuzz(func(t *testing.T, to, rcpt, envid, orcpt, mta, reply, host, original string, utf8 bool) {
		from, err := wire.ParseAddress(to)
		if err != nil {
			return
		}
		one, err := wire.ParseAddress(rcpt)
		if err != nil {
			return
		}
		n := Notice{ReportingMTA: host, From: envid, To: from, EnvID: envid, Arrival: noon, Now: noon, Original: content(original), UTF8: utf8, ID: mta}
		last := wire.Address{}
		if last, err = wire.ParseAddress("last@example.org"); err != nil {
			t.Fatal(err)
		}
		n.Recipients = []Recipient{{To: one, ORCPT: orcpt, RemoteMTA: mta, Addr: netip.IPv6Loopback(), Status: wire.Enhanced{Class: 2},
			Reply: wire.Reply{Code: 250, Text: reply}, At: noon}, {To: last, ORCPT: orcpt, Reply: wire.Reply{Code: 250, Text: reply}}}
		m := Relayed(n)
		if from.IsNull() {
			require.Empty(t, m.Content, "the null path is told nothing")
			return
		}
		checkFuzzed(t, m, n)
	})
}

func checkFuzzed(t *testing.T, m Message, n Notice) {
	r := read(t, m.Content)
	require.Equal(t, "<"+n.To.String()+">", r.header.Get("To"), "it goes to the sender")
	require.LessOrEqual(t, len(r.header), 11, "no field of the header came from elsewhere")
	var want []Recipient
	for _, rcpt := range n.Recipients {
		if !rcpt.To.IsNull() {
			want = append(want, rcpt)
		}
	}
	require.Len(t, r.each, len(want), "the recipients are those that were given")
	for i, rcpt := range want {
		require.Equal(t, finalRecipient(rcpt.To), r.each[i]["Final-Recipient"], "in their order")
	}
	require.Equal(t, string(headerOf(n.Original)), r.original, "the original's header comes back as it was")
	require.Equal(t, !isASCII(m.Content), m.EightBit, "what is told of octets above 127 is so")
	if m.EightBit {
		require.True(t, m.SMTPUTF8, "only what needs SMTPUTF8 has octets above 127")
	}
}

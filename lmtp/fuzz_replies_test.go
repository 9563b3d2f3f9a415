package lmtp

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// finalReply is what every host MTA understands as a final reply.
var finalReply = regexp.MustCompile(`\A(?:250 2|45[012] 4|55[04] 5)\.[0-9]{1,3}\.[0-9]{1,3} [ -~]{1,480}\z`)

// FuzzStatus: whatever became of a recipient, and whatever was said about it, the host MTA is told in one line that it understands,
// and only a delivery is told as one.
func FuzzStatus(f *testing.F) {
	f.Add(uint8(0), 550, uint16(5), uint16(1), uint16(1), "no \x1b[2J such\r\nuser", "mx1.example", "connect: refused")
	f.Add(uint8(1), 250, uint16(2), uint16(0), uint16(0), "", "[192.0.2.1]", "")
	f.Add(uint8(2), 421, uint16(4), uint16(999), uint16(1000), strings.Repeat("x\u202e", 500), strings.Repeat("m", 500), "\x00")
	f.Add(uint8(2), 0, uint16(0), uint16(0), uint16(0), "", "", "")
	f.Add(uint8(9), -1, uint16(7), uint16(65535), uint16(65535), "\xff", "\n250 2.0.0 ok", "")
	f.Fuzz(func(t *testing.T, class uint8, code int, c, subject, detail uint16, text, mx, why string) {
		o := &feed.Outcome{
			Class: feed.Class(class % 3), Status: wire.Enhanced{Class: c, Subject: subject, Detail: detail},
			Reply: wire.Reply{Code: code, Enhanced: wire.Enhanced{Class: c, Subject: subject, Detail: detail}, Text: text},
		}
		if why != "" {
			o.Err = errors.New(why)
		}
		if mx != "" {
			o.Via = &feed.Via{MX: mx, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), detail), TLS: why, Policy: mx, Verified: subject&1 != 0}
		}
		line := lineOf(status(o))
		require.Regexp(t, finalReply, line, "it is one line that hosts understand")
		require.LessOrEqual(t, len(line), 498, "and fits into what RFC 5321 section 4.5.3.1.5 gives it")
		assert.Equal(t, o.Class == feed.Delivered, strings.HasPrefix(line, "250 "), "it says delivered of what is, and of nothing else")
		assert.Equal(t, o.Class == feed.Failed, strings.HasPrefix(line, "55"), "and bounces what failed, and nothing else")
	})
}

// FuzzPlainRecipient: what passes go-smtp by is one RCPT of one plain mailbox, to the octet.
func FuzzPlainRecipient(f *testing.F) {
	for _, s := range []string{"RCPT TO:<a@b.example>\r\n", "rcpt to:<a.b+c@D>\r\n", "RCPT TO:<a@b>\n", "RCPT TO:<a@b> SIZE=1\r\n", "RCPT TO:<\"a\"@b>\r\n", "RCPT TO:<a@b@c>\r\n",
		"RCPT TO:<@b>\r\n", "RCPT TO:<a@>\r\n", "RCPT TO:<a\r@b>\r\n", "RCPT TO:<a@b>\r\n\r\n", "RCPT TO:<a@b>>\r\n", "RCPT TO:<..@-._>\r\n", "RCPT TO:<a@[127.0.0.1]>\r\n"} {
		f.Add([]byte(s))
	}
	plain := regexp.MustCompile("\\A(?i:RCPT TO:)<([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9._-]+)>((?s).*)\r\n\\z")
	f.Fuzz(func(t *testing.T, command []byte) {
		mailbox, parameters, ok := plainRecipient(command)
		m := plain.FindSubmatch(command)
		require.Equal(t, m != nil, ok, "the plain form is taken, and no other: %q", command)
		if ok {
			require.Equal(t, string(m[1]), string(mailbox), "and the mailbox is what stands there")
			require.Equal(t, string(m[2]), string(parameters), "and what follows it")
		}
	})
}

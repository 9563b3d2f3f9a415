package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// awkward has in it what programs on the way like to change, and DKIM signatures do not survive: dots that begin lines, blanks
// that end them, octets above 127, the longest line RFC 5322 section 2.1.1 allows, header fields folded in odd ways, an
// mbox "From ", and empty lines at the end.
var awkward = strings.ReplaceAll(`From: "List \"x\" Owner" <list-owner@sender.test>
To: undisclosed-recipients: ;
Subject: =?utf-8?Q?gr=C3=BC=C3=9Fe?=
X-Folded: one
	two
   three   `+`
Date: Sat, 21 Nov 2026 12:00:00 +0000
Message-ID: <bytes@sender.test>
MIME-Version: 1.0
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: 8bit

.
..
.leading dot
.. two
. 
From the beginning of a line
gr`+"\xfc\xdfe \xff\xfe\x80\x01\x7f\t"+`
trailing blanks   	 `+`
`+strings.Repeat("0123456789", 99)+"99999998"+`
.`+strings.Repeat("x", 997)+`
MAIL FROM:<forged@sender.test>
RCPT TO:<forged@sender.test>
DATA
QUIT


`, "\n", "\r\n")

func TestContentThroughPostfixArrivesByteForByte(t *testing.T) {
	mx := startExchanger(t, mxsim.Config{RTT: time.Millisecond})
	s := startSystem(t, systemConfig{
		world: internet.Config{Domains: 1, Hosts: 1},
		feed:  feedd.Config{Routes: map[string][]string{"bytes.test": {mx.host}}},
	})
	for _, params := range []string{" BODY=8BITMIME", ""} { // without it Postfix looks at the content, not at the promise
		submit(t, s.postfix, mail{from: sender, to: []string{"a@bytes.test", "b@bytes.test"}, params: params, content: awkward})
	}
	require.Eventually(t, func() bool { return len(mx.accepted()) == 4 }, feedd.Patience, 10*time.Millisecond, "the mails arrive")
	assert.Empty(t, settled(t, s.postfix, feedd.Patience), "Postfix has nothing left")
	assert.Empty(t, mx.Violations(), "the host finds no fault with smtpfeed's protocol")
	for _, m := range mx.Messages() {
		received, content := cutReceived(string(m.Content))
		assert.Contains(t, received, "by host.e2e.test (Postfix)", "Postfix put its trace in front")
		assert.Equal(t, awkward, content, "and the rest is what was submitted, octet for octet")
		assert.Contains(t, m.Params, "BODY=8BITMIME", "the host is told of octets above 127")
	}
}

// cutReceived cuts the first field, with its folded lines, off a content.
func cutReceived(content string) (field, rest string) {
	lines := strings.SplitAfter(content, "\r\n")
	n := 1
	for n < len(lines) && strings.HasPrefix(lines[n], "\t") {
		n++
	}
	return strings.Join(lines[:n], ""), strings.Join(lines[n:], "")
}

package security

import (
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
)

// tellsItAll is all that a server says in a transaction that goes well.
const tellsItAll = "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n250 2.0.0 queued as forged\r\n"

// Octets that come before they are due are injected by somebody, or belong to a server that has lost count. None may stand for the
// reply to what was not said yet: mail would be lost that nobody has.
func TestRepliesBeforeTheirCommandsDeliverNothing(t *testing.T) {
	for _, row := range []struct {
		name  string
		at    stage
		reply string
		says  string // in the reply to the host MTA
	}{
		{"GRT-12: two greetings", greeting, "220 a\r\n220 b\r\n", "451 4.5.0 "},
		{"all of it behind the greeting", greeting, "220 a\r\n250 x\r\n" + tellsItAll, "451 4.5.0 "},
		{"half a line behind the greeting", greeting, "220 a\r\n250 2", "451 4.5.0 "},
		{"an octet behind the greeting", greeting, "220 a\r\n\n", "451 4.5.0 "},
		{"STARTTLS and its answer behind the greeting", greeting, "220 a\r\n220 ready for TLS\r\n\x16\x03\x01", "451 4.5.0 "},
		{"all of it behind EHLO", ehlo, "250-x\r\n250-PIPELINING\r\n250 STARTTLS\r\n" + tellsItAll, "451 4.5.0 "},
		{"the answer to STARTTLS behind EHLO (CVE-2011-0411's other side)", ehlo, "250-x\r\n250 STARTTLS\r\n220 ready\r\n", "451 4.5.0 "},
		{"all of it behind MAIL's", mail, tellsItAll, "451 4."},
		{"all of it behind RCPT's", rcpt, "250 2.1.5 ok\r\n354 go on\r\n250 2.0.0 queued as forged\r\n", "451 4."},
		{"the final reply behind the invitation", data, "354 go on\r\n250 2.0.0 queued as forged\r\n", "451 4."},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := slander(t, row.at, row.reply).listener.Addr().(*net.TCPAddr)
			d := start(t, setting{routes: []string{fmt.Sprintf("d.test [%s]:%d", a.IP, a.Port)}})
			h := lhlo(t, d)
			replies := h.transaction(sender, []string{"a@d.test"}, wire("Subject: x\r\n\r\nx\r\n"))
			assert.Regexp(t, "^"+row.says, replies[0], "it is not delivered, and the host MTA keeps it")
			h.quit()
		})
	}
}

// STARTTLS is not spoken in this version: there is nothing to strip, and nothing to inject into.
func TestSTARTTLSIsNotSaidWhereItIsOff(t *testing.T) {
	next := receive(t, leniencies()[0], false) // it offers STARTTLS
	h := lhlo(t, start(t, setting{routes: []string{"d.test " + next.at()}}))
	delivered(t, h.transaction(sender, []string{"a@d.test"}, wire("Subject: x\r\n\r\nx\r\n")))
	h.quit()
	assert.Equal(t, []string{"EHLO feed.security.test", "MAIL FROM:<" + sender + ">", "RCPT TO:<a@d.test>", "DATA"}, next.heard()[:4],
		"mail goes as if it had not been offered")
	nothingForged(t, []*receiver{next})
}

// Nor is it offered to the host MTA, and asking for it changes nothing: what follows in the same packet is not taken for words under
// TLS, since there is none.
func TestSTARTTLSOverLMTPIsRefused(t *testing.T) {
	next := receive(t, leniencies()[0], false)
	d := start(t, setting{routes: []string{"d.test " + next.at()}})
	lines := pipelined(t, d, "STARTTLS\r\nMAIL FROM:<"+sender+">\r\nRCPT TO:<a@d.test>\r\nRSET\r\n")
	for _, line := range lines {
		assert.NotContains(t, line, "STARTTLS", "it is not offered")
		assert.NotRegexp(t, "^220 .*TLS", line, "nor begun")
	}
	assert.Empty(t, next.taken(), "nothing is sent")
}

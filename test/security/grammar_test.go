package security

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

// The grammar of everything that smtpfeed may say, written down from RFC 5321 section 4.1.2 and the extensions it uses, and not from
// its code. Octets above 127 are those of UTF-8 (RFC 6531 section 3.3).
var (
	hello    = regexp.MustCompile(`\AEHLO [A-Za-z0-9][A-Za-z0-9.-]*\z`)
	bdat     = regexp.MustCompile(`\ABDAT [0-9]{1,20} LAST\z`)
	mailFrom = regexp.MustCompile(`\AMAIL FROM:<(?s:(.*))>((?: SIZE=[0-9]{1,20})?(?: BODY=8BITMIME)?(?: SMTPUTF8)?)\z`)
	rcptTo   = regexp.MustCompile(`\ARCPT TO:<(?s:(.+))>\z`)

	dotString = regexp.MustCompile("\\A[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\x{80}-\\x{10ffff}-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\x{80}-\\x{10ffff}-]+)*\\z")
	quoted    = regexp.MustCompile(`\A"(?:[ !#-\[\]-~\x{80}-\x{10ffff}]|\\[ -~])*"\z`)
	hostName  = regexp.MustCompile(`\A[A-Za-z0-9_\x{80}-\x{10ffff}](?:[A-Za-z0-9_.\x{80}-\x{10ffff}-]*[A-Za-z0-9_\x{80}-\x{10ffff}])?\z`)
)

// maxCommand is RFC 5321 section 4.5.3.1.4 with what its extensions add, as generous as everybody is.
const maxCommand = 1000

// grammatical says why a line, without its CRLF, is no command of smtpfeed's.
func grammatical(line string) error {
	if len(line) > maxCommand || !utf8.ValidString(line) {
		return fmt.Errorf("%d octets, or not UTF-8: %q", len(line), line)
	}
	for _, c := range line {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return fmt.Errorf("a control character in %q", line)
		}
	}
	if line == "DATA" || line == "RSET" || line == "QUIT" || hello.MatchString(line) || bdat.MatchString(line) {
		return nil
	}
	if m := rcptTo.FindStringSubmatch(line); m != nil {
		return mailbox(m[1])
	}
	if m := mailFrom.FindStringSubmatch(line); m != nil && m[1] == "" {
		return nil // the null reverse-path
	} else if m != nil {
		return mailbox(m[1])
	}
	return fmt.Errorf("no command: %q", line)
}

// mailbox says why what stands between brackets is no mailbox.
func mailbox(s string) error {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return fmt.Errorf("no domain in %q", s)
	}
	if local := s[:at]; !dotString.MatchString(local) && !quoted.MatchString(local) {
		return fmt.Errorf("no local part: %q", local)
	}
	domain := s[at+1:]
	if literal, ok := strings.CutPrefix(domain, "["); ok {
		literal, closed := strings.CutSuffix(strings.TrimPrefix(literal, "IPv6:"), "]")
		if _, err := netip.ParseAddr(literal); err != nil || !closed {
			return fmt.Errorf("no address literal: %q", domain)
		}
		return nil
	}
	if !hostName.MatchString(domain) || strings.Contains(domain, "..") || len(domain) > 255 {
		return fmt.Errorf("no domain: %q", domain)
	}
	return nil
}

func TestGrammatical(t *testing.T) {
	for _, line := range []string{"EHLO a.test", "DATA", "RSET", "QUIT", "BDAT 17 LAST", "MAIL FROM:<>", "MAIL FROM:<a@b.test> SIZE=1 BODY=8BITMIME SMTPUTF8",
		`RCPT TO:<"a> b\""@c.test>`, "RCPT TO:<a@[192.0.2.1]>", "RCPT TO:<a@[IPv6:2001:db8::1]>", "RCPT TO:<gr\u00fc\u00dfe@\u00e4.test>"} {
		assert.NoError(t, grammatical(line), "%q is a command", line)
	}
	for _, line := range []string{"", "STARTTLS", "data", "DATA ", "EHLO a b", "MAIL FROM:<a@b.test> BODY=7BIT", "RCPT TO:<>", "RCPT TO:<a b@c.test>",
		"RCPT TO:<a@b.test> NOTIFY=NEVER", "RCPT TO:<a@b.test>\rQUIT", "RCPT TO:<a@b.test\x00>", `RCPT TO:<"a"b"@c.test>`, "RCPT TO:<a..b@c.test>",
		"RCPT TO:<a@b..test>", "RCPT TO:<a@-b.test>", "RCPT TO:<a@[b]>", "RCPT TO:<\xff@b.test>", "RCPT TO:<" + strings.Repeat("a", 1000) + "@b.test>"} {
		assert.Error(t, grammatical(line), "%q is no command", line)
	}
}

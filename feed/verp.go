package feed

import (
	"errors"
	"fmt"
	"strings"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// maxLocalPart is RFC 5321 section 4.5.3.1.1: "The maximum total length of a user name or other local-part is 64 octets." Some
// receivers refuse more.
const maxLocalPart = 64

// maxHeader is RFC 5322 section 2.1.1: "Each line of characters MUST be no more than 998 characters". A longer header line is left out.
const maxHeader = 998

// A VERP is a rule that makes messages of some senders personal: each recipient gets a transaction of its own, with an envelope
// sender from which a bounce can be read back to it (variable envelope return paths), and perhaps a header line of its own. The
// message was handed over once and is held once.
//
// Templates may hold {local} and {domain}, the recipient's, and {sender_local} and {sender_domain}, the envelope sender's.
// Local parts are taken without their quotes, and the result is quoted as a whole where the syntax asks for it.
type VERP struct {
	Sender   string // whose messages: an address, in which one '*' stands for anything; ASCII case makes no difference
	Template string // the personal sender, as "list-bounces+{local}={domain}@lists.example.org"; "" keeps the sender
	Header   string // a header line put before the message, as "X-Recipient: {local}@{domain}"; "" is none
	MaxLocal int    // octets of a personal sender's local part; a recipient for whom it is longer gets the sender itself; 0 is 64
}

// Validate says what is wrong with the rule.
func (v *VERP) Validate() error {
	switch {
	case v.Sender == "":
		return errors.New("no sender: say whose messages the rule is for")
	case strings.Count(v.Sender, "*") > 1:
		return fmt.Errorf("sender %q: only one * may stand in it", v.Sender)
	case v.Template == "" && v.Header == "":
		return errors.New("neither template nor header: the rule would change nothing")
	case v.MaxLocal < 0:
		return fmt.Errorf("max_local %d: it must not be negative", v.MaxLocal)
	}
	if err := v.validateTemplate(); err != nil {
		return err
	}
	return v.validateHeader()
}

// validateTemplate tries the template on addresses that need no quotes.
func (v *VERP) validateTemplate() error {
	if v.Template == "" {
		return nil
	}
	text, err := exampleOf(v.Template)
	if err != nil {
		return err
	}
	if _, err := wire.ParseAddress(text); err != nil {
		return fmt.Errorf("template %q makes no address: %w", v.Template, err)
	}
	if !strings.Contains(v.Template, "{local}") || !strings.Contains(v.Template, "{domain}") {
		return fmt.Errorf("template %q: without {local} and {domain} a bounce does not tell whose it is", v.Template)
	}
	return nil
}

func (v *VERP) validateHeader() error {
	if v.Header == "" {
		return nil
	}
	if _, err := exampleOf(v.Header); err != nil {
		return err
	}
	name, _, ok := strings.Cut(v.Header, ":")
	// RFC 5322 section 2.2: "printable US-ASCII characters (i.e., characters that have values between 33 and 126, inclusive), except colon"
	// and no dot in front, which would have to be stuffed, nor a recipient's own words.
	odd := func(c rune) bool { return c <= ' ' || c > '~' || c == '{' }
	if !ok || name == "" || name[0] == '.' || strings.ContainsFunc(name, odd) {
		return fmt.Errorf("header %q: it must begin with a field name and a colon", v.Header)
	}
	if strings.ContainsFunc(v.Header, func(c rune) bool { return c < ' ' || c > '~' }) || len(v.Header) > 500 {
		return fmt.Errorf("header %q: it must be one line of at most 500 octets of printable ASCII", v.Header)
	}
	return nil
}

// exampleOf fills a template in for an example, or says which of its braces mean nothing.
func exampleOf(template string) (string, error) {
	text := fill(template, "sender@example.org", "recipient@example.net")
	if strings.ContainsAny(text, "{}") {
		return "", fmt.Errorf("%q: only {local}, {domain}, {sender_local} and {sender_domain} may stand in braces", template)
	}
	return text, nil
}

// fill puts two addresses into a template. Braces that mean nothing stay, and so do those that an address brings with it.
func fill(template, sender, recipient string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(template, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, closed := strings.Cut(rest, "}")
		value, known := valueOf(name, sender, recipient)
		if !closed || !known {
			b.WriteByte('{')
			template = rest
			continue
		}
		b.WriteString(value)
		template = after
	}
}

// valueOf is what stands for a name in braces.
func valueOf(name, sender, recipient string) (value string, known bool) {
	switch name {
	case "local":
		value, _ = cutLast(recipient)
	case "domain":
		_, value = cutLast(recipient)
	case "sender_local":
		value, _ = cutLast(sender)
	case "sender_domain":
		_, value = cutLast(sender)
	default:
		return "", false
	}
	return value, true
}

// cutLast splits an unquoted address at its last '@': a local part may hold others.
func cutLast(address string) (local, domain string) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address, ""
	}
	return address[:at], address[at+1:]
}

// verpFor is the rule for a sender, or nil. Bounces have no sender, and stay as they are.
func (e *engine) verpFor(from wire.Address) *VERP {
	if from.IsNull() {
		return nil
	}
	for i := range e.config.VERP {
		if e.config.VERP[i].matches(from) {
			return &e.config.VERP[i]
		}
	}
	return nil
}

// matches says that the rule is for this sender.
func (v *VERP) matches(from wire.Address) bool {
	sender, pattern := lowerASCII(from.Unquoted()), lowerASCII(v.Sender)
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return sender == pattern
	}
	return len(sender) >= len(before)+len(after) && strings.HasPrefix(sender, before) && strings.HasSuffix(sender, after)
}

// lowerASCII folds the letters that mean the same in a mailbox, wherever it is; others are not ours to fold.
func lowerASCII(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, s)
}

// personal is the envelope sender and the header line for one recipient. Where the template makes no address that may be sent,
// the sender stays: the mail is delivered, and only its bounce tells less.
func (v *VERP) personal(from, to wire.Address) (wire.Address, []byte) {
	sender := from
	if v.Template != "" {
		a, err := wire.ParseAddress(fill(v.Template, from.Unquoted(), to.Unquoted()))
		if err == nil && len(a.Local()) <= v.maxLocal() {
			sender = a
		}
	}
	if v.Header == "" {
		return sender, nil
	}
	// The recipient is valid by wire.ParseAddress: no control octet is in it, so the line is one line.
	line := fill(v.Header, from.Unquoted(), to.String())
	if len(line) > maxHeader {
		return sender, nil
	}
	return sender, append([]byte(line), "\r\n"...)
}

func (v *VERP) maxLocal() int {
	if v.MaxLocal == 0 {
		return maxLocalPart
	}
	return v.MaxLocal
}

package dsn

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// maxAddress is how long an original recipient may be: ORCPT has at most 500 octets encoded (RFC 3461 section 4.2).
const maxAddress = 500

// maxEnvID is how long an envelope identifier may be (RFC 3461 section 4.4).
const maxEnvID = 100

// perRecipient is about how long the fields about one recipient are.
const perRecipient = 320

// status is the part for programs: a group of fields about the message, and one about each recipient (RFC 3464 section 2.1).
func status(n Notice) part {
	p := part{media: "message/delivery-status"}
	if isGlobal(n) {
		// RFC 6533 section 4: UTF-8 addresses in their own form stand in this type only.
		p = part{media: "message/global-delivery-status", encoding: "8bit", global: true}
	}
	p.body = make([]byte, 0, 512+len(n.Recipients)*perRecipient)
	p.body = appendField(p.body, "Reporting-MTA", "dns; "+n.ReportingMTA)
	if isLine(n.EnvID) && len(n.EnvID) <= maxEnvID {
		// RFC 3464 section 2.2.1: it is returned unchanged. One that cannot be is not returned.
		p.body = appendField(p.body, "Original-Envelope-Id", n.EnvID)
	}
	if !n.Arrival.IsZero() {
		p.body = appendField(p.body, "Arrival-Date", date(n.Arrival))
	}
	for _, r := range n.Recipients {
		p.body = append(p.body, "\r\n"...)
		p.body = appendRecipient(p.body, r, p.global)
	}
	return p
}

// isGlobal says that some address is not ASCII. An original recipient has an ASCII form, which serves if the sender does not know
// UTF-8.
func isGlobal(n Notice) bool {
	for _, r := range n.Recipients {
		if !r.To.ASCII() || n.UTF8 && !isASCII(originalRecipient(r.ORCPT, true)) {
			return true
		}
	}
	return false
}

// appendRecipient appends the fields about one recipient, in the order of RFC 3464 section 2.3.
func appendRecipient(b []byte, r Recipient, global bool) []byte {
	if o := originalRecipient(r.ORCPT, global); o != "" {
		b = appendField(b, "Original-Recipient", o)
	}
	b = appendField(b, "Final-Recipient", finalRecipient(r.To))
	b = appendField(b, "Action", "relayed")
	b = appendField(b, "Status", statusCode(r.Status))
	if mta := wire.Clean(r.RemoteMTA, 255); isLine(mta) {
		b = appendField(b, "Remote-MTA", "dns; "+mta)
	}
	if reply := r.Reply.String(); reply != "" {
		b = appendText(b, "Diagnostic-Code", "smtp; "+reply)
	}
	if !r.At.IsZero() {
		b = appendField(b, "Last-Attempt-Date", date(r.At))
	}
	return b
}

// finalRecipient is the address as it was given to the next hop.
func finalRecipient(a wire.Address) string {
	if a.ASCII() {
		return "rfc822; " + a.String()
	}
	return "utf-8; " + a.String()
}

// originalRecipient is what ORCPT said, in the form of the field (RFC 3464 section 2.3.1), or "" where it cannot be told:
// programs compare it with what they sent, so it is whole or not there.
func originalRecipient(orcpt string, global bool) string {
	kind, addr, ok := strings.Cut(orcpt, ";")
	if !ok || !isAtom(kind) || len(addr) > maxAddress || strings.TrimSpace(addr) != addr || addr == "" {
		return ""
	}
	if !utf8.ValidString(addr) || strings.ContainsFunc(addr, unicode.IsControl) {
		return ""
	}
	switch {
	case !strings.EqualFold(kind, "utf-8"):
		if !isASCII(addr) {
			return ""
		}
	case !global:
		addr = wire.EncodeUTF8XText(addr) // RFC 6533 section 3: the form for message/delivery-status
	}
	if field := kind + "; " + addr; len(field) <= maxLine-len("Original-Recipient: ") {
		return field
	}
	return ""
}

// statusCode is the Status of a relayed recipient: its class says success (RFC 3464 section 2.3.4).
func statusCode(e wire.Enhanced) string {
	if e.Class != 2 {
		return "2.0.0"
	}
	return e.String()
}

// isLine says that s is printable ASCII that a reader gets back as it is: neither empty nor with blanks at its ends.
func isLine(s string) bool {
	return s != "" && wire.Clean(s, len(s)) == s && strings.TrimSpace(s) == s
}

// isAtom says that s is an address type (RFC 3464 section 2.1.2: an atom); all that are registered are letters, digits and
// hyphens.
func isAtom(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

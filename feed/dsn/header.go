package dsn

import (
	"strconv"
	"strings"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// width is where lines are folded if they can be (RFC 5322 section 2.1.1: "SHOULD be no more than 78 characters").
const width = 78

// appendHeader appends the notification's own header but for its Content-Type. id is the original's Message-ID, or "".
func appendHeader(b []byte, n Notice, from wire.Address, id string) []byte {
	b = appendField(b, "From", "Mail Delivery System <"+from.String()+">")
	b = appendField(b, "To", "<"+n.To.String()+">")
	b = appendField(b, "Subject", "Delivery report: mail relayed to "+count(len(n.Recipients)))
	b = appendField(b, "Date", date(n.Now))
	b = appendField(b, "Message-ID", "<"+leftSide(n.ID)+"@"+n.ReportingMTA+">")
	if id != "" {
		b = appendField(b, "In-Reply-To", id)
		b = appendField(b, "References", id)
	}
	// RFC 3834 section 5: what was caused by a message is auto-replied. It keeps vacation programs from answering.
	b = appendField(b, "Auto-Submitted", "auto-replied")
	return appendField(b, "MIME-Version", "1.0")
}

// count is "1 recipient", "2 recipients".
func count(n int) string {
	if n == 1 {
		return "1 recipient"
	}
	return strconv.Itoa(n) + " recipients"
}

// date is a date-time of RFC 5322 section 3.3.
func date(t time.Time) string { return t.Format("Mon, 02 Jan 2006 15:04:05 -0700") }

// leftSide is the part of id that may stand in a Message-ID (RFC 5322 section 3.6.4: a dot-atom), in no more than a line has room
// for.
func leftSide(id string) string {
	kept := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '_' {
			return c
		}
		return '-'
	}, id[:min(len(id), 100)])
	return "relayed." + max(kept, "0") // an empty atom is none
}

// appendField appends a field that must stand on one line: an address, a date, a word of ours. It is shorter than maxLine.
func appendField(b []byte, name, value string) []byte {
	return append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
}

// appendText appends a field of free text, folded at its blanks (RFC 5322 section 2.2.3).
func appendText(b []byte, name, value string) []byte {
	return appendFolded(append(append(b, name...), ':'), value, len(name)+1, "")
}

// appendFolded appends words, each behind a blank, on lines that go on with a blank behind the indent; column is where it stands
// in the first. Runs of blanks become one, so that no line is blank.
func appendFolded(b []byte, value string, column int, indent string) []byte {
	for i, word := range strings.Fields(value) {
		if i > 0 && column+1+len(word) > width {
			b, column = append(append(b, "\r\n"...), indent...), len(indent)
		}
		b = append(append(b, ' '), word...)
		column += 1 + len(word)
	}
	return append(b, "\r\n"...)
}

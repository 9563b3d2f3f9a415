package dsn

import (
	"strconv"
	"strings"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// maxNamed is how many recipients the words name. Nobody reads more, and the report has them all.
const maxNamed = 50

// words is the part for people.
func words(n Notice) part {
	var b []byte
	b = appendLine(b, "This is the mail system at host "+n.ReportingMTA+".")
	b = append(b, "\r\n"...)
	b = append(b, "Your message was handed on to the mail systems of the recipients below, and\r\n"+
		"they have accepted it. These systems do not report deliveries. So you will hear\r\n"+
		"no more about it, unless the mail cannot be delivered there after all.\r\n\r\n"...)
	for _, r := range n.Recipients[:min(len(n.Recipients), maxNamed)] {
		b = appendNamed(b, r)
	}
	if more := len(n.Recipients) - maxNamed; more > 0 {
		b = append(b, "\r\nAnd "+strconv.Itoa(more)+" more: the attached report names them all.\r\n"...)
	}
	if isASCII(b) {
		return part{media: "text/plain; charset=us-ascii", body: b}
	}
	return part{media: "text/plain; charset=utf-8", body: b, encoding: "8bit"}
}

// appendNamed appends one recipient, and below it "mx.example.net[192.0.2.1] said: 250 Ok", as far as that is known.
func appendNamed(b []byte, r Recipient) []byte {
	b = appendLine(b, "<"+r.To.String()+">")
	where := wire.Clean(r.RemoteMTA, 255)
	if strings.HasPrefix(where, "[") {
		where = "" // an address literal: the address tells it
	}
	if r.Addr.IsValid() {
		where += "[" + r.Addr.WithZone("").String() + "]"
	}
	if reply := r.Reply.String(); reply != "" {
		where += " said: " + reply
	}
	if strings.TrimSpace(where) == "" {
		return b
	}
	const indent = "   " // appendFolded adds the fourth blank
	return appendFolded(append(b, indent...), where, len(indent), indent)
}

func appendLine(b []byte, line string) []byte { return append(append(b, line...), "\r\n"...) }

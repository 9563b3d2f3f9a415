package dsn

import (
	"bytes"
	"mime/quotedprintable"
	"strings"
	"unicode/utf8"
)

// maxLine is the longest line that may be sent, without its CRLF (RFC 5322 section 2.1.1).
const maxLine = 998

// A part is one body part of the report.
type part struct {
	media    string // with its parameters
	body     []byte // as it goes on the wire: whole lines
	encoding string // Content-Transfer-Encoding; "" is 7bit
	global   bool   // a media type of RFC 6533, with UTF-8 in it
}

// subtype is what report-type must be: the MIME subtype of the second body part (RFC 6522 section 3).
func (p part) subtype() string {
	_, sub, _ := strings.Cut(p.media, "/")
	return sub
}

// append appends the part behind its boundary.
func (p part) append(b []byte, boundary string) []byte {
	b = append(b, "\r\n--"+boundary+"\r\nContent-Type: "+p.media+"\r\n"...)
	if p.encoding != "" {
		b = append(b, "Content-Transfer-Encoding: "+p.encoding+"\r\n"...)
	}
	return append(append(b, "\r\n"...), p.body...)
}

// returned is the part that has the original's header. message/global-headers should leave unencoded (RFC 6533 section 6.3), so a
// header that cannot is a text/rfc822-headers, which may be encoded if it is broken (RFC 6522 section 4).
func returned(header []byte, smtputf8 bool) part {
	sendable := fits(header)
	switch {
	case sendable && isASCII(header):
		return part{media: "text/rfc822-headers", body: header}
	case sendable && smtputf8 && utf8.Valid(header):
		return part{media: "message/global-headers", body: header, encoding: "8bit", global: true}
	}
	return part{media: "text/rfc822-headers", body: quoted(header), encoding: "quoted-printable"}
}

// quoted encodes whole lines.
func quoted(lines []byte) []byte {
	var out bytes.Buffer
	w := quotedprintable.NewWriter(&out)
	_, _ = w.Write(lines) // a Buffer never fails
	_ = w.Close()
	return out.Bytes()
}

// fits says that lines are of a length that may be sent, and have neither a NUL nor a CR or LF of its own.
func fits(lines []byte) bool {
	for line := range bytes.SplitSeq(lines, []byte("\r\n")) {
		if len(line) > maxLine || bytes.ContainsAny(line, "\x00\r\n") {
			return false
		}
	}
	return true
}

func isASCII[T ~string | ~[]byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

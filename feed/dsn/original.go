package dsn

import (
	"bytes"
	"strings"
)

// maxHeader is how many octets of the original's header are returned. Real ones have 2 to 20 KiB.
const maxHeader = 64 << 10

// maxID is how long a Message-ID may be to be quoted.
const maxID = 250

// original is the header of a message, without the line that ends it, and its Message-ID, or "".
func original(segments [][]byte) (header []byte, id string) {
	header = headerOf(segments)
	return header, messageID(header)
}

// headerOf copies the header: whole lines, and if it is too long, whole fields.
func headerOf(segments [][]byte) []byte {
	var b []byte
	for _, s := range segments {
		b = append(b, s[:min(len(s), maxHeader+1-len(b))]...)
		if bytes.HasPrefix(b, []byte("\r\n")) {
			return nil
		}
		if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
			return b[:i+2]
		}
		if len(b) > maxHeader {
			return wholeFields(b)
		}
	}
	if len(b) > 0 && !bytes.HasSuffix(b, []byte("\r\n")) {
		b = append(b, "\r\n"...)
	}
	return b
}

// wholeFields cuts off the last field, which may be only a part of one.
func wholeFields(b []byte) []byte {
	for end := len(b); ; {
		i := bytes.LastIndex(b[:end], []byte("\r\n"))
		if i < 0 {
			return nil
		}
		if i+2 < len(b) && b[i+2] != ' ' && b[i+2] != '\t' {
			return b[:i+2]
		}
		end = i
	}
}

// messageID finds the Message-ID of a header, "<left@right>", if it has a good one.
func messageID(header []byte) string {
	const name = "message-id:"
	for len(header) > 0 {
		field := firstField(header)
		header = header[len(field):]
		if len(field) > len(name) && strings.EqualFold(string(field[:len(name)]), name) {
			return goodID(strings.TrimSpace(string(field[len(name):])))
		}
	}
	return ""
}

// firstField is the first field of a header with the lines that go on with it.
func firstField(header []byte) []byte {
	for end := 0; ; {
		i := bytes.Index(header[end:], []byte("\r\n"))
		if i < 0 {
			return header
		}
		end += i + 2
		if end == len(header) || header[end] != ' ' && header[end] != '\t' {
			return header[:end]
		}
	}
}

// goodID is id if it can stand in a header of ours: "<" and ">" around printable ASCII with one "@" at least (RFC 5322 section
// 3.6.4, taken widely, as readers only compare it), else "".
func goodID(id string) string {
	inner, ok := strings.CutPrefix(id, "<")
	inner, end := strings.CutSuffix(inner, ">")
	if !ok || !end || len(id) > maxID || !isLine(inner) || strings.ContainsAny(inner, "<> ") || !strings.Contains(inner, "@") {
		return ""
	}
	return id
}

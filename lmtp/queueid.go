package lmtp

import (
	"bytes"
	"strings"
)

// Bounds of the search for the queue id: fields above the first Received are few, and the field itself is short.
const (
	queueIDSearch = 8 << 10
	queueIDLength = 64
)

// queueID finds the host MTA's queue id in the topmost Received field of a message (RFC 5321 section 4.4: Time-stamp-line), which
// is the host's own. It is "" when there is none. It serves for logs, and tells the
// ledger that no later message can be equal to this one.
func queueID(message [][]byte) string {
	head := header(message, queueIDSearch)
	for len(head) > 0 {
		field, rest := cutField(head)
		if name, value, ok := strings.Cut(string(field), ":"); ok && strings.EqualFold(strings.TrimRight(name, " \t"), "received") {
			return receivedID(value)
		}
		if string(field) == "\r\n" {
			break // the header ends here
		}
		head = rest
	}
	return ""
}

// header is a content's header with the empty line that ends it, or somewhat more, but no more than n octets.
func header(chunks [][]byte, n int) (head []byte) {
	for _, c := range chunks {
		c = c[:min(len(c), n-len(head))]
		end := bytes.Index(c, endOfHeader)
		if end >= 0 {
			c = c[:end+len(endOfHeader)]
		}
		if head == nil {
			head = c[:len(c):len(c)] // most often that is all: nothing is copied
		} else {
			head = append(head, c...)
		}
		if end >= 0 || len(head) == n {
			break
		}
	}
	return head
}

var endOfHeader = []byte("\r\n\r\n")

// cutField cuts one header field with its continuation lines off (RFC 5322 section 2.2.3).
func cutField(head []byte) (field, rest []byte) {
	for i := 0; ; {
		n := bytes.IndexByte(head[i:], '\n')
		if n < 0 {
			return head, nil
		}
		i += n + 1
		if i == len(head) || head[i] != ' ' && head[i] != '\t' {
			return head[:i], head[i:]
		}
	}
}

// receivedID reads "from x by y with z id QUEUEID for ...; date" as pairs of a word and its value, so that a host that calls itself
// "id" is not mistaken for one. Sendmail's begins with a comment.
func receivedID(value string) string {
	clauses, _, _ := strings.Cut(withoutComments(value), ";")
	words := strings.Fields(clauses)
	for i := 0; i+1 < len(words); i += 2 {
		if strings.EqualFold(words[i], "id") && isQueueID(words[i+1]) {
			return words[i+1]
		}
	}
	return ""
}

// withoutComments drops what stands in parentheses, which nest (RFC 5322 section 3.2.2).
func withoutComments(s string) string {
	out, depth := make([]byte, 0, len(s)), 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && depth > 0:
			i++
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
			out = append(out, ' ')
		case depth == 0:
			out = append(out, c)
		}
	}
	return string(out)
}

// isQueueID accepts what Postfix, sendmail, Exim and OpenSMTPD use, and nothing that could disturb a log.
func isQueueID(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return len(s) <= queueIDLength
}

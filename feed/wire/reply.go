package wire

import (
	"strconv"
	"strings"
)

// maxReplyText bounds Reply.String, so that it fits into one LMTP reply line with room for our own words in front of it.
const maxReplyText = 400

// Enhanced is an enhanced status code (RFC 3463): class, subject, detail. The zero value means that there is none.
type Enhanced struct{ Class, Subject, Detail uint16 }

// String is "5.1.1", or "" for the zero value.
func (e Enhanced) String() string {
	if e == (Enhanced{}) {
		return ""
	}
	return string(e.append(make([]byte, 0, len("5.999.999"))))
}

func (e Enhanced) append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(e.Class), 10)
	b = strconv.AppendUint(append(b, '.'), uint64(e.Subject), 10)
	return strconv.AppendUint(append(b, '.'), uint64(e.Detail), 10)
}

// A Reply is one complete SMTP reply (RFC 5321 section 4.2). The zero Reply means that there was none.
type Reply struct {
	Code     int      // 200 to 599
	Enhanced Enhanced // zero when absent, or when its class is not the code's (the code decides)
	Text     string   // the lines without their codes and without the enhanced code of each line, joined by "\n"; as the peer sent it, unclean
}

// String is the reply as one clean line, "550 5.1.1 no such user": printable ASCII, at most 400 octets; "" for the zero Reply.
func (r Reply) String() string {
	if r == (Reply{}) {
		return ""
	}
	b := make([]byte, 0, 64)
	b = strconv.AppendInt(b, int64(r.Code), 10)
	if r.Enhanced != (Enhanced{}) {
		b = r.Enhanced.append(append(b, ' '))
	}
	text := Clean(r.Text, maxReplyText-len(b)-1)
	if text = strings.Trim(text, " "); text != "" {
		b = append(append(b, ' '), text...)
	}
	return string(b)
}

// A status is what the first four octets of a reply line say (RFC 5321 section 4.2).
type status struct {
	code int
	more bool // '-' behind the code: a further line follows
}

// parseStatus splits a reply line, without its line end, into its status and its text. reason is "" when all is well.
func parseStatus(line []byte) (s status, text []byte, reason string) {
	if len(line) == 0 {
		return s, nil, "empty line"
	}
	if len(line) < 3 || !isDigit(line[0]) || !isDigit(line[1]) || !isDigit(line[2]) {
		return s, nil, "no reply code"
	}
	// RFC 5321 section 4.2.1 knows the first digits 2 to 5 (1 was withdrawn). The other two digits are not judged: section
	// 4.3.2 wants an unknown code to be taken by its first digit.
	if line[0] < '2' || line[0] > '5' {
		return s, nil, "impossible reply code"
	}
	s.code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		// "clients ... SHOULD be prepared to handle a reply code without text" (RFC 5321 section 4.2), even without the blank.
		return s, nil, ""
	}
	if line[3] != ' ' && line[3] != '-' {
		return s, nil, "neither blank nor hyphen behind the reply code"
	}
	s.more = line[3] == '-'
	return s, line[4:], ""
}

// cutEnhanced splits an enhanced status code off the front of text (RFC 2034 section 4). There is none, and rest is the
// whole text, unless its class is the first digit of code: where they disagree, the reply code decides.
func cutEnhanced(text []byte, code int) (e Enhanced, rest []byte) {
	class := code / 100
	if class == 3 || len(text) < len("2.0.0") || int(text[0]-'0') != class || text[1] != '.' {
		return Enhanced{}, text
	}
	subject, tail, ok := cutNumber(text[2:])
	if !ok || len(tail) == 0 || tail[0] != '.' {
		return Enhanced{}, text
	}
	detail, tail, ok := cutNumber(tail[1:])
	if !ok {
		return Enhanced{}, text
	}
	if len(tail) > 0 {
		if !isBlank(tail[0]) {
			return Enhanced{}, text
		}
		tail = tail[1:]
	}
	return Enhanced{uint16(class), subject, detail}, tail
}

// cutNumber splits one to three digits off the front of b (RFC 3463 section 2: "1*3digit").
func cutNumber(b []byte) (n uint16, rest []byte, ok bool) {
	i := 0
	for i < len(b) && i < 3 && isDigit(b[i]) {
		n = n*10 + uint16(b[i]-'0')
		i++
	}
	return n, b[i:], i > 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

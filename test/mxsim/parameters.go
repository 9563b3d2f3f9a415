package mxsim

import (
	"slices"
	"strconv"
	"strings"
)

// paramsReply checks the parameters of MAIL against what was offered (RFC 5321 section 4.1.1.11).
func (x *session) paramsReply(params string) string {
	for p := range strings.FieldsSeq(params) {
		key, value, _ := strings.Cut(p, "=")
		key = strings.ToUpper(key)
		if !x.offered(key, strings.ToUpper(value)) {
			x.violation("MAIL parameter not offered", []byte(p))
			return "555 5.5.4 unsupported parameter"
		}
		if !goodMailParam(key, value) {
			x.violation("malformed MAIL parameter", []byte(p))
			return "501 5.5.4 parameters of MAIL"
		}
		if n, err := strconv.ParseInt(value, 10, 64); key == "SIZE" && err == nil && x.offer().size > 0 && n > x.offer().size {
			return "552 5.3.4 message too big" // RFC 1870 section 6.1
		}
	}
	return ""
}

// offered says that a keyword in the reply to EHLO allows a parameter of MAIL.
func (x *session) offered(key, value string) bool {
	switch o := x.offer(); key {
	case "SIZE":
		return o.hasSize
	case "BODY":
		return o.eightBit && (value == "8BITMIME" || value == "7BIT")
	case "SMTPUTF8":
		return o.utf8
	case "RET", "ENVID":
		return o.dsn
	case "REQUIRETLS":
		return o.requireTLS
	case "AUTH":
		return o.auth
	}
	return false
}

// goodMailParam checks the value of a parameter that was offered.
func goodMailParam(key, value string) bool {
	switch key {
	case "RET":
		return strings.EqualFold(value, "FULL") || strings.EqualFold(value, "HDRS") // RFC 3461 section 4.3
	case "ENVID":
		return value != "" && len(value) <= 100 && isXtext(value) // RFC 3461 section 4.4
	case "REQUIRETLS", "SMTPUTF8":
		return value == "" // RFC 8689 section 2
	}
	return true
}

// goodRcptParams checks those of RFC 3461 section 4, the only ones of RCPT.
func (x *session) goodRcptParams(params string) bool {
	for p := range strings.FieldsSeq(params) {
		key, value, _ := strings.Cut(p, "=")
		good := false
		switch strings.ToUpper(key) {
		case "NOTIFY":
			good = isNotify(value)
		case "ORCPT":
			kind, address, found := strings.Cut(value, ";")
			good = found && kind != "" && address != "" && len(value) <= 500 && isXtext(address)
		}
		if !good {
			x.violation("malformed RCPT parameter", []byte(p))
			return false
		}
	}
	return true
}

// isNotify says that a value is NEVER, or a list of the others, each once (RFC 3461 section 4.1).
func isNotify(value string) bool {
	words := strings.Split(strings.ToUpper(value), ",")
	if slices.Equal(words, []string{"NEVER"}) {
		return true
	}
	for i, w := range words {
		if !slices.Contains([]string{"SUCCESS", "FAILURE", "DELAY"}, w) || slices.Contains(words[:i], w) {
			return false
		}
	}
	return true
}

// isXtext says that a value is xtext (RFC 3461 section 4).
func isXtext(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			if i+2 >= len(s) || !isUpperHex(s[i+1]) || !isUpperHex(s[i+2]) {
				return false
			}
			i += 2
		case c < '!' || c > '~' || c == '=':
			return false
		}
	}
	return true
}

func isUpperHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }

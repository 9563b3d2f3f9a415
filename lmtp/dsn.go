package lmtp

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// What a host MTA asks for of RFC 3461 goes on the wire again, and into notifications: nothing in it may end an argument or a line there.
// Of MAIL go-smtp decodes it. Of RCPT it is decoded here where it has the usual form, and by go-smtp where not. What is malformed is refused.
// An ENVID or ORCPT that is well-formed and must not leave us, or is too long, is left out: the host MTA has accepted the mail, and a remark
// is not worth its loss.

// Lengths in octets of the parameters of RFC 3461 sections 4.4 and 4.2.
const (
	maxEnvID = 100
	maxORCPT = 500
)

// mailDSN is what MAIL asks for. go-smtp has seen to it that RET is one of two words and ENVID is printable ASCII.
func mailDSN(opts *smtp.MailOptions) wire.MailDSN {
	d := wire.MailDSN{Ret: string(opts.Return)}
	if len(opts.EnvelopeID) <= maxEnvID && isPrintable(opts.EnvelopeID) {
		d.EnvID = strings.Clone(opts.EnvelopeID)
	}
	return d
}

// rcptDSN is what go-smtp makes of what RCPT asks for.
func rcptDSN(opts *smtp.RcptOptions) (p wire.RcptParams, refusal *smtp.SMTPError) {
	for _, word := range opts.Notify {
		p.Notify |= notifyOf([]byte(word))
	}
	if p.Notify&wire.NotifyNever != 0 && p.Notify != wire.NotifyNever {
		return wire.RcptParams{}, malformed("NOTIFY") // RFC 3461 section 4.1: NEVER stands alone
	}
	if opts.OriginalRecipient == "" || !isOriginal(opts.OriginalRecipientType, opts.OriginalRecipient) {
		return p, nil
	}
	p.ORCPT = strings.ToLower(string(opts.OriginalRecipientType)) + ";" + opts.OriginalRecipient
	return p, nil
}

// isOriginal says that an original recipient can be given to the next hop. Of the type "utf-8" (RFC 6533 section 3) go-smtp lets control
// characters pass that were encoded, and octets that are no UTF-8.
func isOriginal(kind smtp.DSNAddressType, address string) bool {
	if kind == smtp.DSNAddressTypeUTF8 {
		return len(kind)+1+len(address) <= maxORCPT && utf8.ValidString(address) && !strings.ContainsFunc(address, unicode.IsControl)
	}
	return isPrintable(address) && len(kind)+1+xtextLen(address) <= maxORCPT
}

// isPrintable says that s is graphic characters and blanks of ASCII.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// xtextLen is the length of a text as xtext, as we write it (RFC 3461 section 4): what a command line has room for is that.
func xtextLen(s string) int { return len(wire.EncodeXText(s)) }

// notifyOf is one word of NOTIFY; 0 is another.
func notifyOf(word []byte) wire.Notify {
	switch {
	case bytes.EqualFold(word, []byte("NEVER")):
		return wire.NotifyNever
	case bytes.EqualFold(word, []byte("SUCCESS")):
		return wire.NotifySuccess
	case bytes.EqualFold(word, []byte("FAILURE")):
		return wire.NotifyFailure
	case bytes.EqualFold(word, []byte("DELAY")):
		return wire.NotifyDelay
	}
	return 0
}

// malformed is the reply of go-smtp to such parameters.
func malformed(parameter string) *smtp.SMTPError {
	return refuse(501, smtp.EnhancedCode{5, 5, 4}, "Malformed "+parameter+" parameter value")
}

// withoutAsks reads the parameters of a RCPT that is go-smtp's, for Rcpt to find them, and returns what go-smtp gets to see. go-smtp refuses
// original recipients of types that it does not know, and the one that Postfix makes of a recipient above ASCII, xtext of UTF-8: recipients
// would be lost for want of a remark. What is not as it should be it still sees, and refuses.
func (s *session) withoutAsks(command []byte) []byte {
	if s == nil || !s.server.config.DSN {
		return command
	}
	s.asking = wire.RcptParams{}
	path := pathEnd(command)
	parameters, ok := bytes.CutSuffix(command[path:], endOfLine)
	if !ok || path == 0 || len(parameters) == 0 {
		return command
	}
	original, notify, ok := s.readAsks(parameters)
	if !ok {
		return command
	}
	s.asking = wire.RcptParams{Notify: notify, ORCPT: string(original)}
	return append(command[:path], endOfLine...)
}

// pathEnd is where the path of "RCPT TO:<path>" ends, as go-smtp sees it; 0 when that is not obvious.
func pathEnd(command []byte) int {
	if !beginsRCPT(command) {
		return 0
	}
	n := len(rcptTo)
	switch command[n] {
	case '@':
		return 0 // a source route
	case '"':
		for n++; n < len(command) && command[n] != '"'; n++ {
			if command[n] == '\\' {
				n++
			}
		}
	}
	for ; n < len(command); n++ {
		switch command[n] {
		case '>':
			return n + 1
		case ' ', '\t', '\r':
			return 0
		}
	}
	return 0
}

// readAsks reads the parameters of RCPT: NOTIFY and ORCPT, each at most once and behind one blank. original is decoded, with its type, and
// valid until the next call; it is empty where there is none or it is left out. What go-smtp takes of that form becomes the same here.
func (s *session) readAsks(parameters []byte) (original []byte, notify wire.Notify, ok bool) {
	named := false // ORCPT
	for len(parameters) > 0 {
		if parameters[0] != ' ' {
			return nil, 0, false
		}
		word, rest := parameters[1:], []byte(nil)
		if i := bytes.IndexByte(word, ' '); i >= 0 {
			word, rest = word[:i], word[i:]
		}
		name, value, _ := bytes.Cut(word, []byte("="))
		switch {
		case !named && bytes.EqualFold(name, []byte("ORCPT")):
			if s.original, ok = decodeOriginal(s.original[:0], value); !ok {
				return nil, 0, false
			}
			original, named = s.original, true
		case notify == 0 && bytes.EqualFold(name, []byte("NOTIFY")):
			if notify = readNotify(value); notify == 0 {
				return nil, 0, false
			}
		default:
			return nil, 0, false
		}
		parameters = rest
	}
	return original, notify, true
}

// Types of original recipients, with what ends them.
const (
	typeRFC822 = "rfc822;"
	typeUTF8   = "utf-8;"
)

// decodeOriginal appends what "type;xtext" says, or nothing where that is to be left out. The type may be any but utf-8, which has a coding of
// its own and is left to go-smtp.
func decodeOriginal(b, value []byte) (_ []byte, ok bool) {
	kind, address, _ := bytes.Cut(value, []byte(";"))
	if len(kind) == 0 || len(address) == 0 || bytes.EqualFold(kind, []byte("utf-8")) {
		return b, false
	}
	for _, c := range kind {
		if !isAlphanumeric(c) && c != '-' {
			return b, false
		}
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		b = append(b, c)
	}
	b, class, ok := appendXtext(append(b, ';'), address)
	if !ok {
		return b, false
	}
	if len(value) > maxORCPT || class == xtextControls {
		return b[:0], true
	}
	if class == xtextASCII {
		return b, true
	}
	// RFC 6533 section 3 has a type for those; Postfix uses the old one.
	utf, old := strings.CutPrefix(string(b), typeRFC822)
	if !old || !isOriginal(smtp.DSNAddressTypeUTF8, utf) {
		return b[:0], true
	}
	return append(append(b[:0], typeUTF8...), utf...), true
}

// What decoded xtext may be.
const (
	xtextASCII    = iota // printable
	xtextAbove           // with octets above 127
	xtextControls        // with control characters of ASCII
)

// appendXtext appends decoded xtext (RFC 3461 section 4).
func appendXtext(b, xtext []byte) (_ []byte, class int, ok bool) {
	for i := 0; i < len(xtext); i++ {
		c := xtext[i]
		switch {
		case c <= ' ' || c > '~' || c == '=':
			return b, 0, false
		case c == '+':
			high, low := -1, -1
			if i+2 < len(xtext) {
				high, low = strings.IndexByte(hexDigits, xtext[i+1]), strings.IndexByte(hexDigits, xtext[i+2])
			}
			if high < 0 || low < 0 {
				return b, 0, false
			}
			i, c = i+2, byte(high<<4|low)
		}
		switch {
		case c < ' ' || c == 0x7f:
			class = xtextControls
		case c >= utf8.RuneSelf:
			class = max(class, xtextAbove)
		}
		b = append(b, c)
	}
	return b, class, true
}

const hexDigits = "0123456789ABCDEF"

// readNotify reads a list of words; 0 is a malformed one.
func readNotify(list []byte) (set wire.Notify) {
	for more := true; more; {
		var word []byte
		word, list, more = bytes.Cut(list, []byte(","))
		n := notifyOf(word)
		if n == 0 || set&n != 0 || (set|n)&wire.NotifyNever != 0 && set != 0 {
			return 0
		}
		set |= n
	}
	return set
}

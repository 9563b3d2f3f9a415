package wire

import (
	"strconv"
	"strings"
)

// MailParams are the ESMTP parameters of one MAIL command; only what the next hop offers may be set.
type MailParams struct {
	Size         int64 // SIZE=n when > 0 (RFC 1870)
	EightBitMIME bool  // BODY=8BITMIME (RFC 6152)
	SMTPUTF8     bool  // RFC 6531
	RequireTLS   bool  // RFC 8689
	MailDSN            // RFC 3461
}

// A MailDSN is what MAIL says about notifications (RFC 3461 section 4). The zero value says nothing.
type MailDSN struct {
	Ret   string // "FULL", "HDRS" or ""
	EnvID string // decoded, printable ASCII, at most 100 octets; "" is none
}

// RcptParams are what one RCPT says about notifications (RFC 3461 section 4). The zero value says nothing.
type RcptParams struct {
	Notify Notify
	ORCPT  string // "rfc822;original@example.org": the type and the decoded address; "" is none
}

// Notify is a set of what a recipient's sender wants to be told (RFC 3461 section 4.1); 0 is not said.
type Notify uint8

const (
	NotifyNever Notify = 1 << iota // alone
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// String is the parameter's value: "NEVER", or "SUCCESS,FAILURE".
func (n Notify) String() string {
	var words []string
	for i, w := range [...]string{"NEVER", "SUCCESS", "FAILURE", "DELAY"} {
		if n&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	return strings.Join(words, ",")
}

// Commands without arguments, with their CRLF; and the end of mail data behind a body that ends in CRLF.
const (
	DATA      = "DATA\r\n"
	STARTTLS  = "STARTTLS\r\n"
	RSET      = "RSET\r\n"
	QUIT      = "QUIT\r\n"
	EndOfData = ".\r\n"
)

// AppendEHLO appends "EHLO name CRLF" to b.
func AppendEHLO(b []byte, name string) []byte { return appendHello(b, "EHLO ", name) }

// AppendHELO appends "HELO name CRLF" to b.
func AppendHELO(b []byte, name string) []byte { return appendHello(b, "HELO ", name) }

func appendHello(b []byte, verb, name string) []byte {
	if name == "" {
		panic("BUG: " + verb + "without a name")
	}
	return append(append(append(b, verb...), guarded(name)...), "\r\n"...)
}

// AppendMAIL appends the MAIL command (RFC 5321 section 4.1.1.2) to b.
func AppendMAIL(b []byte, from Address, p MailParams) []byte {
	b = append(append(append(b, "MAIL FROM:<"...), guarded(from.text)...), '>')
	if p.Size > 0 {
		b = strconv.AppendInt(append(b, " SIZE="...), p.Size, 10)
	}
	if p.EightBitMIME {
		b = append(b, " BODY=8BITMIME"...)
	}
	if p.SMTPUTF8 {
		b = append(b, " SMTPUTF8"...)
	}
	if p.RequireTLS {
		b = append(b, " REQUIRETLS"...)
	}
	if p.Ret != "" {
		b = append(append(b, " RET="...), guarded(p.Ret)...)
	}
	if p.EnvID != "" {
		b = append(append(b, " ENVID="...), guarded(EncodeXText(p.EnvID))...)
	}
	return append(b, "\r\n"...)
}

// AppendRCPT appends the RCPT command (RFC 5321 section 4.1.1.3) to b. There is no null forward-path: to must not be zero.
func AppendRCPT(b []byte, to Address, p RcptParams) []byte {
	if to.IsNull() {
		panic("BUG: RCPT with the null path")
	}
	b = append(append(append(b, "RCPT TO:<"...), guarded(to.text)...), '>')
	if p.Notify != 0 {
		b = append(append(b, " NOTIFY="...), p.Notify.String()...)
	}
	if original := encodeORCPT(p.ORCPT); p.ORCPT != "" && original != "" {
		b = append(append(b, " ORCPT="...), guarded(original)...)
	}
	return append(b, "\r\n"...)
}

// AppendBDAT appends the BDAT command (RFC 3030 section 2) for a message that goes in one chunk of size octets to b.
func AppendBDAT(b []byte, size int64) []byte {
	return append(strconv.AppendInt(append(b, "BDAT "...), size, 10), " LAST\r\n"...)
}

// guarded is the emission guard: every argument that comes from outside passes it on its way to the wire. It returns arg, or
// panics when a server could read more than the one argument out of it: a control octet anywhere, a blank or an angle
// bracket outside of quotes, or quotes that do not end. ParseAddress makes none of these; this is the second lock.
func guarded(arg string) string {
	quoted, escaped := false, false
	for i := range len(arg) {
		c := arg[i]
		switch {
		case c < ' ' || c == 0x7f:
			panic("BUG: control octet in a command: " + Clean(arg, maxErrorText))
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '<' || c == '>'):
			panic("BUG: blank or bracket in a command: " + Clean(arg, maxErrorText))
		}
	}
	if quoted {
		panic("BUG: quotes without end in a command: " + Clean(arg, maxErrorText))
	}
	return arg
}

package main

import (
	"net/netip"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/lmtp"
)

// An encoder writes delivery records as JSON by hand: a list of 100,000 recipients ends with as many records, and
// encoding/json takes several times as long. The keys and their order are fixed, each is always there, and a number stays a
// number: tools rely on that.
type encoder struct {
	line []byte // the records so far, behind a line break that is written when a torn line must be ended first

	outcome *feed.Outcome // whose text is kept, for the records of one transaction follow each other
	text    []byte        // its keys, from "outcome" to "reused"
}

// reset begins a batch.
func (e *encoder) reset() {
	e.line = append(e.line[:0], '\n')
	e.outcome = nil // not kept over batches: its memory may by then be another outcome's
}

// take returns the records and begins anew.
func (e *encoder) take() []byte {
	text := e.line
	e.line = append(e.line[:0], '\n')
	return text
}

// add appends one record with its line break.
func (e *encoder) add(r *lmtp.Record) {
	s := &r.Settlement
	b := append(e.line, `{"time":"`...)
	b = r.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = appendString(append(b, `","envelope":`...), r.Envelope)
	b = appendString(append(b, `,"queue_id":`...), r.QueueID)
	b = appendString(append(b, `,"from":`...), r.From)
	b = appendString(append(b, `,"to":`...), r.To)
	b = appendString(append(b, `,"domain":`...), r.Domain)
	b = append(b, e.outcomeText(s.Outcome)...)
	b = strconv.AppendInt(append(b, `,"attempts":`...), int64(s.Attempts), 10)
	b = appendSeconds(append(b, `,"delay":`...), s.Total)
	b = appendSeconds(append(b, `,"delays":{"dns":`...), s.DNS)
	b = appendSeconds(append(b, `,"wait":`...), s.Wait)
	via := viaOf(s.Outcome)
	b = appendSeconds(append(b, `,"connect":`...), via.Connect)
	b = appendSeconds(append(b, `,"transfer":`...), via.Transfer)
	e.line = append(b, "}}\n"...)
}

// outcomeText is the part of a record that all recipients of a transaction with the same fate share.
func (e *encoder) outcomeText(o *feed.Outcome) []byte {
	if o == e.outcome {
		return e.text
	}
	via := viaOf(o)
	b := append(e.text[:0], `,"outcome":"`...)
	b = append(b, o.Class.String()...)
	b = strconv.AppendBool(append(b, `","uncertain":`...), o.Uncertain)
	b = strconv.AppendInt(append(b, `,"code":`...), int64(o.Reply.Code), 10)
	b = appendString(append(b, `,"enhanced":`...), o.Status.String())
	b = appendString(append(b, `,"reply":`...), words(o))
	b = appendString(append(b, `,"mx":`...), via.MX)
	b = appendAddr(append(b, `,"addr":`...), via.Addr.Addr())
	b = strconv.AppendUint(append(b, `,"port":`...), uint64(via.Addr.Port()), 10)
	b = appendAddr(append(b, `,"source":`...), via.Source)
	b = appendString(append(b, `,"tls":`...), via.TLS)
	b = appendString(append(b, `,"tls_policy":`...), via.Policy)
	b = strconv.AppendBool(append(b, `,"tls_verified":`...), via.Verified)
	b = strconv.AppendUint(append(b, `,"session":`...), via.Session, 10)
	b = strconv.AppendUint(append(b, `,"transaction":`...), via.Transaction, 10)
	b = strconv.AppendInt(append(b, `,"recipients":`...), int64(via.Recipients), 10)
	b = strconv.AppendBool(append(b, `,"reused":`...), via.Reused)
	e.outcome, e.text = o, b
	return b
}

// words are the remote host's own, or our reason when it said nothing.
func words(o *feed.Outcome) string {
	switch {
	case o.Reply.Code != 0:
		return o.Reply.String()
	case o.Err != nil:
		return wire.Clean(o.Err.Error(), 400)
	default:
		return ""
	}
}

// viaOf is where the recipient was tried; zero when nowhere.
func viaOf(o *feed.Outcome) feed.Via {
	if o.Via == nil {
		return feed.Via{}
	}
	return *o.Via
}

// appendAddr appends an address as a JSON string, "" for none. A zone, which is free text, is left out.
func appendAddr(b []byte, a netip.Addr) []byte {
	b = append(b, '"')
	if a.IsValid() {
		b = a.WithZone("").AppendTo(b)
	}
	return append(b, '"')
}

// appendSeconds appends a number of seconds, exact to the microsecond.
func appendSeconds(b []byte, d time.Duration) []byte {
	us := uint64(max(d, 0) / time.Microsecond)
	b = strconv.AppendUint(b, us/1e6, 10)
	b = append(b, '.')
	for unit := uint64(1e5); unit > 0; unit /= 10 {
		b = append(b, byte('0'+us/unit%10))
	}
	return b
}

// appendString appends a JSON string (RFC 8259 section 7). Whatever an address or a reply holds, the result is valid and has
// nothing in it that a terminal obeys: what is not printable is escaped, what is not UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	plain := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if c < utf8.RuneSelf || r == utf8.RuneError || !unicode.IsPrint(r) {
			b = append(b, s[plain:i]...)
			b = appendEscaped(b, r)
			plain = i + size
		}
		i += size
	}
	b = append(b, s[plain:]...)
	return append(b, '"')
}

// appendEscaped appends one character as JSON escapes it.
func appendEscaped(b []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(b, '\\', byte(r))
	case r > 0xffff: // a surrogate pair
		r -= 0x10000
		return appendHex(appendHex(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
	default:
		return appendHex(b, r)
	}
}

// appendHex appends \uXXXX.
func appendHex(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

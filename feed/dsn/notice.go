package dsn

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// A Notice is what a notification is about: one message, and those of its recipients that were relayed.
type Notice struct {
	ReportingMTA string       // our host name
	From         string       // address of the header's From, as ParseAddress takes it; "" is postmaster at ReportingMTA
	To           wire.Address // the original's envelope sender; the notification's own is the null path
	EnvID        string       // decoded ENVID; "" is none
	Arrival      time.Time    // when the original came; zero leaves it out
	Now          time.Time    // the notification's date
	Original     [][]byte     // the original's content as of wire.Body.Raw; only its header is looked at
	UTF8         bool         // the original came with SMTPUTF8
	ID           string       // unique in this host, for the Message-ID: letters, digits and hyphens; anything else becomes a hyphen
	Recipients   []Recipient
}

// A Recipient is one that a next hop without DSN has accepted.
type Recipient struct {
	To        wire.Address
	ORCPT     string        // "rfc822;original@example.org": type and decoded address, as in wire.RcptParams; "" is none
	RemoteMTA string        // the exchanger's name
	Addr      netip.Addr    // where it was reached; invalid leaves it out
	Status    wire.Enhanced // what is not of class 2 is told as 2.0.0
	Reply     wire.Reply    // the exchanger's words; zero leaves them out
	At        time.Time     // when it said them; zero leaves it out
}

// A Message is a notification ready to be sent from the null reverse-path to Notice.To.
type Message struct {
	Content  []byte // whole lines, each ended by CRLF
	SMTPUTF8 bool   // RFC 6531: it can only be given to a server that knows SMTPUTF8
	EightBit bool   // RFC 6152: it has octets above 127
}

// Relayed composes the notification. It returns the zero Message if there is nobody to tell, for nobody is told of what was sent
// from the null reverse-path (RFC 3461 section 6.1), or nothing to tell of. Recipients with the null path are passed over.
func Relayed(n Notice) Message {
	n.Recipients = named(n.Recipients)
	if n.To.IsNull() || len(n.Recipients) == 0 {
		return Message{}
	}
	n.ReportingMTA = hostname(n.ReportingMTA)
	from := sender(n)
	header, id := original(n.Original)
	parts := []part{words(n), status(n), returned(header, n.UTF8)}
	boundary := boundaryFor(parts)

	b := appendHeader(make([]byte, 0, sizeOf(parts)), n, from, id)
	if !isASCII(parts[0].body) || parts[1].global || parts[2].global {
		// RFC 2045 section 6.4: a multipart is of no smaller encoding than its parts.
		b = appendField(b, "Content-Transfer-Encoding", "8bit")
	}
	b = append(b, "Content-Type: multipart/report; report-type="+parts[1].subtype()+";\r\n boundary=\""+boundary+"\"\r\n\r\n"...)
	// RFC 2046 section 5.1.1: what stands in front of the first boundary is for readers that know no MIME.
	b = append(b, "This is a delivery status notification in MIME format.\r\n"...)
	for _, p := range parts {
		b = p.append(b, boundary)
	}
	b = append(b, "\r\n--"+boundary+"--\r\n"...)
	utf8 := parts[1].global || parts[2].global || !from.ASCII() || !n.To.ASCII()
	return Message{Content: b, SMTPUTF8: utf8, EightBit: !isASCII(b)}
}

// sizeOf is about the length of what the parts make together with a header.
func sizeOf(parts []part) int {
	size := 8 << 10
	for _, p := range parts {
		size += len(p.body)
	}
	return size
}

// named is the recipients that have an address.
func named(list []Recipient) []Recipient {
	null := func(r Recipient) bool { return r.To.IsNull() }
	if !slices.ContainsFunc(list, null) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), null) // the caller's list stays as it is
}

// hostname is a name that may stand in a field; a configured one is always good.
func hostname(name string) string {
	if a, err := wire.ParseAddress("postmaster@" + name); err == nil && a.ASCII() {
		return a.Domain()
	}
	return "localhost"
}

// sender is the address of the header's From.
func sender(n Notice) wire.Address {
	if a, err := wire.ParseAddress(n.From); err == nil && !a.IsNull() {
		return a
	}
	a, err := wire.ParseAddress("postmaster@" + n.ReportingMTA)
	if err != nil {
		panic("BUG: a host name that is none: " + n.ReportingMTA)
	}
	return a
}

// boundaryFor is a boundary that occurs in none of the parts. It is a digest of them all, so that nobody can write it into one.
func boundaryFor(parts []part) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p.body)
	}
	boundary := "=_" + hex.EncodeToString(h.Sum(nil)[:16]) // "=_" occurs in no quoted-printable text
	for _, p := range parts {
		for bytes.Contains(p.body, []byte(boundary)) {
			boundary += "_"
		}
	}
	return boundary
}

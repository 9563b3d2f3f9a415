package feed

import (
	"crypto/sha256"
	"net/netip"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// A Ledger keeps what was delivered, until the host MTA is known to have taken the replies, beyond the end of this process.
// *ledger.Ledger is the real one.
type Ledger interface {
	// Keep notes deliveries, then forgets messages, and then calls done once, never from within Keep. It never blocks and never
	// fails: what cannot be kept is counted there, and mail goes on. Calls take effect in their order. done may be nil.
	Keep(Entry, func())
}

// An Entry is one change of a Ledger. Whoever is given it must not change it.
type Entry struct {
	Delivered []Delivery
	Forgotten []MessageID
}

// A MessageID names a message by its sender and its content: a host MTA that sends it again sends the same.
type MessageID [16]byte

// A RecipientID names a recipient of a message.
type RecipientID [16]byte

// A Delivery is what became of the recipients of one transaction that a host accepted.
type Delivery struct {
	Message    MessageID
	Recipients []RecipientID
	At         time.Time      // when the final reply was read
	Status     wire.Enhanced  // never zero
	Reply      wire.Reply     // the remote host's own words, its text clean
	MX         string         // the exchanger's name
	Addr       netip.AddrPort // where it was reached
	DSN        bool           // it took over the duty to notify (RFC 3461)
}

// messageIDOf names a message.
func messageIDOf(from wire.Address, digest [32]byte) MessageID {
	h := sha256.New()
	h.Write(digest[:])
	h.Write([]byte(from.String()))
	return MessageID(h.Sum(nil)[:16])
}

// recipientIDOf names a recipient.
func recipientIDOf(a wire.Address) RecipientID {
	sum := sha256.Sum256([]byte(a.String()))
	return RecipientID(sum[:16])
}

package feed

import (
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// An Envelope is one LMTP transaction as the host MTA handed it over: its sender, its accepted recipients and its content.
// Whoever sends it must not touch it again; it belongs to the Feeder until its last recipient is settled.
type Envelope struct {
	ID         string            // unique in this process, short, fit for logs
	QueueID    string            // the host MTA's, from the top Received header; "" when unknown. With one, an equal content is the same message again
	From       wire.Address      // reverse-path; null for bounces
	Params     Params            // what the host asked for in MAIL
	Recipients []wire.Address    // in RCPT order; the same address may stand here twice
	Notify     []wire.RcptParams // per recipient what RCPT asked for of RFC 3461; nil when none asked for anything
	Routes     []string          // per recipient its domain as folded by resolver.Fold: what is looked up
	Body       *wire.Body
	Announced  bool      // Feeder.Announce was called for it
	Deadline   time.Time // when the last of our replies must have been given: the budget
	Sink       Sink
}

// Params are the parts of MAIL that travel with the message to the next hop. Envelopes are one message only if these are equal.
type Params struct {
	EightBitMIME bool // BODY=8BITMIME
	SMTPUTF8     bool
	RequireTLS   bool         // RFC 8689: only over sessions that keep it, or not at all
	TLSOptional  bool         // RFC 8689, "TLS-Required: No" in the header: policies of the receiver do not count
	DSN          wire.MailDSN // RFC 3461: RET and ENVID
}

// A Sink takes the outcomes of one envelope's recipients.
type Sink interface {
	// Settle is called from the Feeder's loop, with each recipient of the envelope exactly once in all calls together. It must
	// not block, and must not keep the slice.
	Settle([]Settlement)
}

// A Settlement is the outcome of one recipient.
type Settlement struct {
	Recipient int           // index in Envelope.Recipients
	Outcome   *Outcome      // shared and immutable
	Attempts  int           // sessions on which the recipient was tried
	DNS       time.Duration // from hand-over until its route was known; 0 when it was known before
	Wait      time.Duration // from then until its last transaction began
	Total     time.Duration // from hand-over until settled
}

package feed

import (
	"net/netip"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// An action is an order of the engine. The Feeder carries them out in the order of take.
type action interface{ isAction() }

type (
	// lookup orders one resolved event for the domain.
	lookup struct {
		domain string
		verify bool // see Resolver.Verify; its answer is verified
	}

	// dial orders a new session: it answers with opened or ended.
	dial struct {
		session sessionID
		to      netip.AddrPort
		timeout time.Duration // of the connection; the later stages have their own

		configured bool // the operator named the host: its addresses may be prohibited

		name    string // the host's
		policy  *policy
		sni     string // the name to ask for in TLS; "" for none
		plain   bool   // without TLS: the host was seen to fail at it
		reduced bool   // with a ClientHello that fits one packet: the host was seen to fail at a larger one
	}

	// transmit orders a transaction on an opened session. At most two are in a session's hands at once, the second one only
	// between cleared and finished of the first.
	transmit struct {
		session sessionID
		order   *order
	}

	// hangup orders a session without a transaction to end: with QUIT, or when it is not open yet by giving up. A stuck one may have
	// been told before.
	hangup struct {
		session sessionID
		abort   bool // it was not open when the engine decided
		linger  bool // it ends when the host has closed it: its place is another session's then
		stuck   bool // it made no progress: a fault of ours, and not waited for any longer
	}

	// keep orders an entry of the ledger, and one kept event if it has a number.
	keep struct {
		number uint64
		entry  Entry
	}

	// observe tells the Observer how TLS went.
	observe struct{ results []TLSResult }

	// settle tells an envelope's Sink the outcome of some of its recipients.
	settle struct {
		envelope    *Envelope
		settlements []Settlement
	}
)

func (lookup) isAction()   {}
func (dial) isAction()     {}
func (transmit) isAction() {}
func (hangup) isAction()   {}
func (keep) isAction()     {}
func (observe) isAction()  {}
func (settle) isAction()   {}

type (
	sessionID     uint64
	transactionID uint64
)

// An order is one transaction to be put on the wire. It belongs to the session from transmit to finished.
type order struct {
	transaction transactionID
	from        wire.Address
	params      Params
	body        *wire.Body
	header      []byte // a header line that goes before the body; nil is none
	to          []wire.Address
	notify      []wire.RcptParams // what each wants to be told, where the host offers that (RFC 3461 section 5.2.1); nil is nothing
	lockstep    bool              // each command waits for the reply to the one before it
	chunked     bool              // the body goes by BDAT
	plain       bool              // MAIL has no parameter that can be done without
	deadline    time.Time         // of the envelope that ends first: no octet of the end of data leaves after it
	latest      time.Time         // of the envelope that ends last: no final reply is waited for after it
}

// notifyOf is what the i-th recipient's RCPT says of notifications.
func (o *order) notifyOf(i int) wire.RcptParams {
	if o.notify == nil {
		return wire.RcptParams{}
	}
	return o.notify[i]
}

// asks says that the transaction says something of notifications.
func (o *order) asks() bool { return o.notify != nil || o.params.DSN != wire.MailDSN{} }

package feed

import (
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// An exchange is one transaction on the wire. Its stage is that of the reply owed next.
type exchange struct {
	order   *order
	report  *report
	stage   stage
	begun   time.Time
	waiting time.Time // since when the reply of this stage is owed
	group   bool      // all commands were written at once (RFC 2920); else one by one
	written int       // RCPTs written, when one by one
	refused int       // RCPTs refused
	failed  error     // a write failed: only last words are listened for
	over    bool
}

// commands is the whole group: MAIL, all RCPT, and DATA unless the body goes by BDAT.
func (x *exchange) commands(caps wire.Caps) []byte {
	b := make([]byte, 0, 128+64*len(x.order.to))
	b = x.appendMail(b, caps)
	for i, to := range x.order.to {
		b = wire.AppendRCPT(b, to, x.order.notifyOf(i))
	}
	if x.order.chunked {
		return b
	}
	return append(b, wire.DATA...)
}

// size is how many octets the message has, as SIZE and BDAT count them.
func (x *exchange) size() int64 { return int64(len(x.order.header)) + x.order.body.Size() }

func (x *exchange) appendMail(b []byte, caps wire.Caps) []byte {
	m := wire.MailParams{
		EightBitMIME: caps.EightBitMIME && !x.order.plain && (x.order.params.EightBitMIME || x.order.body.Has8Bit()),
		SMTPUTF8:     caps.SMTPUTF8 && x.order.params.SMTPUTF8,
	}
	m.RequireTLS = caps.RequireTLS && x.order.params.RequireTLS // without, only what has no sender is sent
	m.MailDSN = x.order.params.DSN
	if caps.HasSize && !x.order.plain {
		m.Size = x.size()
	}
	return wire.AppendMAIL(b, x.order.from, m)
}

// limit is when the budget ends the wait for a reply. Behind the end of data that is the last envelope's: giving up for the first
// one would make the recipients of all others uncertain.
func (x *exchange) limit() time.Time {
	if x.report.dotted {
		return x.order.latest
	}
	return x.order.deadline
}

// answered says that r, if it is the reply it seems to be, leaves no other owed before we write again (RFC 2920 section 3.1
// calls it a synchronisation point). An invitation to send the body has its own rules for what comes behind it.
func (x *exchange) answered(r wire.Reply) bool {
	switch {
	case x.stage == stageData:
		return r.Code/100 != 3
	case x.order.chunked && x.stage == stageRcpt && len(x.report.rcpts)+1 == len(x.order.to):
		return true
	default:
		return x.stage < stageData && !x.group
	}
}

// surplus says that there is a reply which belongs to no command: those before it may stand in the wrong places too. A
// goodbye may come at any time.
func (h hearing) surplus() bool { return len(h.replies) > 0 && h.replies[0].Code != 421 }

// sane says whether a reply of this code can answer what was asked. 503 to commands in order, 3xx where none is due, 2xx to
// DATA: a server that lost count, whose later replies would be taken for what they are not.
func (x *exchange) sane(r wire.Reply) bool {
	switch x.stage {
	case stageReset:
		return true
	case stageMail:
		return r.Code/100 != 3 && r.Code != 503
	case stageRcpt:
		return r.Code/100 != 3 && (r.Code != 503 || x.report.mail.Code/100 != 2)
	case stageData:
		return r.Code/100 != 2 && (r.Code != 503 || x.accepted() == 0)
	default:
		return r.Code/100 != 3 && (r.Code != 503 || x.order.chunked || x.accepted() == 0)
	}
}

// note writes a reply into the report.
func (x *exchange) note(r wire.Reply) {
	switch x.stage {
	case stageMail:
		x.report.mail = r
	case stageRcpt:
		x.report.rcpts = append(x.report.rcpts, r)
		if r.Code/100 != 2 {
			x.refused++
		}
	case stageData:
		x.report.data = r
	case stageBody, stageFinal:
		x.report.final = r
	}
}

// accepted is how many recipients the server took so far; none counts when it did not take MAIL.
func (x *exchange) accepted() int {
	if x.report.mail.Code/100 != 2 {
		return 0
	}
	return len(x.report.rcpts) - x.refused
}

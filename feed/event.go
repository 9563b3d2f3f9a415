package feed

import (
	"net/netip"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
)

// An event is something that happened outside the engine. Events are the only way into it.
type event interface{ isEvent() }

type (
	// hinted: a recipient of this domain was accepted; its envelope may follow. From lmtp.
	hinted struct {
		domain   string
		expected bool // it will follow: no probe of a single address has as many recipients
	}

	// coming: the host MTA has begun to hand over an envelope of this source that is sure to follow; or, when over, that one has come or
	// will not. From lmtp, in pairs; over before its sent.
	coming struct {
		source source
		over   bool
	}

	// sent: the host MTA's final dot was read, the whole envelope is ours. From lmtp.
	sent struct{ envelope *Envelope }

	// cancelled: the host MTA of this envelope is gone. From lmtp.
	cancelled struct{ envelope string }

	// taken: the host MTA of this envelope has read every reply. From lmtp, once, after the last was written; or else abandoned is.
	taken struct{ envelope string }

	// abandoned: the host MTA of this envelope has not read every reply and will not. From lmtp.
	abandoned struct{ envelope string }

	// kept: the ledger has this keep action's entry, or never will. From the ledger, once per keep action with a number.
	kept struct{ number uint64 }

	// recalled: a ledger was opened in which this was kept. From cmd, before any envelope if the ledger could be opened then.
	recalled struct{ deliveries []Delivery }

	// resolved: a lookup ended. From the resolver's readers, once per lookup action; and perhaps once more, grown, when exchangers of a
	// route turned out to have more addresses.
	resolved struct {
		domain string
		route  resolver.Route
		err    error
		grown  bool

		verified bool
	}

	// answered: several lookups ended at the same time. It is not for the engine: the loop makes resolved events of it.
	answered struct {
		results  []resolver.Result
		verified bool
	}

	// connected: the connection stands, the greeting is waited for. From a session, at most once, before opened.
	connected struct {
		session sessionID
		source  netip.Addr // our end of the connection; zero when unknown
	}

	// opened: greeting and EHLO are done. From a session, at most once, before its first finished.
	opened struct {
		session sessionID
		caps    wire.Caps
		fixup   bool // the greeting is a PIX firewall's: never pipeline behind a body
		tls     protection
		connect time.Duration // since the dial action
	}

	// cleared: the body of this transaction may be sent, so the next transaction's commands can ride behind it. From a session,
	// at most once per transaction.
	cleared struct {
		session     sessionID
		transaction transactionID
	}

	// finished: a transaction ended, one way or another. From a session, exactly once per transmit action, in their order.
	finished struct {
		session sessionID
		report  *report
	}

	// ended: the session's connection is closed and its goroutines are gone. From a session, exactly once, as its last event.
	ended struct {
		session sessionID
		closing closing
	}

	// drained: no more work is to be begun. From Drain.
	drained struct{}

	// ticked: a deadline of wake has come. From the loop's timer.
	ticked struct{}
)

func (hinted) isEvent()    {}
func (coming) isEvent()    {}
func (sent) isEvent()      {}
func (cancelled) isEvent() {}
func (taken) isEvent()     {}
func (abandoned) isEvent() {}
func (kept) isEvent()      {}
func (recalled) isEvent()  {}
func (resolved) isEvent()  {}
func (answered) isEvent()  {}
func (connected) isEvent() {}
func (opened) isEvent()    {}
func (cleared) isEvent()   {}
func (finished) isEvent()  {}
func (ended) isEvent()     {}
func (drained) isEvent()   {}
func (ticked) isEvent()    {}

// A stage is where in a session something happened; each is also where a timeout of Timeouts applies.
type stage uint8

const (
	stageConnect stage = iota
	stageGreeting
	stageHello
	stageStartTLS  // the reply to STARTTLS
	stageHandshake // TLS, until the first reply inside it was read
	stageAuth
	stageIdle // between transactions
	stageReset
	stageMail
	stageRcpt
	stageData
	stageBody
	stageFinal
	stageQuit
)

// String is the stage as traces and error texts name it.
func (s stage) String() string {
	return [...]string{"connect", "greeting", "hello", "starttls", "handshake", "auth", "idle", "rset", "mail", "rcpt", "data", "body", "final", "quit"}[s]
}

// A closing says why a session ended.
type closing struct {
	stage   stage
	reply   wire.Reply // what the peer said, when its words are the reason
	err     error      // the reason otherwise; nil for an orderly end
	local   bool       // this machine ran out of something: the host is not to blame
	unbound bool       // this machine does not have the address that the session was to come from
	noRoute bool       // this machine has no way to addresses of that family
	tls     *tlsError  // TLS failed, or the host is not whom the policy wants
}

// orderly says that the session ended because we wanted it to.
func (c closing) orderly() bool { return c.err == nil && c.reply.Code == 0 }

// A report is all that was learned from one transaction on the wire.
type report struct {
	transaction transactionID
	mail        wire.Reply
	rcpts       []wire.Reply // in the order of the transaction's recipients; shorter when the replies ended early
	data        wire.Reply
	final       wire.Reply
	err         error         // why the dialogue is incomplete; nil when every reply came
	stage       stage         // where err happened
	stuck       bool          // the session said nothing; see watchdog.go
	local       bool          // err is this machine's or this process's doing, not the peer's
	dotted      bool          // an octet of the end of data may have left
	transfer    time.Duration // MAIL to the last reply
}

// last says that no transaction can follow on this session: the dialogue broke off, or the host said 421. RFC 5321
// section 3.8 has a server say 421 before it closes.
func (rep *report) last() bool { return rep.err != nil || rep.goodbye().Code != 0 }

// goodbye is the 421 with which the host ended the session.
func (rep *report) goodbye() wire.Reply {
	switch 421 {
	case rep.mail.Code:
		return rep.mail
	case rep.data.Code:
		return rep.data
	case rep.final.Code:
		return rep.final
	}
	for _, r := range rep.rcpts {
		if r.Code == 421 {
			return r
		}
	}
	return wire.Reply{}
}

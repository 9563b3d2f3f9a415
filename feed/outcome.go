package feed

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// A Class is what an outcome means to the host MTA.
type Class uint8

const (
	Deferred  Class = iota // the host keeps the mail and tries again
	Delivered              // a complete final 2xx was read: the next hop has it
	Failed                 // the host bounces
)

// String is the word of the delivery records: "deferred", "delivered", "failed".
func (c Class) String() string { return [...]string{"deferred", "delivered", "failed"}[c] }

// An Outcome is what happened to a recipient. It is immutable and shared by all recipients to whom the same happened.
type Outcome struct {
	Class     Class
	Earlier   bool          // it was delivered in an earlier attempt, whose reply the host MTA is not known to have taken
	Uncertain bool          // the end of data was written and no complete reply came (always Deferred)
	Status    wire.Enhanced // never zero; its class digit is that of Class
	Reply     wire.Reply    // the remote host's own words; zero when the reason is ours
	Err       error         // the reason when it is ours; nil when Reply is set
	Via       *Via          // the host it was tried on; nil when no host was
}

// Reason is why, in one clean line: the remote host's words, or ours.
func (o *Outcome) Reason() string {
	if o.Reply.Code != 0 {
		return o.Reply.String()
	}
	if o.Err != nil {
		return wire.Clean(o.Err.Error(), 300)
	}
	return o.Class.String()
}

// A Via says how and where a transaction was tried, for texts and delivery records.
type Via struct {
	MX          string         // the exchanger's name
	Addr        netip.AddrPort // zero before a connection was tried
	Source      netip.Addr     // our address; zero when none was bound or known
	TLS         string         // "" for plaintext, else version and cipher: "TLSv1.3 TLS_AES_128_GCM_SHA256"
	Policy      string         // why TLS was demanded: "dane", "mta-sts", "requiretls", "required", "configured"; "" for a session that nobody demanded it of
	Verified    bool           // the peer's certificate was found to be the one that Policy wants
	DSN         bool           // the host took over the duty to notify (RFC 3461)
	Session     uint64
	Transaction uint64        // 0 when none began
	Recipients  int           // in the transaction
	Reused      bool          // the session had carried a transaction before
	Connect     time.Duration // dial to the end of EHLO; 0 on a reused session
	Transfer    time.Duration // MAIL to the last reply
}

// Outcomes that are the same for everybody.
var (
	outcomeBudget    = &Outcome{Class: Deferred, Status: wire.Enhanced{Class: 4, Subject: 4, Detail: 7}, Err: errors.New("delivery time expired, try again later")}
	outcomeExhausted = &Outcome{Class: Deferred, Status: wire.Enhanced{Class: 4, Subject: 3, Detail: 2}, Err: errors.New("out of local descriptors or ports, try again later")}
	outcomeDraining  = &Outcome{Class: Deferred, Status: wire.Enhanced{Class: 4, Subject: 3, Detail: 2}, Err: errors.New("shutting down, try again later")}
	outcomeCancelled = &Outcome{Class: Deferred, Status: wire.Enhanced{Class: 4, Subject: 3, Detail: 0}, Err: errors.New("host MTA left before delivery")}
)

// A step is what happens next to a recipient.
type step uint8

const (
	stepSettle    step = iota // its fate is known
	stepElsewhere             // another host of its route, if any is left; else its outcome
	stepAgain                 // the same host at once
	stepAnywhere              // another host of its route, or else the same again
)

// A verdict is one line of the table.
type verdict struct {
	step    step
	outcome *Outcome // what the recipient is told, now or when nothing else is left
	free    bool     // nobody is to blame: the visit does not count
	careful bool     // the host is not to be sent a group of commands again
	cut     bool     // it was cut short for an envelope whose budget ended: settled, unless the recipient has time left
}

// A trial is one report before the table: the only place that says what happens next to a recipient.
type trial struct {
	rep      *report
	via      *Via // of its own: outcomes outlive the trial, and must not hold its content
	flight   *flight
	accepted int  // RCPTs that got 2xx
	tooMany  int  // recipients the host took before it said "too many"; 0 when it did not
	domains  bool // it said that a transaction takes one domain
	spent    bool // it said that the session carries no more messages
	usedUp   bool // it said that the session takes no more domains, or something like it
	stale    bool // a reused session that was dead when the transaction came
	confused bool // somebody's verdict was careful
	undress  bool // a server that offered SIZE or 8BITMIME and refuses it in MAIL
	unask    bool // a server that offered DSN and refuses it in MAIL or RCPT
	insists  bool // a server that refuses mail without TLS, of which TLS had failed
	noBDAT   bool // a server that offered CHUNKING and does not know BDAT
	whole    verdict
}

// newTrial finds what the replies mean for the transaction as a whole: the fate of every recipient whose RCPT was accepted.
func newTrial(rep *report, f *flight) *trial {
	via := f.via
	t := &trial{rep: rep, via: &via, flight: f}
	for _, r := range rep.rcpts {
		if r.Code/100 == 2 {
			t.accepted++
		}
	}
	switch {
	case rep.stuck:
		t.whole = verdict{outcome: &Outcome{Class: Deferred, Uncertain: true, Status: wire.Enhanced{Class: 4, Subject: 3}, Err: rep.err, Via: t.via}}
	case rep.mail.Code/100 != 2:
		t.whole = t.judgeMail()
	case rep.dotted:
		t.whole = t.judgeFinal()
	case (rep.data.Code/100 == 3 || f.chunked) && rep.final.Code != 0:
		t.whole = t.judgeEarly()
	default:
		t.whole = t.judgeData()
	}
	return t
}

// judgeMail is the table for a transaction whose MAIL was not accepted.
func (t *trial) judgeMail() verdict {
	r := t.rep.mail
	tooMany := t.flight.served && isTooManyMessages(r) // on one that took nobody they mean the sender
	switch {
	case t.rep.local && r.Code == 0:
		return t.cut()
	case t.via.Reused && (r.Code == 0 || r.Code == 421 || r.Code == 503 || tooMany):
		// The session had died, had carried all it might, or still held on to the transaction before.
		t.spent = r.Code == 421 || tooMany
		return t.worn()
	case r.Code == 0:
		return t.stopped()
	case (r.Code == 501 || r.Code == 555) && (t.flight.dressed || t.flight.asks):
		// RFC 5321 section 4.1.1.11: it does not know a parameter, though it offered them. The message may do without.
		t.unask = t.flight.asks && (!t.flight.dressed || namesDSN(r))
		t.undress = !t.unask
		return verdict{step: stepAgain, outcome: t.replied(Failed, r).outcome, free: true}
	case r.Code/100 == 5 && r.Code != 503:
		return t.replied(Failed, r)
	case r.Code/100 == 4:
		return t.replied(Deferred, r)
	default:
		return t.broken(r)
	}
}

// judgeData is the table for a transaction that never came to its end of data.
func (t *trial) judgeData() verdict {
	if last := t.rep.goodbye(); last.Code != 0 {
		return t.replied(Deferred, last)
	}
	r := t.rep.data
	switch {
	case r.Code == 0 && t.rep.local:
		return t.cut()
	case t.flight.chunked && t.rep.stage == stageBody && !errors.Is(t.rep.err, os.ErrDeadlineExceeded):
		t.noBDAT = true // some gateways close the connection over it
		return verdict{step: stepAgain, outcome: t.lost(), free: true}
	case r.Code == 0 || r.Code/100 == 3:
		if t.rep.local {
			return t.cut()
		}
		if r.Code == 0 && t.rep.err != nil && t.via.Reused {
			return t.worn()
		}
		if r.Code == 0 || t.desynced() {
			return t.stopped()
		}
		return verdict{step: stepElsewhere, outcome: t.lost()}
	case r.Code/100 == 4:
		return t.replied(Deferred, r)
	case r.Code/100 == 5 && r.Code != 503:
		return t.replied(Failed, r)
	case t.via.Reused:
		return t.worn()
	default:
		// 2xx is no invitation, and 503 after accepted commands means that the server lost count.
		return t.broken(r)
	}
}

// worn is the verdict on a fault on a reused session before its DATA was answered: charged to nobody, and tried again at once
// on a fresh session, where the same fault counts.
func (t *trial) worn() verdict {
	t.stale = true
	return verdict{step: stepAgain, outcome: t.lost(), free: true}
}

// judgeEarly is the table for a reply that came while the body was on its way: the server did not want the rest. No end of
// data was written, so nothing is uncertain, and nothing it says can mean success.
func (t *trial) judgeEarly() verdict {
	switch r := t.rep.final; {
	case t.flight.chunked && isUnknown(r):
		t.noBDAT = true
		return verdict{step: stepAgain, outcome: t.replied(Deferred, r).outcome, free: true}
	case r.Code/100 == 4:
		return t.replied(Deferred, r)
	case r.Code/100 == 5:
		return t.replied(Failed, r)
	default:
		return t.broken(r)
	}
}

// judgeFinal is the table behind the end of data. RFC 5321 section 4.2.5 leaves the mail with us until a final reply is
// read; without one it may be with both, and another host would make that certain.
func (t *trial) judgeFinal() verdict {
	r := t.rep.final
	switch r.Code / 100 {
	case 2:
		return verdict{outcome: &Outcome{Class: Delivered, Status: statusOf(r, 2), Reply: r, Via: t.via}}
	case 4:
		return t.replied(Deferred, r)
	case 5:
		if r.Code == 503 && !t.flight.chunked {
			return t.broken(r) // the server lost count: it refuses the order of commands and not the message
		}
		if t.flight.chunked && isUnknown(r) {
			// What followed was read as commands. The message was refused, so the same host may have it again, by DATA.
			t.noBDAT = true
			return verdict{step: stepAgain, outcome: t.replied(Deferred, r).outcome, free: true}
		}
		return t.replied(Failed, r)
	case 0:
		return verdict{outcome: &Outcome{Class: Deferred, Uncertain: true, Status: t.lost().Status, Err: t.rep.err, Via: t.via}}
	default:
		return verdict{outcome: &Outcome{Class: Deferred, Uncertain: true, Status: status450, Reply: r, Via: t.via}}
	}
}

// verdict is the table for the i-th recipient.
func (t *trial) verdict(i int) verdict {
	v := t.judge(i)
	o := v.outcome
	switch {
	case o.Class == Failed && t.wantsPassword(i, o.Reply): // that is the operator's to mend, as when AUTH is refused
		v = t.replied(Deferred, o.Reply)
		v.outcome.Status = status478
	case o.Class == Delivered || o.Uncertain || !wantsTLS(o.Reply):
		return v
	case t.flight.bare:
		return t.judgeBare(i, v)
	case t.flight.later && o.Class == Failed: // it refused STARTTLS for now, and so the mail
		v = t.replied(Deferred, o.Reply)
		v.outcome.Status = status474
	}
	return v
}

// judge is verdict, but for what hosts say that were spared TLS.
func (t *trial) judge(i int) verdict {
	if t.rep.stuck {
		return t.whole
	}
	if t.rep.mail.Code/100 != 2 || i >= len(t.rep.rcpts) {
		if t.accepted > 0 && t.rep.dotted {
			panic("BUG: end of data written before all RCPT replies were read")
		}
		return t.whole
	}
	r := t.rep.rcpts[i]
	switch {
	case r.Code/100 == 2:
		return t.whole
	case t.isTooMany(r, i):
		if t.tooMany == 0 {
			t.tooMany = t.acceptedBefore(i)
		}
		return verdict{step: stepAgain, outcome: t.replied(Deferred, r).outcome, free: true}
	case t.flight.served && t.acceptedBefore(i) == 0 && r.Code/100 == 4 && r.Enhanced == tooMany:
		// Too many already, and this transaction has none: the session has had them (RCPTDOMAINMAX without an announcement).
		t.usedUp = true
		return verdict{step: stepAgain, outcome: t.replied(Deferred, r).outcome, free: true}
	case t.isTooManyDomains(r, i):
		t.domains = true
		return verdict{step: stepAgain, outcome: t.replied(Deferred, r).outcome, free: true}
	case r.Code/100 == 4:
		return t.replied(Deferred, r)
	case t.flight.asks && !t.shifted() && (r.Code == 555 || r.Code == 501 && namesDSN(r)): // 501 may be the address
		t.unask = true
		return verdict{step: stepAgain, outcome: t.replied(Failed, r).outcome, free: true}
	case r.Code/100 == 5 && r.Code != 503 && !t.shifted():
		return t.replied(Failed, r)
	case t.stale:
		return t.whole
	default:
		return t.broken(r)
	}
}

// wantsPassword says that the i-th recipient's relay, which is the operator's, wants a password, or another one, or TLS before it (RFC 4954
// section 6).
func (t *trial) wantsPassword(i int, r wire.Reply) bool {
	return t.toRelay(i) && (r.Code == 530 && !t.flight.bare || r.Code == 535 || r.Code == 538)
}

// toRelay says that the configuration sends the i-th recipient's domain to the host.
func (t *trial) toRelay(i int) bool {
	r := t.flight.recipients[i]
	return r.route.candidates[r.at].configured
}

// tooMany is "too many recipients" (RFC 3463 section 3.6, which has 5.5.3 for it; 4.5.3 is what servers say).
var tooMany = wire.Enhanced{Class: 4, Subject: 5, Detail: 3}

// refusedEarly says that the host refused the message before its end, in words that make sense.
func (t *trial) refusedEarly() bool {
	class := t.rep.final.Code / 100
	return !t.rep.dotted && (class == 4 || class == 5)
}

// shifted says that the replies to RCPT may stand in the wrong places: the dialogue ended over a reply out of turn before
// DATA's was read, or with BDAT before the body began. A refusal among them is not believed, for it may be another recipient's.
func (t *trial) shifted() bool {
	return t.desynced() && t.rep.data.Code/100 != 3 && t.rep.stage < stageBody
}

// isTooMany tells "too many recipients" from other trouble. RFC 5321 section 4.5.3.1.10: "the code 452 SHOULD be used",
// and "a 552 ... SHOULD be treated as a 452"; the first recipient of a transaction is never too many.
func (t *trial) isTooMany(r wire.Reply, i int) bool {
	if t.acceptedBefore(i) == 0 {
		return false
	}
	switch r.Code {
	case 452:
		return r.Enhanced == tooMany || r.Enhanced == wire.Enhanced{}
	case 552:
		return r.Enhanced.Subject != 2 && r.Enhanced.Subject != 3
	default:
		return r.Enhanced == tooMany
	}
}

// isTooManyDomains knows the words of the two large receivers that take one domain, or one region, a transaction. They must
// not be believed of a transaction that has one domain only, nor of its first recipient: nothing would get less by trying again.
func (t *trial) isTooManyDomains(r wire.Reply, i int) bool {
	if r.Code/100 != 4 || i == 0 || !t.flight.mixed() {
		return false
	}
	text := strings.ToLower(r.Text)
	return strings.Contains(text, "multiple destination domains per transaction") ||
		strings.Contains(text, "recipients belong to multiple regions")
}

func (t *trial) acceptedBefore(i int) int {
	n := 0
	for _, r := range t.rep.rcpts[:i] {
		if r.Code/100 == 2 {
			n++
		}
	}
	return n
}

// replied is the verdict that follows from the remote host's own words: 5xx is final, 4xx is worth another host.
func (t *trial) replied(c Class, r wire.Reply) verdict {
	v := verdict{outcome: &Outcome{Class: c, Status: statusOf(r, r.Code/100), Reply: r, Via: t.via}}
	if c == Deferred {
		v.step = stepElsewhere
	}
	return v
}

// broken is the verdict on a reply that makes no sense where it stands.
func (t *trial) broken(r wire.Reply) verdict {
	return t.disordered(&Outcome{Class: Deferred, Status: status450, Reply: r, Via: t.via})
}

// stopped is the verdict on a dialogue that broke off before DATA was answered. A server that reads one command of a group and
// drops the rest shows as one that lost count, or as one that falls silent in the middle of it.
func (t *trial) stopped() verdict {
	switch {
	case t.desynced():
		return t.disordered(t.lost())
	case t.stalled():
		// It may as well be plain slow, and a second silence would take the rest of the budget: another host is better.
		return verdict{step: stepAnywhere, outcome: t.lost(), careful: true}
	default:
		return verdict{step: stepElsewhere, outcome: t.lost()}
	}
}

// disordered is the verdict on a dialogue in which one side lost count. Where commands came in a group, that may be what the host
// does not bear: it is tried once more on a new connection, command by command, at nobody's cost.
func (t *trial) disordered(o *Outcome) verdict {
	if t.flight.grouped {
		return verdict{step: stepAgain, outcome: o, free: true, careful: true}
	}
	return verdict{step: stepElsewhere, outcome: o}
}

// stalled says that a host which was never seen to bear a group of commands fell silent in the middle of one.
func (t *trial) stalled() bool {
	return errors.Is(t.rep.err, os.ErrDeadlineExceeded) && t.flight.grouped && !t.flight.proven
}

// lost is the outcome of a dialogue that broke off.
func (t *trial) lost() *Outcome {
	if r := t.rep.mail; r.Code != 0 && r.Code/100 != 2 {
		return &Outcome{Class: Deferred, Status: statusOf(r, 4), Reply: r, Via: t.via}
	}
	return &Outcome{Class: Deferred, Status: statusOfError(t.rep.err), Err: t.rep.err, Via: t.via}
}

// cut is the verdict on a dialogue that we ourselves broke off before the end of data: for want of time, or because this process
// stops at once.
func (t *trial) cut() verdict {
	o := &Outcome{Class: Deferred, Status: outcomeBudget.Status, Err: t.rep.err, Via: t.via}
	if errors.Is(t.rep.err, net.ErrClosed) {
		o.Status = outcomeDraining.Status
		return verdict{outcome: o}
	}
	return verdict{outcome: o, cut: true}
}

// good says that the transaction went as it should: its end of data was answered, whatever the answer.
func (t *trial) good() bool { return t.rep.err == nil && t.rep.dotted && t.rep.final.Code/100 == 2 }

// ends says that the session must not be used again.
func (t *trial) ends() bool { return t.rep.last() }

// desynced says that the host seems to have lost count of pipelined commands.
func (t *trial) desynced() bool {
	return statusOfError(t.rep.err) == status450
}

// failure is what to tell recipients that will not be tried on the host any more because of this report.
func (t *trial) failure(via *Via) *Outcome {
	o := *t.whole.outcome
	o.Class, o.Uncertain, o.Via = Deferred, false, via
	o.Status.Class = 4
	return &o
}

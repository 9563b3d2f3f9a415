package lmtp

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// A sender that asked for NOTIFY=SUCCESS is owed a word about each delivery. A next hop that knows DSN takes that duty over. Behind one
// that does not, "relayed" is all that anybody will ever say (RFC 3461 section 5.2.2), and we are the last who can: before the host MTA is
// told of the delivery, Config.Notify hands a notification to somebody who keeps it.
//
// If the process dies in between, or the host MTA leaves, the recipient comes again, is answered from the ledger, and its sender is
// notified again: at least once.

// A Notice is recipients of one envelope that were delivered, and of which the sender is to be notified by us. All of it may be read for as
// long as Config.Notify runs. Envelope and QueueID are other ones when a host MTA sends the message again; the digest of Body, From and
// the recipients are the same.
type Notice struct {
	Envelope   string       // feed.Envelope.ID
	QueueID    string       // the host MTA's; "" when unknown
	From       wire.Address // whom to notify; never null
	DSN        wire.MailDSN // what to return, and the sender's own name for the message
	RequireTLS bool         // MAIL had REQUIRETLS: no content may go where that is not kept (RFC 8689 section 5)
	UTF8       bool         // MAIL had SMTPUTF8: addresses and header may be above ASCII
	Arrival    time.Time    // of the host MTA's final dot
	Deadline   time.Time    // when the replies of its recipients are due
	Body       *wire.Body
	Recipients []NoticeRecipient // noticeSize at most
}

// A NoticeRecipient is one that was delivered.
type NoticeRecipient struct {
	To      wire.Address
	ORCPT   string // as in wire.RcptParams; "" is none
	Outcome *feed.Outcome
}

const (
	// noticeSize bounds a notification's recipients: hosts refuse mail that is too large, and one with a list's 100,000 would be.
	noticeSize = 1000
	// noticeGather is how long a notification waits for more recipients of its envelope to be delivered: a sender of a list over thousands of
	// hosts must not be told thousands of times.
	noticeGather = 2 * time.Second
	// noticePatience is how long the replies of an envelope wait in all for calls of Config.Notify that come to nothing. Each waits for the
	// one call that it is in, which should not take more than 30 s.
	noticePatience = 45 * time.Second
)

var (
	errNoNotify   = errors.New("there is nobody to send notifications")
	errNotifyLate = errors.New("the notification was not taken in time")
)

// An owed recipient is settled, and its reply waits for its notification.
type owed struct {
	recipient int
	outcome   *feed.Outcome
	reply     *string
}

// notices are the notifications of one transaction. They belong to its goroutine. One call of Config.Notify runs at a time, and what is
// settled meanwhile goes into the next one.
type notices struct {
	waiting  []owed        // for the next call
	gather   *time.Timer   // when the next call must not wait any longer for more; nil: nobody waits for one
	called   []owed        // of the call that runs
	done     chan error    // its end; sent by its goroutine, once; one place, since nobody waits for one that is late. nil: none runs
	late     *time.Timer   // when it has taken too long; valid while one runs
	began    time.Time     // it
	patience time.Duration // what is left of it, for calls that fail
}

// isDue is the channel of gather, or nil.
func (n *notices) isDue() <-chan time.Time {
	if n.gather == nil {
		return nil
	}
	return n.gather.C
}

// gathers says that more may join those who wait, and sees to it that they do not wait for long.
func (n *notices) gathers(left int) bool {
	if left == 0 || len(n.waiting) >= noticeSize {
		return false
	}
	if n.gather == nil {
		n.gather = time.NewTimer(noticeGather)
	}
	return true
}

// open says that replies wait.
func (n *notices) open() bool { return n.done != nil }

// isLate is the channel of late, or nil.
func (n *notices) isLate() <-chan time.Time {
	if n.done == nil {
		return nil
	}
	return n.late.C
}

// owes says that the sender has to be notified of a settlement, and that nobody else does.
func (t *transaction) owes(s feed.Settlement) bool {
	o := s.Outcome
	return t.asked != nil && t.asked[s.Recipient].Notify&wire.NotifySuccess != 0 && o.Class == feed.Delivered &&
		!(o.Via != nil && o.Via.DSN) && !t.from.IsNull()
}

// notify begins a call if one is due. Each has its own goroutine: recipients of which nobody is notified are settled and answered
// meanwhile. It is waited for by deliver, which leaves one alone that is late; memory has the body until it returns.
func (t *transaction) notify() {
	n := &t.notices
	if n.done == nil && len(n.waiting) > 0 && !n.gathers(t.left) {
		t.callNotify()
	}
}

// callNotify begins the call.
func (t *transaction) callNotify() {
	n := &t.notices
	if n.gather != nil {
		n.gather.Stop()
		n.gather = nil
	}
	if n.done != nil {
		return // when it ends, the next one follows
	}
	patience := min(n.patience, time.Until(t.deadline.Add(noticePatience)))
	if patience <= 0 {
		t.answerUnnotified()
		return
	}
	size := min(len(n.waiting), noticeSize)
	n.called, n.waiting = n.waiting[:size:size], n.waiting[size:]
	n.began, n.done = time.Now(), make(chan error, 1)
	n.late = time.NewTimer(patience)
	s, notice, done, release := t.server, t.notice(n.called), n.done, t.server.memory.hold(t.content)
	go func() {
		defer release()
		done <- s.notify(notice)
	}()
}

func (t *transaction) notice(list []owed) Notice {
	recipients := make([]NoticeRecipient, len(list))
	for i, o := range list {
		recipients[i] = NoticeRecipient{To: t.recipients[o.recipient], ORCPT: t.asked[o.recipient].ORCPT, Outcome: o.outcome}
	}
	return Notice{
		Envelope:   t.id,
		QueueID:    t.queueID,
		From:       t.from,
		DSN:        t.params.DSN,
		RequireTLS: t.params.RequireTLS,
		UTF8:       t.params.SMTPUTF8,
		Arrival:    t.began,
		Deadline:   t.deadline,
		Body:       t.content.body,
		Recipients: recipients,
	}
}

// notify calls Config.Notify. A panic there is a failure, and must not end the process.
func (s *Server) notify(n Notice) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.counters.panics.Add(1)
			s.config.Log.Error("lmtp: BUG: panic", "envelope", n.Envelope, "panic", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	if s.config.Notify == nil {
		return errNoNotify
	}
	return s.config.Notify(n)
}

// notified is the end of a call. The mail is delivered whatever came of it: another reply than that would only make the host MTA deliver it
// twice.
func (t *transaction) notified(err error) {
	n := &t.notices
	n.late.Stop()
	n.done = nil
	if err != nil {
		n.patience -= time.Since(n.began)
		t.unnotified(n.called, err)
	} else {
		t.server.counters.notified.Add(uint64(len(n.called)))
	}
	t.answer(n.called)
	n.called = nil
	t.notify()
}

// notifiedLate gives up on a call, and on all that would follow it.
func (t *transaction) notifiedLate() {
	t.notices.patience = 0
	t.notified(errNotifyLate)
}

// answerUnnotified answers everybody who waits for a call that will not be.
func (t *transaction) answerUnnotified() {
	n := &t.notices
	t.unnotified(n.waiting, errNotifyLate)
	t.answer(n.waiting)
	n.waiting = nil
}

// leaveNotices is for a server that breaks off. Should the host hear anything more, it hears what is true.
func (t *transaction) leaveNotices() {
	t.answer(t.notices.called)
	t.answer(t.notices.waiting)
}

func (t *transaction) unnotified(list []owed, err error) {
	t.server.counters.unnotified.Add(uint64(len(list)))
	t.server.config.Log.Error("lmtp: a sender that asked for it is not notified of deliveries", "envelope", t.id, "queue_id", t.queueID,
		"from", t.from.String(), "recipients", len(list), "error", wire.Clean(err.Error(), maxText))
}

// answer gives replies that waited.
func (t *transaction) answer(list []owed) {
	for _, o := range list {
		t.answers.give(o.recipient, o.reply)
	}
}

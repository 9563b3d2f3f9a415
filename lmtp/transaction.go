package lmtp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// overdueGrace is how long after its deadline an envelope is waited for. The Mailer settles all before; this is the net below it.
const overdueGrace = 5 * time.Second

var errOverdue = errors.New("not settled in time")

// LMTPData reads the content, hands the envelope over and answers each recipient as soon as it is settled. go-smtp's reader is not
// used, see doc.go, nor its collector, see answers.go. What it returns is never nil, which go-smtp takes for 250, and never
// another type of error, which it takes for 554.
func (s *session) LMTPData(io.Reader, smtp.StatusCollector) error {
	s.conn.beginContent()
	s.complete()
	a := newAnswers(s.conn.out, len(s.recipients))
	a.finish(lineOf(s.transact(a)))
	return told()
}

// transact returns what recipients without an answer are told.
func (s *session) transact(a *answers) (rest *smtp.SMTPError) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v)
			rest = unsettled()
		}
	}()
	c, refusal := s.receive()
	if refusal != nil {
		return refusal
	}
	defer s.server.memory.release(c)
	if s.conn.hasLeft() { // the host has not heard that its recipients were accepted, and sends them again
		return broken()
	}
	t := s.newTransaction(c, a)
	s.conn.answered = append(s.conn.answered, t.id) // before: the Mailer is to be told of it whatever happens
	t.deliver(t.newEnvelope())
	if t.gaveUp {
		s.conn.part(false) // what it was told is not what may become of them yet
	}
	s.conn.ahead = s.conn.hasInput()
	return unsettled()
}

// receive reads the content to its end, also when it is refused, so that the connection stays usable.
func (s *session) receive() (*content, *smtp.SMTPError) {
	in := intake{memory: &s.server.memory, limit: s.server.config.MaxMessageSize}
	defer in.giveBack()
	if err := s.conn.readContent(in.take); err != nil {
		s.server.config.Log.Debug("lmtp: the content was broken off", "conn", s.conn.id, "error", err)
		return nil, broken()
	}
	switch {
	case in.size > in.limit:
		s.server.counters.tooLarge.Add(1)
		return nil, tooLarge(in.limit)
	case in.refused:
		s.server.counters.overMemory.Add(1)
		return nil, overMemory()
	}
	c, equal := s.server.memory.share(in.body.Body(), in.taken)
	in.taken = 0
	if equal {
		s.server.counters.shared.Add(1)
	}
	return c, nil
}

// An intake makes a body of a content, within bounds. Past them it only counts.
type intake struct {
	memory  *memory
	limit   int64
	size    int64 // octets of content
	taken   int64 // octets that memory counts for it
	refused bool  // by memory
	body    wire.BodyWriter
}

func (in *intake) take(p []byte) {
	in.size += int64(len(p))
	if in.refused || in.size > in.limit {
		in.giveBack()
		return
	}
	in.body.Write(p)
	more := in.body.Size() - in.taken
	if !in.memory.take(more) {
		in.refused = true
		in.giveBack()
		return
	}
	in.taken += more
}

// giveBack forgets the content.
func (in *intake) giveBack() {
	in.memory.give(in.taken)
	in.taken = 0
	in.body = wire.BodyWriter{}
}

// A transaction is an envelope that was handed over, as the goroutine sees it that waits for its recipients.
type transaction struct {
	*session
	answers  *answers
	content  *content // for as long as replies wait, and their notifications
	id       string
	queueID  string
	began    time.Time // the host sent its final dot
	deadline time.Time
	sink     *sink
	sent     *feed.Envelope // the Mailer's; here only its name
	done     []bool         // per recipient: it was settled
	left     int            // recipients that were not
	notices  notices
	classes  [3]int // recipients by feed.Class
	outcome  *feed.Outcome
	reply    *string // what outcome became: what is settled together often shares one
	hostLeft bool
	gaveUp   bool
}

func (s *session) newTransaction(c *content, a *answers) *transaction {
	began := time.Now()
	return &transaction{
		session:  s,
		answers:  a,
		id:       strconv.FormatUint(s.server.counters.envelopes.Add(1), 36),
		content:  c,
		queueID:  queueID(c.body.Raw()),
		began:    began,
		deadline: began.Add(s.server.config.Budget),
		sink:     newSink(),
		done:     make([]bool, len(s.recipients)),
		left:     len(s.recipients),
		notices:  notices{patience: noticePatience},
	}
}

// newEnvelope makes what is handed over. What the header says is in its Params only: those of the session are what the Mailer was told
// when the envelope was announced, and is told when it is withdrawn.
func (t *transaction) newEnvelope() *feed.Envelope {
	params, body := t.params, t.content.body
	// RFC 8689 section 4.1: "If the REQUIRETLS MAIL FROM parameter is specified, the TLS-Required header field MUST be ignored".
	params.TLSOptional = !params.RequireTLS && tlsOptional(body.Raw())
	return &feed.Envelope{
		ID:         t.id,
		QueueID:    t.queueID,
		From:       t.from,
		Params:     params,
		Recipients: t.recipients,
		Notify:     t.asked,
		Routes:     t.routes,
		Body:       body,
		Deadline:   t.deadline,
		Sink:       t.sink,
	}
}

// deliver returns when every recipient is settled and answered, or when that cannot be waited for.
func (t *transaction) deliver(e *feed.Envelope) {
	t.sent = e
	t.server.counters.waiting.Add(int64(t.left))
	defer t.finish()
	e.Announced = t.announced
	t.withdraw()
	t.server.config.Mailer.Send(e)
	defer t.conn.watch()()
	overdue := time.NewTimer(time.Until(t.deadline) + overdueGrace)
	defer overdue.Stop()
	gone := t.conn.gone
	for t.left > 0 || t.notices.open() {
		select {
		case <-t.sink.ready:
			t.report(t.sink.take())
			if t.left > 0 || t.notices.open() {
				t.answers.stream()
			}
		case <-t.notices.isDue():
			t.callNotify()
		case err := <-t.notices.done:
			t.notified(err)
		case <-t.notices.isLate():
			t.notifiedLate()
		case <-gone:
			gone = nil
			t.abandon()
		case <-overdue.C:
			if t.left > 0 {
				t.giveUp()
			}
		case <-t.server.hard:
			t.leaveNotices()
			return
		}
	}
}

// abandon is for a host that left: it has not heard the outcomes and is going to send the mail again, so as little of it as
// possible shall be delivered now. What is settled still counts.
func (t *transaction) abandon() {
	t.hostLeft = true
	t.server.counters.left.Add(1)
	t.server.config.Mailer.Cancel(t.sent)
}

// reportedAtOnce bounds what records of a batch take in memory, and how long its first reply waits for them.
const reportedAtOnce = 1000

// report tells first whoever records, then the sender where it is owed that, then the host.
func (t *transaction) report(batch []feed.Settlement) {
	for some := range slices.Chunk(batch, reportedAtOnce) {
		fresh := t.fresh(some)
		t.record(fresh)
		for _, s := range fresh {
			t.classes[s.Outcome.Class]++
			if reply := t.replyTo(s.Outcome); t.owes(s) {
				t.notices.waiting = append(t.notices.waiting, owed{s.Recipient, s.Outcome, reply})
			} else {
				t.answers.give(s.Recipient, reply)
			}
		}
		t.left -= len(fresh)
		t.server.counters.waiting.Add(-int64(len(fresh)))
	}
	t.notify()
}

// fresh drops whatever comes again or belongs to nobody: that is a fault of ours.
func (t *transaction) fresh(batch []feed.Settlement) []feed.Settlement {
	fresh := batch[:0]
	for _, s := range batch {
		if s.Outcome == nil || s.Recipient < 0 || s.Recipient >= len(t.done) || t.done[s.Recipient] {
			t.server.config.Log.Error("lmtp: BUG: settlement refused", "envelope", t.id, "recipient", s.Recipient)
			continue
		}
		t.done[s.Recipient] = true
		fresh = append(fresh, s)
	}
	return fresh
}

func (t *transaction) record(batch []feed.Settlement) {
	if t.server.config.Record == nil || len(batch) == 0 {
		return
	}
	now, records := time.Now(), make([]Record, len(batch))
	for i, s := range batch {
		records[i] = Record{
			Time:       now,
			Envelope:   t.id,
			QueueID:    t.queueID,
			From:       t.from.String(),
			To:         t.recipients[s.Recipient].String(),
			Domain:     t.routes[s.Recipient],
			Settlement: s,
		}
	}
	t.server.config.Record(records)
}

func (t *transaction) replyTo(o *feed.Outcome) *string {
	if o != t.outcome {
		line := lineOf(status(o))
		t.outcome, t.reply = o, &line
	}
	return t.reply
}

// giveUp settles what the Mailer has not: silence would make the host take some other reply for it.
func (t *transaction) giveUp() {
	t.gaveUp = true
	t.server.counters.overdue.Add(uint64(t.left))
	t.server.config.Log.Error("lmtp: BUG: recipients were not settled in time", "envelope", t.id, "queue_id", t.queueID,
		"recipients", t.left)
	t.server.config.Mailer.Cancel(t.sent)
	o, rest := overdue(), make([]feed.Settlement, 0, t.left)
	for i, done := range t.done {
		if !done {
			rest = append(rest, feed.Settlement{Recipient: i, Outcome: o, Total: time.Since(t.began)})
		}
	}
	t.report(rest)
}

// finish ends a transaction, however it does. An envelope that is still the Mailer's, after a fault of ours or when the server
// breaks off, is cancelled.
func (t *transaction) finish() {
	t.server.counters.waiting.Add(-int64(t.left))
	if t.left > 0 {
		t.server.config.Mailer.Cancel(t.sent)
	}
	t.server.config.Log.LogAttrs(context.Background(), slog.LevelInfo, "lmtp: envelope answered",
		slog.String("envelope", t.id), slog.String("queue_id", t.queueID), slog.String("from", t.from.String()),
		slog.Int64("size", t.content.body.Size()), slog.Int("recipients", len(t.done)),
		slog.Int("delivered", t.classes[feed.Delivered]), slog.Int("deferred", t.classes[feed.Deferred]),
		slog.Int("failed", t.classes[feed.Failed]), slog.Int("unsettled", t.left), slog.Bool("host_left", t.hostLeft),
		slog.Duration("total", time.Since(t.began)))
}

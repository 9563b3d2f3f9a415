package feed

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// errSessionOver is why a transaction was not begun: the one before it was the session's last.
var errSessionOver = errors.New("session ended before the transaction began")

// A pipeline is the sender's state between the opening of a session and its end: replies come in the order of the commands,
// so all there is to know is the exchange whose replies come, and the one written behind it.
type pipeline struct {
	*speaker
	current *exchange
	next    *exchange // its commands ride behind current's body; no reply of it can come before current's final one
	reset   bool      // the last transaction left the server inside it: RSET goes before MAIL
	closing *closing  // the session is over
	clock   *time.Timer
}

// converse carries orders out until hangup or until the peer ends it.
func (s *speaker) converse(ctx context.Context) closing {
	p := &pipeline{speaker: s, clock: time.NewTimer(time.Hour)}
	defer p.clock.Stop()
	for p.closing == nil {
		p.setClock()
		select {
		case o, ok := <-s.orders:
			if !ok {
				return p.quit()
			}
			p.accept(o)
		case h := <-s.heard:
			p.listen(ctx, h)
		case <-p.clock.C:
			p.overdue()
		}
	}
	p.abandon()
	return *p.closing
}

// setClock arms the timer for the reply that is owed; without one the peer may be silent as long as the engine likes.
func (p *pipeline) setClock() {
	if p.current == nil {
		p.clock.Stop()
		return
	}
	p.clock.Reset(time.Until(p.due(p.current)))
}

// due is when the reply owed to x is overdue.
func (p *pipeline) due(x *exchange) time.Time {
	at := x.waiting.Add(p.config.Timeouts.of(x.stage))
	if x.failed != nil {
		at = time.Now().Add(lastWordsWait)
	}
	return earlier(at, x.limit())
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// overdue ends the session: the peer did not answer in time, or its last words did not come.
func (p *pipeline) overdue() {
	x := p.current
	err := x.failed
	if err == nil {
		err = brokenAt(x.stage, os.ErrDeadlineExceeded)
	}
	cut := !time.Now().Before(x.limit())
	p.breakOff(err, cut)
}

// accept begins the transaction, or writes its commands behind those of the one that waits for its final reply.
func (p *pipeline) accept(o *order) {
	x := &exchange{order: o, report: &report{transaction: o.transaction}, begun: time.Now(), stage: stageMail,
		group: p.caps.Pipelining && !o.lockstep}
	if p.current != nil {
		p.next = x
		p.writeNext()
		return
	}
	p.begin(x)
}

// writeNext writes the commands of next, once the body before them is on its way.
func (p *pipeline) writeNext() {
	if p.next != nil && p.current.failed == nil && p.current.stage == stageFinal {
		p.write(p.next.commands(p.caps), p.next)
	}
}

// begin writes a transaction's commands when nothing is owed.
func (p *pipeline) begin(x *exchange) {
	p.current = x
	x.waiting = time.Now()
	var b []byte
	if p.reset {
		b, x.stage = append(b, wire.RSET...), stageReset
	}
	if x.group {
		b = append(b, x.commands(p.caps)...)
	} else if !p.reset {
		b = x.appendMail(b, p.caps)
	}
	p.reset = false
	p.write(b, x)
}

// write writes octets on behalf of x. A failure does not end the session yet: what the peer has to say about it may be on its way.
func (p *pipeline) write(b []byte, x *exchange) {
	p.writeUntil(p.writeBy(x))
	if _, err := p.conn.Write(b); err != nil && x.failed == nil {
		x.failed = brokenAt(x.stage, err)
	}
}

// writeBy is the deadline of one write: progress within the body timeout, and never past the budget. What rides behind
// another exchange's body must not make that one's reply late.
func (p *pipeline) writeBy(x *exchange) time.Time {
	at := earlier(time.Now().Add(p.config.Timeouts.Body), x.order.deadline)
	if x != p.current {
		at = earlier(at, p.due(p.current))
	}
	return at
}

// writeUntil sets the write deadline.
func (p *pipeline) writeUntil(at time.Time) {
	if p.arm(at) {
		p.conn.SetWriteDeadline(at)
	}
}

// listen takes replies, each for the exchange that is owed one.
func (p *pipeline) listen(ctx context.Context, h hearing) {
	for i, r := range h.replies {
		if p.current == nil {
			p.unasked(r)
			return
		}
		p.take(r, hearing{replies: h.replies[i+1:], more: h.more, err: h.err})
		if p.closing != nil {
			return
		}
	}
	if h.err != nil {
		err := brokenAt(p.owed(), h.err)
		p.breakOff(err, ctx.Err() != nil)
	}
}

// owed is the stage of the reply that is owed next.
func (p *pipeline) owed() stage {
	if p.current == nil {
		return stageIdle
	}
	return p.current.stage
}

// unasked takes a reply that nobody asked for: 421 is a goodbye (RFC 5321 section 3.8), all else a server that lost count.
func (p *pipeline) unasked(r wire.Reply) {
	p.closing = &closing{stage: stageIdle, reply: r}
	if r.Code != 421 {
		*p.closing = closing{stage: stageIdle, err: &protocolError{stage: stageIdle, reason: "sent a reply nobody asked for: " + r.String()}}
	}
}

// take takes the reply that current is owed; rest is what was already heard behind it.
func (p *pipeline) take(r wire.Reply, rest hearing) {
	x := p.current
	x.waiting = time.Now()
	if x.answered(r) && rest.surplus() {
		p.breakOff(&protocolError{stage: x.stage, reason: "sent more replies than commands: " + r.String()}, false)
		return
	}
	if !x.sane(r) {
		x.note(r)
		p.breakOff(&protocolError{stage: x.stage, reason: "said out of turn " + r.String()}, false)
		return
	}
	switch x.stage {
	case stageReset:
		p.takeReset(r)
	case stageMail:
		x.note(r)
		p.takeMail(r)
	case stageRcpt:
		x.note(r)
		p.takeRcpt(r, rest)
	case stageData:
		x.note(r)
		p.takeData(r, rest)
	case stageBody: // a write failed, and this is why
		p.early(r)
	case stageFinal:
		x.note(r)
		if x.order.chunked && isUnknown(r) {
			// It reads the body as commands now, and what it says of each is yet to come.
			p.breakOff(&protocolError{stage: stageFinal, reason: "does not know BDAT: " + r.String()}, false)
			return
		}
		p.finish()
	}
}

// takeReset goes on to MAIL, or gives the session up: RSET has no reason to fail, and none of it is the recipients' fault.
func (p *pipeline) takeReset(r wire.Reply) {
	x := p.current
	if r.Code/100 != 2 {
		p.breakOff(&protocolError{stage: stageReset, reason: "refused RSET: " + r.String()}, false)
		return
	}
	x.stage = stageMail
	if !x.group {
		p.write(x.appendMail(nil, p.caps), x)
	}
}

func (p *pipeline) takeMail(r wire.Reply) {
	x := p.current
	x.stage = stageRcpt
	if x.group && r.Code != 421 {
		return // a refusal too: the replies to the rest of the group are on their way
	}
	if r.Code/100 != 2 {
		p.finish()
		return
	}
	p.nextRcpt()
}

// nextRcpt writes the next RCPT to a server without pipelining.
func (p *pipeline) nextRcpt() {
	x := p.current
	p.write(wire.AppendRCPT(nil, x.order.to[x.written], x.order.notifyOf(x.written)), x)
	x.written++
}

func (p *pipeline) takeRcpt(r wire.Reply, rest hearing) {
	x := p.current
	switch {
	case r.Code == 421:
		// RFC 5321 section 3.8: it closes. Some say so and do not: the rest of the group's replies is not waited for.
		p.finish()
	case len(x.report.rcpts) < len(x.order.to):
		if !x.group {
			p.nextRcpt()
		}
	case (!x.group || x.order.chunked) && x.accepted() == 0:
		p.finish()
	case x.order.chunked:
		// RFC 3030 section 2 has no invitation: "BDAT" goes behind accepted recipients, and the reply behind its last octet.
		p.sendBody(x, rest)
	default:
		x.stage = stageData
		if !x.group {
			p.write([]byte(wire.DATA), x)
		}
	}
}

// takeData answers the server's invitation. Nobody may be delivered when every RCPT was refused, although RFC 2920 section 3.1
// lets the server invite: "the client ... SHOULD send a single dot". But a lone dot to a server that did accept somebody would
// send an empty message: where the replies contradict each other the session is closed instead.
func (p *pipeline) takeData(r wire.Reply, rest hearing) {
	x := p.current
	switch {
	case r.Code/100 != 3:
		p.finish()
	case x.refused == len(x.report.rcpts):
		x.stage = stageFinal
		p.write([]byte(wire.EndOfData), x)
	case x.accepted() == 0:
		p.breakOff(&protocolError{stage: stageData, reason: "accepted recipients without MAIL"}, false)
	default:
		p.sendBody(x, rest)
	}
}

// sendBody sends the body, unless the peer has said more than it was asked already.
func (p *pipeline) sendBody(x *exchange, rest hearing) {
	x.stage = stageBody
	if len(rest.replies) > 0 || rest.more || rest.err != nil {
		p.heardEarly(rest)
		return
	}
	p.events <- cleared{session: p.id, transaction: x.order.transaction}
	p.writeBody(x)
}

// finish reports the current transaction and goes on with the next one, if the session can carry one.
func (p *pipeline) finish() {
	x := p.current
	p.post(x)
	// Whatever was refused before the end of data left the server inside the transaction; some stay there also when they refuse
	// the content. RFC 5321 section 4.1.1.4 has them clear it only if the end of data "is successful".
	p.reset = !x.report.dotted || x.report.final.Code/100 != 2
	p.current, p.next = p.next, nil
	switch {
	case x.report.last(), x.failed != nil:
		p.over(x)
	case p.current != nil:
		p.reset = false
		p.current.waiting = time.Now()
	}
}

// post reports a transaction, once.
func (p *pipeline) post(x *exchange) {
	if x.over {
		panic("BUG: transaction reported twice")
	}
	x.over = true
	x.report.transfer = time.Since(x.begun)
	p.done++
	p.events <- finished{session: p.id, report: x.report}
}

// over ends the session behind a transaction that was its last.
func (p *pipeline) over(x *exchange) {
	p.closing = &closing{stage: x.stage, err: cmp.Or(x.report.err, x.failed)}
	if p.closing.err == nil {
		p.closing.reply = x.report.goodbye()
	}
}

// breakOff ends the session in the middle of a dialogue, or between two.
func (p *pipeline) breakOff(err error, local bool) {
	x := p.current
	if x == nil {
		p.closing = &closing{stage: stageIdle, err: err}
		return
	}
	x.report.err, x.report.stage, x.report.local = err, x.stage, local
	p.finish()
}

// abandon gives back the transaction behind the session's last one. An order that is still on its way is the engine's to take
// back, when it learns that the session has ended.
func (p *pipeline) abandon() {
	if x := p.current; x != nil {
		x.report.err, x.report.stage = errSessionOver, stageMail
		p.post(x)
	}
}

// quit says goodbye and does not wait for the answer, which changes nothing. RFC 5321 section 4.1.1.10 has the client wait for it;
// Postfix does not either (smtp_skip_quit_response), for in a round trip the place could serve another host.
func (p *pipeline) quit() closing {
	if by := time.Now().Add(p.config.Timeouts.Quit); p.armed.Before(by) {
		p.conn.SetWriteDeadline(by)
	}
	if _, err := p.conn.Write([]byte(wire.QUIT)); err == nil && p.linger {
		p.seeOff()
	}
	return closing{}
}

// seeOff waits until the host has closed the connection. RFC 5321 section 4.1.1.10: the client "SHOULD wait until it receives the reply"; we do
// where the host counts connections, and the next one must not come before it has counted this one out.
func (p *pipeline) seeOff() {
	p.clock.Reset(p.config.Timeouts.Quit)
	for {
		select {
		case h := <-p.heard:
			if h.err != nil {
				return
			}
		case <-p.clock.C:
			return
		}
	}
}

package feed

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

const (
	// chunk is how many octets of a body are written between two looks at what the peer says meanwhile. Each has the body
	// timeout for itself, which at 180 s is the least rate we bear with: 500 octets a second.
	chunk = 88 << 10
	// tail is how many octets of a body's last chunk are copied to leave in one write with the end of data.
	tail = 1 << 10
)

// errSessionOver is why a transaction was not begun: the one before it was the session's last.
var errSessionOver = errors.New("session ended before the transaction began")

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
	return earlier(at, x.order.deadline)
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
	cut := !time.Now().Before(x.order.deadline)
	p.breakOff(err, cut)
}

// accept begins the transaction, or writes its commands behind those of the one that waits for its final reply.
func (p *pipeline) accept(o *order) {
	x := &exchange{order: o, report: &report{transaction: o.transaction}, begun: time.Now(), stage: stageMail, group: p.caps.Pipelining}
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

// commands is the whole group: MAIL, all RCPT, DATA.
func (x *exchange) commands(caps wire.Caps) []byte {
	b := make([]byte, 0, 128+64*len(x.order.to))
	b = x.appendMail(b, caps)
	for _, to := range x.order.to {
		b = wire.AppendRCPT(b, to)
	}
	return append(b, wire.DATA...)
}

func (x *exchange) appendMail(b []byte, caps wire.Caps) []byte {
	m := wire.MailParams{
		EightBitMIME: caps.EightBitMIME && (x.order.params.EightBitMIME || x.order.body.Has8Bit()),
		SMTPUTF8:     caps.SMTPUTF8 && x.order.params.SMTPUTF8,
	}
	if caps.HasSize {
		m.Size = x.order.body.Size()
	}
	return wire.AppendMAIL(b, x.order.from, m)
}

// write writes octets on behalf of x. A failure does not end the session yet: what the peer has to say about it may be on its way.
func (p *pipeline) write(b []byte, x *exchange) {
	p.conn.SetWriteDeadline(p.writeBy(x))
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
		p.takeRcpt(r)
	case stageData:
		x.note(r)
		p.takeData(r, rest)
	case stageBody: // a write failed, and this is why
		p.early(r)
	case stageFinal:
		x.note(r)
		p.finish()
	}
}

// answered says that r, if it is the reply it seems to be, leaves no other owed before we write again (RFC 2920 section 3.1
// calls it a synchronisation point). An invitation to send the body has its own rules for what comes behind it.
func (x *exchange) answered(r wire.Reply) bool {
	if x.group {
		return x.stage == stageData && r.Code/100 != 3
	}
	return x.stage < stageData
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
		return r.Code/100 != 3
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
	if x.group {
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
	p.write(wire.AppendRCPT(nil, x.order.to[x.written]), x)
	x.written++
}

func (p *pipeline) takeRcpt(r wire.Reply) {
	x := p.current
	switch {
	case r.Code == 421 && !x.group:
		p.finish()
	case len(x.report.rcpts) < len(x.order.to):
		if !x.group {
			p.nextRcpt()
		}
	case !x.group && x.accepted() == 0:
		p.finish()
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
		x.stage = stageBody
		if len(rest.replies) > 0 || rest.more || rest.err != nil {
			p.heardEarly(rest)
			return
		}
		p.events <- cleared{session: p.id, transaction: x.order.transaction}
		p.writeBody(x)
	}
}

// early takes a reply that came before the end of data: the server does not want the rest. Without the end of data it has no
// message, whatever it says; the connection cannot be used again.
func (p *pipeline) early(r wire.Reply) {
	p.current.note(r)
	p.breakOff(&protocolError{stage: stageBody, reason: "replied before the end of data: " + r.String()}, false)
}

// writeBody writes the body and the end of data, with a look at what the peer says before each chunk.
func (p *pipeline) writeBody(x *exchange) {
	segments := x.order.body.Stuffed()
	for {
		part, left := cutChunk(segments)
		if h, ok := p.overheard(); ok {
			p.heardEarly(h)
			return
		}
		if !time.Now().Before(x.order.deadline) {
			p.breakOff(brokenAt(stageBody, os.ErrDeadlineExceeded), true)
			return
		}
		if len(left) == 0 {
			p.writeEnd(x, part)
			return
		}
		if !p.writeChunk(x, part) {
			return
		}
		segments = left
	}
}

// writeChunk writes a part of the body that is not its last, with an ear for the peer all the while. It says whether the body
// goes on.
func (p *pipeline) writeChunk(x *exchange, part net.Buffers) bool {
	p.conn.SetWriteDeadline(p.writeBy(x)) // before the look: what is heard behind that moves the deadline
	p.inBody <- struct{}{}
	if h, ok := p.overheard(); ok {
		p.heardEarly(h)
		return false
	}
	if _, err := part.WriteTo(p.conn); err != nil {
		x.failed = brokenAt(stageBody, err)
		return false
	}
	select {
	case <-p.inBody:
		return true
	default: // the receiver has it, and what it heard is in the channel or about to be
		p.heardEarly(<-p.heard)
		return false
	}
}

// overheard is what the peer said while the body was on its way.
func (p *pipeline) overheard() (hearing, bool) {
	select {
	case h := <-p.heard:
		return h, true
	default:
		return hearing{}, false
	}
}

// heardEarly takes what came before the end of data.
func (p *pipeline) heardEarly(h hearing) {
	if len(h.replies) > 0 {
		p.early(h.replies[0])
		return
	}
	err := h.err
	if err == nil {
		err = &protocolError{stage: stageBody, reason: "began a reply before the end of data"}
	}
	p.breakOff(brokenAt(stageBody, err), errors.Is(err, net.ErrClosed))
}

// writeEnd writes the last part of the body and the end of data. From its first octet on the delivery is uncertain until the
// final reply was read.
func (p *pipeline) writeEnd(x *exchange, part net.Buffers) {
	size := sizeOf(part)
	p.conn.SetWriteDeadline(p.writeBy(x))
	part = endWithDot(part)
	n, err := part.WriteTo(p.conn)
	x.report.dotted = n > size
	x.stage, x.waiting = stageFinal, time.Now()
	if err != nil {
		x.failed = brokenAt(stageFinal, err)
		if !x.report.dotted {
			x.stage = stageBody
		}
		return
	}
	p.writeNext()
}

// endWithDot puts the end of data behind the last part of a body, in one piece with the line end before it. Some firewalls
// do not find CRLF.CRLF when it comes in two segments (Postfix's PIX workaround); with TLS each write is a record of its own.
func endWithDot(part net.Buffers) net.Buffers {
	if len(part) == 0 {
		return net.Buffers{[]byte(wire.EndOfData)}
	}
	last := part[len(part)-1]
	cut := max(len(last)-tail, 0)
	end := append(append(make([]byte, 0, tail+len(wire.EndOfData)), last[cut:]...), wire.EndOfData...)
	part[len(part)-1] = last[:cut]
	return append(part, end)
}

func sizeOf(b net.Buffers) (n int64) {
	for _, s := range b {
		n += int64(len(s))
	}
	return n
}

// cutChunk takes about a chunk off the front of a body, without copying and without writing to the body's own slice.
func cutChunk(segments [][]byte) (part net.Buffers, left [][]byte) {
	room := chunk
	for i, s := range segments {
		if len(s) > room {
			left = append([][]byte{s[room:]}, segments[i+1:]...)
			return append(part, s[:room]), left
		}
		part = append(part, s)
		room -= len(s)
	}
	return part, nil
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

// quit says goodbye and waits a little for the answer, which changes nothing.
func (p *pipeline) quit() closing {
	p.conn.SetWriteDeadline(time.Now().Add(p.config.Timeouts.Quit))
	if _, err := p.conn.Write([]byte(wire.QUIT)); err != nil {
		return closing{}
	}
	p.clock.Reset(p.config.Timeouts.Quit)
	select {
	case <-p.heard:
	case <-p.clock.C:
	}
	return closing{}
}

package feed

import (
	"slices"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

const (
	// maxVisits is on how many sessions a recipient may be tried in one attempt. More is the host MTA's business, later.
	maxVisits = 2
	// budgetReserve is kept back from an envelope's budget for bringing results home.
	budgetReserve = time.Second
)

// A flight is the engine's view of a transaction in a session's hands.
type flight struct {
	id         transactionID
	message    *message
	recipients []*recipient
	via        Via
	grouped    bool      // its commands are written at once
	rode       bool      // behind the body of the one before it
	chunked    bool      // its body goes by BDAT
	plain      bool      // its MAIL has no parameter that can be done without
	dressed    bool      // it has one
	asks       bool      // for notifications
	later      bool      // the host offers TLS, and refused it for now
	wanted     bool      // it refused mail without before
	bare       bool      // the host offers TLS, and the session is without since that failed
	ascii      bool      // the host offers no SMTPUTF8: domains are told in A-labels
	proven     bool      // the host was seen to answer a group as it should
	served     bool      // its session had a recipient accepted before
	latest     time.Time // when its session must have reported
}

// transmit cuts a transaction from the queue and gives it to the session. It is false when nothing that waits may go by it.
func (e *engine) transmit(now time.Time, s *session) bool {
	h := s.host
	rs := h.cut(s, e.oneDomain(h))
	if len(rs) == 0 {
		return false
	}
	if rs = e.fitting(now, s, rs); len(rs) == 0 {
		return true
	}
	e.timers.stop(&s.idle)
	h.cutAt = now
	if l := h.laneOf[rs[0].envelope.message]; l != nil && len(rs) >= h.sizeOf(l.message) {
		l.since, l.routed = now, l.message.tide.routed // what was left for another reason has waited long enough
	}
	e.lastTransaction++
	s.begun++
	f := &flight{id: e.lastTransaction, message: rs[0].envelope.message, recipients: rs, rode: len(s.flights) > 0}
	f.served = s.served
	f.grouped, f.proven = s.caps.Pipelining && !h.limit.noPipelining, h.limit.pipelines
	f.chunked = s.caps.Chunking && !h.limit.noChunking && e.config.ChunkingFrom > 0 && f.message.body.Size() >= e.config.ChunkingFrom
	f.plain = h.limit.noParams
	f.dressed = !f.plain && (s.caps.HasSize || s.caps.EightBitMIME && (f.message.key.params.EightBitMIME || f.message.body.Has8Bit()))
	f.bare, f.wanted, f.later = s.plain && s.caps.StartTLS, s.wanted, s.tls.later
	f.ascii = !s.caps.SMTPUTF8 && f.message.key.params.SMTPUTF8
	f.via = Via{MX: h.name, Addr: h.addrs[s.addr], Source: s.source, Session: uint64(s.id), Transaction: uint64(f.id),
		Recipients: len(rs), Reused: s.done > 0 || len(s.flights) > 0,
		TLS: s.tls.name, Policy: h.policy.word, Verified: s.tls.verified, DSN: s.caps.DSN && !h.limit.noDSN}
	if !f.via.Reused {
		f.via.Connect = s.connect
	}
	e.observeFlight(s, f)
	f.message.refs++
	h.flying += len(rs)
	e.countTransaction(s, f)
	o := orderOf(now, f)
	f.asks = o.asks()
	e.act(transmit{session: s.id, order: o})
	s.state = sessionBusy
	f.latest = o.latest
	s.flights = append(s.flights, f)
	e.watch(s, s.latest())
	return true
}

// notify is what a carrier and its twins want to be told together: one delivery, and whoever asked hears of it.
func (r *recipient) notify() (p wire.RcptParams) {
	silent := false // one of them said nothing, and is to hear of failures (RFC 3461 section 4.1)
	for ; r != nil; r = r.twin {
		var q wire.RcptParams
		if r.envelope.Notify != nil {
			q = r.envelope.Notify[r.index]
		}
		if p.ORCPT == "" || p.Notify == wire.NotifyNever && q.Notify != wire.NotifyNever && q.ORCPT != "" {
			p.ORCPT = q.ORCPT // of those who hear of it
		}
		p.Notify |= q.Notify
		silent = silent || q.Notify == 0
	}
	switch {
	case p.Notify == 0, p.Notify == wire.NotifyNever && !silent:
		return p
	case silent:
		p.Notify |= wire.NotifyFailure | wire.NotifyDelay
	}
	p.Notify &^= wire.NotifyNever // RFC 3461 section 4.1: it stands alone
	return p
}

// orderOf writes the order for a flight and sends its recipients off.
func orderOf(now time.Time, f *flight) *order {
	m := f.message
	o := &order{transaction: f.id, from: m.key.from, params: m.key.params, body: m.body, to: make([]wire.Address, len(f.recipients)),
		lockstep: !f.grouped, chunked: f.chunked, plain: f.plain}
	if !f.via.DSN {
		o.params.DSN = wire.MailDSN{}
	}
	address := (*recipient).address
	if f.ascii { // fitting has seen that they can be
		o.from, _ = asciiSender(o.from)
		address = func(r *recipient) wire.Address { a, _ := r.ascii(); return a }
	}
	if m.verp != nil {
		o.from, o.header = m.verp.personal(o.from, address(f.recipients[0]))
	}
	for i, r := range f.recipients {
		o.to[i] = address(r)
		if wants := r.notify(); f.via.DSN && wants != (wire.RcptParams{}) {
			if o.notify == nil {
				o.notify = make([]wire.RcptParams, len(f.recipients))
			}
			o.notify[i] = wants
		}
		r.place, r.begun = placeFlight, now.Sub(r.envelope.since)
		r.visits++
		d := r.deadline().Add(-budgetReserve)
		if i == 0 || d.Before(o.deadline) {
			o.deadline = d
		}
		if d.After(o.latest) {
			o.latest = d
		}
	}
	return o
}

func (e *engine) countTransaction(s *session, f *flight) {
	e.counts.Transactions++
	if f.via.Reused {
		e.counts.SessionsReused++
	}
	if len(s.flights) > 0 {
		e.counts.Pipelined++
	}
	if f.mixed() {
		e.counts.Piggybacked++
	}
	if f.chunked {
		e.counts.Chunked++
	}
	if f.message.verp != nil {
		e.counts.Personal++
	}
}

// mixed says that the transaction has recipients of several domains.
func (f *flight) mixed() bool {
	return slices.ContainsFunc(f.recipients, func(r *recipient) bool { return r.route != f.recipients[0].route })
}

// oneDomain says that a transaction to this host must not mix domains.
func (e *engine) oneDomain(h *host) bool {
	switch e.config.Piggyback {
	case PiggybackOff:
		return true
	case PiggybackAlways:
		return false
	default:
		return h.limit.oneDomain
	}
}

// flightFinished puts a report before the table of outcomes and does with each recipient as it says.
func (e *engine) flightFinished(now time.Time, ev finished) {
	s := e.sessions[ev.session]
	f, h := s.flights[0], s.host
	if f.id != ev.report.transaction {
		panic("BUG: finished a transaction that is not the session's first")
	}
	s.flights[0] = nil
	s.flights = s.flights[1:]
	h.clear = slices.DeleteFunc(h.clear, func(o *session) bool { return o == s })
	h.flying -= len(f.recipients)
	if f.message.verp != nil {
		h.alone -= len(f.recipients)
	}
	f.via.Transfer = ev.report.transfer
	t := newTrial(ev.report, f)
	var again recipientList
	for i, r := range f.recipients {
		v := t.verdict(i)
		t.confused = t.confused || v.careful
		if v.cut && r.wanted() && r.deadline().Sub(now) > 2*budgetReserve {
			v.step, v.free = stepAgain, true // somebody else's budget ended: this one has time for another transaction
		}
		e.obey(now, r, v, &again)
	}
	e.learn(now, s, t)
	s.done++
	e.sessionFreed(now, s, t)
	if !again.empty() {
		e.tryAgain(now, h, f.message, &again)
	}
	e.release(f.message)
}

// obey does with one recipient what the table says; those that stay with the host are gathered in again.
func (e *engine) obey(now time.Time, r *recipient, v verdict, again *recipientList) {
	if v.free {
		r.visits--
	}
	switch {
	case v.step == stepSettle:
		e.conclude(now, r, v.outcome)
	case !r.wanted():
		r.place = placeDone
	case e.draining:
		e.conclude(now, r, outcomeDraining)
	case v.step == stepAgain,
		v.step == stepAnywhere && r.visits < maxVisits && r.route.choose(now, r.tried|1<<r.at) < 0:
		again.push(r)
	default:
		r.tried |= 1 << r.at
		if v.outcome.Class == Deferred {
			r.deferred = v.outcome
		}
		if r.visits >= maxVisits {
			e.conclude(now, r, v.outcome)
			return
		}
		e.place(now, r, v.outcome)
		if r.place == placeHost {
			e.counts.Regrouped++
		}
	}
}

// tryAgain puts recipients that the host may still take back at the head of its queue, unless it fell meanwhile.
func (e *engine) tryAgain(now time.Time, h *host, m *message, list *recipientList) {
	if !h.down(now) {
		e.requeue(h, m, list)
		return
	}
	for !list.empty() {
		e.place(now, list.pop(), nil)
	}
}

// learn keeps what the report showed of the host's limits, and whether it is well.
func (e *engine) learn(now time.Time, s *session, t *trial) {
	h := s.host
	if t.tooMany > 0 {
		h.limit.atMost(now, t.tooMany)
		e.counts.Splits++
	}
	if t.domains {
		h.limit.single(now)
		e.counts.Splits++
	}
	if t.spent && h.limit.turnedAway(now, s.done) {
		e.counts.Splits++
	}
	e.learnManners(now, s, t)
	switch {
	case t.stale, t.confused, t.noBDAT, t.undress, t.unask, t.insists:
		// nobody's fault
	case t.rep.local:
	case t.ends() && !t.good():
		h.failures++
		h.limit.shrink()
	case t.good():
		h.failures = 0
		h.limit.succeeded()
	}
}

// learnManners keeps how the host wants to be spoken to, and what became of the session.
func (e *engine) learnManners(now time.Time, s *session, t *trial) {
	h := s.host
	if t.stale {
		e.counts.Stale++
	}
	if t.noBDAT {
		h.limit.dataOnly(now)
	}
	if t.undress {
		h.limit.plain(now)
	}
	if t.unask {
		h.limit.unasked(now)
	}
	if t.insists {
		h.tls.insists(now)
		e.retirePlain(h)
	}
	if t.confused || t.desynced() && !t.noBDAT && !t.refusedEarly() {
		h.limit.careful(now, t.flight.rode || !t.confused)
	}
	if t.confused || t.noBDAT {
		e.counts.Fallbacks++
	}
	s.served = s.served || t.accepted > 0
	if t.usedUp || t.spent {
		e.mark(s)
	}
	if t.flight.grouped && t.good() {
		h.limit.pipelines = true
		h.limit.rides = h.limit.rides || t.flight.rode
	}
}

// sessionFreed decides what becomes of a session whose transaction finished.
func (e *engine) sessionFreed(now time.Time, s *session, t *trial) {
	h := s.host
	s.clean = s.clean && t.good()
	if !t.ends() {
		if len(s.flights) == 0 && s.state == sessionBusy {
			e.restSession(now, s)
		}
		return
	}
	if s.state != sessionClosing {
		e.leave(s)
	}
	e.wake(h)
	if h.failures >= failedCohort && len(h.sessions) == 0 && !h.down(now) {
		via := *t.via
		e.fall(now, h, t.failure(&via))
	}
}

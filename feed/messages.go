package feed

import (
	"slices"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// A message is what envelopes with equal sender, parameters and content have in common: a host MTA splits a list into chunks,
// a list server into batches, and here they meet again. It lives while an envelope of it is unsettled or a transaction of it
// is in flight.
type message struct {
	key     messageKey
	body    *wire.Body // the first envelope's; those of later ones are let go
	verp    *VERP      // the rule that makes each recipient's copy personal; nil is none
	carrier map[wire.Address]*recipient
	since   time.Time // the first envelope's hand-over
	tide    tide      // how the answers to its lookups come in
	refs    int       // unsettled envelopes plus transactions in flight
	stream  *stream   // how its envelopes come in
	id      MessageID // its name in the ledger; zero without one
	past    *past     // what was delivered of it and is not known to be taken; nil is nothing
}

type messageKey struct {
	source
	digest [32]byte
}

// A source is what is known of a message before its content is.
type source struct {
	from   wire.Address
	params Params
}

// announced is the source as it was known before the content, which may waive TLS.
func (k messageKey) announced() source {
	k.source.params.TLSOptional = false
	return k.source
}

// An envelope is the engine's view of an Envelope.
type envelope struct {
	*Envelope
	message    *message
	since      time.Time // the sent event
	recipients []recipient
	unsettled  int
	left       bool         // its host MTA is gone
	out        []Settlement // not yet given to the Sink
	budget     timer
}

// A place is where a recipient is. It is in exactly one at any time.
type place uint8

const (
	placeRoute  place = iota // waits in its route for the lookup; ended by resolved
	placeHost                // waits in a lane of a host; ended by a cut or by the host's fall
	placeFlight              // in a transaction; ended by finished
	placeTwin                // another recipient of the message with the same address carries it; ended by settling
	placeDone                // out of everything
)

// A recipient is one accepted RCPT. Of equal addresses in a message one is the carrier and goes through the places, the others
// are its twins: one delivery, as many outcomes.
type recipient struct {
	envelope *envelope
	route    *route
	next     *recipient // in the list of its place
	twin     *recipient // the next recipient that shares this one's fate
	outcome  *Outcome   // nil until settled
	deferred *Outcome   // what the last host that would take it later said; nil is none
	known    time.Duration
	begun    time.Duration // of the last transaction; both since envelope.since
	index    int32
	tried    uint16 // a bit per candidate of the route that must not be chosen again
	place    place
	visits   uint8 // sessions that took it into a transaction
	at       uint8 // index of the candidate it waits for or flies to
}

// address is the recipient as it goes on the wire.
func (r *recipient) address() wire.Address { return r.envelope.Recipients[r.index] }

// wanted says that somebody still waits for the fate of this carrier.
func (r *recipient) wanted() bool {
	for ; r != nil; r = r.twin {
		if r.outcome == nil {
			return true
		}
	}
	return false
}

// deadline is the earliest moment by which somebody wants to know this carrier's fate.
func (r *recipient) deadline() time.Time {
	var first time.Time
	for ; r != nil; r = r.twin {
		if r.outcome == nil && (first.IsZero() || r.envelope.Deadline.Before(first)) {
			first = r.envelope.Deadline
		}
	}
	return first
}

// A recipientList is a queue linked through the recipients themselves: no memory of its own, moved whole in no time.
type recipientList struct{ head, tail *recipient }

func (l *recipientList) empty() bool { return l.head == nil }

func (l *recipientList) push(r *recipient) {
	r.next = nil
	if l.head == nil {
		l.head = r
	} else {
		l.tail.next = r
	}
	l.tail = r
}

func (l *recipientList) pop() *recipient {
	r := l.head
	l.head = r.next
	r.next = nil
	return r
}

// prepend puts all of m before l's and empties m.
func (l *recipientList) prepend(m *recipientList) {
	if m.empty() {
		return
	}
	m.tail.next = l.head
	if l.head == nil {
		l.tail = m.tail
	}
	l.head = m.head
	*m = recipientList{}
}

// admit takes a new envelope in: joins it to its message, and puts each recipient into its route.
func (e *engine) admit(now time.Time, in *Envelope) {
	env := &envelope{Envelope: in, since: now, unsettled: len(in.Recipients)}
	env.recipients = make([]recipient, len(in.Recipients))
	e.counts.EnvelopesTotal++
	e.counts.RecipientsTotal += uint64(len(in.Recipients))
	e.envelopes[in.ID] = env
	e.join(env)
	env.budget.due = func(now time.Time) { e.expire(now, env) }
	e.timers.set(&env.budget, in.Deadline)
	var touched []*route // in order of first appearance: the recipients of a domain stay together
	for i := range env.recipients {
		r := &env.recipients[i]
		r.envelope, r.index = env, int32(i)
		if e.draining {
			r.route, r.place = &route{state: routeGone, unsettled: 1}, placeDone
			e.tell(now, r, outcomeDraining)
			continue
		}
		r.route = e.routeOf(now, in.Routes[i], needOf(in.Params))
		e.engage(r.route)
		if !e.carry(now, r) {
			continue
		}
		if r.route.arrived.empty() {
			touched = append(touched, r.route)
		}
		r.route.arrived.push(r)
	}
	for _, rt := range touched {
		list := rt.arrived
		rt.arrived = recipientList{}
		e.spread(now, rt, &list)
	}
	if env.unsettled == 0 {
		e.touch(env) // an envelope without recipients, or one settled as it came
	}
}

// join finds or makes the envelope's message.
func (e *engine) join(env *envelope) {
	key := messageKey{source: source{from: env.From, params: env.Params}, digest: env.Body.Digest()}
	m := e.messages[key]
	if m == nil {
		m = &message{key: key, body: env.Body, verp: e.verpFor(env.From), since: env.since, carrier: make(map[wire.Address]*recipient, len(env.Recipients))}
		m.stream = e.streamOf(key, env.since)
		if e.remembers() {
			m.id = messageIDOf(key.from, key.digest)
		}
		e.messages[key] = m
		e.counts.MessagesTotal++
	}
	e.flow(env.since, m, env.Announced)
	m.refs++
	env.message = m
	env.Body = nil
}

// carry says whether r has to be carried itself. If its address is under way already it becomes a twin, and if it was
// delivered or refused a moment ago it shares that outcome: a host MTA that sends a message again must not cause a second copy. Nor
// must it when the delivery is longer ago, or another process's.
func (e *engine) carry(now time.Time, r *recipient) bool {
	m := r.envelope.message
	c := m.carrier[r.address()]
	switch {
	case c == nil, c.place == placeDone && c.outcome.Class == Deferred:
		if o := e.recall(r); o != nil {
			r.place = placeDone
			e.tell(now, r, o)
			return false
		}
		m.carrier[r.address()] = r
		return true
	case c.place == placeDone:
		r.place = placeDone
		e.tell(now, r, c.outcome)
	default:
		r.place = placeTwin
		if c.route.replaced { // its hosts are those that must not forget it
			e.engage(c.route)
			e.disengage(now, r.route)
			r.route = c.route
		}
		if !c.wanted() {
			e.want(c)
		}
		r.twin, c.twin = c.twin, r
	}
	return false
}

// want counts a carrier again that nobody waited for any longer.
func (e *engine) want(c *recipient) {
	if c.place == placeHost {
		c.route.candidates[c.at].host.count(c, 1)
	}
}

// release lets go of a message's envelope or transaction.
func (e *engine) release(m *message) {
	m.refs--
	if m.refs == 0 {
		if !m.stream.flowing {
			e.timers.set(&m.stream.quiet, e.now.Add(streamKeep))
		}
		delete(e.messages, m.key)
		if m.past != nil {
			e.letGo(m.past)
		}
	}
}

// expire is the end of an envelope's budget: what is not settled is deferred now. What flies goes on flying, but its order
// forbids the end of data from now on.
func (e *engine) expire(now time.Time, env *envelope) {
	why := lateness{}.of
	if now.Before(e.exhausted.Add(time.Second)) {
		why = func(*recipient) *Outcome { return outcomeExhausted }
	}
	e.giveUp(now, env, why, func(*recipient) bool { return true })
}

// leaveWaiting settles an envelope's recipients that are in no transaction; the others are told when theirs ends.
func (e *engine) leaveWaiting(now time.Time, env *envelope, o *Outcome) {
	e.giveUp(now, env, func(*recipient) *Outcome { return o }, func(c *recipient) bool { return c.place != placeFlight })
}

// giveUp settles those unsettled recipients of an envelope whose carrier is chosen. A carrier that nobody waits for any longer
// is not delivered, unless it flies already.
func (e *engine) giveUp(now time.Time, env *envelope, why func(carrier *recipient) *Outcome, chosen func(carrier *recipient) bool) {
	for i := range env.recipients {
		r := &env.recipients[i]
		if r.outcome != nil {
			continue
		}
		c := r
		if r.place == placeTwin {
			c = env.message.carrier[r.address()]
		}
		if !chosen(c) {
			continue
		}
		e.tell(now, r, why(c))
		if c.place == placeHost && !c.wanted() {
			h := c.route.candidates[c.at].host
			h.count(c, -1)
			e.tidy(now, h)
		}
	}
}

// conclude is the end of a carrier: it and its twins share the outcome.
func (e *engine) conclude(now time.Time, c *recipient, o *Outcome) {
	c.place = placeDone
	for r := c; r != nil; r = r.twin {
		if r.outcome == nil {
			e.tell(now, r, o)
		} else if o.Class == Delivered && r.outcome.Class != Delivered && e.remembers() {
			e.owe(now, r, o, false) // it was told something else before: its host MTA sends it again
		}
		r.place = placeDone
	}
	if c.outcome != o {
		c.outcome = o // its own envelope gave up earlier; what became of it is still known to those who send it again
	}
}

// tell settles one recipient with its envelope, once.
func (e *engine) tell(now time.Time, r *recipient, o *Outcome) {
	if r.outcome != nil {
		panic("BUG: recipient settled twice")
	}
	r.outcome = o
	e.counts.settled(o)
	if o.Class == Delivered && e.remembers() {
		e.owe(now, r, o, true)
	}
	env := r.envelope
	total := now.Sub(env.since)
	wait := total - r.known
	if r.visits > 0 {
		wait = r.begun - r.known
	}
	if o.Via != nil {
		wait -= o.Via.Connect // told apart
	}
	e.touch(env)
	env.out = append(env.out, Settlement{Recipient: int(r.index), Outcome: o, Attempts: int(r.visits),
		DNS: r.known, Wait: max(wait, 0), Total: total})
	env.unsettled--
	e.disengage(now, r.route)
}

// touch notes that the envelope has something for its Sink at the next take.
func (e *engine) touch(env *envelope) {
	if len(env.out) == 0 {
		e.told = append(e.told, env)
	}
}

// flush turns what was told into settle actions and forgets envelopes that are settled.
func (e *engine) flush() {
	e.keep()
	for _, env := range e.told {
		e.report(env)
		if env.unsettled == 0 {
			e.timers.stop(&env.budget)
			delete(e.envelopes, env.ID)
			env.message.stream.answered = e.now
			e.release(env.message)
		}
	}
	clear(e.told)
	e.told = e.told[:0]
}

// report gives an envelope's Sink what was told; deliveries when the ledger has them.
func (e *engine) report(env *envelope) {
	out := env.out
	env.out = nil
	if e.remembers() {
		var delivered []Settlement
		if out, delivered = apart(out); len(delivered) > 0 {
			e.tellKept(settle{envelope: env.Envelope, settlements: delivered})
		}
	}
	if len(out) > 0 {
		e.act(settle{envelope: env.Envelope, settlements: out})
	}
}

// apart puts deliveries into a list of their own. Most often all are, or none.
func apart(all []Settlement) (others, delivered []Settlement) {
	isDelivered := func(s Settlement) bool { return s.Outcome.Class == Delivered }
	if !slices.ContainsFunc(all, isDelivered) {
		return all, nil
	}
	for _, s := range all {
		if isDelivered(s) {
			delivered = append(delivered, s)
		} else {
			others = append(others, s)
		}
	}
	return others, delivered
}

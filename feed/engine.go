package feed

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// exhaustedFor is how long no session is begun after this machine ran out of descriptors or ports.
const exhaustedFor = 200 * time.Millisecond

// An engine decides everything: which host a recipient waits for, when a session is opened, what rides in a transaction,
// when a recipient is settled. It is pure: step is told what happened and when, take says what is to be done. It keeps no
// clock, does no I/O, starts nothing, and never lets the order of a map decide.
type engine struct {
	config Config // with defaults
	now    time.Time

	envelopes map[string]*envelope
	messages  map[messageKey]*message
	coming    map[source]int         // envelopes that host MTAs are handing over
	streams   map[messageKey]*stream // of messages, and for a while of those that have ended
	routes    map[string]*route
	hosts     map[string]*host
	servers   map[string]*server
	sessions  map[sessionID]*session
	forsaken  map[sessionID]bool // given up by the watchdog, and not ended yet
	timers    timers

	asking    map[string][]*route // per domain whose lookup is under way, the routes that wait for it
	verifying map[string][]*route // likewise of lookups that verify

	usual        *policy // of exchangers of which nothing else is known
	relays       map[string]*Destination
	destinations map[string]*Destination

	shelf      []shelved // routes that nobody needs, the oldest first
	shelfTimer timer

	rest           []resting // sessions at rest, the oldest first
	silent         []*host   // that do not answer dials, see hedge
	rejudge        bool      // one of them did answer, see rejudgeSilent
	rejudged       time.Time // the last time
	rejudgeTimer   timer     // only so that take is called
	hungry         []*host   // wait for the process's session budget, the first come first
	families       [2]family // IPv4 and IPv6
	leaving        int       // sessions that were hung up and have not ended
	exhausted      time.Time // until when this machine is believed to have no descriptors or ports left
	exhaustedTimer timer

	observed []TLSResult // for the Observer

	dirty []*host     // to be pumped at the next take
	told  []*envelope // have outcomes for their Sinks
	acts  []action
	spare []action // the slice that take returned last

	lastSession     sessionID
	lastTransaction transactionID
	draining        bool
	counts          counts

	debts   debts   // what was delivered and is not known to be taken
	keeping keeping // how that comes into the ledger
}

// counts are the engine's counters, in the shape in which they are shown.
type counts struct{ Snapshot }

func (c *counts) settled(o *Outcome) {
	switch o.Class {
	case Delivered:
		c.Delivered++
	case Failed:
		c.Failed++
	default:
		c.Deferred++
	}
	if o.Uncertain {
		c.Uncertain++
	}
}

func newEngine(c Config) *engine {
	e := &engine{config: c, envelopes: map[string]*envelope{}, messages: map[messageKey]*message{}, coming: map[source]int{}, streams: map[messageKey]*stream{},
		routes: map[string]*route{}, hosts: map[string]*host{}, servers: map[string]*server{}, sessions: map[sessionID]*session{}, forsaken: map[sessionID]bool{}}
	e.asking, e.verifying, e.usual = map[string][]*route{}, map[string][]*route{}, usualPolicy(c.TLS.Mode)
	e.relays, e.destinations = destinationsOf(c.TLS.Relays), destinationsOf(c.TLS.Destinations)
	e.shelfTimer.due = e.sweepShelf
	e.exhaustedTimer.due = e.feedHungry
	e.rejudgeTimer.due = func(time.Time) {}
	e.debts.init(e)
	e.keeping.timer.due = e.waitNoLonger
	return e
}

// step takes one event. What follows from it waits for take.
func (e *engine) step(now time.Time, ev event) {
	e.now = now
	e.timers.fire(now)
	if e.late(ev) {
		return
	}
	switch ev := ev.(type) {
	case hinted:
		e.hint(now, ev)
	case coming:
		e.count(ev)
	case sent:
		e.admit(now, ev.envelope)
	case cancelled:
		if env := e.envelopes[ev.envelope]; env != nil {
			e.leaveWaiting(now, env, outcomeCancelled)
		}
	case resolved:
		e.resolved(now, ev)
	case connected:
		e.sessionConnected(ev)
	case opened:
		e.sessionOpened(now, ev)
	case cleared:
		e.sessionCleared(ev)
	case finished:
		e.flightFinished(now, ev)
	case ended:
		e.sessionEnded(now, ev)
	case taken:
		e.hostTook(ev.envelope)
	case abandoned:
		e.hostGone(ev.envelope)
	case kept:
		e.hasKept(ev.number)
	case recalled:
		e.recallAll(ev)
	case drained:
		e.drain(now)
	case ticked:
	default:
		panic(fmt.Sprintf("BUG: unknown event %T", ev))
	}
}

// take returns the actions that follow from all steps since the last take, in order. It first pumps the hosts that changed:
// doing that here and not in step is what binds late, for all that happened at once rides in one transaction. The slice is
// valid until the take after the next, and whoever carries them out may clear it.
func (e *engine) take() []action {
	e.rejudgeSilent(e.now)
	e.pumpDirty()
	if e.relieve() {
		e.pumpDirty() // those that it found waiting for more of a message
		e.relieve()
		e.pumpDirty()
	}
	e.flush()
	if len(e.observed) > 0 {
		e.act(observe{results: e.observed})
		e.observed = nil
	}
	acts := e.acts
	clear(e.spare)
	e.acts, e.spare = e.spare[:0], acts
	return acts
}

// pumpDirty pumps the hosts that changed.
func (e *engine) pumpDirty() {
	for i := 0; i < len(e.dirty); i++ { // pump may add some
		h := e.dirty[i]
		h.dirty = false
		e.pump(e.now, h)
	}
	clear(e.dirty) // or the hosts of the largest list would stay
	e.dirty = e.dirty[:0]
}

// wakeAt is the earliest moment at which step must be called with ticked; ok is false when only events matter.
func (e *engine) wakeAt() (at time.Time, ok bool) { return e.timers.next() }

// quiet says that nothing is unsettled, in flight, open or asked for.
func (e *engine) quiet() bool {
	return len(e.envelopes) == 0 && len(e.sessions) == 0 && len(e.asking)+len(e.verifying) == 0 && len(e.keeping.held) == 0
}

// untaken says that a host MTA has not taken all that it was told of deliveries, and is not known to be gone.
func (e *engine) untaken() bool { return len(e.debts.receipts) > len(e.debts.lingering) }

func (e *engine) act(a action) { e.acts = append(e.acts, a) }

// hint looks a domain up ahead of its envelope. When that is sure to come, the domain's best host is dialled too: looking up,
// dialling, greeting and EHLO take place while the host MTA is still handing over.
func (e *engine) hint(now time.Time, ev hinted) {
	if e.draining {
		return
	}
	rt := e.routes[ev.domain]
	if rt == nil || rt.unsettled == 0 {
		rt = e.routeOf(now, ev.domain, needNothing)
	}
	if ev.expected {
		rt.expected = true
		e.dialAhead(now, rt)
	}
}

// dialAhead opens a session with the best host of an expected domain, if there is none and at least half of the process's budget
// is free. When the envelope does not come after all, the session rests until its idle timeout.
func (e *engine) dialAhead(now time.Time, rt *route) {
	if !rt.expected || rt.state != routeKnown {
		return
	}
	rt.expected = false
	i := rt.choose(now, 0)
	if i < 0 || len(e.sessions) >= e.config.Sessions/2 || now.Before(e.exhausted) {
		return
	}
	if h := rt.candidates[i].host; len(h.sessions) == 0 && h.waiting == 0 && h.room() {
		e.counts.Ahead++
		e.open(now, h)
	}
}

// drain ends all that has not begun: what waits is told so, sessions at rest or on their way are closed, those at work finish.
func (e *engine) drain(now time.Time) {
	e.draining = true
	e.lingerNoMore()
	for _, env := range sorted(e.envelopes) {
		e.leaveWaiting(now, env, outcomeDraining)
	}
	for _, rt := range sorted(e.routes) {
		if rt.state == routeResolving { // nobody waits for it any more
			for r := rt.waiting.head; r != nil; r = r.next {
				r.envelope.message.tide.asking--
				e.unhold(r.envelope.message.stream)
			}
			delete(e.routes, rt.id())
		}
	}
	clear(e.asking)
	e.verifyNoMore()
	for _, s := range sorted(e.sessions) {
		if s.state == sessionReady || s.state == sessionDialing {
			e.close(s)
		}
	}
}

// sorted is a map's values in the order of their keys: the engine must not depend on the order of a map.
func sorted[K cmp.Ordered, V any](m map[K]V) []V {
	vs := make([]V, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		vs = append(vs, m[k])
	}
	return vs
}

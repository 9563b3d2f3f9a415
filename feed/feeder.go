package feed

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
)

const (
	// eventBacklog is the capacity of the channel from sessions, lookups and LMTP to the loop: enough that senders rarely wait.
	eventBacklog = 4096
	// stepsPerTake bounds how many events are taken in before their actions are carried out.
	stepsPerTake = 512
)

// A Feeder delivers envelopes. Its methods may be called from any goroutine.
type Feeder struct {
	config  Config
	events  chan event    // to the loop, from everybody; capacity eventBacklog; never closed
	inspect chan inspect  // to the loop, from Snapshot; no capacity: it is asked rarely
	stopped chan struct{} // closed by Run when the loop has ended

	// Owned by the loop.
	engine   *engine
	speakers map[sessionID]*speaker
	lookups  []string // ordered in this round
	verifies []string // likewise
	work     sync.WaitGroup
	tracer   *tracer

	kit *tlsKit // the sessions'
}

type inspect struct{ answer chan Snapshot }

// New returns a Feeder; Run starts it.
func New(c Config) *Feeder {
	c = c.withDefaults()
	return &Feeder{config: c, events: make(chan event, eventBacklog), inspect: make(chan inspect),
		stopped: make(chan struct{}), engine: newEngine(c), speakers: map[sessionID]*speaker{}, kit: newTLSKit(c.TLS), tracer: newTracer(c.Trace)}
}

// Run is the event loop. It returns when Drain has finished or ctx is done; then every envelope is settled, and every
// session and lookup it started has ended. After ctx is done it waits for nobody but the ledger, for
// Config.LedgerWait at most: connections are closed where they stand.
func (f *Feeder) Run(ctx context.Context) {
	life, end := context.WithCancel(context.Background())
	defer end()
	wake := time.NewTimer(0)
	defer wake.Stop()
	halted := ctx.Done()
	for !f.engine.draining || !f.engine.quiet() || halted != nil && f.engine.untaken() {
		select {
		case ev := <-f.events:
			f.take(ev)
		case <-wake.C:
			f.take(ticked{})
		case ask := <-f.inspect:
			ask.answer <- f.engine.snapshot(time.Now())
		case <-halted:
			halted = nil
			end()
			f.take(drained{})
		}
		f.carryOut(life)
		if at, ok := f.engine.wakeAt(); ok {
			wake.Reset(time.Until(at))
		}
	}
	close(f.stopped) // what is posted from now on is answered by whoever posts it
	f.work.Wait()
	f.sweep()
}

// sweep answers the events that came after the loop's end.
func (f *Feeder) sweep() {
	for {
		select {
		case ev := <-f.events:
			if s, ok := ev.(sent); ok {
				refuse(s.envelope)
			}
		default:
			return
		}
	}
}

// refuse settles an envelope that came when nothing is begun any more.
func refuse(e *Envelope) {
	out := make([]Settlement, len(e.Recipients))
	for i := range out {
		out[i] = Settlement{Recipient: i, Outcome: outcomeDraining}
	}
	e.Sink.Settle(out)
}

// take steps the engine with an event and with what else has come in meanwhile.
func (f *Feeder) take(ev event) {
	now := time.Now()
	for steps := 1; ; steps++ {
		switch ev := ev.(type) {
		case answered:
			steps += len(ev.results)
			for _, r := range ev.results {
				f.step(now, resolved{domain: r.Domain, route: r.Route, err: r.Err, grown: r.Grown, verified: ev.verified})
			}
		case ended:
			f.step(now, ev)
			delete(f.speakers, ev.session)
		default:
			f.step(now, ev)
		}
		if steps >= stepsPerTake {
			return // before another event is taken out of the channel
		}
		select {
		case ev = <-f.events:
		default:
			return
		}
	}
}

// step tells the engine one event.
func (f *Feeder) step(now time.Time, ev event) {
	f.tracer.event(now, ev)
	f.engine.step(now, ev)
}

// carryOut does what the engine orders. Nothing here waits.
func (f *Feeder) carryOut(life context.Context) {
	acts := f.engine.take()
	defer clear(acts) // what they hold may be large, and the next list far off
	for _, a := range acts {
		f.tracer.action(a)
		switch a := a.(type) {
		case lookup:
			if a.verify {
				f.verifies = append(f.verifies, a.domain)
			} else {
				f.lookups = append(f.lookups, a.domain)
			}
		case dial:
			f.speakers[a.session] = f.startSpeaker(life, a)
		case transmit:
			f.speakers[a.session].tell(a.order)
		case hangup:
			if s := f.speakers[a.session]; s != nil { // else it ended by itself in the same batch of events
				s.hangup(a)
			}
			if a.stuck {
				f.config.Log.Error("BUG: a session makes no progress and is given up", "session", uint64(a.session))
			}
		case keep:
			f.keep(a)
		case observe:
			f.config.Observer.ObserveTLS(a.results)
		case settle:
			a.envelope.Sink.Settle(a.settlements)
		}
	}
	if len(f.lookups) > 0 {
		f.ask(f.lookups, f.config.Resolver.Start, false)
		f.lookups = nil
	}
	if len(f.verifies) > 0 {
		f.ask(f.verifies, f.config.Resolver.Verify, true)
		f.verifies = nil
	}
}

// ask asks the resolver for domains, in a goroutine of its own because there is work to do before it has asked. Each domain ends
// with one resolved event, in a batch with those that are answered at the same time.
func (f *Feeder) ask(domains []string, start func([]string, func([]resolver.Result)) []resolver.Result, verified bool) {
	tell := func(results []resolver.Result) { f.tell(answered{results: results, verified: verified}) }
	f.work.Go(func() { tell(start(domains, tell)) })
}

// tell brings answers to the loop. After its end nobody waits for them.
func (f *Feeder) tell(a answered) {
	if len(a.results) == 0 {
		return
	}
	select {
	case f.events <- a:
	case <-f.stopped:
	}
}

// keep gives the ledger an entry, whose answer comes back to the loop.
func (f *Feeder) keep(a keep) {
	if a.number == 0 {
		f.config.Ledger.Keep(a.entry, nil)
		return
	}
	f.config.Ledger.Keep(a.entry, func() {
		select {
		case f.events <- kept{number: a.number}:
		case <-f.stopped:
		}
	})
}

// Hint says that a recipient of this domain (folded by resolver.Fold) was accepted: its route is looked up ahead.
func (f *Feeder) Hint(domain string) { f.post(hinted{domain: domain}) }

// Expect is Hint for an envelope that is sure to come: the domain's best host is dialled, too.
func (f *Feeder) Expect(domain string) { f.post(hinted{domain: domain, expected: true}) }

// Announce says that a host MTA is handing over an envelope of this sender and these parameters. It is over when Withdraw is called,
// before the envelope's Send or without any.
func (f *Feeder) Announce(from wire.Address, p Params) {
	f.post(coming{source: source{from: from, params: p}})
}

// Withdraw ends an Announce.
func (f *Feeder) Withdraw(from wire.Address, p Params) {
	f.post(coming{source: source{from: from, params: p}, over: true})
}

// Refusal returns why a recipient of this domain cannot be accepted, from what is known already; nil when it can.
func (f *Feeder) Refusal(domain string) *Outcome {
	_, known, err := f.config.Resolver.Cached(domain)
	if !known || err == nil {
		return nil
	}
	if o := routeOutcome(err); o.Class == Failed {
		return o
	}
	return nil
}

// Send hands an envelope over. Every recipient is settled, at the latest at e.Deadline.
func (f *Feeder) Send(e *Envelope) { f.post(sent{envelope: e}) }

// Cancel says that the host MTA of this envelope is gone: recipients in no transaction are settled (deferred) at once, the
// others when their transaction ends.
func (f *Feeder) Cancel(e *Envelope) { f.post(cancelled{envelope: e.ID}) }

// Taken says that the host MTA of the envelope of this ID has read every reply: it does not send its recipients again. Taken or Abandoned is
// called once for each envelope, after its last recipient was settled, or the envelope cancelled.
func (f *Feeder) Taken(envelope string) { f.post(taken{envelope: envelope}) }

// Abandoned says that the host MTA of the envelope of this ID has not read every reply, and is not going to.
func (f *Feeder) Abandoned(envelope string) { f.post(abandoned{envelope: envelope}) }

// Recall takes in what a ledger kept of processes before this one.
func (f *Feeder) Recall(deliveries []Delivery) { f.post(recalled{deliveries: deliveries}) }

// Drain begins no more transactions: what waits is settled with 4.3.2, what is in flight finishes, then Run returns.
// Envelopes sent later are settled with 4.3.2 at once.
func (f *Feeder) Drain() { f.post(drained{}) }

// Snapshot asks the loop for its counters and gauges. It fails only when ctx ends or the Feeder has stopped.
func (f *Feeder) Snapshot(ctx context.Context) (Snapshot, error) {
	ask := inspect{answer: make(chan Snapshot, 1)}
	select {
	case f.inspect <- ask:
		return <-ask.answer, nil
	case <-ctx.Done():
		return Snapshot{}, ctx.Err()
	case <-f.stopped:
		return Snapshot{}, errors.New("feed: the feeder has stopped")
	}
}

// post gives the loop an event. After the loop's end it answers it itself, with whatever else came too late.
func (f *Feeder) post(ev event) {
	select {
	case f.events <- ev:
	case <-f.stopped:
		if s, ok := ev.(sent); ok {
			refuse(s.envelope)
		}
		return
	}
	select {
	case <-f.stopped:
		f.sweep()
	default:
	}
}

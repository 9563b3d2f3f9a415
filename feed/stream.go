package feed

import "time"

// A host MTA may hand one message over in many envelopes, several at a time: Postfix cuts a list into parts, list servers send batches.
// When more are to be expected, what does not fill a transaction yet waits for them (gather.go).

const (
	// lullTime is how long no envelope of a message may come before it counts as handed over: a host MTA that hands parts over in
	// parallel has begun the next one by then. One that pauses between them, as Postfix's queue manager does to read on, is waited for
	// longer, see lull.
	lullTime = 100 * time.Millisecond
	// streamKeep is how long a stream is remembered when its message has ended: the next part may come later than the last was answered.
	streamKeep = 5 * time.Second
	// promptTime is how soon after an answer the envelope comes that a host MTA had no connection for.
	promptTime = 60 * time.Millisecond
)

// A stream is how the envelopes of one message come in.
type stream struct {
	first, last time.Time     // when they came
	answered    time.Time     // when the last recipient of one was settled, last
	gap         time.Duration // of late, the longest between two of them
	parallel    bool          // one came while another one was under way: the host MTA does not wait for replies before it goes on
	flowing     bool          // more are to be expected
	flows       uint32        // how often that began, or all that waited was let go
	held        []*host       // with a lane that waits for it, or for answers to lookups; perhaps some that do no longer
	quiet       timer         // ends the flow, and later the stream
}

// streamOf finds or makes a message's stream.
func (e *engine) streamOf(key messageKey, now time.Time) *stream {
	st := e.streams[key]
	if st == nil {
		st = &stream{first: now, last: now}
		st.quiet.due = func(now time.Time) { e.calm(now, key, st) }
		e.streams[key] = st
	}
	return st
}

// count notes that an envelope has begun to be handed over, or that this has ended.
func (e *engine) count(ev coming) {
	if !ev.over {
		e.coming[ev.source]++
		return
	}
	e.coming[ev.source]--
	if e.coming[ev.source] <= 0 {
		delete(e.coming, ev.source)
	}
}

// flow notes that an envelope of a message comes in. More are to be expected if others of it are under way, or were. So they are if it is
// a list and another list of its source is being handed over; but a single mail of a list's sender is not held up by the list. A host MTA
// that waits for our replies before it goes on is not waited for, or for no longer than lullTime when it has several connections.
func (e *engine) flow(now time.Time, m *message, announced bool) {
	st := m.stream
	gap := now.Sub(st.last)
	if waited := now.Sub(st.answered); waited < promptTime {
		gap = min(gap, waited) // the pause before was ours
	}
	st.gap = max(gap, st.gap*3/4)
	st.last = now
	st.parallel = st.parallel || m.refs > 0
	if more := st.parallel || announced && e.coming[m.key.announced()] > 0; !more || m.verp != nil || e.config.GatherTime < 0 || e.draining {
		e.ebb(now, st)
		return
	}
	if !st.flowing {
		st.flowing = true
		st.flows++
	}
	e.timers.set(&st.quiet, now.Add(st.lull()))
}

// lull is how long to wait for the next envelope: half as long again as it took of late, but in the end that is time in which the
// last recipients wait for nothing. So it is a third of what the whole has taken so far at most.
func (st *stream) lull() time.Duration {
	return max(lullTime, min(st.gap*3/2, st.last.Sub(st.first)/3))
}

// calm ends a flow, unless somebody is still handing something over that may be part of it. When no envelope has come for long, it
// ends the stream.
func (e *engine) calm(now time.Time, key messageKey, st *stream) {
	switch {
	case st.flowing && e.messages[key] != nil && e.coming[key.announced()] > 0 && !e.draining:
		e.timers.set(&st.quiet, now.Add(lullTime))
	case st.flowing || e.messages[key] != nil:
		e.ebb(now, st)
	default:
		delete(e.streams, key)
	}
}

// ebb ends a flow: what waited for more goes.
func (e *engine) ebb(now time.Time, st *stream) {
	st.flowing = false
	e.unhold(st)
	e.timers.set(&st.quiet, now.Add(streamKeep))
}

// unhold looks again at the hosts that wait for more of a stream's message.
func (e *engine) unhold(st *stream) {
	for _, h := range st.held {
		e.wake(h)
	}
	st.held = nil
	st.flows++
}

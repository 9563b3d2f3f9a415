package feed

import (
	"slices"
	"time"
)

// The host MTA is told of a delivery when the ledger has it, so that no instant is left at which this process could end and a recipient
// that was delivered be sent again without anybody knowing. The wait ends in any case: a ledger that cannot keep up holds up no mail.

// A keeping is how deliveries come to the ledger.
type keeping struct {
	entry   Entry    // of this round, for the next take
	outcome *Outcome // of the entry's last delivery
	last    uint64   // number of the last keep action that has one
	waiting []unkept // keep actions that were not answered, the first one first
	held    []held   // settlements that wait for one, in that order
	timer   timer    // the first moment at which one of held waits no longer
}

type unkept struct {
	number uint64
	at     time.Time
}

// A held is settlements whose deliveries are on their way into the ledger.
type held struct {
	number uint64
	due    time.Time
	settle settle
}

// note puts a recipient's delivery into the round's entry.
func (e *engine) note(now time.Time, m MessageID, id RecipientID, o *Outcome) {
	k := &e.keeping
	list := k.entry.Delivered
	if n := len(list); n > 0 && k.outcome == o && list[n-1].Message == m {
		list[n-1].Recipients = append(list[n-1].Recipients, id)
		return
	}
	if slices.Contains(k.entry.Forgotten, m) {
		e.keep() // an entry's deliveries come before what it forgets
		list = nil
	}
	d := deliveryOf(m, now, o)
	d.Recipients = []RecipientID{id}
	k.entry.Delivered, k.outcome = append(list, d), o
}

// forgotten puts a message into the round's entry.
func (e *engine) forgotten(m MessageID) {
	e.keeping.entry.Forgotten = append(e.keeping.entry.Forgotten, m)
}

// keep orders the round's entry to be kept.
func (e *engine) keep() {
	e.curb()
	k := &e.keeping
	if len(k.entry.Delivered) == 0 && len(k.entry.Forgotten) == 0 {
		return
	}
	a := keep{entry: k.entry}
	if len(k.entry.Delivered) > 0 { // else nobody waits for it
		k.last++
		k.waiting = append(k.waiting, unkept{k.last, e.now})
		a.number = k.last
	}
	e.act(a)
	k.entry, k.outcome = Entry{}, nil
}

// tellKept gives deliveries to their Sink as soon as the ledger has what was noted up to now.
func (e *engine) tellKept(s settle) {
	k := &e.keeping
	switch {
	case len(k.waiting) == 0: // it has all
		e.act(s)
		return
	case !e.now.Before(k.waiting[0].at.Add(e.config.LedgerWait)):
		e.counts.Unkept += uint64(len(s.settlements))
		e.act(s)
		return
	}
	due := e.now.Add(e.config.LedgerWait)
	if s.envelope.Deadline.Before(due) {
		due = s.envelope.Deadline
	}
	k.held = append(k.held, held{number: k.last, due: due, settle: s})
	if k.timer.slot == 0 || due.Before(k.timer.at) {
		e.timers.set(&k.timer, due)
	}
}

// hasKept notes that the ledger has what came with a keep action. It answers in their order, but for what it has no room for.
func (e *engine) hasKept(number uint64) {
	k := &e.keeping
	k.waiting = slices.DeleteFunc(k.waiting, func(u unkept) bool { return u.number == number })
	k.held = slices.DeleteFunc(k.held, func(h held) bool {
		if h.number == number {
			e.act(h.settle)
		}
		return h.number == number
	})
	if len(k.held) == 0 {
		e.timers.stop(&k.timer)
	}
}

// waitNoLonger tells what has waited for the ledger long enough.
func (e *engine) waitNoLonger(now time.Time) {
	k := &e.keeping
	rest := k.held[:0]
	for _, h := range k.held {
		if now.Before(h.due) {
			rest = append(rest, h)
			continue
		}
		e.counts.Unkept += uint64(len(h.settle.settlements))
		e.act(h.settle)
	}
	clear(k.held[len(rest):])
	k.held = rest
	if len(rest) == 0 {
		return
	}
	next := rest[0].due
	for _, h := range rest {
		if h.due.Before(next) {
			next = h.due
		}
	}
	e.timers.set(&k.timer, next)
}

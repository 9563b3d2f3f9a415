package feed

import (
	"cmp"
	"slices"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// A host MTA that dies, or sees us die, before it has taken a reply sends the recipient again. What was delivered to it already is
// answered from here, and not delivered again. The ledger keeps a copy that outlives this process (keeping.go).

// sweepTime is how often messages are looked for that are too old to be sent again.
const sweepTime = time.Hour

// Debts are what was delivered and is not known to be taken.
type debts struct {
	pasts    map[MessageID]*past
	ages     []*past             // of pasts, the oldest first; those that are forgotten stay until compact
	receipts map[string]*receipt // by envelope, until its host MTA has taken its replies or is gone
	dead     int                 // of ages, those that are gone
	owed     int                 // recipients in pasts

	lingering   []lingering // envelopes whose host MTA has read every reply, the first one first; each has a receipt
	lingerTimer timer

	sweepTimer   timer
	told, retold *Outcome // what keptOutcome made of the last one
}

// A past is what is remembered of a message's deliveries. It ends when nothing of it is owed, when it is too old, and when there is too
// much to remember.
type past struct {
	id    MessageID
	since time.Time // its first delivery
	debts map[RecipientID]debt
	users int  // messages and receipts that hold it
	rests int  // of those, receipts that linger
	doubt bool // a host MTA was gone when others had read their replies: it sends again what all were told
	gone  bool
}

// A debt is a recipient that was delivered.
type debt struct {
	outcome *Outcome
	open    int // receipts in which it stands
}

// A lingering envelope is one whose host MTA is given time to note the replies that it has read.
type lingering struct {
	envelope string
	due      time.Time
}

// A receipt is what the host MTA of an envelope is told of deliveries.
type receipt struct {
	past  *past
	ids   []RecipientID // one for each recipient
	fresh int           // of those, the recipients of whom nothing was owed before

	queued bool // the content has a queue's name in it: nothing that is sent later is equal, but the same message again
}

func (d *debts) init(e *engine) {
	d.pasts, d.receipts = map[MessageID]*past{}, map[string]*receipt{}
	d.sweepTimer.due = e.sweepPasts
	d.lingerTimer.due = e.endLingering
}

// remembers says that there is a ledger.
func (e *engine) remembers() bool { return e.config.Ledger != nil }

// pastOf is what is remembered of a message; nil is nothing.
func (e *engine) pastOf(m *message) *past {
	if m.past == nil {
		if p := e.debts.pasts[m.id]; p != nil {
			m.past = p
			p.users++
		}
	}
	return m.past
}

// recall says what became of a recipient in an earlier attempt; nil when nothing is known.
func (e *engine) recall(r *recipient) *Outcome {
	if !e.remembers() {
		return nil
	}
	p := e.pastOf(r.envelope.message)
	if p == nil || len(p.debts) == 0 {
		return nil
	}
	d, ok := p.debts[recipientIDOf(r.address())]
	if !ok {
		return nil
	}
	e.counts.Recalled++
	return d.outcome
}

// keptOutcome is a delivery as it is told in a later attempt. It is kept for days, so it holds no more than it must of what happened.
func (e *engine) keptOutcome(o *Outcome) *Outcome {
	if o.Earlier {
		return o
	}
	if o != e.debts.told {
		d := deliveryOf(MessageID{}, time.Time{}, o)
		e.debts.told, e.debts.retold = o, recalledOutcome(&d)
	}
	return e.debts.retold
}

// recalledOutcome is a delivery of an earlier attempt.
func recalledOutcome(d *Delivery) *Outcome {
	return &Outcome{Class: Delivered, Status: d.Status, Reply: d.Reply, Earlier: true, Via: &Via{MX: d.MX, Addr: d.Addr, DSN: d.DSN}}
}

// owe notes a delivery. What is new goes to the ledger. told is whether the recipient's envelope is about to be told of it, and not that
// its host MTA was told something else before, and sends the recipient again.
func (e *engine) owe(now time.Time, r *recipient, o *Outcome, told bool) {
	m := r.envelope.message
	if e.pastOf(m) == nil {
		m.past = e.addPast(m.id, now)
		m.past.users++
	}
	id := recipientIDOf(r.address())
	d, known := m.past.debts[id]
	if !known {
		d.outcome = e.keptOutcome(o)
		e.debts.owed++
		e.note(now, m.id, id, o)
	}
	if rc := e.receiptOf(r.envelope, told); rc != nil {
		rc.ids = append(rc.ids, id)
		d.open++
		if !known {
			rc.fresh++
		}
	}
	m.past.debts[id] = d
}

func (e *engine) addPast(id MessageID, since time.Time) *past {
	p := &past{id: id, since: since, debts: map[RecipientID]debt{}}
	d := &e.debts
	d.pasts[id] = p
	d.ages = append(d.ages, p)
	if d.sweepTimer.slot == 0 {
		e.timers.set(&d.sweepTimer, e.now.Add(sweepTime))
	}
	return p
}

// receiptOf is the receipt of an envelope; nil when its host MTA is gone already, or is not told.
func (e *engine) receiptOf(env *envelope, told bool) *receipt {
	if env.left || !told {
		return nil
	}
	rc := e.debts.receipts[env.ID]
	if rc == nil {
		rc = &receipt{past: env.message.past, ids: make([]RecipientID, 0, env.unsettled), queued: env.QueueID != ""}
		rc.past.users++
		e.debts.receipts[env.ID] = rc
	}
	return rc
}

// hostTook notes that the host MTA of an envelope has read every reply. A queue's message is remembered for a while: sendmail takes its
// files away some milliseconds after it has read the last reply, lmtp(8) marks recipients one by one behind a buffer of replies, and one
// that is killed meanwhile sends again what it was told.
func (e *engine) hostTook(envelope string) {
	rc := e.debts.receipts[envelope]
	if rc == nil || !rc.queued || e.config.LedgerLinger == 0 || e.draining {
		e.absolve(envelope)
		return
	}
	e.part(envelope)
	d := &e.debts
	rc.past.rests++
	due := e.now.Add(e.config.LedgerLinger)
	d.lingering = append(d.lingering, lingering{envelope, due})
	if d.lingerTimer.slot == 0 {
		e.timers.set(&d.lingerTimer, due)
	}
}

// endLingering absolves envelopes whose time is over.
func (e *engine) endLingering(now time.Time) {
	d := &e.debts
	n := 0
	for ; n < len(d.lingering) && !d.lingering[n].due.After(now); n++ {
		e.rested(d.lingering[n].envelope)
	}
	d.lingering = slices.Delete(d.lingering, 0, n)
	if len(d.lingering) > 0 {
		e.timers.set(&d.lingerTimer, d.lingering[0].due)
	}
}

// lingerNoMore absolves all envelopes.
func (e *engine) lingerNoMore() {
	for _, l := range e.debts.lingering {
		e.rested(l.envelope)
	}
	e.debts.lingering = nil
}

// rested ends the lingering of an envelope.
func (e *engine) rested(envelope string) {
	e.debts.receipts[envelope].past.rests--
	e.absolve(envelope)
}

// absolve notes that the host MTA of an envelope has taken every reply: what it was told is owed no longer, also when it had been in
// an earlier attempt, unless somebody else is being told the same, or was and is gone.
func (e *engine) absolve(envelope string) {
	e.part(envelope)
	if rc := e.debts.receipts[envelope]; rc != nil && rc.past.users == 1 && !rc.past.doubt && rc.fresh == len(rc.past.debts) {
		delete(e.debts.receipts, envelope) // the whole message is taken, as most are: 1,000,000 recipients one by one would hold up the loop
		rc.past.users = 0
		e.forget(rc.past)
		e.debts.tidy()
		return
	}
	rc := e.closeReceipt(envelope)
	if rc == nil {
		return
	}
	for _, id := range rc.ids {
		if d, ok := rc.past.debts[id]; ok && d.open == 0 && !rc.past.doubt {
			delete(rc.past.debts, id)
			e.debts.owed--
		}
	}
	e.letGo(rc.past)
}

// part notes that an envelope gets no receipt any more: what becomes of it now is told to nobody.
func (e *engine) part(envelope string) {
	if env := e.envelopes[envelope]; env != nil {
		env.left = true
	}
}

// closeReceipt ends a receipt; nil when the envelope has none.
func (e *engine) closeReceipt(envelope string) *receipt {
	rc := e.debts.receipts[envelope]
	if rc == nil {
		return nil
	}
	delete(e.debts.receipts, envelope)
	for _, id := range rc.ids {
		d := rc.past.debts[id]
		d.open--
		rc.past.debts[id] = d
	}
	return rc
}

// hostGone notes that the host MTA of an envelope is gone, and will send again what it was not told.
func (e *engine) hostGone(envelope string) {
	e.part(envelope)
	if rc := e.closeReceipt(envelope); rc != nil {
		rc.past.doubt = rc.past.doubt || rc.past.rests > 0
		e.letGo(rc.past)
	}
}

// letGo is called by each user of a past when it ends. A past of which nothing is owed is forgotten.
func (e *engine) letGo(p *past) {
	p.users--
	if p.users == 0 && len(p.debts) == 0 {
		e.forget(p)
		e.debts.tidy()
	}
}

// forget ends a past.
func (e *engine) forget(p *past) {
	if p.gone {
		return
	}
	p.gone = true
	delete(e.debts.pasts, p.id)
	e.debts.owed -= len(p.debts)
	p.debts = nil
	e.debts.dead++
	e.forgotten(p.id)
}

// compact drops those of ages that are gone.
func (d *debts) compact() {
	d.ages = slices.DeleteFunc(d.ages, func(p *past) bool { return p.gone })
	d.dead = 0
}

// tidy compacts when most are gone: so each that goes costs one move at most.
func (d *debts) tidy() {
	if d.dead > 64 && d.dead > len(d.ages)/2 {
		d.compact()
	}
}

// curb forgets the oldest messages while more recipients are remembered than may be.
func (e *engine) curb() {
	d := &e.debts
	if d.owed <= e.config.LedgerRecipients {
		return
	}
	// A 64th more than must be: so the search for the oldest is not done for every delivery.
	enough := e.config.LedgerRecipients - e.config.LedgerRecipients/64
	e.curbLingering(enough)
	for _, p := range d.ages {
		if d.owed <= enough {
			break
		}
		if !p.gone && p.users == 0 {
			e.counts.Curbed += uint64(len(p.debts))
			e.forget(p)
		}
	}
	d.tidy()
}

// curbLingering absolves those first whose host MTA has read its replies, the first one first.
func (e *engine) curbLingering(enough int) {
	d := &e.debts
	n, owed := 0, d.owed
	for ; n < len(d.lingering) && d.owed > enough; n++ {
		e.rested(d.lingering[n].envelope)
	}
	d.lingering = slices.Delete(d.lingering, 0, n)
	e.counts.Curbed += uint64(owed - d.owed)
}

// sweepPasts forgets messages that no host MTA has in its queue any longer.
func (e *engine) sweepPasts(now time.Time) {
	d := &e.debts
	for _, p := range d.ages {
		if !p.gone && p.users == 0 && !now.Before(p.since.Add(e.config.LedgerKeep)) {
			e.forget(p)
		}
	}
	d.compact()
	if len(d.ages) > 0 {
		e.timers.set(&d.sweepTimer, now.Add(sweepTime))
	}
}

// recallAll takes in what a ledger kept over the end of a process.
func (e *engine) recallAll(ev recalled) {
	d := &e.debts
	for i := range ev.deliveries {
		in := &ev.deliveries[i]
		p := d.pasts[in.Message]
		if p == nil {
			p = e.addPast(in.Message, in.At)
		}
		o := recalledOutcome(in)
		for _, id := range in.Recipients {
			if _, known := p.debts[id]; !known {
				p.debts[id] = debt{outcome: o}
				d.owed++
			}
		}
	}
	d.compact()
	slices.SortStableFunc(d.ages, func(a, b *past) int { return a.since.Compare(b.since) })
	e.curb()
}

// deliveryOf is an outcome as the ledger keeps it.
func deliveryOf(id MessageID, now time.Time, o *Outcome) Delivery {
	text := wire.Clean(o.Reply.Text, maxKeptText)
	d := Delivery{Message: id, At: now, Status: o.Status, Reply: wire.Reply{Code: cmp.Or(o.Reply.Code, 250), Enhanced: o.Reply.Enhanced, Text: text}}
	if o.Via != nil {
		d.MX, d.Addr, d.DSN = o.Via.MX, o.Via.Addr, o.Via.DSN
	}
	return d
}

// maxKeptText bounds the remote host's words in the ledger: an LMTP reply has no room for more.
const maxKeptText = 400

package feed

import (
	"strings"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/stretchr/testify/require"
)

// A ledgerModel is what FuzzEngine knows of deliveries beside the engine.
type ledgerModel struct {
	verp       wire.Address         // the sender that a rule makes personal
	names      map[string]MessageID // of envelopes
	sent       map[string]*Envelope
	unanswered []uint64             // keep actions
	noted      map[uint64]time.Time // when they were ordered
	owed       map[owedKey]uint64   // deliveries whose replies nobody took, by the keep action they came with
	known      map[owedKey]bool     // the same, by the reports that the engine was given
}

type owedKey struct {
	message   MessageID
	recipient RecipientID
}

func newLedgerModel() *ledgerModel {
	return &ledgerModel{names: map[string]MessageID{}, sent: map[string]*Envelope{}, noted: map[uint64]time.Time{}, owed: map[owedKey]uint64{}, known: map[owedKey]bool{}}
}

// send notes an envelope, while it has its body.
func (k *ledgerModel) send(e *Envelope) {
	k.sent[e.ID], k.names[e.ID] = e, messageIDOf(e.From, e.Body.Digest())
}

// keep takes an entry.
func (k *ledgerModel) keep(now time.Time, a keep) {
	if a.number > 0 {
		k.unanswered = append(k.unanswered, a.number)
		k.noted[a.number] = now
	}
	for _, d := range a.entry.Delivered {
		for _, id := range d.Recipients {
			k.owed[owedKey{d.Message, id}] = a.number
		}
	}
	for _, m := range a.entry.Forgotten {
		for key := range k.owed {
			if key.message == m {
				delete(k.owed, key)
			}
		}
		for key := range k.known {
			if key.message == m {
				delete(k.known, key)
			}
		}
	}
}

// report notes what a host accepted.
func (k *ledgerModel) report(o *order, r *report) {
	if !r.dotted || r.final.Code/100 != 2 || r.mail.Code/100 != 2 {
		return
	}
	for i, a := range o.to {
		if r.rcpts[i].Code/100 == 2 {
			k.known[owedKey{k.names[k.envelopeOf(o)], recipientIDOf(a)}] = true
		}
	}
}

// envelopeOf is an envelope of the message of an order, whose sender may be personal.
func (k *ledgerModel) envelopeOf(o *order) string {
	from := o.from
	if strings.HasPrefix(from.String(), "verp+") {
		from = k.verp
	}
	m := messageIDOf(from, o.body.Digest())
	for id, name := range k.names {
		if name == m {
			return id
		}
	}
	return ""
}

// took lets go of what an envelope's host MTA was told; also where another one is being told the same, which weakens the check.
func (k *ledgerModel) took(envelope string) {
	for _, a := range k.sent[envelope].Recipients {
		delete(k.owed, owedKey{k.names[envelope], recipientIDOf(a)})
		delete(k.known, owedKey{k.names[envelope], recipientIDOf(a)})
	}
}

// checkTransmit finds a second copy.
func (k *ledgerModel) checkTransmit(t testing.TB, o *order) {
	m := k.names[k.envelopeOf(o)]
	for _, a := range o.to {
		require.False(t, k.known[owedKey{m, recipientIDOf(a)}], "%s has the message, as a report said: no second copy", a)
		require.NotContains(t, k.owed, owedKey{m, recipientIDOf(a)}, "%s has the message, and nobody has taken the reply: no second copy", a)
	}
}

// checkSettle finds a delivery that is told before the ledger has it.
func (k *ledgerModel) checkSettle(t testing.TB, now time.Time, a settle) {
	if len(k.unanswered) == 0 || !now.Before(a.envelope.Deadline) {
		return
	}
	first := k.unanswered[0]
	if !now.Before(k.noted[first].Add(5 * time.Second)) {
		return // it is late
	}
	e := a.envelope
	for _, s := range a.settlements {
		if s.Outcome.Class != Delivered {
			continue
		}
		number, ok := k.owed[owedKey{k.names[e.ID], recipientIDOf(e.Recipients[s.Recipient])}]
		require.True(t, !ok || number < first, "a delivery is told when the ledger has it")
	}
}

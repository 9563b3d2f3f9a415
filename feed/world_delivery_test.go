package feed

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A delivery is the Sink of one envelope.
type delivery struct {
	t        *testing.T
	envelope *Envelope
	done     chan struct{} // closed by Settle when nobody is left

	mu      sync.Mutex
	left    int
	settled []*Settlement // by recipient
}

// Settle is called by the Feeder's loop.
func (d *delivery) Settle(settlements []Settlement) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range settlements {
		assert.Nil(d.t, d.settled[s.Recipient], "recipient %d of %s is settled once", s.Recipient, d.envelope.ID)
		d.settled[s.Recipient] = &s
		d.left--
	}
	if d.left == 0 {
		close(d.done)
	}
}

// wait waits until every recipient is settled, and says what became of each.
func (d *delivery) wait() []string {
	<-d.done
	return d.outcomes()
}

// outcomes is each recipient's outcome in a word or two, "" when it is not settled.
func (d *delivery) outcomes() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]string, len(d.settled))
	for i, s := range d.settled {
		if s != nil {
			out[i] = outcomeWords(s.Outcome)
		}
	}
	return out
}

// outcomeWords is "delivered", "failed 5.1.1", "deferred 4.4.2" or "uncertain 4.4.2".
func outcomeWords(o *Outcome) string {
	switch {
	case o.Class == Delivered:
		return "delivered"
	case o.Uncertain:
		return "uncertain " + o.Status.String()
	default:
		return o.Class.String() + " " + o.Status.String()
	}
}

// via is the exchanger that the i-th recipient was tried on last.
func (d *delivery) via(i int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v := d.settled[i].Outcome.Via; v != nil {
		return v.MX
	}
	return ""
}

// latest is when the last recipient was settled, since it was handed over.
func (d *delivery) latest() (latest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.settled {
		latest = max(latest, s.Total)
	}
	return latest
}

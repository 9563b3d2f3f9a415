package feed

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/stretchr/testify/assert"
)

// What is remembered of a delivery for days holds neither the content nor the longest reply that a remote host may give.
func TestWhatIsRememberedIsSmall(t *testing.T) {
	const messages, size = 30, 1 << 20
	e := newEngine(Config{Seed: 1, Ledger: scriptedLedger{}}.withDefaults())
	now := epoch
	tell := func(ev event) (orders []transmit) {
		now = now.Add(time.Millisecond)
		e.step(now, ev)
		for _, a := range e.take() {
			if order, ok := a.(transmit); ok {
				orders = append(orders, order)
			}
		}
		return orders
	}
	for i := range messages {
		to := mustAddress(t, "a@one.test")
		env := &Envelope{ID: fmt.Sprint("e", i), From: mustAddress(t, "list@example.org"), Recipients: []wire.Address{to}, Routes: []string{"one.test"},
			Body: bodyOf(fmt.Sprint(i) + text(size)), Deadline: now.Add(budget)}
		orders := tell(sent{envelope: env})
		if i == 0 {
			tell(parseEvent(t, now, "resolved one.test ttl=24h mx=10/mx.test/192.0.2.1"))
			orders = tell(parseEvent(t, now, "opened s1"))
		}
		for _, o := range orders {
			ok := wire.Reply{Code: 250}
			tell(finished{session: o.session, report: &report{transaction: o.order.transaction, mail: ok, rcpts: []wire.Reply{ok},
				data: wire.Reply{Code: 354}, final: wire.Reply{Code: 250, Text: strings.Repeat("x", 60_000)}, dotted: true}})
		}
		tell(kept{number: uint64(i + 1)})
		tell(abandoned{envelope: env.ID})
	}
	assert.Equal(t, messages, e.debts.owed, "each delivery is remembered")
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	assert.Less(t, m.HeapAlloc, uint64(messages*size/4), "contents are let go")
	for _, p := range e.debts.pasts {
		for _, d := range p.debts {
			assert.LessOrEqual(t, len(d.outcome.Reply.Text), maxKeptText, "and so is all but the beginning of a reply")
		}
	}
	runtime.KeepAlive(e)
}

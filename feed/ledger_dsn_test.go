package feed

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// Who took over the duty to notify is remembered with the delivery: when the host MTA sends the message again, to another process, nobody is
// notified twice and nobody not at all.
func TestDutyToNotifyOutlivesTheProcess(t *testing.T) {
	for name, offered := range map[string]string{"the host took it": " dsn", "the host did not": ""} {
		t.Run(name, func(t *testing.T) {
			envelope := "from=list@example.org to=a@one.test"
			var kept []Delivery
			e := newEngine(Config{Seed: 1, Ledger: scriptedLedger{}}.withDefaults())
			for _, line := range []string{"sent e1 " + envelope, "resolved one.test mx=10/mx.test/192.0.2.1", "opened s1 pipelining" + offered,
				"finished s1 t1 mail=250 rcpt=250 data=354 final=250 dotted"} {
				e.step(epoch, parseEvent(t, epoch, line))
				for _, a := range e.take() {
					if k, ok := a.(keep); ok {
						kept = append(kept, k.entry.Delivered...)
					}
				}
			}
			require.Len(t, kept, 1, "the delivery is kept")
			assert.Equal(t, offered != "", kept[0].DSN, "with the duty")

			again := newEngine(Config{Seed: 1, Ledger: scriptedLedger{}}.withDefaults())
			again.step(epoch, recalled{deliveries: kept})
			again.step(epoch, parseEvent(t, epoch, "sent e2 "+envelope))
			var outcomes []*Outcome
			for _, a := range again.take() {
				if s, ok := a.(settle); ok {
					outcomes = append(outcomes, s.settlements[0].Outcome)
				}
			}
			require.Len(t, outcomes, 1, "the recipient is settled at once")
			assert.True(t, outcomes[0].Earlier, "from memory")
			assert.Equal(t, wire.Reply{Code: 250}, outcomes[0].Reply, "with the reply of then")
			assert.Equal(t, offered != "", outcomes[0].Via.DSN, "and who had the duty is known")
		})
	}
}

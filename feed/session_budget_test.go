package feed

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/stretchr/testify/assert"
)

// Two envelopes of one message share a transaction, and the budget of the first ends while the final reply is awaited. Only its
// own recipients are told so: those of the second are delivered, and nobody is made uncertain for somebody else's sake.
func TestABudgetEndsItsOwnEnvelopeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.twoDomains(false)
		mx := w.serve(best, mxsim.Config{HoldGreeting: 8 * time.Second, Processing: 2500 * time.Millisecond})
		first := w.sendIn(10*time.Second, shortContent, "a@one.test")
		time.Sleep(6 * time.Second)
		second := w.sendIn(10*time.Second, shortContent, "b@one.test")
		assert.Equal(t, []string{"deferred 4.4.7"}, first.wait(), "the first envelope's time is over")
		assert.Equal(t, []string{"delivered"}, second.wait(), "the second one's is not")
		assert.Len(t, mx.Messages(), 1, "they shared a transaction")
	})
}

// The budget of one envelope ends before the end of data: the transaction is broken off, and the recipients of the other go into
// another one at once.
func TestACutTransactionIsBegunAgainForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.twoDomains(false)
		p := w.play(best,
			mxsim.Script{mxsim.Hello("mx.test", "PIPELINING"), mxsim.ExpectAll("MAIL", "RCPT", "RCPT", "DATA"), mxsim.StallForever()},
			mxsim.Script{mxsim.Hello("mx.test", "PIPELINING"), mxsim.Deliver(1), mxsim.Bye()})
		first := w.sendIn(10*time.Second, shortContent, "a@one.test")
		second := w.sendIn(100*time.Second, shortContent, "b@one.test")
		assert.Equal(t, []string{"deferred 4.4.7"}, first.wait(), "the first envelope's time is over")
		assert.Equal(t, []string{"delivered"}, second.wait(), "the second one's is not")
		assert.Less(t, second.latest(), 15*time.Second, "without waiting for its own end")
		assert.NotContains(t, string(p.Results()[0].Read), "\r\n.\r\n", "no end of data left in the first")
	})
}

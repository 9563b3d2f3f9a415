package feed

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
	"github.com/stretchr/testify/assert"
)

// A row is a fault of the catalogue: what the best exchanger does to a message for a@one.test, b@one.test and c@two.test, and
// what must become of it. Each is played twice. Alone, the exchanger is the only one: want is what the recipients are told.
// With another exchanger behind it those that are deferred must be delivered there in the same attempt, all others must not
// go there.
type row struct {
	name    string         // the catalogue's id, and the rule
	scripts []mxsim.Script // of the best exchanger, one a connection: all of them are played, and no other is dialled
	want    []string       // an outcome for each recipient, or one for all
	stays   bool           // the deferred ones do not move either
	again   again
	then    then
	learned string // what is known of the host's limits afterwards
	content string // of the message; "" is a short one
	within  time.Duration
	budget  time.Duration
	link    netsim.Link
	config  func(*Config)
	reused  bool // the first connection has carried a message for z@one.test before; its script begins with that
}

// An again says whether the exchanger is tried once more, on a new connection and command by command. The row need not write that
// connection down: it goes well.
type again uint8

const (
	notAgain  again = iota
	onceMore        // those deferred are delivered by it, whether or not there is another exchanger
	ifNoOther       // the same, if there is none
)

// A then is what becomes of a second message to the same exchanger, sent when the first one is settled.
type then uint8

const (
	notAsked then = iota
	onSame        // it takes the same connection: the last script goes on with it
	onFresh       // it takes a new connection; its script need not be written down
	isDown        // the exchanger is not dialled for it
)

// The contents of the messages.
const (
	shortContent = "Subject: news\r\n\r\nhello\r\n"
	earlyContent = "Subject: early\r\n\r\n"
	againContent = "Subject: again\r\n\r\n"
)

// script is a connection's script.
func script(steps ...mxsim.Step) []mxsim.Script { return []mxsim.Script{steps} }

// hello greets and offers PIPELINING.
func hello() mxsim.Step { return mxsim.Hello("mx1.test", "PIPELINING", "SIZE 0", "8BITMIME") }

// group expects the message's three recipients in one group.
func group() mxsim.Step {
	return mxsim.ExpectAll("MAIL FROM:<list@example.org>", "RCPT TO:<a@one.test>", "RCPT TO:<b@one.test>", "RCPT TO:<c@two.test>", "DATA")
}

// opening is everything up to a group whose replies are still owed.
func opening() mxsim.Step { return mxsim.Seq(hello(), group()) }

// invited is everything up to the invitation to send the body.
func invited() mxsim.Step {
	return mxsim.Seq(opening(), mxsim.Reply("250 ok", "250 ok", "250 ok", "250 ok", "354 go"))
}

// dotted is everything up to an end of data whose reply is still owed.
func dotted() mxsim.Step { return mxsim.Seq(invited(), mxsim.ReadBody()) }

// resetThenDeliver takes a message for one recipient behind RSET.
func resetThenDeliver() mxsim.Step {
	return mxsim.Seq(mxsim.Expect("RSET"), mxsim.Reply("250 flushed"), mxsim.Deliver(1))
}

// oneByOne takes a message for n recipients from a client that waits for each reply.
func oneByOne(n int) mxsim.Step {
	ok := mxsim.Reply("250 ok")
	steps := []mxsim.Step{mxsim.Expect("MAIL FROM:<"), mxsim.ExpectSilence(time.Second), ok}
	for range n {
		steps = append(steps, mxsim.Expect("RCPT TO:<"), mxsim.ExpectSilence(time.Second), ok)
	}
	return mxsim.Seq(append(steps, mxsim.Expect("DATA"), mxsim.Reply("354 go"), mxsim.ReadBody(), ok)...)
}

// gone is the end of a client that leaves without another octet but perhaps QUIT; fault judges that.
func gone() mxsim.Step { return mxsim.StallForever() }

// playRows plays a table of faults.
func playRows(t *testing.T, rows []row) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Run("alone", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { r.play(t, false) }) })
			t.Run("with another exchanger", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { r.play(t, true) }) })
		})
	}
}

// play plays the row once.
func (r row) play(t *testing.T, next bool) {
	w := newWorld(t, r.config)
	if r.link != (netsim.Link{}) {
		w.net.Host(at(best).Addr(), r.link)
	}
	w.twoDomains(next)
	scripts := r.scripts
	scripts = append(scripts[:len(scripts):len(scripts)], r.lastScript(next)...)
	first, second := w.play(best, scripts...), w.serve(backup, mxsim.Config{KeepContent: true})
	if r.reused {
		w.feeder.Hint("two.test") // or c@two.test would come too late for the others' transaction
		assert.Equal(t, []string{"delivered"}, w.send(earlyContent, "z@one.test").wait(), "an earlier message is delivered")
	}
	d := w.sendIn(orBudget(r.budget), orShort(r.content), "a@one.test", "b@one.test", "c@two.test")
	want, moved := r.outcomes(next)
	assert.Equal(t, want, d.wait(), "each recipient is told what became of it")
	for i, s := range d.settled {
		assert.Equal(t, clean(s.Outcome.Reason()), s.Outcome.Reason(), "the reason of recipient %d is printable", i)
	}
	if r.within > 0 {
		again := time.Duration(0)
		if r.againHere(next) {
			again = 10 * time.Second // a script that goes command by command looks on for a second each
		}
		assert.LessOrEqual(t, d.latest(), r.within+again, "nobody waits longer for it")
	}
	if r.learned != "" {
		assert.Contains(t, learnedOf(w, "mx1.test"), r.learned, "the host's limit is learned")
	}
	r.playThen(t, w, next)
	w.finish()
	assert.NoError(t, first.Err(), "the client keeps to the script")
	assert.Equal(t, len(scripts), w.dials(best), "the exchanger is dialled once for each script")
	r.checkWire(t, w, first.Results())
	assert.Equal(t, moved, takenBy(second, orShort(r.content)), "the other exchanger gets those that may move, once each")
	assert.Empty(t, second.Violations(), "the other exchanger has nothing to complain of")
}

// outcomes is what is expected, and who is to arrive at the other exchanger.
func (r row) outcomes(next bool) (want, moved []string) {
	want = r.all()
	stays := r.stays || r.againHere(next)
	if !next && !r.againHere(next) || r.stays {
		return want, nil
	}
	want = append([]string(nil), want...)
	for i, to := range []string{"a@one.test", "b@one.test", "c@two.test"} {
		if strings.HasPrefix(want[i], "deferred") {
			want[i] = "delivered"
			if !stays {
				moved = append(moved, to)
			}
		}
	}
	return want, moved
}

// all is what the recipients are told by the exchanger alone, the first time.
func (r row) all() []string {
	if len(r.want) == 1 {
		return repeated(r.want[0], 3)
	}
	return r.want
}

// againHere says that the exchanger itself is tried again.
func (r row) againHere(next bool) bool { return r.again == onceMore || r.again == ifNoOther && !next }

// lastScript is the connection that the row need not write down.
func (r row) lastScript(next bool) []mxsim.Script {
	steps := mxsim.Script{hello()}
	if r.againHere(next) {
		n := 0
		for _, outcome := range r.all() {
			if strings.HasPrefix(outcome, "deferred") {
				n++
			}
		}
		steps = append(steps, oneByOne(n))
	}
	switch {
	case r.then == onFresh && r.again != notAgain:
		steps = append(steps, oneByOne(1))
	case r.then == onFresh:
		steps = append(steps, mxsim.Deliver(1))
	case !r.againHere(next):
		return nil
	}
	return []mxsim.Script{append(steps, mxsim.Bye())}
}

// playThen sends the second message.
func (r row) playThen(t *testing.T, w *world, next bool) {
	if r.then == notAsked {
		return
	}
	before := w.dials(best)
	d := w.send(againContent, "d@one.test")
	got := d.wait()
	switch {
	case r.then == isDown && !next:
		assert.NotEqual(t, "delivered", got[0], "a second message is not delivered to an exchanger that is down")
	default:
		assert.Equal(t, []string{"delivered"}, got, "a second message is delivered")
	}
	dials := 0
	if r.then == onFresh && !r.againHere(next) {
		dials = 1
	}
	assert.Equal(t, before+dials, w.dials(best), "the second message takes the connection it should")
}

// checkWire checks what the client wrote to the best exchanger: after a fault nothing but QUIT, and no body but whole ones.
func (r row) checkWire(t *testing.T, w *world, results []mxsim.Result) {
	for i, tap := range w.tapsTo(best) {
		if after, ok := tap.afterFault(); ok {
			assert.Contains(t, []string{"", "QUIT\r\n"}, after, "nothing is written on connection %d after the fault", i)
		}
		if r.content != "" && i == 0 {
			assert.NotContains(t, tap.text(), "\r\n.\r\n", "the end of data does not leave")
		}
	}
	for _, result := range results {
		for _, body := range result.Bodies {
			assert.Contains(t, []string{orShort(r.content), earlyContent, againContent}, string(body), "bodies are whole")
		}
	}
}

// takenBy are the recipients of a content that a server took.
func takenBy(s *mxsim.Server, content string) (to []string) {
	for _, m := range s.Messages() {
		if string(m.Content) == content && m.Accepted() {
			to = append(to, m.To...)
		}
	}
	return to
}

// learnedOf is what the Feeder knows of a host's limits.
func learnedOf(w *world, name string) string {
	for _, h := range w.snapshot().HostStates {
		if h.Name == name {
			return h.Learned
		}
	}
	return ""
}

// clean drops what must not reach a log.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return -1
		}
		return c
	}, s)
}

func orShort(content string) string {
	if content == "" {
		return shortContent
	}
	return content
}

func orBudget(d time.Duration) time.Duration {
	if d == 0 {
		return budget
	}
	return d
}

package feed

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// always sends every body by BDAT where CHUNKING is offered.
func always(c *Config) { c.ChunkingFrom = 1 }

// singly does too, and gives each recipient a transaction.
func singly(c *Config) { c.ChunkingFrom, c.RecipientsPerTransaction = 1, 1 }

// offering greets and offers CHUNKING.
func offering() mxsim.Step {
	return mxsim.Hello("mx1.test", "PIPELINING", "SIZE 0", "8BITMIME", "CHUNKING")
}

// named is a group without DATA for the message's three recipients.
func named() mxsim.Step {
	return mxsim.ExpectAll("MAIL FROM:<list@example.org>", "RCPT TO:<a@one.test>", "RCPT TO:<b@one.test>", "RCPT TO:<c@two.test>")
}

// tookAll is everything up to accepted recipients: BDAT may come.
func tookAll() mxsim.Step { return mxsim.Seq(offering(), named(), mxsim.Reply(ok, ok, ok, ok)) }

// chunked is everything up to a last chunk whose reply is still owed.
func chunked() mxsim.Step { return mxsim.Seq(tookAll(), mxsim.ReadBDAT()) }

// byData is a new connection that offers CHUNKING as ever and gets the message by DATA, and so the next one.
func byData(n int) mxsim.Script {
	return mxsim.Script{offering(), mxsim.Deliver(n), mxsim.Deliver(1), mxsim.Bye()}
}

// byChunks is a new connection that takes a message for n recipients by BDAT.
func byChunks(n int) mxsim.Script {
	return mxsim.Script{offering(), mxsim.DeliverChunked(n), mxsim.Bye()}
}

// flushed takes a message for one recipient by BDAT behind RSET.
func flushed() mxsim.Step {
	return mxsim.Seq(mxsim.Expect("RSET"), mxsim.Reply("250 flushed"), mxsim.DeliverChunked(1))
}

func TestChunking(t *testing.T) {
	rows := []row{
		{name: "CHU-01 RFC 3030: BDAT goes behind the replies to RCPT, alone", want: []string{"delivered"}, then: onSame,
			scripts: script(offering(), named(), mxsim.ExpectSilence(10*time.Second), mxsim.Reply(ok, ok, ok, ok), mxsim.ReadBDAT(),
				mxsim.ExpectSilence(10*time.Second), mxsim.Reply(ok), mxsim.DeliverChunked(1), mxsim.Bye())},
		{name: "CHU-02 without PIPELINING, each command for itself", want: []string{"delivered"},
			scripts: script(mxsim.Hello("mx1.test", "CHUNKING"), alone("MAIL"), alone("RCPT TO:<a@"), alone("RCPT TO:<b@"), alone("RCPT TO:<c@"),
				mxsim.ReadBDAT(), mxsim.ExpectSilence(time.Second), mxsim.Reply(ok), mxsim.Bye())},
		{name: "CHU-03 all refused: no BDAT, and RSET before the next MAIL", want: []string{"failed 5.1.1"}, then: onSame,
			scripts: script(offering(), named(), mxsim.Reply(ok, "550 5.1.1 no", "550 5.1.1 no", "550 5.1.1 no"), flushed(), mxsim.Bye())},
		{name: "CHU-03 all deferred: the same", want: []string{"deferred 4.2.0"}, then: onSame,
			scripts: script(offering(), named(), mxsim.Reply(ok, "450 4.2.0 no", "450 4.2.0 no", "450 4.2.0 no"), flushed(), mxsim.Bye())},
		{name: "CHU-03 MAIL refused: the same", want: []string{"failed 5.7.1"}, then: onSame,
			scripts: script(offering(), named(), mxsim.Reply("550 5.7.1 no", "503 no", "503 no", "503 no"), flushed(), mxsim.Bye())},
		{name: "CHU-04 each its own result", want: []string{"delivered", "deferred 4.2.0", "failed 5.1.1"}, then: onSame,
			scripts: script(offering(), named(), mxsim.Reply(ok, ok, "450 4.2.0 later", "550 5.1.1 no"), mxsim.ReadBDAT(), mxsim.Reply(ok),
				mxsim.DeliverChunked(1), mxsim.Bye())},
		{name: "CHU-05 too many recipients: the rest on the same connection", want: []string{"delivered"}, then: onSame, learned: "2 recipients a transaction",
			scripts: script(offering(), named(), mxsim.Reply(ok, ok, ok, "452 4.5.3 too many"), mxsim.ReadBDAT(), mxsim.Reply(ok),
				mxsim.DeliverChunked(1), mxsim.DeliverChunked(1), mxsim.Bye())},
		{name: "CHU-06 the message is refused for good", want: []string{"failed 5.6.0"}, then: onSame,
			scripts: script(chunked(), mxsim.Reply("554 5.6.0 spam"), flushed(), mxsim.Bye())},
		{name: "CHU-06 the message is refused for now", want: []string{"deferred 4.3.0"}, then: onSame,
			scripts: script(chunked(), mxsim.Reply("451 4.3.0 later"), flushed(), mxsim.Bye())},
		{name: "CHU-06 421 behind the last octet: not taken, not in doubt", want: []string{"deferred 4.3.2"},
			scripts: script(chunked(), fault, mxsim.Reply("421 4.3.2 bye"), mxsim.Drop())},
		{name: "CHU-07 354 is no reply to BDAT", want: []string{"uncertain 4.5.0"},
			scripts: script(chunked(), fault, mxsim.Reply("354 go"), gone())},
		{name: "CHU-08 no reply: in doubt", want: []string{"uncertain 4.4.2"}, budget: 1200 * time.Second, within: 601 * time.Second,
			scripts: script(chunked(), fault, gone())},
		{name: "CHU-08 FIN behind the last octet: in doubt", want: []string{"uncertain 4.4.2"}, scripts: script(chunked(), fault, mxsim.Drop())},
		{name: "CHU-08 RST behind the last octet: in doubt", want: []string{"uncertain 4.4.2"}, scripts: script(chunked(), fault, mxsim.Reset())},
		{name: "CHU-09 a reply behind those to RCPT: nothing can be trusted", want: []string{"deferred 4.5.0"}, again: onceMore,
			scripts: script(offering(), named(), fault, mxsim.Reply(ok, ok, ok, ok, "354 go"), gone())},
		{name: "CHU-09 a refusal behind those to RCPT, before anything was sent, is not believed", want: []string{"deferred 4.5.0"}, again: onceMore,
			scripts: script(offering(), named(), fault, mxsim.Reply(ok, ok, ok, ok, "552 5.3.4 too big"), gone())},
		{name: "CHU-09 a goodbye behind those to RCPT, before anything was sent", want: []string{"deferred 4.3.2"},
			scripts: script(offering(), named(), fault, mxsim.Reply(ok, ok, ok, ok, "421 4.3.2 bye"), mxsim.Drop())},
	}
	for i := range rows {
		rows[i].config = always
	}
	playRows(t, rows)
}

// alone expects one command, wants nothing behind it, and says 250.
func alone(prefix string) mxsim.Step {
	return mxsim.Seq(mxsim.Expect(prefix), mxsim.ExpectSilence(time.Second), mxsim.Reply(ok))
}

// A host that offers CHUNKING and does not know BDAT gets the message by DATA in the same attempt, on a new connection, and the
// next one too, although it goes on offering.
func TestChunkingThatIsOfferedAndNotKnown(t *testing.T) {
	large := text(300 << 10)
	var rows []row
	for _, reply := range []string{"500 5.5.1 what", "502 5.5.1 what is BDAT", "503 5.5.1 DATA first", "504 5.5.1 no"} {
		rows = append(rows, row{name: "CHU-10 " + reply[:3] + ", and the body is read as commands",
			scripts: []mxsim.Script{{chunked(), fault, mxsim.Reply(append([]string{reply}, repeated("500 5.5.2 what", 3)...)...), gone()}, byData(3)}})
	}
	rows = append(rows,
		row{name: "CHU-10 502 alone", scripts: []mxsim.Script{{chunked(), fault, mxsim.Reply("502 5.5.1 what"), gone()}, byData(3)}},
		row{name: "CHU-10 502 and FIN", scripts: []mxsim.Script{{chunked(), fault, mxsim.Reply("502 5.5.1 what"), mxsim.Drop()}, byData(3)}},
		row{name: "CHU-11 502 in the middle of the body, which it goes on reading", content: large, within: 5 * time.Second,
			scripts: []mxsim.Script{{tookAll(), mxsim.ReadOctets(1000), mxsim.Reply("502 5.5.1 what", "500 what"), gone()}, byData(3)}},
		row{name: "CHU-11 502 in the middle of the body, and it stops reading", content: large, within: 5 * time.Second,
			scripts: []mxsim.Script{{tookAll(), mxsim.ReadOctets(1000), mxsim.Reply("502 5.5.1 what"), mxsim.StopReading()}, byData(3)}},
		row{name: "CHU-12 FIN in the middle of the body", content: large, within: 5 * time.Second,
			scripts: []mxsim.Script{{tookAll(), mxsim.ReadOctets(1000), mxsim.Drop()}, byData(3)}},
		row{name: "CHU-12 RST in the middle of the body", content: large, within: 5 * time.Second,
			scripts: []mxsim.Script{{tookAll(), mxsim.ReadOctets(1000), mxsim.Reset()}, byData(3)}},
	)
	for i := range rows {
		rows[i].config, rows[i].want, rows[i].then, rows[i].learned = always, []string{"delivered"}, onSame, "no chunking"
	}
	playRows(t, rows)
}

// A server that does not want the rest of the body says so in the middle: that is its word on the message, nothing is in doubt, and
// nothing speaks against BDAT.
func TestChunkingRefusedInTheMiddle(t *testing.T) {
	for _, c := range []struct {
		name, reply, want string
		then              mxsim.Step
	}{
		{"CHU-13 552, and it reads on", "552 5.3.4 too big", "failed 5.3.4", gone()},
		{"CHU-13 552, and it stops reading", "552 5.3.4 too big", "failed 5.3.4", mxsim.StopReading()},
		{"CHU-13 552 and FIN", "552 5.3.4 too big", "failed 5.3.4", mxsim.Drop()},
		{"CHU-13 452, and it stops reading", "452 4.3.1 no room", "deferred 4.3.1", mxsim.StopReading()},
		{"CHU-13 421 and FIN", "421 4.3.2 bye", "deferred 4.3.2", mxsim.Drop()},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, always)
				w.twoDomains(false)
				p := w.play(best, mxsim.Script{tookAll(), mxsim.ReadOctets(1000), mxsim.Reply(c.reply), c.then}, byChunks(1))
				d := w.send(text(300<<10), "a@one.test", "b@one.test", "c@two.test")
				assert.Equal(t, repeated(c.want, 3), d.wait(), "the server's words are the outcome")
				assert.LessOrEqual(t, d.latest(), 5*time.Second, "told at once")
				assert.Equal(t, []string{"delivered"}, w.send(againContent, "d@one.test").wait(), "the next message goes well")
				assert.NotContains(t, learnedOf(w, "mx1.test"), "chunking", "and by BDAT")
				assert.Empty(t, learnedOf(w, "mx1.test"), "nothing is held against the host")
				w.finish()
				assert.NoError(t, p.Err(), "the client keeps to the script")
			})
		})
	}
}

// Behind the last octet of BDAT LAST ride the next transaction's MAIL and RCPT, and no DATA. Each transaction has one recipient, so
// the third one is the first that can ride.
func TestChunksWithCommandsBehind(t *testing.T) {
	// riding is everything up to where b's content and c's commands were read and nothing of it was answered.
	riding := mxsim.Seq(offering(), mxsim.DeliverChunked(1), mxsim.ExpectAll("MAIL", "RCPT TO:<b@"), mxsim.Reply(ok, ok), mxsim.ReadBDAT(),
		mxsim.ExpectAll("MAIL", "RCPT TO:<c@"), mxsim.ExpectSilence(time.Second))
	rows := []row{
		{name: "CHU-14 RFC 2920 section 3.1: MAIL behind the last chunk", want: []string{"delivered"}, then: onSame,
			scripts: script(riding, mxsim.Reply(ok, ok, ok), mxsim.ReadBDAT(), mxsim.Reply(ok), mxsim.DeliverChunked(1), mxsim.Bye())},
		{name: "CHU-14 the content before is refused", want: []string{"delivered", "failed 5.6.0", "delivered"}, then: onSame,
			scripts: script(riding, mxsim.Reply("554 5.6.0 no", ok, ok), mxsim.ReadBDAT(), mxsim.Reply(ok), mxsim.DeliverChunked(1), mxsim.Bye())},
		{name: "CHU-14 what rode is refused: no BDAT", want: []string{"delivered", "delivered", "failed 5.1.1"}, then: onSame,
			scripts: script(riding, mxsim.Reply(ok, ok, "550 5.1.1 no"), flushed(), mxsim.Bye())},
		{name: "CHU-14 FIN: the content before is in doubt, what rode is not", want: []string{"delivered", "uncertain 4.4.2", "delivered"},
			scripts: []mxsim.Script{{riding, fault, mxsim.Drop()}, byChunks(1)}},
		{name: "CHU-14 FIN behind the final reply", want: []string{"delivered"},
			scripts: []mxsim.Script{{riding, fault, mxsim.Reply(ok), mxsim.Drop()}, byChunks(1)}},
		{name: "CHU-14 421 behind the final reply", want: []string{"delivered"},
			scripts: []mxsim.Script{{riding, fault, mxsim.Reply(ok, "421 bye"), mxsim.Drop()}, byChunks(1)}},
		{name: "CHU-15 502, and what rode was taken: it may be under the wrong sender, so the session ends", want: []string{"delivered"}, learned: "no chunking",
			scripts: []mxsim.Script{{riding, fault, mxsim.Reply("502 what", "500 what", "500 what", "500 what", ok, ok), gone()},
				{offering(), mxsim.Deliver(1), mxsim.Deliver(1), mxsim.Bye()}}},
		{name: "CHU-14 never behind a PIX banner", want: []string{"delivered"},
			scripts: script(mxsim.Reply("220 ***2***0**"), mxsim.Expect("EHLO"), mxsim.Reply("250-mx1.test", "250-PIPELINING", "250 CHUNKING"),
				lonelyChunk(), lonelyChunk(), lonelyChunk(), mxsim.Bye())},
		{name: "CHU-14 never without PIPELINING", want: []string{"delivered"},
			scripts: script(mxsim.Hello("mx1.test", "CHUNKING"), oneChunk(), oneChunk(), oneChunk(), mxsim.Bye())},
	}
	for i := range rows {
		rows[i].config = singly
	}
	playRows(t, rows)
}

// lonelyChunk takes a message for one recipient by BDAT, and wants nothing behind its last octet.
func lonelyChunk() mxsim.Step {
	return mxsim.Seq(mxsim.ExpectAll("MAIL", "RCPT"), mxsim.Reply(ok, ok), mxsim.ReadBDAT(), mxsim.ExpectSilence(time.Second), mxsim.Reply(ok))
}

// oneChunk is lonelyChunk for a client that waits for each reply.
func oneChunk() mxsim.Step {
	return mxsim.Seq(alone("MAIL"), alone("RCPT"), mxsim.ReadBDAT(), mxsim.ExpectSilence(time.Second), mxsim.Reply(ok))
}

// A body arrives octet for octet by BDAT too, dots and all, also through a window so small that neither side could write all it has
// before it reads.
func TestBodiesArriveByChunks(t *testing.T) {
	for name, content := range bodies() {
		for _, window := range []int{32, 1 << 10, 64 << 10} {
			if len(content) > 4000*window || name == "0 octets" { // seconds for nothing; and nothing is not worth a BDAT
				continue
			}
			t.Run(fmt.Sprintf("%s, window %d", name, window), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testBodyArrivesByChunks(t, content, window) })
			})
		}
	}
}

func testBodyArrivesByChunks(t *testing.T, content string, window int) {
	w := newWorld(t, always)
	w.net.Default(netsim.Link{Latency: time.Millisecond, Window: window})
	w.table.set("one.test", "10 mx1.test "+best)
	s := w.serve(best, mxsim.Config{KeepContent: true, Keywords: []string{"PIPELINING", "SIZE 0", "CHUNKING"}})
	d := w.send(content, addresses(100, "one.test")...)
	assert.Equal(t, repeated("delivered", 100), d.wait(), "all are delivered")
	require.Len(t, s.Messages(), 1, "in one transaction")
	m := s.Messages()[0]
	assert.True(t, bytes.Equal([]byte(content), m.Content), "octet for octet")
	assert.Equal(t, 1, m.Chunks, "in one chunk")
	assert.Contains(t, m.Params, fmt.Sprint("SIZE=", len(content)), "SIZE is that of the chunk")
	assert.Equal(t, addresses(100, "one.test"), m.To, "with all recipients")
	assert.Empty(t, s.Violations(), "and nothing that the server complains of")
	assert.EqualValues(t, 1, w.snapshot().Chunked, "the transaction is counted")
}

// Bodies smaller than the configured size go by DATA, larger ones by BDAT, and with a negative one none.
func TestChunkingFrom(t *testing.T) {
	for name, c := range map[string]struct {
		from   int64
		chunks []int // of a body of 255 octets, of 256, and of 300 KiB
	}{
		"from a size":    {256, []int{0, 1, 1}},
		"by default":     {0, []int{0, 0, 1}},
		"never":          {-1, []int{0, 0, 0}},
		"from one octet": {1, []int{1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(cfg *Config) { cfg.ChunkingFrom = c.from })
				w.table.set("one.test", "10 mx1.test "+best)
				s := w.serve(best, mxsim.Config{Keywords: []string{"PIPELINING", "CHUNKING"}})
				for _, size := range []int{255, 256, 300 << 10} {
					assert.Equal(t, []string{"delivered"}, w.send(text(size), "a@one.test").wait(), "%d octets are delivered", size)
				}
				var chunks []int
				for _, m := range s.Messages() {
					chunks = append(chunks, m.Chunks)
				}
				assert.Equal(t, c.chunks, chunks, "the size decides")
				assert.Equal(t, 1, w.dials(best), "on one session, whichever way they go")
				assert.Empty(t, s.Violations(), "nothing was wrong")
			})
		})
	}
}

// BDAT waits for the replies to RCPT as a body waits for DATA's, and MAIL and RCPT ride behind the last chunk: a round trip a
// transaction, as by DATA.
func TestChunkedRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, rtt = 40, 100 * time.Millisecond
		w := newWorld(t, singly)
		w.net.Default(netsim.Link{Latency: rtt / 2})
		w.table.set("one.test", "10 mx1.test "+best)
		s := w.serve(best, mxsim.Config{Keywords: []string{"PIPELINING", "CHUNKING"}, KeepContent: true})
		content := ".\r\n..\r\n" + strings.Repeat(".dot\r\n", 100)
		d := w.send(content, addresses(n, "one.test")...)
		assert.Equal(t, repeated("delivered", n), d.wait(), "all are delivered")
		// Dial and greeting, EHLO, the commands and the body of the first transaction, the commands of the second.
		const others = 2 + 1 + 1 + 1 + 1
		assert.LessOrEqual(t, d.latest(), (n+others)*rtt, "a round trip each, and a few for the beginning")
		snap := w.snapshot()
		assert.EqualValues(t, n, snap.Chunked, "all went by BDAT")
		assert.EqualValues(t, n-2, snap.Pipelined, "all but the first two rode behind a body")
		assert.Equal(t, repeated(content, n), takenContents(s), "each octet for octet")
		assert.Empty(t, s.Violations(), "nothing came before its time")
	})
}

// takenContents are the contents that a server took.
func takenContents(s *mxsim.Server) (contents []string) {
	for _, m := range s.Messages() {
		contents = append(contents, string(m.Content))
	}
	return contents
}

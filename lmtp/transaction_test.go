package lmtp

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

func TestEnvelope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, connect := simulated(t, Config{Budget: time.Minute})
		h := connect().hello()
		h.send("MAIL FROM:<s@example.org> BODY=8BITMIME SIZE=100", "RCPT TO:<a@one.example>", "RCPT TO:<b@two.example>", "DATA")
		h.expect("250 ", "250 ", "250 ", "354 ")
		time.Sleep(10 * time.Second)
		h.content("Received: by host.example (Postfix, from userid 0)", "\tid 4ABC; Sat, 21 Nov 2026 00:00:00 +0000", "", "..dot", "text")
		e := f.envelope()
		assert.NotEmpty(t, e.ID, "the envelope has a name")
		assert.Equal(t, "4ABC", e.QueueID, "the host's queue id is found")
		assert.Equal(t, "s@example.org", e.From.String(), "the sender is kept")
		assert.Equal(t, feed.Params{EightBitMIME: true}, e.Params, "the parameters are kept")
		assert.Equal(t, []string{"one.example", "two.example"}, e.Routes, "a route for each recipient")
		assert.Equal(t, time.Now().Add(time.Minute), e.Deadline, "the budget begins at the host's final dot")
		assert.Equal(t, "Received: by host.example (Postfix, from userid 0)\r\n\tid 4ABC; Sat, 21 Nov 2026 00:00:00 +0000\r\n\r\n.dot\r\ntext\r\n",
			contentOf(e.Body), "the content arrives as it was")
		deliverAll(e)
		h.expect("250 ", "250 ")
		h.send("QUIT")
		h.expect("221 ")
		h.closed()
	})
}

func contentOf(b *wire.Body) string {
	var s strings.Builder
	for _, chunk := range b.Raw() {
		s.Write(chunk)
	}
	return s.String()
}

// HST-04, promise 8 of the life of a recipient.
func TestRepliesStreamInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, connect := simulated(t, Config{})
		h := connect().hello()
		h.envelope("a@x.example", "b@x.example", "c@x.example", "d@x.example")
		h.content("")
		e := f.envelope()
		settle(e, delivered("250 2.0.0 third"), 2)
		settle(e, failed("550 5.1.1 second"), 1)
		synctest.Wait()
		assert.Zero(t, f.pending(h), "nothing is told before the first is known")
		settle(e, deferred("450 4.2.1 first"), 0)
		before := time.Now()
		h.expect("450 4.2.1 mx1.example[192.0.2.1]:25 said: 450 4.2.1 first", "550 5.1.1 ", "250 2.0.0 ")
		assert.Less(t, time.Since(before), 10*time.Millisecond, "the head is told at once, without the last")
		time.Sleep(time.Hour / 10)
		settle(e, delivered("250 2.0.0 last"), 3)
		h.expect("250 2.0.0 mx1.example[192.0.2.1]:25 said: 250 2.0.0 last")
	})
}

// pending is how many octets wait for the host.
func (f *fixture) pending(h *host) int {
	h.conn.SetReadDeadline(time.Now().Add(time.Second))
	defer h.conn.SetReadDeadline(time.Time{})
	b, _ := h.in.Peek(1)
	return len(b)
}

// ADR-08.
func TestSameRecipientTwice(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	h.send("MAIL FROM:<>", "RCPT TO:<a@x.example>", "RCPT TO:<a@x.example>", `RCPT TO:<"a"@x.example>`, "RCPT TO:<a@x.example.>", "RCPT TO:<a@X.example>", "DATA", ".")
	h.expect("250 ", "250 ", "250 ", "250 ", "250 ", "250 ", "354 ")
	e := f.envelope()
	require.Len(t, e.Recipients, 5, "each RCPT is a recipient")
	assert.Equal(t, e.Recipients[0], e.Recipients[2], "a needless quote makes no other address")
	assert.Equal(t, e.Recipients[0], e.Recipients[3], "nor does a final dot")
	settle(e, failed("550 5.1.1 no"), 4, 3)
	settle(e, delivered("250 2.0.0 yes"), 0, 2, 1)
	h.expect("250 ", "250 ", "250 ", "550 ", "550 ")
}

func TestOneConnectionManyTransactions(t *testing.T) {
	f := newFixture(t, Config{})
	f.mailer.onSend = deliverAll
	h := f.host()
	for i := range 5 {
		h.envelope(fmt.Sprintf("u%d@x.example", i))
		h.content("text")
		h.expect("250 2.0.0 ")
	}
	h.send("QUIT")
	h.expect("221 ")
	assert.EqualValues(t, 5, f.server.Stats().Envelopes, "each transaction is an envelope")
}

// RFC 2920: everything that may be pipelined is, and what the host sent behind its content waits for the final replies.
func TestTransactionsPipelined(t *testing.T) {
	f := newFixture(t, Config{})
	f.mailer.onSend = deliverAll
	h := f.connect()
	h.send("LHLO x", "MAIL FROM:<>", "RCPT TO:<a@x.example>", "RCPT TO:<bad@-x>", "RCPT TO:<b@x.example>", "DATA", "one", ".", "MAIL FROM:<>",
		"RCPT TO:<c@x.example>", "DATA", "two", ".", "NOOP", "QUIT")
	h.expect("220 ", "250 ", "250 ", "250 ", "550 ", "250 ", "354 ", "250 ", "250 ", "250 ", "250 ", "354 ", "250 ", "250 ", "221 ")
	h.closed()
	assert.EqualValues(t, 2, f.server.Stats().Envelopes, "two envelopes were handed over")
}

func TestRecordsAreWrittenBeforeReplies(t *testing.T) {
	release := make(chan struct{})
	var mu sync.Mutex
	var records []Record
	f := newFixture(t, Config{Record: func(batch []Record) {
		mu.Lock()
		records = append(records, batch...)
		mu.Unlock()
		<-release
	}})
	h := f.host()
	h.envelope("a@x.example", "b@y.example")
	h.content("Received: by h id Q1; now", "")
	e := f.envelope()
	settle(e, delivered("250 2.0.0 Ok"), 1, 0)
	close(release)
	h.expect("250 ", "250 ")
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, records, 2, "each recipient has a record when its reply is seen")
	r := records[0]
	assert.Equal(t, []string{"Q1", "sender@example.org", "b@y.example", "y.example", e.ID}, []string{r.QueueID, r.From, r.To, r.Domain, r.Envelope},
		"the record names the recipient")
	assert.Equal(t, 1, r.Settlement.Recipient, "the settlement is in the record")
	assert.False(t, r.Time.IsZero(), "the record has its time")
}

// OPS-09: our own fault must not make the host wait for ever.
func TestRecipientsNotSettledInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records []Record
		f, connect := simulated(t, Config{Budget: time.Minute, Record: func(b []Record) { records = append(records, b...) }})
		h := connect().hello()
		h.envelope("a@x.example", "b@x.example", "c@x.example")
		h.content("")
		e := f.envelope()
		settle(e, delivered("250 2.0.0 Ok"), 1)
		began := time.Now()
		h.expect("451 4.4.7 ", "250 2.0.0 ", "451 4.4.7 ")
		assert.Less(t, time.Since(began), time.Minute+overdueGrace+time.Second, "the replies come soon after the budget")
		assert.Same(t, e, <-f.mailer.cancelled, "the envelope is cancelled")
		assert.Len(t, records, 3, "what the host was told is recorded")
		settle(e, delivered("250 2.0.0 late"), 0, 2)
		h.send("NOOP")
		h.expect("250 ")
		assert.EqualValues(t, 2, f.server.Stats().Overdue, "the fault is counted")
	})
}

func TestPanicIsA451(t *testing.T) {
	tests := []struct {
		rule    string
		onSend  func(*feed.Envelope)
		record  func([]Record)
		replies []string
	}{
		{"in the Mailer", func(*feed.Envelope) { panic("BUG: in Send") }, nil, []string{"451 4.3.0 ", "451 4.3.0 ", "451 4.3.0 "}},
		{"in the recorder", deliverAll, func([]Record) { panic("BUG: in Record") }, []string{"451 4.3.0 ", "451 4.3.0 ", "451 4.3.0 "}},
		{"behind the first status", func(e *feed.Envelope) {
			settle(e, delivered("250 2.0.0 Ok"), 0)
			settle(e, &feed.Outcome{Class: 77}, 1)
		}, nil, []string{"250 2.0.0 ", "451 4.3.0 ", "451 4.3.0 "}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			f := newFixture(t, Config{Record: tt.record})
			f.mailer.onSend = tt.onSend
			h := f.host()
			h.envelope("a@x.example", "b@x.example", "c@x.example")
			h.content("")
			h.expect(tt.replies...)
			assert.NotNil(t, <-f.mailer.cancelled, "the envelope is cancelled")
			h.send("NOOP")
			h.expect("250 ")
			st := f.server.Stats()
			assert.EqualValues(t, 1, st.Panics, "the panic is counted")
			assert.Zero(t, st.Waiting, "nothing waits any more")
			assert.Zero(t, st.Bytes, "the memory is given back")
		})
	}
}

// A second outcome must not reach go-smtp, which would panic.
func TestSettlementsThatMustNotBe(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	h.envelope("a@x.example", "b@x.example")
	h.content("")
	e := f.envelope()
	settle(e, delivered("250 2.0.0 Ok"), 0, 0, 7, -1)
	settle(e, failed("550 5.1.1 no"), 0, 1)
	h.expect("250 ", "550 ")
	h.send("NOOP")
	h.expect("250 ")
	assert.Zero(t, f.server.Stats().Panics, "no panic")
}

func TestMessageTooLarge(t *testing.T) {
	f := newFixture(t, Config{MaxMessageSize: 1000})
	f.mailer.onSend = deliverAll
	h := f.host()
	h.envelope("a@x.example", "b@x.example")
	h.content(strings.Repeat("x", 998)) // with its CRLF exactly the limit
	h.expect("250 ", "250 ")
	h.envelope("a@x.example", "b@x.example")
	h.content(strings.Repeat("x", 999))
	h.expect("554 5.3.4 ", "554 5.3.4 ")
	h.envelope("a@x.example")
	h.content("small")
	h.expect("250 ")
	st := f.server.Stats()
	assert.EqualValues(t, 1, st.TooLarge, "the refusal is counted")
	assert.EqualValues(t, 2, st.Envelopes, "it is not handed over")
}

// MSG-08.
func TestMemory(t *testing.T) {
	f := newFixture(t, Config{Memory: 100 << 10})
	first := f.host()
	first.envelope("a@x.example")
	first.content(strings.Repeat("0123456789\r\n", 4<<10)) // 48 KiB
	e := f.envelope()
	h := f.host()
	t.Run("a SIZE that does not fit is refused at MAIL", func(t *testing.T) {
		h.send("MAIL FROM:<> SIZE=99999")
		h.expect("452 4.3.1 ")
	})
	t.Run("a content that does not fit is refused for every recipient, and the connection stays usable", func(t *testing.T) {
		h.envelope("a@x.example", "b@x.example")
		h.content(strings.Repeat("abcdefghij\r\n", 10<<10))
		h.expect("452 4.3.1 ", "452 4.3.1 ")
		h.send("NOOP")
		h.expect("250 ")
	})
	t.Run("a small one fits", func(t *testing.T) {
		h.envelope("a@x.example")
		h.content("small")
		deliverAll(f.envelope())
		h.expect("250 ")
	})
	t.Run("without SIZE, MAIL is refused when nothing is left", func(t *testing.T) {
		rest := int64(100<<10) - f.server.Stats().Bytes
		require.True(t, f.server.memory.take(rest), "the rest can be taken")
		h.send("MAIL FROM:<>")
		h.expect("452 4.3.1 ")
		f.server.memory.give(rest)
	})
	deliverAll(e)
	first.expect("250 ")
	first.send("NOOP")
	first.expect("250 ")
	st := f.server.Stats()
	assert.Zero(t, st.Bytes, "all memory is given back")
	assert.EqualValues(t, 3, st.OverMemory, "the refusals are counted")
}

// HOSTS 11: one body for all chunks of a list.
func TestEqualContentsShareOneBody(t *testing.T) {
	f := newFixture(t, Config{})
	var hosts []*host
	var envelopes []*feed.Envelope
	for i := range 3 {
		h := f.host()
		h.envelope(fmt.Sprintf("u%d@x.example", i))
		h.content("Subject: list", "", "text")
		hosts = append(hosts, h)
		envelopes = append(envelopes, f.envelope())
	}
	assert.Same(t, envelopes[0].Body, envelopes[1].Body, "the second has the first one's body")
	assert.Same(t, envelopes[0].Body, envelopes[2].Body, "the third too")
	st := f.server.Stats()
	assert.Equal(t, 1, st.Bodies, "one body is held")
	assert.Equal(t, envelopes[0].Body.Memory(), st.Bytes, "it is counted once")
	for i, h := range hosts {
		deliverAll(envelopes[i])
		h.expect("250 ")
		h.send("NOOP")
		h.expect("250 ")
	}
	st = f.server.Stats()
	assert.Zero(t, st.Bodies, "the last holder gives it back")
	assert.Zero(t, st.Bytes, "the last holder gives it back")
}

// MSG-04, MSG-05, HST-08: what the content is made of is not our business.
func TestContents(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	tests := []struct{ rule, sent, body string }{
		{"empty", ".\r\n", ""},
		{"a line end only", "\r\n.\r\n", "\r\n"},
		{"a dot only", "..\r\n.\r\n", ".\r\n"},
		{"a line of 1 MiB", long + "\r\n.\r\n", long + "\r\n"},
		{"a content that ends in CR CR LF, which hangs go-smtp", "text\r\r\n.\r\n", "text \r\n"},
		{"commands inside", "MAIL FROM:<x@y>\r\nQUIT\r\n.\r\n", "MAIL FROM:<x@y>\r\nQUIT\r\n"},
		{"8-bit and NUL", "\xff\x00\r\n.\r\n", "\xff \r\n"},
		{"LF.LF is no end (MSG-01)", "a\n.\nb\r\n.\r\n", "a\r\n.\r\nb\r\n"},
		{"LF.CRLF is no end (MSG-01)", "a\n.\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n"},
		{"CR.CR is no end (MSG-01)", "a\r.\rb\r\n.\r\n", "a . b\r\n"},
	}
	f := newFixture(t, Config{})
	h := f.host()
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			h.envelope("a@x.example")
			h.raw(tt.sent)
			e := f.envelope()
			assert.Equal(t, tt.body, contentOf(e.Body), "the content is taken whole")
			deliverAll(e)
			h.expect("250 ")
		})
	}
}

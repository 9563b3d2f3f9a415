package feed

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// personally gives every recipient of the list a sender and a header line of its own.
func personally(c *Config) {
	c.VERP = []VERP{{Sender: "list@example.org", Template: classic, Header: "X-Recipient: {local}@{domain}"}}
}

// dotty is a content that needs stuffing from its first octet on.
const dotty = ".hidden\r\n.\r\n..\r\nSubject: news\r\n\r\nhello\r\n"

// sendFrom is send for another sender; "" is a bounce.
func (w *world) sendFrom(from, content string, to ...string) *delivery {
	w.sent++
	d := &delivery{t: w.t, left: len(to), settled: make([]*Settlement, len(to)), done: make(chan struct{})}
	d.envelope = &Envelope{ID: fmt.Sprint("e", w.sent), From: mustAddress(w.t, from), Body: bodyOf(content), Deadline: time.Now().Add(budget), Sink: d}
	for _, a := range to {
		address := mustAddress(w.t, a)
		d.envelope.Recipients = append(d.envelope.Recipients, address)
		d.envelope.Routes = append(d.envelope.Routes, address.Domain())
	}
	w.feeder.Send(d.envelope)
	return d
}

// oddLocals are local parts that need quotes, and some that look as if they did something.
var oddLocals = []string{"a b", "a@evil.test", `q"uote`, `back\slash`, "a=b", "{domain}", "<x>", ".", "x y> NOTIFY=NEVER"}

// personalRecipients are 200, half of them at each of two hosts, some of them odd.
func personalRecipients() []string {
	to := append(addresses(100, "one.test"), addresses(100, "two.test")...)
	for i, local := range oddLocals {
		to[i], to[100+i] = local+"@one.test", local+"@two.test"
	}
	return to
}

// personalWorld has a host for each of the two domains.
func personalWorld(t *testing.T, keywords []string, configure func(*Config)) (w *world, hosts [2]*mxsim.Server) {
	w = newWorld(t, personally, configure)
	for i, domain := range []string{"one.test", "two.test"} {
		addr := fmt.Sprint("192.0.2.", 1+i)
		w.table.set(domain, "10 mx."+domain+" "+addr)
		hosts[i] = w.serve(addr, mxsim.Config{Keywords: keywords, KeepContent: true})
	}
	return w, hosts
}

// 200 recipients of one envelope on two hosts: one hand-over, and each gets a copy from a sender of its own.
func TestPersonalCopies(t *testing.T) {
	for name, c := range map[string]struct {
		keywords  []string
		configure func(*Config)
		chunked   int
	}{
		"by DATA": {[]string{"PIPELINING", "SIZE 0"}, nil, 0},
		"by BDAT": {[]string{"PIPELINING", "SIZE 0", "CHUNKING"}, always, 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, hosts := personalWorld(t, c.keywords, c.configure)
				to := personalRecipients()
				assert.Equal(t, repeated("delivered", 200), w.send(dotty, to...).wait(), "all are delivered")
				checkCopies(t, to[:100], hosts[0])
				checkCopies(t, to[100:], hosts[1])
				s := w.snapshot()
				assert.Equal(t, []uint64{1, 200, 200}, []uint64{s.MessagesTotal, s.Transactions, s.Personal}, "out of one message, a transaction each")
				assert.EqualValues(t, c.chunked, s.Chunked, "as the hosts can")
				assert.EqualValues(t, 2, s.SessionsTotal, "on a session each host")
				assert.EqualValues(t, 200-2*2, s.Pipelined, "all but the first two of a session rode behind the body before")
			})
		})
	}
}

// checkCopies looks at what a host got: for each recipient a copy with its own sender, its own first line and its size.
func checkCopies(t *testing.T, to []string, host *mxsim.Server) {
	require.Len(t, host.Messages(), len(to), "each has a copy")
	var reached []string
	for _, m := range host.Messages() {
		require.Len(t, m.To, 1, "a copy has one recipient")
		recipient := unquote(t, m.To[0])
		reached = append(reached, recipient)
		want, _ := (&VERP{Template: classic}).personal(mustAddress(t, "list@example.org"), mustAddress(t, recipient))
		assert.Equal(t, want.String(), m.From, "the sender is the recipient's")
		back, ok := recipientOf(mustAddress(t, unquote(t, m.From)))
		assert.True(t, ok, "it is one that the template makes")
		assert.Equal(t, recipient, back, "and a bounce to it tells whose it is")
		assert.Equal(t, "X-Recipient: "+m.To[0]+"\r\n"+dotty, string(m.Content), "the line stands before the message, which is unchanged")
		assert.Equal(t, fmt.Sprint("SIZE=", len(m.Content)), m.Params, "SIZE counts the line")
	}
	assert.ElementsMatch(t, to, reached, "everybody has one")
	assert.Empty(t, host.Violations(), "and nothing that the server complains of")
}

// unquote is an address as ParseAddress takes it, of one as it is on the wire.
func unquote(t *testing.T, address string) string {
	at := strings.LastIndexByte(address, '@')
	local, quoted := strings.CutPrefix(address[:at], `"`)
	if !quoted {
		return address
	}
	local, ok := strings.CutSuffix(local, `"`)
	require.True(t, ok, "%s has its second quote", address)
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(local) + address[at:]
}

// On the wire: the commands for the next recipient are in one write with nothing but themselves, behind the body before.
func TestPersonalCopiesOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := personalWorld(t, []string{"PIPELINING", "SIZE 0"}, nil)
		w.send(shortContent, addresses(3, "one.test")...).wait()
		w.finish()
		copyFor := func(i int) string { return fmt.Sprintf("X-Recipient: u%d@one.test\r\n%s.\r\n", i, shortContent) }
		mailFor := func(i int) string {
			return fmt.Sprintf("MAIL FROM:<list-bounces+u%d=one.test@lists.example.org> SIZE=%d\r\nRCPT TO:<u%d@one.test>\r\nDATA\r\n",
				i, len(copyFor(i))-len(".\r\n"), i)
		}
		assert.Equal(t, "EHLO localhost\r\n"+mailFor(0)+copyFor(0)+mailFor(1)+copyFor(1)+mailFor(2)+copyFor(2)+"QUIT\r\n",
			w.tapsTo(best)[0].text(), "sender, recipient, line and body, one after the other")
	})
}

// Each recipient has its own outcome, on the same session: a refused one costs RSET and nobody else anything.
func TestPersonalOutcomes(t *testing.T) {
	fromEach := func(c *Config) { c.VERP = []VERP{{Sender: "list@example.org", Template: classic}} }
	playRows(t, []row{
		{name: "the second recipient is refused", config: fromEach, want: []string{"delivered", "failed 5.1.1", "delivered"}, then: onSame,
			scripts: script(hello(), mxsim.Deliver(1), mxsim.ExpectAll("MAIL FROM:<list-bounces+b=one.test@", "RCPT TO:<b@", "DATA"),
				mxsim.Reply(ok, "550 5.1.1 no", "503 no"), resetThenDeliver(), mxsim.Deliver(1), mxsim.Bye())},
		{name: "one sender is refused: the others are not", config: fromEach, want: []string{"delivered", "failed 5.7.1", "delivered"}, then: onSame,
			scripts: script(hello(), mxsim.Deliver(1), mxsim.ExpectAll("MAIL FROM:<list-bounces+b=one.test@", "RCPT TO:<b@", "DATA"),
				mxsim.Reply("550 5.7.1 no", "503 no", "503 no"), resetThenDeliver(), mxsim.Deliver(1), mxsim.Bye())},
		{name: "one copy is refused", config: fromEach, want: []string{"delivered", "failed 5.6.0", "delivered"}, then: onSame,
			scripts: script(hello(), mxsim.Deliver(1), mxsim.ExpectAll("MAIL", "RCPT TO:<b@", "DATA"), mxsim.Reply(ok, ok, "354 go"), mxsim.ReadBody(),
				mxsim.ExpectAll("MAIL", "RCPT TO:<c@", "DATA"), mxsim.Reply("554 5.6.0 no", ok, ok, "354 go"), mxsim.ReadBody(), mxsim.Reply(ok),
				mxsim.Deliver(1), mxsim.Bye())},
		{name: "one copy is in doubt", config: fromEach, want: []string{"delivered", "uncertain 4.4.2", "delivered"},
			scripts: []mxsim.Script{{hello(), mxsim.Deliver(1), mxsim.ExpectAll("MAIL", "RCPT TO:<b@", "DATA"), mxsim.Reply(ok, ok, "354 go"), mxsim.ReadBody(),
				mxsim.ExpectAll("MAIL", "RCPT TO:<c@", "DATA"), fault, mxsim.Drop()}, {hello(), mxsim.Deliver(1), mxsim.Bye()}}},
	})
}

// A bounce keeps its null sender: RFC 5321 section 4.5.5 has no other for it. Its recipients share a transaction, without the line.
func TestBouncesAreNotPersonal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.VERP = []VERP{{Sender: "*", Template: classic, Header: "X-Recipient: {local}"}} })
		w.twoDomains(false)
		mx := w.serve(best, mxsim.Config{KeepContent: true})
		d := w.sendFrom("", shortContent, "a@one.test", "b@one.test", "c@two.test")
		assert.Equal(t, repeated("delivered", 3), d.wait(), "all are delivered")
		require.Len(t, mx.Messages(), 1, "in one transaction")
		assert.Equal(t, "", mx.Messages()[0].From, "without a sender")
		assert.Equal(t, shortContent, string(mx.Messages()[0].Content), "and without the line")
		assert.Zero(t, w.snapshot().Personal, "nothing is personal")
	})
}

// A rule is for its senders only: others' messages to the same hosts share transactions as ever.
func TestOthersAreNotPersonal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hosts := personalWorld(t, nil, nil)
		personal, plain := w.send(shortContent, addresses(20, "one.test")...), w.sendFrom("shop@example.org", shortContent, addresses(20, "one.test")...)
		assert.Equal(t, repeated("delivered", 20), personal.wait(), "one sender's are delivered")
		assert.Equal(t, repeated("delivered", 20), plain.wait(), "the other's too, although the content is equal")
		sizes := map[string]int{}
		for _, m := range hosts[0].Messages() {
			sizes[strings.SplitN(m.From, "+", 2)[0]] += len(m.To)
			assert.True(t, len(m.To) == 1 || m.From == "shop@example.org", "%d recipients from %s", len(m.To), m.From)
		}
		assert.Equal(t, map[string]int{"list-bounces": 20, "shop@example.org": 20}, sizes, "each from its sender")
		assert.EqualValues(t, 21, w.snapshot().Transactions, "20 for one, and one for the other")
	})
}

// An address that stands twice in a list, and once more in another chunk of it, gets one copy; each is told of it.
func TestPersonalTwins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hosts := personalWorld(t, nil, nil)
		one, two := w.send(shortContent, "a@one.test", "a@one.test", "b@one.test"), w.send(shortContent, "b@one.test", "c@one.test")
		assert.Equal(t, repeated("delivered", 3), one.wait(), "all of the first envelope are told")
		assert.Equal(t, repeated("delivered", 2), two.wait(), "all of the second too")
		assert.Len(t, hosts[0].Messages(), 3, "a copy for each address")
	})
}

// A recipient of whom no short address can be made is delivered from the list's own sender.
func TestRecipientTooLongForAPersonalSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hosts := personalWorld(t, nil, nil)
		long := strings.Repeat("x", 60)
		assert.Equal(t, repeated("delivered", 2), w.send(shortContent, long+"@one.test", "b@one.test").wait(), "both are delivered")
		senders := map[string]string{}
		for _, m := range hosts[0].Messages() {
			senders[m.To[0]] = m.From
		}
		want := map[string]string{long + "@one.test": "list@example.org", "b@one.test": "list-bounces+b=one.test@lists.example.org"}
		assert.Equal(t, want, senders, "one of them from the sender itself")
	})
}

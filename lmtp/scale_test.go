package lmtp

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// A crowd is the connection of a host that hands over a list of any length in one transaction, everything pipelined, and neither
// keeps the list nor the replies: what is in memory is the server's.
type crowd struct {
	net.Conn   // for deadlines and addresses only
	recipients int
	domains    int
	parameters func(b []byte, recipient []byte) []byte // appends what follows a recipient's path; nil is nothing
	begins     string                                  // each RCPT
	config     Config                                  // but for its Mailer

	next   int    // command to be written: LHLO, MAIL, the recipients, DATA with the content
	rest   []byte // of the one that is being read
	sent   int    // octets read by the server
	line   []byte // reply that is not complete
	lines  int    // replies to commands, a line each
	finals int    // final replies
	check  func(recipient int, reply []byte)
}

func newCrowd(t testing.TB, recipients, domains int) *crowd {
	theirs, ours := net.Pipe()
	t.Cleanup(func() { theirs.Close() })
	return &crowd{Conn: noDeadlines{ours}, recipients: recipients, domains: domains, begins: "RCPT TO:<"}
}

func (c *crowd) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(c.rest) == 0 {
			if c.next > c.recipients+2 {
				break
			}
			c.rest = c.command()
			c.next++
		}
		k := copy(p[n:], c.rest)
		c.rest, n = c.rest[k:], n+k
	}
	c.sent += n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// command is the next one, in the memory of the one before.
func (c *crowd) command() []byte {
	b := c.rest[:0]
	switch {
	case c.next == 0:
		return append(b, "LHLO crowd\r\n"...)
	case c.next == 1:
		return append(b, "MAIL FROM:<sender@example.org>\r\n"...)
	case c.next < c.recipients+2:
		return c.recipient(b, c.next-2)
	}
	return append(b, "DATA\r\ntext\r\n.\r\nQUIT\r\n"...)
}

func (c *crowd) recipient(b []byte, i int) []byte {
	b = strconv.AppendInt(append(append(b, c.begins...), "user"...), int64(i), 10)
	b = strconv.AppendInt(append(b, "@domain"...), int64(i%c.domains), 10)
	b = append(b, ".example>"...)
	if c.parameters != nil {
		b = c.parameters(b, b[len(c.begins):len(b)-1])
	}
	return append(b, "\r\n"...)
}

// Write reads replies: the lines up to 354, a final reply for each recipient, and 221.
func (c *crowd) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		line, rest, complete := bytes.Cut(p, endOfLine[1:])
		p = rest
		if c.line = append(c.line, line...); complete {
			c.reply(c.line)
			c.line = c.line[:0]
		}
	}
	return n, nil
}

// greeting is how many lines come before the recipients: 220, six for LHLO and one more with DSN, MAIL.
func (c *crowd) greeting() int {
	if c.config.DSN {
		return 9
	}
	return 8
}

func (c *crowd) reply(line []byte) {
	if c.lines <= c.greeting()+c.recipients {
		c.lines++
		return
	}
	if c.finals < c.recipients {
		c.check(c.finals, line)
	}
	c.finals++
}

// serve runs the whole transaction.
func (c *crowd) serve(t testing.TB, m Mailer) {
	c.config.Mailer = m
	assert.NoError(t, New(c.config).ServeConn(c), "the connection ends well")
	assert.Equal(t, c.recipients+1, c.finals, "every recipient and QUIT got a reply")
}

// raceDetector says that everything takes ten times as long.
func raceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// A million recipients in one envelope, settled in any order, each with its own words, are answered in theirs.
func TestMillion(t *testing.T) {
	recipients := 1_000_000
	if raceDetector() || testing.Short() {
		recipients = 200_000
	}
	c := newCrowd(t, recipients, 10000)
	var wrong []string // the first one
	c.check = func(i int, reply []byte) {
		if string(reply) != "550 5.1.1 "+strconv.Itoa(i)+"\r" && wrong == nil {
			wrong = append(wrong, fmt.Sprintf("recipient %d: %q", i, reply))
		}
	}
	m := newMailer()
	m.onSend = func(e *feed.Envelope) {
		assert.Equal(t, recipients, len(e.Recipients), "all are handed over")
		assert.Equal(t, recipients, len(e.Routes), "all have a route")
		go settleShuffled(e)
	}
	c.serve(t, m)
	assert.Empty(t, wrong, "each recipient hears its own words, in order")
}

// settleShuffled settles with some recipients at a time, as transactions do.
func settleShuffled(e *feed.Envelope) {
	order := rand.New(rand.NewPCG(1, 2)).Perm(len(e.Recipients))
	batch := make([]feed.Settlement, 0, 100)
	for k, i := range order {
		o := &feed.Outcome{Class: feed.Failed, Status: wire.Enhanced{Class: 5, Subject: 1, Detail: 1}, Err: fmt.Errorf("%d", i)}
		batch = append(batch, feed.Settlement{Recipient: i, Outcome: o})
		if len(batch) == cap(batch) || k == len(order)-1 {
			e.Sink.Settle(batch)
			batch = batch[:0]
		}
	}
}

// Octets that a recipient which waits for its outcome may take of this package's memory, go-smtp included, with its address in the
// envelope; feed needs about 200 more.
const (
	perRecipient      = 100
	perRecipientAsked = 130 // with parameters of RFC 3461, and an original recipient that is the list or the recipient
)

// asks are the ways in which the recipients of a list ask for notifications.
var asks = []struct {
	name       string
	limit      int
	parameters func(b, recipient []byte) []byte
}{
	{"nothing", perRecipient, nil},
	{"ORCPT of the recipient", perRecipientAsked, func(b, r []byte) []byte { return append(append(b, " ORCPT=rfc822;"...), r...) }},
	{"ORCPT of the list and NOTIFY", perRecipientAsked, func(b, _ []byte) []byte {
		return append(b, " ORCPT=rfc822;everybody@lists.example.org NOTIFY=SUCCESS,FAILURE"...)
	}},
	{"NOTIFY", perRecipientAsked, func(b, _ []byte) []byte { return append(b, " NOTIFY=NEVER"...) }},
}

func TestMemoryOfWaitingRecipients(t *testing.T) {
	for _, recipients := range []int{50_000, 100_000, 200_000} {
		for _, a := range asks {
			t.Run(strconv.Itoa(recipients)+"/"+a.name, func(t *testing.T) { testMemoryOfWaiting(t, recipients, a.limit, a.parameters) })
		}
	}
}

func testMemoryOfWaiting(t *testing.T, recipients, limit int, parameters func(b, recipient []byte) []byte) {
	c := newCrowd(t, recipients, 10000)
	c.check = func(int, []byte) {}
	c.parameters, c.config.DSN = parameters, parameters != nil
	m := newMailer()
	var octets int
	before := baseline()
	m.onSend = func(e *feed.Envelope) {
		octets = (int(baseline()) - int(before)) / recipients
		assert.Equal(t, parameters != nil, e.Notify != nil, "what they asked for is kept, where they did")
		go deliverAll(e)
	}
	c.serve(t, m)
	t.Logf("%d octets a recipient", octets)
	assert.LessOrEqual(t, octets, limit, "octets for each recipient that waits")
	assert.Positive(t, octets, "something was measured")
}

func baseline() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A hint is worth the more the earlier it comes: each is given before anything behind its recipient is waited for, also when the
// host sends everything at once.
func TestHintsComeWithTheirRecipients(t *testing.T) {
	const recipients = 10000
	c := newCrowd(t, recipients, recipients)
	c.check = func(int, []byte) {}
	m := &eager{mailer: newMailer(), crowd: c, seen: map[string]bool{}}
	m.onSend = deliverAll
	c.serve(t, m)
	require.Len(t, m.read, recipients, "each domain is hinted")
	begin := len("LHLO crowd\r\nMAIL FROM:<sender@example.org>\r\n")
	for i, read := range m.read {
		end := begin + len(c.recipient(nil, i))
		require.LessOrEqual(t, read-end, inputSize, "the hint of domain %d comes before more is read than one piece", i)
		begin = end
	}
}

// An eager Mailer notes how much of the host's octets were read when a hint came.
type eager struct {
	*mailer
	crowd *crowd
	read  []int
	seen  map[string]bool
}

func (m *eager) Hint(domain string) {
	m.seen[domain] = true
	m.read = append(m.read, m.crowd.sent)
}

// Expect is a hint too, for domains that had none.
func (m *eager) Expect(domain string) {
	if !m.seen[domain] {
		m.Hint(domain)
	}
}

func (m *eager) Announce(wire.Address, feed.Params) {}
func (m *eager) Withdraw(wire.Address, feed.Params) {}

package feed

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A body arrives octet for octet, whatever its size and wherever its dots stand, and also through a window so small that
// neither side could write all it has before it reads (PIP-04). A hundred recipients are pipelined before it.
func TestBodiesArrive(t *testing.T) {
	for name, content := range bodies() {
		for _, window := range []int{1 << 10, 64 << 10} {
			t.Run(fmt.Sprintf("%s, window %d", name, window), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testBodyArrives(t, content, window) })
			})
		}
	}
}

// bodies are contents that are hard to carry.
func bodies() map[string]string {
	bodies := map[string]string{
		"0 octets":         "",
		"one dot":          ".\r\n",
		"only line ends":   strings.Repeat("\r\n", 3),
		"300 KiB":          text(300 << 10),
		"5 MiB of dots":    dottedText(5 << 20),
		"one line, 1 MiB":  strings.Repeat("y", 1<<20) + "\r\n",
		"300 KiB of dots":  strings.Repeat(".\r\n", 100<<10),
		"an exact chunk":   text(chunk),
		"a chunk and more": text(chunk) + "z\r\n",
	}
	for shift := -3; shift <= 1; shift++ {
		bodies[fmt.Sprintf("a dot at chunk%+d", shift)] = text(chunk+shift) + ".dot\r\n" + text(1000)
	}
	return bodies
}

// dottedText is lines of many lengths, every second one with a dot in front.
func dottedText(size int) string {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(strings.Repeat(".", r.IntN(2)*(1+r.IntN(3))) + strings.Repeat("x", r.IntN(75)) + "\r\n")
	}
	return b.String()
}

func testBodyArrives(t *testing.T, content string, window int) {
	w := newWorld(t)
	w.net.Default(netsim.Link{Latency: time.Millisecond, Window: window})
	w.table.set("one.test", "10 mx1.test "+best)
	s := w.serve(best, mxsim.Config{KeepContent: true})
	d := w.send(content, addresses(100, "one.test")...)
	assert.Equal(t, repeated("delivered", 100), d.wait(), "all are delivered")
	require.Len(t, s.Messages(), 1, "in one transaction")
	assert.True(t, bytes.Equal([]byte(content), s.Messages()[0].Content), "octet for octet")
	assert.Equal(t, addresses(100, "one.test"), s.Messages()[0].To, "with all recipients")
	assert.Empty(t, s.Violations(), "and nothing that the server complains of")
}

// The end of data leaves in one write with the line end before it, and the commands of a transaction in one write.
func TestWritesOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.twoDomains(false)
		w.serve(best, mxsim.Config{})
		content := dottedText(200 << 10)
		w.send(content, "a@one.test", "b@one.test", "c@two.test").wait()
		w.finish()
		writes := w.tapsTo(best)[0].texts()
		assert.Equal(t, "EHLO localhost\r\n", writes[0], "EHLO is alone")
		assert.Equal(t, 5, strings.Count(writes[1], "\r\n"), "MAIL, three RCPT and DATA are one group")
		end := slices.IndexFunc(writes, func(s string) bool {
			return strings.HasSuffix(s, ".\r\n") && strings.HasSuffix(writes[len(writes)-2], s)
		})
		assert.Equal(t, len(writes)-2, end, "the end of data is the last write before QUIT")
		assert.True(t, strings.HasSuffix(writes[end], "\r\n.\r\n"), "GRT-11: CRLF.CRLF is not torn")
	})
}

// With the next transaction's commands behind each body, transactions cost one round trip each: RFC 2920 section 3.1.
func TestRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, rtt = 40, 100 * time.Millisecond
		w := newWorld(t, func(c *Config) { c.RecipientsPerTransaction = 1 })
		w.net.Default(netsim.Link{Latency: rtt / 2})
		w.table.set("one.test", "10 mx1.test "+best)
		s := w.serve(best, mxsim.Config{})
		d := w.send(shortContent, addresses(n, "one.test")...)
		assert.Equal(t, repeated("delivered", n), d.wait(), "all are delivered")
		assert.Len(t, s.Messages(), n, "each in a transaction")
		// Dial and greeting, EHLO, the commands and the body of the first transaction, the commands of the second.
		const others = 2 + 1 + 1 + 1 + 1
		assert.LessOrEqual(t, d.latest(), (n+others)*rtt, "a round trip each, and a few for the beginning")
		snap := w.snapshot()
		assert.EqualValues(t, n-2, snap.Pipelined, "all but the first two rode behind a body")
		assert.EqualValues(t, n-1, snap.SessionsReused, "all but the first reused the session")
		assert.Equal(t, 1, w.dials(best), "one session")
		assert.Empty(t, s.Violations(), "nothing came before its time")
	})
}

// A thousand recipients in a hundred domains on ten hosts: a session and a transaction a host, and everybody once.
func TestThousandRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.SessionsPerHost = 10 })
		w.net.Default(netsim.Link{Latency: 200 * time.Millisecond}) // so that all domains are resolved before a session is open
		var servers []*mxsim.Server
		for i := range 10 {
			servers = append(servers, w.serve(fmt.Sprint("192.0.2.", 10+i), mxsim.Config{}))
		}
		var to []string
		for i := range 100 {
			domain := fmt.Sprintf("d%d.test", i)
			w.table.set(domain, fmt.Sprintf("10 mx%d.test 192.0.2.%d", i%10, 10+i%10))
			to = append(to, addresses(10, domain)...)
		}
		assert.Equal(t, repeated("delivered", 1000), w.send(shortContent, to...).wait(), "all are delivered")
		var arrived []string
		for i, s := range servers {
			require.Len(t, s.Messages(), 1, "host %d gets one transaction", i)
			assert.Equal(t, 1, s.Stats().Sessions, "host %d gets one session", i)
			arrived = append(arrived, s.Messages()[0].To...)
		}
		assert.ElementsMatch(t, to, arrived, "everybody gets the message once")
		assert.EqualValues(t, 10, w.snapshot().Piggybacked, "the transactions are shared by domains")
	})
}

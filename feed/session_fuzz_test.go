package feed

import (
	"bytes"

	"net"

	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/test/netsim"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Octets of a hostile script that are not sent.
const (
	pause     = '\x00' // 1 ms: the segment ends, and the client has done all it can
	listening = '\x01' // until the client has said something, at most 10 s
	longPause = '\x02' // 200 s
	finish    = '\x03' // FIN, and nothing more is read
	abort     = '\x04' // RST
)

// FuzzSession plays what a hostile server may send, in whatever segments and with whatever pauses, to a session with a
// transaction for three recipients. However it ends, it ends in time, everybody is settled once, nobody is delivered without a
// complete 2xx behind the end of data, and nobody bounces without a 5xx.
func FuzzSession(f *testing.F) {
	const hi = "220 mx\r\n\x01250-mx\r\n250 PIPELINING\r\n\x01"
	const taken = hi + "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n\x01"
	for _, script := range []string{
		taken + "250 2.0.0 queued\r\n\x01221 bye\r\n",
		taken + "250-2.0.0 que\x00ued\r\n250 2.0.0 queued\r\n421 bye\r\n\x03",
		taken + "451 4.3.0 later\r\n", taken + "554 no\r\n", taken + "250 queu\x03", taken + "\x02\x02\x02250 late\r\n", taken + "\x04", taken + "354 go\r\n",
		hi + "250 ok\r\n250 ok\r\n450 later\r\n550 no\r\n354 go\r\n250 early\r\n",
		hi + "250 ok\r\n250 ok\r\n450 later\r\n550 no\r\n354 go\r\n25\x010 half\r\n",
		hi + "250 ok\r\n550 no\r\n550 no\r\n550 no\r\n354 go\r\n\x01250 ok\r\n",
		hi + "250 ok\r\n250 ok\r\n452 4.5.3 many\r\n452 4.5.3 many\r\n354 go\r\n\x01250 ok\r\n\x01250 ok\r\n250 ok\r\n354 go\r\n\x01250 ok\r\n\x01250 ok\r\n250 ok\r\n354 go\r\n\x01250 ok\r\n",
		hi + "451 no\r\n503 no\r\n503 no\r\n503 no\r\n503 no\r\n", hi + "550 no\r\n\x03", hi + "250 ok\r\nhello\r\n250 ok\r\n", hi + "250 ok\r\n250-a\r\n550 b\r\n",
		"220 mx\r\n\x01500 what\r\n\x01250 mx\r\n\x01250 ok\r\n\x01250 ok\r\n\x01250 ok\r\n\x01551 no\r\n\x01354 go\r\n\x01250 ok\r\n\x01",
		"220 ***\r\n\x01421 bye\r\n\x03", "554 no\r\n", "SSH-2.0\r\n", "220 a\r\n220 b\r\n", "", "\x03", "\x04", "2\x0020 mx\r\n", "220-\x02\x02220 mx\r\n",
	} {
		f.Add([]byte(script))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		synctest.Test(t, func(t *testing.T) { testHostileSession(t, script) })
	})
}

func testHostileSession(t *testing.T, script []byte) {
	w := newWorld(t)
	w.net.Default(netsim.Link{}) // what crosses on the way cannot be told apart by anybody
	w.table.set("one.test", "10 mx1.test "+best)
	l, err := w.net.Listen(at(best))
	require.NoError(t, err)
	h := &hostile{script: script, spoke: make(chan struct{}, 1)}
	w.closers = append(w.closers, h.close)
	h.running.Go(func() { h.serve(l) })
	d := w.send(shortContent, "a@one.test", "b@one.test", "c@one.test")
	outcomes := d.wait()
	assert.LessOrEqual(t, d.latest(), budget, "everybody is told in time")
	w.finish()
	for i, outcome := range outcomes {
		switch {
		case outcome == "delivered":
			assert.True(t, h.dotted(), "recipient %d is delivered only if the end of data arrived", i)
			assert.Regexp(t, `(?m)^2\d\d( .*)?\r?\n`, h.behindDot, "recipient %d is delivered only if a complete 2xx followed", i)
		case strings.HasPrefix(outcome, "failed"):
			assert.Regexp(t, `(?m)^5\d\d`, h.sent, "recipient %d bounces only if somebody said 5xx", i)
		case strings.HasPrefix(outcome, "uncertain"):
			assert.Contains(t, w.tapsTo(best)[0].text(), shortContent+".", "recipient %d is in doubt only if the end of data left", i)
		}
	}
}

// A hostile server serves one connection; further ones are refused.
type hostile struct {
	script  []byte
	conn    net.Conn
	running sync.WaitGroup

	mu        sync.Mutex
	heard     []byte
	spoke     chan struct{} // holds a token when the client has said something; capacity 1
	sent      string
	behindDot string // of sent, from the line on that was not complete when the end of data arrived
}

func (h *hostile) serve(l net.Listener) {
	c, err := l.Accept()
	l.Close()
	if err != nil {
		return
	}
	h.conn = c
	h.running.Go(h.listen)
	h.play()
}

// listen takes whatever the client says.
func (h *hostile) listen() {
	b := make([]byte, 4096)
	for {
		n, err := h.conn.Read(b)
		h.mu.Lock()
		h.heard = append(h.heard, b[:n]...)
		h.mu.Unlock()
		if err != nil {
			return
		}
		select {
		case h.spoke <- struct{}{}:
		default:
		}
	}
}

// play sends the script. Segments that no pause parts are one; behind each pause the client has had its time, so that what
// came before the end of data and what behind it is never in question.
func (h *hostile) play() {
	for rest := h.script; len(rest) > 0; {
		n := bytes.IndexFunc(rest, func(c rune) bool { return c <= abort })
		if n != 0 {
			if n < 0 {
				n = len(rest)
			}
			h.say(rest[:n])
			rest = rest[n:]
			continue
		}
		if h.rest(rest[0]) {
			return
		}
		rest = rest[1:]
	}
}

func (h *hostile) say(segment []byte) {
	h.mu.Lock()
	h.sent += string(segment)
	if h.dotted() {
		if h.behindDot == "" {
			before := strings.TrimSuffix(h.sent, string(segment))
			h.behindDot = before[strings.LastIndexByte(before, '\n')+1:]
		}
		h.behindDot += string(segment)
	}
	h.mu.Unlock()
	h.conn.Write(segment) // the client may be gone
}

// rest does what one of the octets that are not sent says; over is true when nothing follows.
func (h *hostile) rest(octet byte) (over bool) {
	switch octet {
	case listening:
		select {
		case <-h.spoke:
		case <-time.After(10 * time.Second):
		}
	case longPause:
		time.Sleep(200 * time.Second)
	case finish:
		h.conn.(interface{ CloseWrite() error }).CloseWrite()
		return true
	case abort:
		h.conn.(interface{ Reset() error }).Reset()
		return true
	}
	time.Sleep(time.Millisecond)
	return false
}

// dotted says that the whole content and the end of data arrived.
func (h *hostile) dotted() bool { return bytes.Contains(h.heard, []byte(shortContent+".\r\n")) }

func (h *hostile) close() {
	if h.conn != nil {
		h.conn.Close()
	}
	h.running.Wait()
}

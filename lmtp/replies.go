package lmtp

import (
	"bytes"
	"net"
	"sync"
	"time"
)

const (
	// gather is how many octets of replies make a write worth it. go-smtp writes each line alone, which for a large transaction
	// costs more than all the rest.
	gather = 16 << 10
	// linger is how long a reply waits for company when nobody reads: long enough for a batch of outcomes, and short enough
	// that what the host knows is never far behind what happened.
	linger = 3 * time.Millisecond
)

// mark is the text of the final replies that go-smtp gives, "451 4.3.0 <recipient> \x00". They are dropped, since the host has
// heard them already, from answers. No recipient has this octet.
const mark = 0

// accepted is the reply to RCPT.
const accepted = "250 2.1.5 Ok"

// mended are the replies of go-smtp that are set right on their way out, by how they begin. "" drops the line. The most
// frequent stands first.
var mended = []struct{ begins, line string }{
	// Shorter, and without the host's octets in it.
	{"250 2.0.0 I'll make sure <", accepted + "\r\n"},
	{"250 2.0.0 Roger, accepting mail from <", "250 2.1.0 Ok\r\n"},
	// RFC 2033 section 4.2: "If there were no previously successful RCPT commands in the mail transaction, then the DATA
	// command MUST fail with a 503 reply code."
	{"502 5.5.1 Missing RCPT TO command.", "503 5.5.1 No recipient was accepted\r\n"},
	// RFC 5321 section 4.1.4: "a 503 'Bad sequence of commands' response" for commands out of order.
	{"502 5.5.1 Missing MAIL FROM command.", "503 5.5.1 No sender was accepted\r\n"},
	{"502 5.5.1 Please introduce yourself first.", "503 5.5.1 LHLO first\r\n"},
	// RFC 1870: "A value of 0 (zero) indicates that no fixed maximum message size is in force."
	{"250 SIZE\r\n", "250 SIZE 0\r\n"},
}

// chunking is announced by go-smtp whatever it is told, and must not be (doc.go); REQUIRETLS takes its place where it is offered, which
// go-smtp would do inside of TLS only.
const (
	chunking   = "250-CHUNKING\r\n"
	requireTLS = "250-REQUIRETLS\r\n"
)

// hello is how go-smtp's reply to LHLO begins; RFC 5321 section 4.1.1.1 wants our name there, not the host's.
const hello = "250-Hello "

// replies gathers what go-smtp answers, and mends it line by line.
type replies struct {
	conn    net.Conn
	timeout time.Duration
	greet   string // the first line of the reply to LHLO
	instead string // of the line chunking
	failed  func() // called once when a write failed

	mu      sync.Mutex // guards what follows, against the timer; not held while writing
	line    []byte     // go-smtp's, not yet complete
	buf     []byte     // to be written
	spare   []byte     // its memory by turns
	writing bool
	written sync.Cond // writing has become false
	timer   *time.Timer
	err     error // of the first write that failed; nothing is written after it
}

func newReplies(nc net.Conn, config *Config, failed func()) *replies {
	r := &replies{conn: nc, timeout: config.WriteTimeout, greet: "250-" + config.Hostname + "\r\n", failed: failed}
	r.written.L = &r.mu
	return r
}

// Write takes a line from go-smtp, or a piece of a long one.
func (r *replies) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return 0, r.err
	}
	r.line = append(r.line, p...)
	if bytes.HasSuffix(r.line, endOfLine) {
		had := len(r.buf)
		r.buf = append(r.buf, r.mend(r.line)...)
		r.line = r.line[:0]
		r.gathered(had)
	}
	return len(p), nil
}

// say adds a reply of our own, without its line end, behind those that go-smtp gave.
func (r *replies) say(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	had := len(r.buf)
	r.buf = append(append(r.buf, line...), endOfLine...)
	r.gathered(had)
}

// gathered is called when buf, which had so many octets, has got more. Without a Read that flushes, the timer does: final replies
// stream.
func (r *replies) gathered(had int) {
	switch {
	case len(r.buf) >= gather:
		r.send()
	case had > 0 || len(r.buf) == 0:
	case r.timer == nil:
		r.timer = time.AfterFunc(linger, r.flush)
	default:
		r.timer.Reset(linger)
	}
}

// flush writes what was gathered.
func (r *replies) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.send()
}

// close writes what was gathered, and takes nothing more.
func (r *replies) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.send()
	if r.timer != nil {
		r.timer.Stop()
	}
	if r.err == nil {
		r.err = net.ErrClosed
	}
}

func (r *replies) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// send writes what was gathered until then; who calls it holds the mutex. go-smtp ignores errors of writes, so the host that left
// is noted here.
func (r *replies) send() {
	for r.writing {
		r.written.Wait()
	}
	if len(r.buf) == 0 || r.err != nil {
		return
	}
	out := r.buf
	r.buf, r.writing = r.spare[:0], true
	r.mu.Unlock()
	r.conn.SetWriteDeadline(time.Now().Add(r.timeout))
	_, err := r.conn.Write(out)
	r.mu.Lock()
	r.spare, r.writing = out, false
	r.written.Broadcast()
	if err != nil {
		r.err = err
		r.failed()
	}
}

// mend returns what is sent for a line of go-smtp. The line is ours to change.
func (r *replies) mend(line []byte) []byte {
	if isTold(line) {
		return nil
	}
	for _, m := range mended {
		if begins(line, m.begins) {
			return append(line[:0], m.line...)
		}
	}
	if begins(line, hello) {
		return append(line[:0], r.greet...)
	}
	if string(line) == chunking {
		return append(line[:0], r.instead...)
	}
	return printable(line)
}

func begins(line []byte, with string) bool {
	return len(line) >= len(with) && string(line[:len(with)]) == with
}

// isTold recognises what go-smtp makes of told. No reply of ours or of its own begins like that.
func isTold(line []byte) bool {
	return begins(line, "451 4.3.0 <") && bytes.HasSuffix(line, []byte{'>', ' ', mark, '\r', '\n'})
}

// printable replaces what a host must not find in a reply: go-smtp quotes commands it does not know.
func printable(line []byte) []byte {
	for i := range len(line) - len(endOfLine) {
		if line[i] < ' ' || line[i] > '~' {
			line[i] = '?'
		}
	}
	return line
}

package security

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A leniency is how a receiver that does not keep to RFC 5321 finds the end of data. It judges by what is left of the octets when
// those it ignores are gone.
type leniency struct {
	name    string
	ignores string         // octets that it does not see
	end     *regexp.Regexp // what ends a content for it
}

// leniencies are the receivers of SEC Consult's paper on SMTP smuggling (December 2023) and its like, then such as take everything
// together. What only ends lines in one way is there by its own name, so that a failure tells what it is that leaks.
func leniencies() []leniency {
	// CRLF ends lines for all of them, beside what else does.
	end := func(before, after string) *regexp.Regexp {
		return regexp.MustCompile(`(?:\r\n|` + before + `)\.(?:\r\n|` + after + `)`)
	}
	return []leniency{
		{"CRLF.CRLF alone (RFC 5321)", "", end(`\r\n`, `\r\n`)},
		{"LF.LF", "", end(`\n`, `\n`)},
		{"LF.CRLF (CVE-2023-51764, CVE-2023-51766)", "", end(`\n`, `\r\n`)},
		{"CRLF.LF", "", end(`\r\n`, `\n`)},
		{"CR.CR", "", end(`\r`, `\r`)},
		{"CR.CRLF", "", end(`\r`, `\r\n`)},
		{"CRLF.CR", "", end(`\r\n`, `\r`)},
		{"CR.LF", "", end(`\r`, `\n`)},
		{"CR and LF end lines alike (Cisco's clean)", "", end(`[\r\n]`, `[\r\n]`)},
		{"any number of CR before LF", "", end(`\n`, `\r*\n`)},
		{"LF CR ends a line", "", end(`\n\r?`, `\n\r?|\r`)},
		{"NUL is ignored", "\x00", end(`[\r\n]`, `[\r\n]`)},
		{"CR is ignored", "\r", end(`\n`, `\n`)},
		{"control octets are ignored", "\x00\x01\x0b\x0c\x1a\x7f", end(`[\r\n]`, `[\r\n]`)},
		{"blanks behind the dot are ignored", "\x00", end(`[\r\n]`, `[ \t]*(?:\r\n|[\r\n])`)},
	}
}

// A letter is what a receiver takes for one message, and what was said to it first.
type letter struct {
	commands []string // MAIL, RCPT and DATA or BDAT
	octets   string   // from the invitation to what it takes for the end, that one included
}

// A receiver is a mail host that is lenient in one way.
type receiver struct {
	leniency
	chunking bool
	listener net.Listener

	mu       sync.Mutex
	letters  []letter
	commands []string // all lines that it took for commands
	running  sync.WaitGroup
}

// receive starts a receiver, which ends with the test.
func receive(t *testing.T, l leniency, chunking bool) *receiver {
	t.Helper()
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err, "there is a free port")
	r := &receiver{leniency: l, chunking: chunking, listener: nl}
	r.running.Go(func() { r.accept(nl) })
	t.Cleanup(func() {
		nl.Close()
		r.running.Wait()
	})
	return r
}

// receivers starts one receiver of each kind.
func receivers(t *testing.T, chunking bool) (all []*receiver) {
	for _, l := range leniencies() {
		all = append(all, receive(t, l, chunking))
	}
	return all
}

// routesTo are static routes by which d0.test, d1.test, ... are at these receivers, and an address at each.
func routesTo(all []*receiver) (routes, to []string) {
	for i, r := range all {
		routes = append(routes, fmt.Sprintf("d%d.test %s", i, r.at()))
		to = append(to, fmt.Sprintf("a@d%d.test", i))
	}
	return routes, to
}

// at is where the receiver listens, as routes name it.
func (r *receiver) at() string {
	a := r.listener.Addr().(*net.TCPAddr)
	return fmt.Sprintf("[%s]:%d", a.IP, a.Port)
}

// taken are the letters since it was last asked.
func (r *receiver) taken() []letter {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.letters
	r.letters = nil
	return l
}

// heard are all command lines so far.
func (r *receiver) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.commands)
}

// accept serves each connection until the listener closes.
func (r *receiver) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() {
			defer c.Close()
			d := &dialogue{receiver: r, conn: c}
			d.run()
		})
	}
}

// A dialogue is one connection of a receiver.
type dialogue struct {
	*receiver
	conn   net.Conn
	buf    []byte // what was read and not yet taken
	letter letter // so far
}

// run obeys commands until the client leaves. It says yes to everything, also out of order: what was smuggled would be obeyed.
func (d *dialogue) run() {
	fmt.Fprintf(d.conn, "220 lenient.test ESMTP\r\n")
	for {
		line, ok := d.cut("\r\n")
		if !ok {
			return
		}
		d.mu.Lock()
		d.commands = append(d.commands, line)
		d.mu.Unlock()
		if !d.obey(line) {
			return
		}
	}
}

func (d *dialogue) obey(line string) bool {
	verb, argument, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO", "LHLO":
		extensions := "250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
		if verb == "EHLO" {
			extensions += "250-STARTTLS\r\n" // a lie: smtpfeed does not ask for it, and real servers behind it speak LMTP
		}
		if d.chunking {
			extensions += "250-CHUNKING\r\n"
		}
		return d.reply("250-lenient.test\r\n" + extensions + "250 ENHANCEDSTATUSCODES")
	case "QUIT":
		d.reply("221 2.0.0 bye")
		return false
	case "DATA":
		return d.data(line)
	case "BDAT":
		return d.chunk(line, argument)
	case "MAIL", "RCPT":
		d.letter.commands = append(d.letter.commands, line)
	}
	return d.reply("250 2.0.0 as you like")
}

func (d *dialogue) reply(text string) bool {
	_, err := io.WriteString(d.conn, text+"\r\n")
	return err == nil
}

// data reads a content up to what this receiver takes for its end.
func (d *dialogue) data(line string) bool {
	if !d.reply("354 go on") {
		return false
	}
	for seen := 0; ; {
		if n := d.ended(seen); n > 0 {
			d.keep(line, n)
			return d.reply("250 2.0.0 taken")
		}
		seen = max(0, len(d.buf)-16) // no end is longer
		if !d.read() {
			return false
		}
	}
}

// lineEnd stands before a content: its begin begins a line.
const lineEnd = "\r\n"

// ended is where the content ends in buf, or 0. What stands before from has no end in it.
func (d *dialogue) ended(from int) int {
	text := append([]byte(lineEnd), d.buf...)
	seen, at := text[from:], func(i int) int { return from + i }
	if d.ignores != "" {
		left, where := without(text, d.ignores)
		seen, at = left, func(i int) int { return where[i] }
	}
	dot := bytes.IndexByte(seen, '.')
	if dot < 0 {
		return 0
	}
	skip := max(0, dot-8) // no line end is longer
	m := d.end.FindIndex(seen[skip:])
	if m != nil {
		m = []int{m[0] + skip, m[1] + skip}
	}
	// What follows a CR is looked at first: it may be the LF that belongs to it.
	if m == nil || m[1] == len(seen) && seen[m[1]-1] == '\r' {
		return 0
	}
	return at(m[1]-1) + 1 - len(lineEnd)
}

// without is text less some octets, and where in text each octet that is left stands.
func without(text []byte, octets string) (left []byte, at []int) {
	for i, c := range text {
		if strings.IndexByte(octets, c) < 0 {
			left, at = append(left, c), append(at, i)
		}
	}
	return left, at
}

// chunk reads what BDAT announces (RFC 3030).
func (d *dialogue) chunk(line, argument string) bool {
	size, _, _ := strings.Cut(argument, " ")
	n, err := strconv.Atoi(size)
	if err != nil {
		return d.reply("501 5.5.4 no size")
	}
	for len(d.buf) < n {
		if !d.read() {
			return false
		}
	}
	d.keep(line, n)
	return d.reply("250 2.0.0 taken")
}

// keep takes the first n octets as a letter's.
func (d *dialogue) keep(line string, n int) {
	d.letter.commands = append(d.letter.commands, line)
	d.letter.octets = string(d.buf[:n])
	d.buf = d.buf[n:]
	d.mu.Lock()
	defer d.mu.Unlock()
	d.letters = append(d.letters, d.letter)
	d.letter = letter{}
}

// cut takes a line.
func (d *dialogue) cut(end string) (line string, ok bool) {
	for {
		if before, after, found := strings.Cut(string(d.buf), end); found {
			d.buf = []byte(after)
			return before, true
		}
		if !d.read() {
			return "", false
		}
	}
}

func (d *dialogue) read() bool {
	more := make([]byte, 64<<10)
	n, err := d.conn.Read(more)
	d.buf = append(d.buf, more[:n]...)
	return n > 0 || err == nil
}

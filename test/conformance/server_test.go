package conformance

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A server is one connection of an exchanger: polite, but for its host's faults. It answers a group of commands (RFC 2920)
// together, when nothing more of it has come, as servers do; so what a fault says stands in one segment with the replies before
// it.
type server struct {
	host     *exchanger
	raw      net.Conn // as accepted
	conn     *recorder
	in       *bufio.Reader
	rec      *connection
	stop     <-chan struct{} // closed when the row is over
	out      strings.Builder // replies that were not written yet
	txn      *transaction    // under way; nil: none is
	n        int             // the number of the connection, from 1
	begun    int             // transactions
	last     int             // the code said last
	said     string          // to the last command
	naming   string          // the recipient that is being answered
	reset    bool            // RSET came since the last transaction
	chunking bool            // contents come by BDAT
	lenient  bool            // what comes need not be commands

	hello   mxsim.ClientHello    // of the handshake under way
	under   net.Conn             // what it goes over
	channel *tls.ConnectionState // of TLS; nil: plaintext
}

// inputSize is more than a group of commands for a hundred recipients: what has come can be looked at without taking it.
const inputSize = 64 << 10

func newServer(h *exchanger, c net.Conn, n int) *server {
	s := &server{host: h, raw: c, rec: &connection{from: hostOf(c.RemoteAddr())}, n: n, stop: h.stop}
	s.conn = &recorder{Conn: c, mu: &h.mu, rec: s.rec}
	s.in = bufio.NewReaderSize(s.conn, inputSize)
	return s
}

// hostOf is an address without its port.
func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String() // of a pipe
	}
	return host
}

// serve is the whole dialogue.
func (s *server) serve() {
	defer s.raw.Close()
	if f := s.fault(atConnect, ""); f != nil && !s.misbehave(f) {
		return
	}
	if !s.host.ready(s.stop) {
		return
	}
	if _, ok := s.answer(atGreeting, "", "220 mx.test ESMTP"); !ok {
		return
	}
	for s.command() {
	}
}

// command takes one command and answers it.
func (s *server) command() bool {
	line, ok := s.line()
	if !ok {
		return false
	}
	verb, rest, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO":
		s.syncPoint(line)
		at := atEhlo
		if s.channel != nil {
			at = atEhloTLS
		}
		_, ok = s.answer(at, "", s.host.hello(s.channel != nil)...)
	case "HELO":
		s.syncPoint(line)
		_, ok = s.answer(atHelo, "", "250 mx.test")
	case "STARTTLS":
		ok = s.startTLS(line)
	case "MAIL":
		ok = s.mail(rest)
	case "RCPT":
		ok = s.rcpt(rest)
	case "DATA":
		ok = s.data(line)
	case "BDAT":
		ok = s.bdat(rest)
	case "RSET":
		s.txn, s.reset = nil, true
		_, ok = s.answer(atRset, "", "250 2.0.0 flushed")
	case "QUIT":
		s.host.locked(func() { s.rec.sawQuit = true })
		if _, ok = s.answer(atQuit, "", "221 2.0.0 bye"); ok {
			s.flush()
			s.hangUp()
		}
		return false
	default:
		if !s.lenient {
			s.complain("no command: %.80q", line)
		}
		_, ok = s.answer("other", "", "500 5.5.2 what")
	}
	return ok
}

func (s *server) mail(rest string) (ok bool) {
	s.begun++
	address, params, _ := strings.Cut(strings.TrimPrefix(rest, "FROM:"), " ")
	t := &transaction{from: strings.Trim(address, "<>"), params: params, grouped: s.in.Buffered() > 0}
	s.host.locked(func() { s.rec.transactions = append(s.rec.transactions, t) })
	s.txn = t
	code, ok := s.answer(atMail, "", "250 2.1.0 ok")
	s.host.locked(func() { t.mail = code })
	s.reset = false
	return ok
}

func (s *server) rcpt(rest string) (ok bool) {
	address, _, _ := strings.Cut(strings.TrimPrefix(rest, "TO:"), " ")
	address = strings.Trim(address, "<>")
	polite := "250 2.1.5 ok"
	if s.txn == nil || s.txn.mail/100 != 2 {
		polite = "503 5.5.1 need MAIL"
	}
	s.naming = address
	code, ok := s.answer(atRcpt, address, polite)
	if s.txn != nil {
		s.host.locked(func() { s.txn.to = append(s.txn.to, rcpt{address, code}) })
	}
	return ok
}

// accepted says that the transaction has somebody to whom its content would go.
func (s *server) accepted() bool {
	if s.txn == nil || s.txn.mail/100 != 2 {
		return false
	}
	for _, r := range s.txn.to {
		if r.code/100 == 2 {
			return true
		}
	}
	return false
}

func (s *server) data(line string) (ok bool) {
	s.syncPoint(line)
	polite := "354 go"
	if !s.accepted() {
		polite = "503 5.5.1 no valid recipients"
	}
	code, ok := s.answer(atData, "", polite)
	if !ok || code/100 != 3 {
		return ok
	}
	if s.txn == nil {
		s.txn = &transaction{}
	}
	s.host.locked(func() { s.txn.began = true })
	return s.body()
}

// body reads the content to its end, and answers that.
func (s *server) body() (ok bool) {
	if !s.flush() {
		return false
	}
	var body []byte
	for {
		if f := s.bodyFault(len(body)); f != nil && !s.misbehave(f) {
			return false
		}
		line, err := s.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			err = nil
		}
		if err != nil {
			s.gone()
			return false
		}
		if string(line) == ".\r\n" && (len(body) == 0 || bytes.HasSuffix(body, []byte("\r\n"))) {
			break
		}
		body = append(body, line...)
	}
	return s.taken(body)
}

// taken answers the end of data.
func (s *server) taken(body []byte) (ok bool) {
	t := s.txn
	if len(body) == 0 && s.accepted() {
		s.complain("a lone dot for recipients that were accepted sends an empty message")
	}
	s.host.locked(func() { t.body, t.complete = body, true })
	polite := "250 2.0.0 queued"
	if !s.accepted() {
		polite = "554 5.5.1 no valid recipients"
	}
	code, ok := s.answer(atDot, "", polite)
	s.host.locked(func() { t.final = code })
	s.txn = nil
	if ok && s.in.Buffered() == 0 {
		if f := s.fault(atIdle, ""); f != nil {
			return s.misbehave(f)
		}
	}
	return ok
}

// bdat takes a chunk (RFC 3030 section 2).
func (s *server) bdat(rest string) (ok bool) {
	words := strings.Fields(rest)
	if len(words) == 0 {
		s.complain("BDAT without a size")
		return false
	}
	size, err := strconv.Atoi(words[0])
	if err != nil {
		s.complain("BDAT %s", rest)
		return false
	}
	s.chunking = true
	if f := s.fault(atData, ""); f != nil {
		s.lenient = true // the octets are commands now
		return s.misbehave(f)
	}
	chunk := make([]byte, size)
	if _, err := io.ReadFull(s.in, chunk); err != nil {
		s.gone()
		return false
	}
	if s.txn == nil {
		s.txn = &transaction{}
	}
	body := append(s.txn.body, chunk...)
	s.host.locked(func() { s.txn.began, s.txn.body = true, body })
	if len(words) > 1 {
		return s.taken(body)
	}
	s.say(fmt.Sprintf("250 2.0.0 %d octets\r\n", size))
	return true
}

// answer gives the polite reply, or misbehaves. code is that of the first reply that makes sense, 0 when there is none.
func (s *server) answer(at stage, who string, polite ...string) (code int, goesOn bool) {
	s.last, s.said = 0, ""
	if f := s.fault(at, who); f != nil {
		goesOn = s.misbehave(f)
		return s.last, goesOn
	}
	s.say(strings.Join(polite, "\r\n") + "\r\n")
	return s.last, true
}

// fault finds what is to happen here, and counts it.
func (s *server) fault(at stage, who string) *fault {
	return s.host.fault(func(f *fault) bool {
		return f.at == at && strings.HasPrefix(who, f.of) && (f.nth == 0 || f.nth == s.begun) && (f.conn == 0 || f.conn == s.n) &&
			s.n > f.beyond && (f.when == nil || f.when(s)) && (!f.grouped || s.in.Buffered() > 0 || s.txn != nil && s.txn.grouped)
	})
}

// bodyFault is fault in a body.
func (s *server) bodyFault(n int) *fault {
	return s.host.fault(func(f *fault) bool {
		return f.at == inBody && n >= f.after && (f.nth == 0 || f.nth == s.begun) && (f.conn == 0 || f.conn == s.n)
	})
}

// misbehave does what a fault says.
func (s *server) misbehave(f *fault) (goesOn bool) {
	for _, a := range f.do {
		if a.judged && !s.rec.marked {
			s.mark(f.at)
		}
		if a.last {
			s.host.locked(func() { s.rec.silent = true })
		}
	}
	for _, a := range f.do {
		if !a.run(s) {
			return false
		}
	}
	return true
}

// shortly is how long is waited for what the client had sent already, when a fault happens.
const shortly = 20 * time.Millisecond

// mark notes what has come before a fault. None of its replies has left yet, so whatever comes now was sent without knowing of
// it.
func (s *server) mark(at stage) {
	if at != inBody {
		s.pending(shortly)
	}
	s.host.locked(func() { s.rec.marked, s.rec.faultIn = true, at })
}

// pending waits for octets, up to d behind the last one, and says how many there are. They stay unread.
func (s *server) pending(d time.Duration) int {
	for {
		n := s.in.Buffered()
		s.conn.SetReadDeadline(time.Now().Add(d))
		_, err := s.in.Peek(n + 1)
		s.conn.SetReadDeadline(time.Time{})
		if errors.Is(err, os.ErrDeadlineExceeded) || err != nil {
			return n
		}
	}
}

// syncPoint complains of octets behind a command whose reply must be waited for (RFC 2920 section 3.1).
func (s *server) syncPoint(line string) {
	if s.in.Buffered() > 0 {
		s.complain("octets came behind %.40q before its reply", line)
	}
}

// line reads a command. What is owed is written first, if nothing more has come.
func (s *server) line() (string, bool) {
	if s.in.Buffered() == 0 && !s.flush() {
		return "", false
	}
	b, err := s.in.ReadSlice('\n')
	if err != nil {
		if len(b) > 0 && !s.lenient {
			s.complain("a command breaks off: %.80q", b)
		}
		s.gone()
		return "", false
	}
	line, crlf := strings.CutSuffix(string(b), "\r\n")
	if !crlf && !s.lenient {
		s.complain("a command does not end in CRLF: %.80q", b)
	}
	return line, true
}

// code notes the code of the first reply said to a command, when that is complete and makes sense.
func (s *server) code(text string) {
	if s.last != 0 {
		return
	}
	s.said += text
	for rest := s.said; ; {
		line, after, whole := strings.Cut(rest, "\n")
		if !whole || len(line) < 3 || line[:3] != s.said[:3] {
			return
		}
		if code, err := strconv.Atoi(line[:3]); len(line) == 3 || line[3] != '-' {
			if err == nil && code >= 200 && code < 600 {
				s.last = code
			}
			return
		}
		rest = after
	}
}

func (s *server) say(text string) {
	s.code(text)
	s.out.WriteString(text)
	if s.host.manner.eager {
		s.flush()
	}
}

// flush writes the replies that are owed.
func (s *server) flush() bool {
	text := s.out.String()
	s.out.Reset()
	return text == "" || s.write(text)
}

func (s *server) write(text string) bool {
	return s.host.manner.write(s.conn, text, s.pauseFor) == nil
}

// wait lets time of the row pass; false when the row is over.
func (s *server) wait(d time.Duration) bool { return s.pauseFor(s.host.scaled(d)) }

func (s *server) pauseFor(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stop:
		return false
	}
}

// gone notes that the client has left.
func (s *server) gone() { s.host.locked(func() { s.rec.left = true }) }

// discard reads until the client leaves.
func (s *server) discard() {
	io.Copy(io.Discard, s.in) // how it leaves does not matter
	select {
	case <-s.stop: // the row has ended before the client left
	default:
		s.gone()
	}
}

// stay keeps the connection until the row is over.
func (s *server) stay() { <-s.stop }

// closeWrite ends what is said; inside TLS close_notify goes first.
func (s *server) closeWrite() {
	if c, ok := s.conn.Conn.(interface{ CloseWrite() error }); ok && s.channel != nil {
		c.CloseWrite() // what fails here fails in Close as well
	}
	s.closeRaw()
}

func (s *server) closeRaw() {
	if c, ok := s.raw.(interface{ CloseWrite() error }); ok {
		c.CloseWrite() // as above
	}
}

// hangUp closes the connection with FIN, also when octets were not read.
func (s *server) hangUp() {
	s.closeWrite()
	s.raw.Close()
}

func (s *server) complain(format string, args ...any) {
	s.host.locked(func() { s.rec.complaints = append(s.rec.complaints, fmt.Sprintf(format, args...)) })
}

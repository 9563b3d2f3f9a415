package conformance

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A connection is what an exchanger saw of one. It is written by its server, and read when that has ended, or under its host's
// lock.
type connection struct {
	from         string // the client's address, without its port
	marked       bool   // a judged fault has happened
	faultIn      stage  // where
	after        []byte // what came after it: all, or the end of much
	transactions []*transaction
	complaints   []string // what a client must not do
	done         bool     // the server has ended
	left         bool     // because the client closed the connection, in whatever way
	sawQuit      bool
	silent       bool // the exchanger says nothing more: the client must leave

	hellos  []mxsim.ClientHello
	channel *tls.ConnectionState // of TLS; nil: plaintext
}

// A transaction is one MAIL and what followed it.
type transaction struct {
	mail     int // reply codes; 0: none was given
	to       []rcpt
	grouped  bool // commands came behind MAIL before it was answered
	params   string
	from     string
	body     []byte
	began    bool // DATA was invited, or BDAT came
	complete bool // the end of data came
	final    int  // the code of the reply to it; 0: none, or none that makes sense
}

// A rcpt is a recipient as it was named to an exchanger.
type rcpt struct {
	address string
	code    int
}

// reached are the recipients that the exchanger may have the message for: it has read all of it, and has not refused it.
func (t *transaction) reached() (to []string) {
	if !t.complete || t.final/100 == 4 || t.final/100 == 5 {
		return nil
	}
	for _, r := range t.to {
		if mayBeYes(r.code) && mayBeYes(t.mail) {
			to = append(to, r.address)
		}
	}
	return to
}

// mayBeYes says that a command may have been accepted: by 2xx, or by what nobody understands.
func mayBeYes(code int) bool { return code/100 == 2 || code == 0 }

// afterFault is what came after a judged fault; ok when there was one.
func (c *connection) afterFault() (text string, ok bool) {
	return string(c.after), c.marked
}

// judge says what of this the client must not have done.
func (c *connection) judge() (problems []string) {
	problems = append(problems, c.complaints...)
	after, ok := c.afterFault()
	switch {
	case !ok:
	case c.faultIn == inBody:
		if strings.HasSuffix(after, "\r\n.\r\n") || strings.Contains(after, "\r\n.\r\nMAIL") {
			problems = append(problems, "the end of data left after a fault in the body")
		}
	case after != "" && after != "QUIT\r\n":
		problems = append(problems, fmt.Sprintf("%d octets were sent after the fault: %.80q", len(after), after))
	}
	if c.silent && !c.left {
		problems = append(problems, "the client did not leave after the fault")
	}
	return problems
}

// A recorder is a connection of which everything is kept that is read after a fault. Its lock is the host's.
type recorder struct {
	net.Conn
	mu  *sync.Mutex
	rec *connection
	off bool // what comes is encrypted, and is recorded by another recorder
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rec.marked && !r.off {
		r.rec.after = append(r.rec.after, p[:n]...)
		r.rec.after = r.rec.after[max(0, len(r.rec.after)-keptAfter):]
	}
	return n, err
}

// keptAfter is enough to see how a body ends.
const keptAfter = 64 << 10

// isWhole says that a body is the content, as it goes over the wire.
func isWhole(body []byte, content string) bool {
	if string(body) == content {
		return true
	}
	return string(bytes.ReplaceAll(append([]byte("\r\n"), body...), []byte("\r\n.."), []byte("\r\n."))[2:]) == content
}

package mxsim

import (
	"bytes"
	"slices"
	"strings"
)

// A transaction is what was said since MAIL.
type transaction struct {
	open    bool
	from    string
	params  string
	to      []string
	told    []string // the parameters of to; nil when there were none
	nth     int      // RCPT commands
	refused int
	chunks  int // BDAT commands that were accepted
}

// command handles one command line.
func (x *session) command(line []byte) {
	verb, rest := line, []byte(nil)
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		verb, rest = line[:i], line[i+1:]
	}
	switch string(upper(verb)) {
	case "RCPT":
		x.rcpt(line, rest)
	case "MAIL":
		x.mail(line, rest)
	case "DATA":
		x.data()
	case "BDAT":
		x.bdat(line, rest)
		return // its octets follow at once, whatever was offered
	case "EHLO":
		x.ehlo(rest)
	case "HELO":
		x.txn = transaction{}
		x.reply("250 " + x.s.c.Name)
	case "RSET":
		x.txn = transaction{}
		x.reply("250 2.0.0 Ok")
	case "NOOP":
		x.reply("250 2.0.0 Ok")
		x.syncPoint("NOOP")
	case "STARTTLS":
		x.startTLS()
	case "AUTH":
		x.auth(line, rest)
	case "QUIT":
		if x.r < x.w {
			x.violation("talk behind QUIT", x.buf[x.r:x.w]) // RFC 2920 section 3.1: QUIT ends a group
		}
		x.reply("221 2.0.0 Bye")
		x.leave(finish)
	default:
		x.violation("unknown command", line)
		x.reply("502 5.5.2 command not recognized")
	}
	if !x.offer().pipelining && x.owed.after == "" {
		x.syncPoint(string(verb) + " (PIPELINING was not offered)")
	}
}

func (x *session) ehlo(name []byte) {
	if len(name) == 0 {
		x.violation("EHLO without a name", nil) // RFC 5321 section 4.1.1.1
	}
	x.txn = transaction{} // RFC 5321 section 4.1.4: EHLO clears as RSET does
	reply := ""
	if x.s.c.Hello != nil {
		reply = x.s.c.Hello(x.n, x.channel != nil)
	}
	if reply == "" {
		reply = x.offer().reply
	}
	x.reply(reply)
	x.syncPoint("EHLO")
}

func (x *session) mail(line, rest []byte) {
	path, params, ok := argument(rest, "FROM:")
	if !ok {
		x.violation("malformed MAIL", line)
		x.reply("501 5.5.4 syntax: MAIL FROM:<address>")
		return
	}
	if x.txn.open {
		x.violation("MAIL inside a transaction", line)
		x.reply("503 5.5.1 nested MAIL")
		return
	}
	reply := x.mailReply(string(path), string(params))
	if reply == "" {
		x.transactions++
		x.txn = transaction{open: true, from: string(path), params: string(params)}
		reply = "250 2.1.0 Ok"
	}
	x.reply(reply)
}

// mailReply is why MAIL is refused; "" when it is not.
func (x *session) mailReply(from, params string) string {
	switch n := x.s.c.MessagesPerSession; {
	case x.s.c.OnlyTLS && x.channel == nil:
		return "530 5.7.0 Must issue a STARTTLS command first" // RFC 3207 section 4
	case x.s.c.AuthNeeded && x.user == "":
		return "530 5.7.0 Authentication required" // RFC 4954 section 6
	case n > 0 && x.transactions >= n:
		return "421 4.7.0 too many messages in this session"
	}
	if reply := x.paramsReply(params); reply != "" {
		return reply
	}
	if x.s.c.Mail != nil {
		if reply := x.s.c.Mail(from); !strings.HasPrefix(reply, "2") {
			return reply
		}
	}
	return ""
}

func (x *session) rcpt(line, rest []byte) {
	path, params, ok := argument(rest, "TO:")
	x.txn.nth++
	switch {
	case !x.txn.open:
		x.refuse("503 5.5.1 need MAIL")
	case x.txn.chunks > 0:
		x.violation("RCPT behind BDAT", line)
		x.refuse("503 5.5.1 the content has begun")
	case !ok || len(path) == 0 || len(params) > 0 && !x.offer().dsn:
		x.violation("malformed RCPT", line)
		x.refuse("501 5.1.3 syntax: RCPT TO:<address>")
	case !x.goodRcptParams(string(params)):
		x.refuse("501 5.5.4 parameters of RCPT")
	default:
		x.recipient(string(path), string(params))
	}
	x.envelope = awaited{"RCPT", x.due, true}
}

func (x *session) recipient(to, params string) {
	c := &x.s.c
	switch {
	case c.MaxRecipients > 0 && len(x.txn.to) >= c.MaxRecipients:
		x.refuse("452 4.5.3 too many recipients") // RFC 5321 section 4.5.3.1.10
		return
	case c.SingleDomain && len(x.txn.to) > 0 && !strings.EqualFold(domain(to), domain(x.txn.to[0])):
		x.refuse("451 4.3.0 Multiple destination domains per transaction is unsupported. Please try again.")
		return
	case c.DomainsPerSession > 0 && !x.admitsDomain(domain(to)):
		x.refuse("452 4.5.3 too many domains in this session")
		return
	}
	reply := ""
	if c.Rcpt != nil {
		reply = c.Rcpt(to, x.txn.nth)
	}
	if reply == "" {
		reply = "250 2.1.5 Ok"
	}
	if reply[0] != '2' {
		x.refuse(reply)
		return
	}
	x.txn.add(to, params)
	x.reply(reply)
}

// add takes a recipient in.
func (t *transaction) add(to, params string) {
	if params != "" && t.told == nil {
		t.told = make([]string, len(t.to))
	}
	t.to = append(t.to, to)
	if t.told != nil {
		t.told = append(t.told, params)
	}
}

// admitsDomain counts the domains of a session. RFC 9422 section 4.3: "the maximum number of different domains that can appear in a
// recipient (RCPT) address within a single session".
func (x *session) admitsDomain(name string) bool {
	name = strings.ToLower(name)
	if !slices.Contains(x.domains, name) {
		x.domains = append(x.domains, name)
	}
	return slices.Index(x.domains, name) < x.s.c.DomainsPerSession
}

func (x *session) refuse(reply string) {
	x.txn.refused++
	x.s.refused.Add(1)
	x.reply(reply)
}

func (x *session) data() {
	switch {
	case x.txn.chunks > 0:
		// RFC 3030 section 2: "If a DATA statement is issued after a BDAT for the current transaction, a 503 ... MUST be issued."
		x.violation("DATA behind BDAT", nil)
		x.reply("503 5.5.1 the content comes by BDAT")
	case len(x.txn.to) > 0 || x.txn.open && x.s.c.TakeEmpty:
		x.reply("354 go ahead")
		x.inContent = true
		x.content.begin(x.s.c.KeepContent)
	case x.txn.refused > 0:
		x.reply("554 5.5.1 no valid recipients")
		x.txn = transaction{}
	default:
		x.reply("503 5.5.1 need RCPT")
	}
	x.syncPoint("DATA")
}

// final answers the end of data. The reply takes Processing, and what is pipelined behind it waits (see the package's model).
func (x *session) final() {
	x.inContent = false
	if x.busy.Before(x.now) {
		x.busy = x.now
	}
	x.busy = x.busy.Add(x.s.c.Processing)
	m := x.message()
	for _, what := range x.content.faults() {
		x.violation(what, nil)
	}
	m.Reply = x.finalReply(m)
	x.txn = transaction{}
	if len(m.To) > 0 {
		x.s.record(m)
	}
	x.reply(m.Reply)
}

func (x *session) message() *Message {
	return &Message{
		Session: x.n, Transaction: x.transactions, From: x.txn.from, Params: x.txn.params, To: x.txn.to, Refused: x.txn.refused, Chunks: x.txn.chunks,
		Size: x.content.size, Digest: x.content.digest(), Content: x.content.kept, At: x.now, TLS: x.channel != nil, Channel: x.channel,
		User: x.user, ToParams: x.txn.told,
	}
}

func (x *session) finalReply(m *Message) string {
	if len(m.To) == 0 {
		return "554 5.5.1 no valid recipients"
	}
	if limit := x.offer().size; limit > 0 && m.Size > limit {
		return "552 5.3.4 message too big"
	}
	if x.s.c.Final != nil {
		if reply := x.s.c.Final(m); reply != "" {
			return reply
		}
	}
	return "250 2.0.0 Ok: queued"
}

// upper makes ASCII letters upper case in place: verbs are case-insensitive (RFC 5321 section 2.4).
func upper(b []byte) []byte {
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return b
}

// argument takes "FROM:<path> params" apart. RFC 5321 section 3.3: no space is permitted behind the colon.
func argument(b []byte, key string) (path, params []byte, ok bool) {
	if len(b) < len(key)+2 || !bytes.EqualFold(b[:len(key)], []byte(key)) || b[len(key)] != '<' {
		return nil, nil, false
	}
	b = b[len(key)+1:]
	end := pathEnd(b)
	if end < 0 || end+1 < len(b) && b[end+1] != ' ' {
		return nil, nil, false
	}
	return b[:end], bytes.TrimSpace(b[end+1:]), !bytes.ContainsAny(b[:end], "\x00\r\n")
}

// pathEnd is the index of the '>' that ends a path: one in a quoted local part does not (RFC 5321 section 4.1.2).
func pathEnd(b []byte) int {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '"':
			quoted = !quoted
		case quoted && b[i] == '\\':
			i++
		case !quoted && b[i] == '>':
			return i
		}
	}
	return -1
}

func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

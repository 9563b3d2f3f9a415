package mxsim

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// A transaction is what was said since MAIL.
type transaction struct {
	open    bool
	from    string
	params  string
	to      []string
	nth     int // RCPT commands
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
		x.offeredTLS()
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
	if !x.s.offer.pipelining && x.owed.after == "" {
		x.syncPoint(string(verb) + " (PIPELINING was not offered)")
	}
}

func (x *session) ehlo(name []byte) {
	if len(name) == 0 {
		x.violation("EHLO without a name", nil) // RFC 5321 section 4.1.1.1
	}
	x.txn = transaction{} // RFC 5321 section 4.1.4: EHLO clears as RSET does
	if !x.muted {
		x.owe()
		lines := x.s.offer.reply
		if x.encrypted {
			lines = x.s.offer.replyTLS
		}
		x.replies = append(x.replies, lines...)
	}
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
	if n := x.s.c.MessagesPerSession; n > 0 && x.transactions >= n {
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

// paramsReply checks the parameters of MAIL against what was offered (RFC 5321 section 4.1.1.11).
func (x *session) paramsReply(params string) string {
	for p := range strings.FieldsSeq(params) {
		key, value, _ := strings.Cut(strings.ToUpper(p), "=")
		offered := false
		switch key {
		case "SIZE":
			offered = x.s.offer.hasSize
			if n, err := strconv.ParseInt(value, 10, 64); err == nil && x.s.offer.size > 0 && n > x.s.offer.size {
				return "552 5.3.4 message too big" // RFC 1870 section 6.1
			}
		case "BODY":
			offered = x.s.offer.eightBit && (value == "8BITMIME" || value == "7BIT")
		case "SMTPUTF8":
			offered = x.s.offer.utf8
		}
		if !offered {
			x.violation("MAIL parameter not offered", []byte(p))
			return "555 5.5.4 unsupported parameter"
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
	case !ok || len(path) == 0 || len(params) > 0:
		x.violation("malformed RCPT", line)
		x.refuse("501 5.1.3 syntax: RCPT TO:<address>")
	default:
		x.recipient(string(path))
	}
	x.envelope = awaited{"RCPT", x.due, true}
}

func (x *session) recipient(to string) {
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
	x.txn.to = append(x.txn.to, to)
	x.reply(reply)
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

func (x *session) offeredTLS() {
	switch {
	case x.s.c.TLS == nil || x.encrypted:
		x.violation("STARTTLS was not offered", nil)
		x.reply("502 5.5.1 not offered")
		x.syncPoint("STARTTLS")
	default:
		x.reply("220 2.0.0 go ahead")
		x.startTLS()
	}
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
		Size: x.content.size, Digest: x.content.digest(), Content: x.content.kept, At: x.now, TLS: x.encrypted,
	}
}

func (x *session) finalReply(m *Message) string {
	if len(m.To) == 0 {
		return "554 5.5.1 no valid recipients"
	}
	if limit := x.s.offer.size; limit > 0 && m.Size > limit {
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

package lmtp

import (
	"bytes"
	"strings"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// go-smtp spends 6 us and 17 allocations on a recipient whose address is nothing special, more on one with parameters, and keeps 221 octets
// of it until the end of the transaction. A list has 100,000 of them. So the first recipient of a transaction, and every RCPT with
// anything unusual in it, is go-smtp's, which thereby knows that there is a transaction with recipients; the others are taken here, where
// the same session decides about them.

// takePlain runs a command of the plain form; for any other it does nothing and reports false. It is called where go-smtp would
// read that command, so everything before it was executed and answered.
func (s *session) takePlain(command []byte) bool {
	if s == nil || len(s.recipients) == 0 {
		return false
	}
	mailbox, parameters, ok := plainRecipient(command)
	if !ok || len(parameters) > 0 && !s.server.config.DSN {
		return false
	}
	original, notify, ok := s.readAsks(parameters)
	if !ok {
		return false
	}
	to, orcpt := s.keep(mailbox, original)
	reply := accepted
	if refusal := s.take(to, wire.RcptParams{Notify: notify, ORCPT: orcpt}); refusal != nil {
		reply = lineOf(refusal)
	}
	s.conn.out.say(reply)
	return true
}

// keep returns an address and an original recipient, which may be none, as strings. Where a list's recipients are the original ones, an
// address is the end of its original recipient; where a list was expanded, all of its recipients have the same.
func (e *envelope) keep(mailbox, original []byte) (to, orcpt string) {
	if len(original) == 0 {
		return e.texts.keep(mailbox), ""
	}
	if begins(original, typeRFC822) && bytes.Equal(original[len(typeRFC822):], mailbox) {
		orcpt = e.texts.keep(original)
		return orcpt[len(typeRFC822):], orcpt
	}
	if n := len(e.asked); n > 0 && e.asked[n-1].ORCPT == string(original) {
		orcpt = e.asked[n-1].ORCPT
	} else {
		orcpt = e.texts.keep(original)
	}
	return e.texts.keep(mailbox), orcpt
}

// plainRecipient returns the mailbox of "RCPT TO:<mailbox>" with a dot-string and a domain of ASCII, and what follows up to the line's
// end. The mailbox that it takes, go-smtp's parser takes, and gives to Rcpt as the same octets.
func plainRecipient(command []byte) (mailbox, parameters []byte, ok bool) {
	if !beginsRCPT(command) {
		return nil, nil, false
	}
	mailbox, end, _ := bytes.Cut(command[len(rcptTo):], []byte(">"))
	parameters, ok = bytes.CutSuffix(end, endOfLine)
	if !ok || !isPlainMailbox(mailbox) {
		return nil, nil, false
	}
	return mailbox, parameters, true
}

// rcptTo is how hosts begin the command, in capitals or not.
const rcptTo = "RCPT TO:<"

// beginsRCPT says that the command begins so, and goes on.
func beginsRCPT(command []byte) bool {
	return len(command) > len(rcptTo) && strings.EqualFold(string(command[:len(rcptTo)]), rcptTo)
}

func isPlainMailbox(mailbox []byte) bool {
	at := 0
	for at < len(mailbox) && isLocal(mailbox[at]) {
		at++
	}
	if at == 0 || at >= len(mailbox)-1 || mailbox[at] != '@' {
		return false
	}
	for _, c := range mailbox[at+1:] {
		if !isDomain(c) {
			return false
		}
	}
	return true
}

// isLocal accepts dots and atext of RFC 5322 section 3.2.3.
func isLocal(c byte) bool {
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '/', '=', '?', '^', '_', '`', '{', '|', '}', '~', '.':
		return true
	}
	return isAlphanumeric(c)
}

// isDomain accepts what a name consists of, with the underscore that some have.
func isDomain(c byte) bool { return isAlphanumeric(c) || c == '.' || c == '-' || c == '_' }

func isAlphanumeric(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' }

// texts keeps short strings of the same lifetime in few blocks.
type texts struct{ block strings.Builder }

// The first block is small, since most transactions are; the last ones make the collector's work and the waste at a block's end
// negligible.
const (
	firstBlock = 128
	lastBlock  = 8 << 10
)

// keep returns text as a string, which never changes: a block is only ever appended to.
func (t *texts) keep(text []byte) string {
	if t.block.Cap()-t.block.Len() < len(text) {
		size := min(max(2*t.block.Cap(), firstBlock), lastBlock)
		t.block.Reset()
		t.block.Grow(max(size, len(text)))
	}
	begin := t.block.Len()
	t.block.Write(text)
	return t.block.String()[begin:]
}

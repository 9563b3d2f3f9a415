package lmtp

import (
	"io"
	"runtime/debug"

	"github.com/emersion/go-smtp"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
)

// A session is what go-smtp calls for one connection. It gathers an envelope; transaction.go hands it over.
type session struct {
	server *Server
	conn   *conn
	open   bool // MAIL was accepted, and its transaction has not ended
	envelope
}

// An envelope is a feed.Envelope that grows. It holds no more than it must: there may be 100,000 recipients.
type envelope struct {
	from       wire.Address
	params     feed.Params
	recipients []wire.Address
	routes     []string          // as long as recipients
	keys       map[int]string    // recipients by their names for go-smtp, where those are not the address's own text
	domains    map[string]string // accepted ones, as given and as folded, to the one string that all recipients share
}

// Mail begins a transaction.
func (s *session) Mail(from string, opts *smtp.MailOptions) (err error) {
	defer s.guard(&err)
	defer func() { s.conn.transact(s.open) }()
	// RFC 5321 section 4.1.4: "MAIL MUST NOT be sent if a mail transaction is already open". go-smtp would go on, with the
	// recipients of the first one.
	if s.open {
		return refuse(503, smtp.EnhancedCode{5, 5, 1}, "a transaction is open already")
	}
	sender, err := parseSender(from, opts.UTF8)
	if err != nil {
		return err
	}
	if !s.server.memory.room(min(opts.Size, s.server.config.MaxMessageSize)) {
		s.server.counters.overMemory.Add(1)
		return overMemory()
	}
	if !s.server.begin() {
		return refuse(451, smtp.EnhancedCode{4, 3, 2}, s.server.config.Hostname+" is shutting down")
	}
	s.open = true
	s.from = sender
	s.params = feed.Params{EightBitMIME: opts.Body == smtp.Body8BitMIME, SMTPUTF8: opts.UTF8}
	return nil
}

// parseSender returns a reverse-path that the next hop can be given.
func parseSender(from string, utf8 bool) (wire.Address, error) {
	sender, err := wire.ParseAddress(from)
	if err != nil {
		return sender, refuse(550, smtp.EnhancedCode{5, 1, 7}, err.Error())
	}
	if !sender.ASCII() && !utf8 {
		return sender, needsUTF8()
	}
	return sender, nil
}

// Rcpt takes a recipient, or refuses what is known to be hopeless. It waits for nothing: hosts flush some RCPT and then wait.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) (err error) {
	defer s.guard(&err)
	a, err := s.parseRecipient(to)
	if err != nil {
		s.server.counters.refused.Add(1)
		return err
	}
	domain, err := s.route(a)
	if err != nil {
		s.server.counters.refused.Add(1)
		return err
	}
	if to != a.String() {
		s.setKey(len(s.recipients), to)
	}
	s.recipients = append(s.recipients, a)
	s.routes = append(s.routes, domain)
	s.server.counters.accepted.Add(1)
	return nil
}

func (s *session) parseRecipient(to string) (wire.Address, error) {
	a, err := wire.ParseAddress(to)
	switch {
	case err != nil:
		return a, refuse(550, smtp.EnhancedCode{5, 1, 3}, err.Error())
	case a.IsNull():
		return a, refuse(550, smtp.EnhancedCode{5, 1, 3}, "no recipient")
	case !a.ASCII() && !s.params.SMTPUTF8:
		return a, needsUTF8()
	}
	return a, nil
}

// route returns the recipient's folded domain. A domain new to the envelope is looked up ahead.
func (s *session) route(a wire.Address) (string, error) {
	if domain, ok := s.domains[a.Domain()]; ok {
		return domain, nil
	}
	domain, err := resolver.Fold(a.Domain())
	if err != nil {
		return "", refuse(550, smtp.EnhancedCode{5, 1, 3}, err.Error())
	}
	if known, ok := s.domains[domain]; ok {
		s.domains[a.Domain()] = known
		return known, nil
	}
	if o := s.server.config.Mailer.Refusal(domain); o != nil {
		return "", status(o)
	}
	s.server.config.Mailer.Hint(domain)
	if s.domains == nil {
		s.domains = make(map[string]string)
	}
	s.domains[domain] = domain
	s.domains[a.Domain()] = domain
	return domain, nil
}

// setKey notes under which name go-smtp knows a recipient: it unquotes, and knows no addresses.
func (s *session) setKey(recipient int, to string) {
	if s.keys == nil {
		s.keys = make(map[int]string)
	}
	s.keys[recipient] = to
}

// key is go-smtp's name of a recipient.
func (e *envelope) key(recipient int) string {
	if to, ok := e.keys[recipient]; ok {
		return to
	}
	return e.recipients[recipient].String()
}

// Reset ends the transaction: after RSET or LHLO, and after the final replies.
func (s *session) Reset() {
	s.envelope = envelope{}
	if s.open {
		s.open = false
		s.conn.transact(false)
		s.server.end()
	}
}

// Logout ends the session with its connection.
func (s *session) Logout() error {
	s.Reset()
	return nil
}

// Data is not called for a session that has LMTPData.
func (s *session) Data(io.Reader) error { return unsettled() }

// guard answers 451 to a command that found a fault of ours. go-smtp would say 421 and close.
func (s *session) guard(err *error) {
	if v := recover(); v != nil {
		s.panicked(v)
		*err = unsettled()
	}
}

func (s *session) panicked(v any) {
	s.server.counters.panics.Add(1)
	s.server.config.Log.Error("lmtp: BUG: panic", "conn", s.conn.id, "panic", v, "stack", string(debug.Stack()))
}

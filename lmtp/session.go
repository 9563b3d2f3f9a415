package lmtp

import (
	"io"
	"runtime/debug"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
)

// A session is what go-smtp calls for one connection. It gathers an envelope; transaction.go hands it over.
type session struct {
	server    *Server
	conn      *conn
	open      bool            // MAIL was accepted, and its transaction has not ended
	announced bool            // the Mailer was told that an envelope is on its way
	asking    wire.RcptParams // what the RCPT asks for that go-smtp is given next (dsn.go)
	original  []byte          // memory of readAsks
	envelope
}

// An envelope is a feed.Envelope that grows. It holds no more than it must: there may be 1,000,000 recipients.
type envelope struct {
	from       wire.Address
	params     feed.Params
	recipients []wire.Address
	routes     []string          // as long as recipients
	asked      []wire.RcptParams // as long as recipients; nil while none of them asked for anything
	texts      texts             // of recipients
	// Accepted domains, as given and as folded, to the first recipient of that domain, whose route all of them share.
	domains map[string]int32
}

// Mail begins a transaction.
func (s *session) Mail(from string, opts *smtp.MailOptions) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v)
			err = unsettled()
		}
	}()
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
	s.params = feed.Params{EightBitMIME: opts.Body == smtp.Body8BitMIME, SMTPUTF8: opts.UTF8, RequireTLS: opts.RequireTLS, DSN: mailDSN(opts)}
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

// Rcpt is called by go-smtp for recipients that are not plain (plain.go), and for the first one.
func (s *session) Rcpt(to string, opts *smtp.RcptOptions) error {
	asked, refusal := rcptDSN(opts)
	if asked == (wire.RcptParams{}) {
		asked = s.asking
	}
	if refusal == nil {
		refusal = s.take(to, asked)
	}
	if refusal != nil {
		return refusal
	}
	return nil
}

// take takes a recipient, or refuses what is known to be hopeless. It waits for nothing: hosts flush some RCPT and then wait.
func (s *session) take(to string, asked wire.RcptParams) (refusal *smtp.SMTPError) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v)
			refusal = unsettled()
		}
	}()
	a, refusal := s.parseRecipient(to)
	var domain string
	if refusal == nil {
		domain, refusal = s.route(a)
	}
	if refusal != nil {
		s.server.counters.refused.Add(1)
		return refusal
	}
	s.recipients = append(s.recipients, a)
	s.routes = append(s.routes, domain)
	s.ask(asked)
	if len(s.recipients) == sureFrom {
		s.announced = true
		s.server.config.Mailer.Announce(s.from, s.params)
		for _, domain := range s.routes {
			s.server.config.Mailer.Expect(domain)
		}
	}
	s.server.counters.accepted.Add(1)
	return nil
}

func (s *session) parseRecipient(to string) (wire.Address, *smtp.SMTPError) {
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

// sureFrom is how many recipients make it sure that a content will follow. Those who only want to know whether an address is good
// (Postfix's verify(8), Exim's callout) ask about one at a time, and no host may be dialled for that.
const sureFrom = 20

// route returns the recipient's folded domain. A domain new to the envelope is looked up ahead.
func (s *session) route(a wire.Address) (string, *smtp.SMTPError) {
	given := a.Domain()
	if first, ok := s.domains[given]; ok {
		return s.routes[first], nil
	}
	domain, err := resolver.Fold(given)
	if err != nil {
		return "", refuse(550, smtp.EnhancedCode{5, 1, 3}, err.Error())
	}
	if first, ok := s.domains[domain]; domain != given && ok {
		s.domains[given] = first
		return s.routes[first], nil
	}
	domain = strings.Clone(domain) // the Mailer and its caches keep it for longer than the texts of this envelope
	if o := s.server.config.Mailer.Refusal(domain); o != nil {
		return "", status(o)
	}
	if len(s.recipients) < sureFrom {
		s.server.config.Mailer.Hint(domain)
	} else {
		s.server.config.Mailer.Expect(domain)
	}
	s.note(given, domain)
	return domain, nil
}

// note makes the recipient to come the first of its domain.
func (s *session) note(given, folded string) {
	if s.domains == nil {
		s.domains = make(map[string]int32)
	}
	first := int32(len(s.recipients))
	s.domains[folded] = first
	if given != folded {
		s.domains[given] = first
	}
}

// ask notes what the last recipient asked for. Most transactions ask for nothing, and pay nothing.
func (e *envelope) ask(asked wire.RcptParams) {
	if e.asked == nil {
		if asked == (wire.RcptParams{}) {
			return
		}
		e.asked = make([]wire.RcptParams, len(e.recipients)-1, cap(e.recipients))
	}
	e.asked = append(e.asked, asked)
}

// complete is called when no recipient can follow: what waits for outcomes shall be small.
func (e *envelope) complete() { e.domains, e.texts = nil, texts{} }

// Reset ends the transaction: after RSET or LHLO, and after the final replies.
func (s *session) Reset() {
	s.withdraw()
	s.envelope = envelope{}
	if s.open {
		s.open = false
		s.conn.transact(false)
		s.server.end()
	}
}

// withdraw tells the Mailer that the announced envelope has come or will not.
func (s *session) withdraw() {
	if s.announced {
		s.announced = false
		s.server.config.Mailer.Withdraw(s.from, s.params)
	}
}

// Logout ends the session with its connection.
func (s *session) Logout() error {
	s.Reset()
	return nil
}

// Data is not called for a session that has LMTPData.
func (s *session) Data(io.Reader) error { return unsettled() }

// panicked notes a fault of ours. Its command is answered with 451: go-smtp would say 421 and close.
func (s *session) panicked(v any) {
	s.server.counters.panics.Add(1)
	s.server.config.Log.Error("lmtp: BUG: panic", "conn", s.conn.id, "panic", v, "stack", string(debug.Stack()))
}

package feed

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
)

// Which messages and addresses a host can take, by what its EHLO reply offers, and what becomes of those that it cannot.

// fitting returns the recipients whose message the host can take, and takes the others past it: another exchanger may take more.
func (e *engine) fitting(now time.Time, s *session, rs []*recipient) (fit []*recipient) {
	m := rs[0].envelope.message
	if size, most := sizeFor(rs), s.caps.Size; most > 0 && size > most {
		// RFC 1870 section 6.1 spares it a MAIL that it would refuse.
		e.unused(s)
		e.passBy(now, s, rs, status534, fmt.Errorf("message of %d octets is larger than the %d that the host takes", size, most))
		return nil
	}
	// RFC 8689 section 5: with the null sender REQUIRETLS "SHOULD NOT cause a bounce message to be discarded even if the next-hop relay does
	// not advertise REQUIRETLS".
	if m.key.params.RequireTLS && !s.caps.RequireTLS && !m.key.from.IsNull() {
		e.unused(s)
		e.passBy(now, s, rs, status5730, errNeedsTLS)
		return nil
	}
	if m.key.params.EightBitMIME && m.body.Has8Bit() && !s.caps.EightBitMIME && !e.config.Send8Bit {
		// RFC 6152 section 3 leaves this or a conversion, which would break signatures.
		e.unused(s)
		e.passBy(now, s, rs, status563, errNeeds8Bit)
		return nil
	}
	if s.caps.SMTPUTF8 || !m.key.params.SMTPUTF8 { // only with the parameter are there addresses beyond ASCII
		return rs
	}
	// RFC 6531 section 3.2: without the extension a client "MUST NOT transmit an internationalized email address and MUST NOT transmit a
	// mail message containing internationalized mail headers".
	if m.body.Header8Bit() {
		e.unused(s)
		e.passBy(now, s, rs, status567, errors.New("header needs SMTPUTF8, which the host does not offer"))
		return nil
	}
	_, sends := asciiSender(m.key.from)
	var unfit []*recipient
	for _, r := range rs {
		if _, ok := r.ascii(); ok && sends {
			fit = append(fit, r)
		} else {
			unfit = append(unfit, r)
		}
	}
	if len(fit) == 0 {
		e.unused(s)
	}
	e.passBy(now, s, unfit, status567, errors.New("address needs SMTPUTF8, which the host does not offer"))
	return fit
}

var (
	status534 = wire.Enhanced{Class: 5, Subject: 3, Detail: 4}
	status563 = wire.Enhanced{Class: 5, Subject: 6, Detail: 3}
	status567 = wire.Enhanced{Class: 5, Subject: 6, Detail: 7}

	errNeeds8Bit = errors.New("content has 8-bit octets, and the host does not offer 8BITMIME")
)

// unused puts a session back among those that can write.
func (e *engine) unused(s *session) {
	h := s.host
	if len(s.flights) == 0 {
		h.ready = append(h.ready, s)
	} else {
		h.clear = append(h.clear, s)
	}
	e.wakeShort(h.server)
}

// passBy takes recipients past a host that cannot take their message.
func (e *engine) passBy(now time.Time, s *session, rs []*recipient, status wire.Enhanced, why error) {
	if len(rs) == 0 {
		return
	}
	h := s.host
	via := Via{MX: h.name, Addr: h.addrs[s.addr], Source: s.source, Session: uint64(s.id), TLS: s.tls.name, Policy: h.policy.word, Verified: s.tls.verified}
	v := verdict{step: stepElsewhere, free: true, outcome: &Outcome{Class: Failed, Status: status, Via: &via, Err: why}}
	if s.tls.name == "" && s.caps.StartTLS && h.policy.level != levelNone {
		// RFC 3207 section 4.2: what it offers inside of TLS may be more, and that TLS fails may be over when the host MTA tries again.
		v.outcome.Class, v.outcome.Status.Class = Deferred, 4
	}
	if rs[0].envelope.message.verp != nil {
		h.alone -= len(rs)
	}
	for _, r := range rs {
		r.place = placeFlight
		r.visits++
		e.obey(now, r, v, nil)
	}
}

// sizeFor is how many octets the message has for these recipients, as SIZE counts them.
func sizeFor(rs []*recipient) int64 {
	m := rs[0].envelope.message
	if m.verp == nil {
		return m.body.Size()
	}
	_, header := m.verp.personal(m.key.from, rs[0].address())
	return int64(len(header)) + m.body.Size()
}

// ascii is the address of a recipient as a host without SMTPUTF8 can be told it: with A-labels for its domain. It is not ok when the local
// part has more than ASCII.
func (r *recipient) ascii() (a wire.Address, ok bool) {
	a = r.address()
	if a.ASCII() {
		return a, true
	}
	return inDomain(a, r.route.domain)
}

// asciiSender is the same of a sender.
func asciiSender(a wire.Address) (_ wire.Address, ok bool) {
	if a.ASCII() {
		return a, true
	}
	domain, err := resolver.Fold(a.Domain())
	if err != nil {
		return a, false
	}
	return inDomain(a, domain)
}

// inDomain is an address with another form of its domain; ok says that it is ASCII now.
func inDomain(a wire.Address, domain string) (_ wire.Address, ok bool) {
	unquoted := a.Unquoted()
	a, err := wire.ParseAddress(unquoted[:strings.LastIndexByte(unquoted, '@')+1] + domain)
	return a, err == nil && a.ASCII()
}

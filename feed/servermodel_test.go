package feed

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
	"github.com/stretchr/testify/require"
)

const (
	modelTrip       = 50 * time.Millisecond
	modelProcessing = 100 * time.Millisecond
	// modelTransaction is what a transaction takes: a round trip for its commands, one for its body, and what the server does with it.
	modelTransaction = 2*modelTrip + modelProcessing
)

// modelAddr is where all the exchangers are, but for further ones.
var modelAddr = netip.MustParseAddr("192.0.2.1")

// A serverModel is an engine, and around it one server that the exchangers of many domains are, in model time. The domain d0.test has no policy
// of its own, and each further one, d1.test and so on, has MTA-STS with an exchanger name of its own: so each is another host of the server.
//
// The server takes so many connections, and says 421 in its greeting to further ones. A connection counts there from the greeting until the
// goodbye has come, and for as long as its closing and its bookkeeping take.
type serverModel struct {
	t      *testing.T
	e      *engine
	now    time.Time
	coming timers // what is on its way

	limit    int                       // connections that the server takes; 0 is any number
	keeps    time.Duration             // how long it keeps, and counts, one after the goodbye
	lags     time.Duration             // and how long it counts one that it has closed
	mailMax  int                       // as its EHLO reply says
	pipes    bool                      // so does PIPELINING: commands ride behind bodies
	further  bool                      // each domain has another exchanger, less preferred, at an address of its own
	answers  func(d dial) *modelAnswer // nil, or nil of it: the server takes the connection
	sessions map[sessionID]*modelSession
	taken    int // connections that the server counts
	most     int // at once

	envelopes    int
	dials        int
	unused       int                        // sessions that were closed without a transaction
	events       int                        // that the engine was told
	pumps        int                        // hosts that it looked at then
	transactions map[string]int             // by domain
	delivered    map[string][]time.Duration // by domain: each recipient's time since it was sent
	others       []string                   // what those were told who were not delivered
}

// A modelAnswer is how a dial ends that does not succeed: so long after it was begun.
type modelAnswer struct {
	after   time.Duration
	stands  bool // it was connected before
	closing closing
}

// A modelSession is the model's side of a session.
type modelSession struct {
	id      sessionID
	counted bool // by the server
	over    bool // the engine was told of its end, or gave it up
	hands   []*order
	used    bool
}

func newServerModel(t *testing.T, c Config) *serverModel {
	c.Seed, c.TLS.Mode = 1, TLSOpportunistic
	return &serverModel{t: t, e: newEngine(c.withDefaults()), now: epoch, sessions: map[sessionID]*modelSession{},
		transactions: map[string]int{}, delivered: map[string][]time.Duration{}}
}

func (m *serverModel) domain(policy int) string { return fmt.Sprintf("d%d.test", policy) }

// after does something later.
func (m *serverModel) after(d time.Duration, f func()) {
	m.coming.set(&timer{due: func(time.Time) { f() }}, m.now.Add(d))
}

// send hands over an envelope of n recipients of a policy's domain, which is no other's message.
func (m *serverModel) send(policy, n int) {
	var to []wire.Address
	for i := range n {
		to = append(to, mustAddress(m.t, fmt.Sprintf("u%d@%s", i, m.domain(policy))))
	}
	m.sendTo(to)
}

// sendToEach hands over one envelope with one recipient of each policy's domain.
func (m *serverModel) sendToEach(policies int) {
	var to []wire.Address
	for i := range policies {
		to = append(to, mustAddress(m.t, "u@"+m.domain(i)))
	}
	m.sendTo(to)
}

func (m *serverModel) sendTo(to []wire.Address) {
	m.envelopes++
	id := fmt.Sprint("e", m.envelopes)
	env := &Envelope{ID: id, From: mustAddress(m.t, "list@example.org"), Recipients: to, Body: bodyOf(id), Deadline: m.now.Add(budget)}
	for _, a := range to {
		env.Routes = append(env.Routes, a.Domain())
	}
	m.step(sent{envelope: env})
}

// run lets model time pass until then, since the epoch.
func (m *serverModel) run(until time.Duration) {
	end := epoch.Add(until)
	for {
		at, ok := m.e.wakeAt()
		if next, some := m.coming.next(); some && (!ok || !next.After(at)) {
			if next.After(end) {
				break
			}
			m.now = next
			m.coming.fire(m.now)
			continue
		}
		if !ok || at.After(end) {
			break
		}
		m.now = at
		m.step(ticked{})
	}
	m.now = end
	m.check()
}

// step tells the engine an event and does what it orders. All that happens then happens later.
func (m *serverModel) step(ev event) {
	m.e.step(m.now, ev)
	m.pump()
	for _, a := range m.e.take() {
		m.obey(a)
	}
	if m.events++; m.events%500 == 0 {
		m.check()
	}
}

// check is not done at each step, nor with many hosts: it would take longer than all the rest.
func (m *serverModel) check() {
	if len(m.e.hosts) < 100 {
		checkInvariants(m.t, m.e)
		checkRelief(m.t, m.e)
	}
}

// pump is what take begins with, and counts the hosts that are looked at.
func (m *serverModel) pump() {
	m.e.rejudgeSilent(m.now)
	for i := 0; i < len(m.e.dirty); i++ {
		h := m.e.dirty[i]
		h.dirty = false
		m.e.pump(m.now, h)
		m.pumps++
	}
	m.e.dirty = m.e.dirty[:0]
}

func (m *serverModel) obey(a action) {
	switch a := a.(type) {
	case lookup:
		m.after(time.Millisecond, func() { m.step(m.route(a.domain)) })
	case dial:
		m.dial(a)
	case transmit:
		m.transmit(a)
	case hangup:
		m.hangup(a)
	case settle:
		m.settle(a)
	}
}

// route is what the DNS has of a domain.
func (m *serverModel) route(domain string) resolved {
	name := "mx." + domain
	r := resolver.Route{Domain: domain, Expires: m.now.Add(10 * time.Hour)}
	r.MX = []resolver.MX{{Preference: 10, Name: name, Addrs: []netip.Addr{modelAddr}}}
	if m.further {
		var n uint16
		fmt.Sscanf(domain, "d%d.test", &n)
		addr := netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)})
		r.MX = append(r.MX, resolver.MX{Preference: 20, Name: "mx2." + domain, Addrs: []netip.Addr{addr}})
	}
	if domain != m.domain(0) {
		r.STS = &sts.Policy{Domain: domain, Mode: sts.Enforce, MX: []string{name, "mx2." + domain}}
	}
	return resolved{domain: domain, route: r}
}

// dial has the connection stand after a round trip, and the server greet half a round trip after it has heard of that.
func (m *serverModel) dial(d dial) {
	m.dials++
	s := &modelSession{id: d.session}
	m.sessions[s.id] = s
	if m.answers != nil {
		if no := m.answers(d); no != nil {
			if no.stands {
				m.after(modelTrip, func() { m.tell(s, connected{session: s.id}) })
			}
			m.after(no.after, func() { m.end(s, no.closing) })
			return
		}
	}
	m.after(modelTrip, func() { m.tell(s, connected{session: s.id}) })
	m.after(3*modelTrip/2, func() { m.accept(s, d.to.Addr() == modelAddr) })
}

// accept has the server greet a connection, or turn it away.
func (m *serverModel) accept(s *modelSession, here bool) {
	if s.over {
		return
	}
	if here && m.limit > 0 && m.taken >= m.limit {
		m.after(modelTrip/2, func() {
			m.end(s, closing{stage: stageGreeting, reply: wire.Reply{Code: 421, Text: "too many connections"}})
		})
		return
	}
	if here {
		s.counted = true
		m.taken++
		m.most = max(m.most, m.taken)
	}
	// The greeting, EHLO, STARTTLS, the handshake and EHLO again.
	m.after(9*modelTrip/2, func() {
		m.tell(s, opened{session: s.id, caps: wire.Caps{MailMax: m.mailMax, Pipelining: m.pipes}, tls: protection{name: "TLSv1.3", verified: true}})
	})
}

// tell has the engine hear of a session, if that is not over.
func (m *serverModel) tell(s *modelSession, ev event) {
	if !s.over {
		m.step(ev)
	}
}

// end has the session of its own accord come to an end.
func (m *serverModel) end(s *modelSession, c closing) {
	if s.over {
		return
	}
	s.over = true
	m.step(ended{session: s.id, closing: c})
}

// hangup ends a session as speakers do: one that lingers when the server has closed the connection, and any other at once.
func (m *serverModel) hangup(a hangup) {
	s := m.sessions[a.session]
	require.False(m.t, a.stuck, "no session makes no progress")
	require.Empty(m.t, s.hands, "a session with a transaction is not hung up")
	if !a.abort && !s.used {
		m.unused++
	}
	s.over = true // what is under way from the server is not heard any more
	closes := modelTrip/2 + m.keeps
	if s.counted {
		m.after(closes+m.lags, func() { m.taken-- })
	}
	heard := time.Duration(0)
	if a.linger {
		heard = closes + modelTrip/2
	}
	m.after(heard, func() { m.step(ended{session: s.id}) })
}

func (m *serverModel) transmit(a transmit) {
	s := m.sessions[a.session]
	s.used = true
	m.transactions[a.order.to[0].Domain()]++
	if s.hands = append(s.hands, a.order); len(s.hands) == 1 {
		m.work(s)
	}
}

// work has the server take the first transaction in a session's hands. Its body is on its way after a round trip.
func (m *serverModel) work(s *modelSession) {
	o := s.hands[0]
	if m.pipes {
		m.after(modelTrip, func() { m.step(cleared{session: s.id, transaction: o.transaction}) })
	}
	m.after(modelTransaction, func() {
		if s.hands = s.hands[1:]; len(s.hands) > 0 {
			m.work(s)
		}
		ok := wire.Reply{Code: 250}
		r := &report{transaction: o.transaction, mail: ok, data: wire.Reply{Code: 354}, final: ok, dotted: true}
		r.rcpts = slices.Repeat([]wire.Reply{ok}, len(o.to))
		m.step(finished{session: s.id, report: r})
	})
}

func (m *serverModel) settle(a settle) {
	for _, st := range a.settlements {
		domain := a.envelope.Routes[st.Recipient]
		if st.Outcome.Class == Delivered {
			m.delivered[domain] = append(m.delivered[domain], st.Total)
		} else {
			m.others = append(m.others, fmt.Sprint(domain, " after ", st.Total, ": ", st.Outcome.Status, " ", st.Outcome.Reply.Text))
		}
	}
}

// server is the one at the first address, or nil.
func (m *serverModel) server() *server {
	return m.e.servers[netip.AddrPortFrom(modelAddr, 25).String()+" "]
}

package feed

import (
	"net/netip"
	"slices"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// A sessionState is how far a session has come.
type sessionState uint8

const (
	sessionDialing sessionState = iota // no EHLO reply yet; ended by opened or ended
	sessionReady                       // no transaction in its hands; ended by a transmit, its idle timer, or ended
	sessionBusy                        // at least one transaction in its hands; ended by the last finished
	sessionClosing                     // said goodbye or was seen broken: nothing more is given to it; ended by ended
)

// A session is the engine's view of one SMTP connection.
type session struct {
	id      sessionID
	host    *host
	addr    int // index in host.addrs
	state   sessionState
	caps    wire.Caps
	told    map[string]bool // domains that the Observer was told of; nil without one
	fixup   bool
	source  netip.Addr
	tls     protection
	plain   bool          // dialled without TLS, since the host was seen to fail at it
	reduced bool          // dialled with a reduced ClientHello
	wanted  bool          // the host had refused mail without TLS before this was dialled
	connect time.Duration // spent on opening; told with its first transaction
	flights []*flight     // in its hands, in the order of the wire
	begun   int           // transactions given to it
	done    int           // of those, finished
	domains []*route      // that its transactions had, where the host takes only so many a session
	clean   bool          // so far every transaction went as RFC 5321 has it
	idle    timer
	opened  time.Time // when it was
	stands  bool      // the connection does: the other end has answered
	beside  bool      // another session with the address was open when this one was dialled
	hedge   timer     // until connected
	guard   timer     // see watchdog.go; set but while the session rests
	suspect bool      // guard has fired once
	hungUp  bool      // counted in engine.leaving
	mute    bool      // the dial was not answered for the hedge delay
	retired bool      // closed when its transaction ends
	served  bool      // a recipient was accepted on it
	since   time.Time // ready since
}

// pump gives a host's sessions what they can take, and opens more when that is not enough.
func (e *engine) pump(now time.Time, h *host) {
	h.limit.expire(now, e.config.RecipientsPerTransaction)
	if h.tls.expire(now) {
		e.retirePlain(h)
	}
	for h.waiting > 0 || e.borrow(now, h) {
		if len(h.ready)+len(h.clear) == 0 || !e.due(now, h) && !(e.borrow(now, h) && e.due(now, h)) {
			break
		}
		s := h.writable()
		if s == nil {
			break
		}
		if h.yields(now, s) || !e.transmit(now, s) {
			e.retire(s)
		}
	}
	e.openMore(now, h)
}

// openMore orders the sessions that a host wants, as far as there is room.
func (e *engine) openMore(now time.Time, h *host) {
	sv, moved := h.server, h.short
	wants := e.wantsSession(now, h)
	for wants && h.room() && e.open(now, h) {
		wants = e.wantsSession(now, h)
	}
	if wants && !h.hungry {
		moved = moved && !h.short // it got one, and stands behind the others for the next
		e.runShort(h)
	} else {
		sv.satisfied(h)
	}
	if sv.turn == h && (moved || !h.short || !sv.vacating(h) && sv.leaving == 0) {
		sv.turn, moved = nil, true
	}
	if moved {
		e.wakeShort(sv)
	}
}

// retirePlain lets the sessions go that are plaintext since TLS had failed: a busy host would be spoken to by them for ever.
func (e *engine) retirePlain(h *host) {
	for _, s := range slices.Clone(h.sessions) {
		if s.plain && s.state != sessionDialing {
			e.retire(s)
		}
	}
}

// retire lets a session go that can carry nothing of what waits, since its host takes only so many messages or domains a session, or that makes
// room for another host of its server.
func (e *engine) retire(s *session) {
	e.mark(s)
	if len(s.flights) == 0 {
		e.close(s)
		e.wake(s.host)
	}
}

// mark notes that a session is to be closed when its transaction ends.
func (e *engine) mark(s *session) {
	if !s.retired {
		s.retired = true
		e.counts.SessionsRetired++
	}
}

// spent says that a session must not be given another transaction.
func (s *session) spent() bool {
	return s.retired || s.host.limit.messages > 0 && s.begun >= s.host.limit.messages
}

// writable takes the session that can write a transaction's commands now: one at rest, the last used first, or else one
// whose body is on its way. It is nil when there is none.
func (h *host) writable() *session {
	if n := len(h.ready); n > 0 {
		s := h.ready[n-1]
		h.ready = h.ready[:n-1]
		return s
	}
	if len(h.clear) > 0 {
		s := h.clear[0]
		h.clear[0] = nil
		h.clear = h.clear[1:]
		return s
	}
	return nil
}

// open orders a new session, if the process's budget has room or an idle session elsewhere can make some.
func (e *engine) open(now time.Time, h *host) bool {
	addr, ok := e.nextAddr(now, h)
	if !ok {
		addr = 0 // all failed a while ago and the host has risen since: begin again
	}
	if len(e.sessions) >= e.config.Sessions || now.Before(e.exhausted) {
		h.hungry = true
		e.hungry = append(e.hungry, h)
		return false
	}
	e.dial(now, h, addr)
	return true
}

// dial orders a session with one address of a host.
func (e *engine) dial(now time.Time, h *host, addr int) {
	e.lastSession++
	s := &session{id: e.lastSession, host: h, addr: addr, clean: true, beside: h.hasOpen(addr)}
	s.idle.due = func(now time.Time) {
		if h.waiting > 0 { // for a carrier whose own envelope gave up: its route does not count the host any more
			e.armIdle(s)
			return
		}
		e.close(s)
	}
	s.hedge.due = func(now time.Time) { e.hedge(now, s) }
	s.guard.due = func(now time.Time) { e.suspect(now, s) }
	e.watch(s, now.Add(e.config.openingTime()))
	if e.config.HedgeDelay > 0 {
		e.timers.set(&s.hedge, now.Add(e.config.HedgeDelay))
	}
	e.sessions[s.id] = s
	h.sessions = append(h.sessions, s)
	h.server.sessions = append(h.server.sessions, s)
	h.server.satisfied(h)
	h.dialing++
	e.counts.Dials++
	if h.downCount > 0 {
		e.counts.Probes++
	}
	s.plain, s.reduced, s.wanted = h.policy.level == levelMay && h.tls.none, h.tls.smallHello, h.tls.wanted
	e.act(dial{session: s.id, to: h.addrs[addr], timeout: e.config.ConnectTimeout, configured: h.configured,
		name: h.name, policy: h.policy, sni: h.sni(s.reduced), plain: s.plain, reduced: s.reduced})
}

// relieve closes sessions at rest for hosts that wait for the process's budget: the one idle longest first, as SMTPfeed did.
// The room is there when they have ended. It is called when every host that changed was pumped, so a session that rests then
// has nothing to do, and rests until its idle timeout: without relieve whoever is hungry would wait as long. It is true when it woke hosts,
// whose sessions may be at rest when they have been pumped.
func (e *engine) relieve() (woken bool) {
	var held []resting // they have work after all, see gather.go, and do it now that others wait
	for e.leaving < len(e.hungry) && len(e.rest) > 0 {
		r := e.rest[0]
		e.rest = e.rest[1:]
		s := e.sessions[r.session]
		switch {
		case s == nil || s.state != sessionReady || !s.since.Equal(r.since):
		case s.host.waiting > 0:
			held = append(held, r)
			e.wake(s.host)
		default:
			e.counts.SessionsEvicted++
			e.close(s)
		}
	}
	if len(held) > 0 {
		e.rest = append(held, e.rest...)
	}
	return len(held) > 0
}

// close says goodbye to a session at rest, or gives up one that is not open yet.
func (e *engine) close(s *session) {
	abort := s.state == sessionDialing
	if abort {
		s.host.dialing--
	}
	s.hungUp = true
	e.leaving++
	s.host.server.leaving++
	e.leave(s)
	e.watch(s, e.now.Add(e.config.Timeouts.Quit))
	e.act(hangup{session: s.id, abort: abort, linger: !abort && s.host.server.counts()})
}

// leave takes a session off its host: nothing is given to it any more, and its place there is free.
func (e *engine) leave(s *session) {
	h, same := s.host, func(o *session) bool { return o == s }
	h.sessions = slices.DeleteFunc(h.sessions, same)
	h.server.sessions = slices.DeleteFunc(h.server.sessions, same)
	h.ready = slices.DeleteFunc(h.ready, same)
	h.clear = slices.DeleteFunc(h.clear, same)
	s.state = sessionClosing
	e.timers.stop(&s.idle)
	e.timers.stop(&s.hedge)
	e.wakeShort(h.server)
}

// feedHungry lets the hosts that waited for the process's budget try again, in their order.
func (e *engine) feedHungry(now time.Time) {
	room := e.config.Sessions - len(e.sessions)
	if now.Before(e.exhausted) {
		return
	}
	for room > 0 && len(e.hungry) > 0 {
		h := e.hungry[0]
		e.hungry[0] = nil
		e.hungry = e.hungry[1:]
		h.hungry = false
		if h.waiting > 0 {
			e.wake(h)
			room--
		}
	}
}

// restSession lets a session without a transaction wait for the next one.
func (e *engine) restSession(now time.Time, s *session) {
	if s.spent() {
		e.retire(s)
		return
	}
	if e.draining {
		e.close(s)
		return
	}
	e.timers.stop(&s.guard)
	s.state, s.since = sessionReady, now
	s.host.ready = append(s.host.ready, s)
	e.rest = append(e.rest, resting{session: s.id, since: now})
	if len(e.rest) > 2*len(e.sessions)+1024 {
		e.compactRest()
	}
	e.armIdle(s)
	e.wake(s.host)
	e.wakeShort(s.host.server)
}

// A resting notes when a session came to rest. It is void when the session has worked since.
type resting struct {
	session sessionID
	since   time.Time
}

// compactRest drops the void entries.
func (e *engine) compactRest() {
	e.rest = slices.DeleteFunc(e.rest, func(r resting) bool {
		s := e.sessions[r.session]
		return s == nil || s.state != sessionReady || !s.since.Equal(r.since)
	})
}

// armIdle starts or stops a resting session's idle timer: while an unsettled route names its host it stays.
func (e *engine) armIdle(s *session) {
	if s.host.interest > 0 {
		e.timers.stop(&s.idle)
		return
	}
	e.timers.set(&s.idle, e.now.Add(e.config.IdleTimeout))
}

// sessionOpened takes the news that greeting and EHLO are done.
func (e *engine) sessionOpened(now time.Time, ev opened) {
	s := e.sessions[ev.session]
	if s.state != sessionDialing {
		return // given up meanwhile
	}
	h := s.host
	h.dialing--
	s.caps, s.fixup, s.connect, s.tls = ev.caps, ev.fixup, ev.connect, ev.tls
	e.countTLS(ev.tls)
	e.counts.SessionsTotal++
	wasDoubtful := h.doubtful()
	e.answered(h)
	e.timers.stop(&s.hedge)
	h.rise()
	h.bad[s.addr] = time.Time{}
	if s.tls.name != "" {
		h.tls.works()
		h.spoilt[s.addr] = time.Time{}
	}
	e.familyOf(h, s.addr).works()
	s.opened, h.server.seen, h.server.pauses = now, now, 0
	h.limit.opened(h.server.open() + 1)
	e.wakeShort(h.server)
	h.limit.offered(now, ev.caps)
	if s.plain && !h.tls.none {
		s.state = sessionReady
		e.mark(s) // that was forgotten, or found to be wrong, while it was on its way
	}
	e.restSession(now, s)
	e.won(now, s, wasDoubtful)
}

// sessionCleared takes the news that a body is on its way: RFC 2920 section 3.1 lets the next transaction's commands follow
// it in the same group. Only where it went well before, or a transaction without it did, and nothing odd was ever seen: some old
// servers throw away what follows the dot.
func (e *engine) sessionCleared(ev cleared) {
	s := e.sessions[ev.session]
	if s.state == sessionClosing {
		return
	}
	if len(s.flights) != 1 || s.flights[0].id != ev.transaction {
		panic("BUG: cleared a transaction that is not the session's only one")
	}
	l := s.host.limit
	if s.done == 0 && !l.rides || !s.clean || !s.caps.Pipelining || s.fixup || l.noPipelining || l.noRiding || s.spent() || s.state != sessionBusy {
		return
	}
	s.host.clear = append(s.host.clear, s)
	e.wake(s.host)
}

// sessionEnded takes a session out. One that never opened says something about its address and perhaps its host.
func (e *engine) sessionEnded(now time.Time, ev ended) {
	s := e.sessions[ev.session]
	for len(s.flights) > 0 { // orders that crossed with the session's end: never begun
		e.flightFinished(now, finished{session: s.id, report: &report{transaction: s.flights[0].id, err: errSessionOver, stage: stageMail}})
	}
	h := s.host
	dialed := s.state == sessionDialing
	delete(e.sessions, s.id)
	if s.hungUp {
		e.leaving--
		h.server.leaving--
	}
	if !s.opened.IsZero() {
		h.server.seen = now
	}
	e.leave(s)
	e.timers.stop(&s.guard)
	if dialed {
		h.dialing--
		e.dialFailed(now, s, ev.closing)
		if h.dialing == 0 {
			e.answered(h)
		}
	}
	e.wake(h)
	e.feedHungry(now)
	e.tidy(now, h)
}

// dialFailed says what a session that never opened means: our own shortage, a host that takes no more connections, an
// address that is dead, or with the last address a host that is.
func (e *engine) dialFailed(now time.Time, s *session, c closing) {
	h := s.host
	e.counts.DialsFailed++
	switch {
	case c.local:
		e.exhausted = now.Add(exhaustedFor)
		e.timers.set(&e.exhaustedTimer, e.exhausted)
		return
	case c.unbound:
		e.unbound(now, s, c)
		return
	case c.tls != nil && e.tlsFailed(s, c.tls):
		return
	case c.noRoute:
		e.familyOf(h, s.addr).fails(now, e.config.DownTime)
	case h.hasOpen(s.addr), s.beside, c.stage <= stageHello && h.server.hasOpen(h.addrs[s.addr]),
		c.stage == stageGreeting && c.reply.Code == 421 && h.server.stands(h.addrs[s.addr]):
		// Other sessions live, or did when this one was begun: the host is well and takes no more of us. If it has died
		// meanwhile, the next dial tells. But TLS that fails says nothing of hosts under other policies.
		h.limit.crowded(now, len(h.server.sessions)+h.server.leaving)
		return
	case e.pause(now, h.server, c):
		return
	}
	h.bad[s.addr] = now.Add(e.config.DownTime)
	if _, ok := e.nextAddr(now, h); ok {
		return
	}
	e.allFailed(now, h, s, c)
	if c.stage > stageGreeting || h.server.open() > 0 {
		return
	}
	h.limit.ceiling = 0 // it took none: what stood beside a refusal was refused as well
	// Those of the server's other hosts that wait for a session would find the same, one after the other.
	for _, o := range slices.Clone(h.server.short) {
		if len(o.sessions) == 0 && slices.Equal(o.addrs, h.addrs) {
			e.allFailed(now, o, s, c)
		}
	}
}

// allFailed lets a host fall: a session with its last address has failed, its own or one of its server's.
func (e *engine) allFailed(now time.Time, h *host, s *session, c closing) {
	clear(h.bad)
	e.fall(now, h, hostOutcome(c, &Via{MX: h.name, Addr: h.addrs[s.addr], Session: uint64(s.id), Policy: h.policy.word}))
}

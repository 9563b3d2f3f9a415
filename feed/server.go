package feed

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// turnTime is how long the only session that a server takes of us serves one host before it makes room for another.
	turnTime = time.Second
	// pauseTime is how long no session is begun at a server that had one a moment ago (livesTime) and says that there are too many: whoever
	// counts there has not seen yet that others are closed. It doubles each time.
	pauseTime = 200 * time.Millisecond
	livesTime = 5 * time.Second
)

// A server is what the hosts of one set of addresses share: they differ in their policies, and to the other end they are one client. So
// it is the server whose sessions are counted and whose limits are learned. A session is a host's all the same: no mail goes by one that
// keeps to another policy.
type server struct {
	keys     []string // in engine.servers
	hosts    []*host
	short    []*host    // that lacked room when they were pumped last, the first come first
	turn     *host      // a session was closed to make room for this one: until it is gone, and this one was pumped
	sessions []*session // of all its hosts, being opened or open
	leaving  int        // sessions that were told goodbye and have not ended: the other end may still count them
	seen     time.Time  // when a session was open last
	paused   timer      // set while no session is begun
	pauses   int        // since a session was opened
	limit    limit
}

// serve gives a new host its server.
func (e *engine) serve(h *host, name string, addrs []netip.AddrPort) {
	all, v4 := keysOf(name, addrs, &policy{})
	sv := e.servers[all]
	if sv == nil && v4 != "" {
		sv = e.servers[v4]
	}
	if sv == nil {
		sv = &server{}
		sv.paused.due = func(time.Time) { e.wakeShort(sv) }
		sv.limit = limit{window: 1, cap: e.config.SessionsPerHost, recipients: e.config.RecipientsPerTransaction, life: e.config.LimitsTTL}
	}
	sv.hosts = append(sv.hosts, h)
	h.server, h.limit, h.alias = sv, &sv.limit, v4
	e.nameServer(sv, all)
	if v4 != "" {
		e.nameServer(sv, v4)
	}
}

// nameServer makes the server known under one more key.
func (e *engine) nameServer(sv *server, key string) {
	if e.servers[key] == nil {
		e.servers[key] = sv
		sv.keys = append(sv.keys, key)
	}
}

// unserve takes a host that is forgotten off its server.
func (e *engine) unserve(h *host) {
	sv := h.server
	sv.hosts = slices.DeleteFunc(sv.hosts, func(o *host) bool { return o == h })
	sv.satisfied(h)
	if sv.turn == h {
		sv.turn = nil
	}
	if len(sv.hosts) > 0 {
		e.unalias(sv, h.alias)
		e.wakeShort(sv) // it may have been woken to be the next, and will not be pumped as such any more
		return
	}
	e.timers.stop(&sv.paused)
	for _, key := range sv.keys {
		delete(e.servers, key)
	}
}

// unalias forgets a name that a host had brought, unless another host has it too.
func (e *engine) unalias(sv *server, key string) {
	if e.servers[key] == sv && !slices.ContainsFunc(sv.hosts, func(o *host) bool { return o.alias == key }) {
		sv.keys = slices.DeleteFunc(sv.keys, func(k string) bool { return k == key })
		delete(e.servers, key)
	}
}

// open is how many sessions are open.
func (sv *server) open() int {
	n := 0
	for _, s := range sv.sessions {
		if s.state != sessionDialing {
			n++
		}
	}
	return n
}

// hasOpen says that a session with the address is open.
func (sv *server) hasOpen(addr netip.AddrPort) bool {
	return slices.ContainsFunc(sv.sessions, func(s *session) bool { return s.state != sessionDialing && s.host.addrs[s.addr] == addr })
}

// stands says that a connection with the address does, open or not yet.
func (sv *server) stands(addr netip.AddrPort) bool {
	return slices.ContainsFunc(sv.sessions, func(s *session) bool { return s.stands && s.host.addrs[s.addr] == addr })
}

// pause lets a server that turned a session away have none for a moment, if it had some a moment ago. It says whether that is so. What has one
// policy only is one host, which is down then as any host.
func (e *engine) pause(now time.Time, sv *server, c closing) bool {
	lives := now.Before(sv.seen.Add(livesTime)) || len(sv.sessions) > 0
	if len(sv.hosts) == 1 || c.reply.Code != 421 || c.stage > stageHello || !lives {
		return false
	}
	if n := len(sv.sessions) + sv.leaving; n > 0 {
		sv.limit.crowded(now, n)
	}
	e.timers.set(&sv.paused, now.Add(pauseTime<<min(sv.pauses, 4)))
	sv.pauses++
	return true
}

// room says that the host may have one more session. Its first one does not wait until more than one is earned. Nobody takes a place
// that was made for another, or that another needs more.
func (h *host) room() bool {
	sv := h.server
	if sv.turn != nil && sv.turn != h || sv.paused.slot > 0 {
		return false
	}
	if o := sv.needy(nil); o != nil && o != h {
		return false
	}
	most := sv.limit.sessions()
	if len(h.sessions) == 0 {
		most = sv.limit.bound()
	}
	return len(sv.sessions)+sv.leaving < most
}

// counts says that a session that is closed had better be gone at the other end before the next one comes.
func (sv *server) counts() bool { return sv.limit.ceiling > 0 || len(sv.short) > 0 }

// share is how many sessions each host of a server has when all that have mail take as many as they may.
func (sv *server) share() int {
	all := sv.limit.sessions()
	if len(sv.short) >= all {
		return 1
	}
	var busy []*host
	for _, s := range sv.sessions {
		if (s.host.waiting > 0 || s.state != sessionReady) && !slices.Contains(busy, s.host) {
			busy = append(busy, s.host)
		}
	}
	n := len(busy)
	for _, h := range sv.short {
		if h.waiting > 0 && len(h.sessions) == 0 {
			n++
		}
	}
	return max(all/max(n, 1), 1)
}

// needy is the host, but for one, that has waited longest for a session of those that have less than their share of them, and of these
// one that has none; nil is none.
func (sv *server) needy(but *host) (needy *host) {
	if len(sv.short) == 0 || len(sv.hosts) == 1 {
		return nil
	}
	share := sv.share()
	for _, h := range sv.short {
		switch {
		case h == but, h.waiting == 0, len(h.sessions) >= share:
		case len(h.sessions) == 0:
			return h
		case needy == nil:
			needy = h
		}
	}
	return needy
}

// yields says that a session that could go on is to make room for another host of its server: when its own has more than its share, or has
// had its turn with the only one.
func (h *host) yields(now time.Time, s *session) bool {
	sv := h.server
	o := sv.needy(h)
	if o == nil || sv.turn != nil || sv.leaving > 0 {
		return false
	}
	if len(h.sessions) <= sv.share() && (len(o.sessions) > 0 || now.Before(s.opened.Add(turnTime))) {
		return false
	}
	sv.turn = o
	return true
}

// makeRoom closes a session that rests at another host of the server, unless one is on its way out.
func (e *engine) makeRoom(h *host) {
	sv := h.server
	if sv.turn != nil && sv.turn != h || sv.leaving > 0 {
		return
	}
	for _, s := range sv.sessions {
		if s.host == h || s.host.waiting > 0 || s.state != sessionReady {
			continue
		}
		if until := s.since.Add(turnTime); len(h.sessions) > 0 && e.now.Before(until) {
			e.patient(h, until) // the next mail of its own may come: one more session here is not worth two dials
		} else {
			e.counts.SessionsEvicted++
			e.close(s)
			return
		}
	}
}

// wakeShort looks again at who is next to have a session. When that one has what it wants, it wakes the next.
func (e *engine) wakeShort(sv *server) {
	o := sv.turn
	if o == nil {
		o = sv.needy(nil)
	}
	if o == nil && len(sv.short) > 0 {
		o = sv.short[0]
	}
	if o != nil {
		e.wake(o)
	}
}

// runShort notes that the host lacks a session. Others of its server make room, or at least gather no more.
func (e *engine) runShort(h *host) {
	sv := h.server
	if !h.short {
		h.short = true
		sv.short = append(sv.short, h)
	}
	e.hush(e.now, h)
	e.makeRoom(h)
	for _, s := range sv.sessions {
		if s.host != h && s.state == sessionReady {
			e.wake(s.host)
		}
	}
}

// satisfied notes that the host lacks none.
func (sv *server) satisfied(h *host) {
	if h.short {
		h.short = false
		i := slices.Index(sv.short, h)
		sv.short = slices.Delete(sv.short, i, i+1)
	}
}

// vacating says that a session at work of another host is to be closed when its transaction ends.
func (sv *server) vacating(h *host) bool {
	return slices.ContainsFunc(sv.sessions, func(s *session) bool { return s.host != h && s.retired })
}

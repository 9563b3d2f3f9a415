package feed

import (
	"net/netip"
	"slices"
	"time"
)

// turnTime is how long the only session that a server takes of us serves one host before it makes room for another.
const turnTime = time.Second

// A server is what the hosts of one set of addresses share: they differ in their policies, and to the other end they are one client. So
// it is the server whose sessions are counted and whose limits are learned. A session is a host's all the same: no mail goes by one that
// keeps to another policy.
type server struct {
	keys  []string // in engine.servers
	hosts []*host
	turn  *host // a session was closed to make room for this one: until it is pumped
	limit limit
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
		sv.limit = limit{window: 1, cap: e.config.SessionsPerHost, recipients: e.config.RecipientsPerTransaction, life: e.config.LimitsTTL}
	}
	sv.hosts = append(sv.hosts, h)
	h.server, h.limit = sv, &sv.limit
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
	if sv.turn == h {
		sv.turn = nil
	}
	if len(sv.hosts) > 0 {
		return
	}
	for _, key := range sv.keys {
		delete(e.servers, key)
	}
}

// sessions is how many there are, being opened or open.
func (sv *server) sessions() int {
	n := 0
	for _, h := range sv.hosts {
		n += len(h.sessions)
	}
	return n
}

// open is how many of them are open.
func (sv *server) open() int {
	n := 0
	for _, h := range sv.hosts {
		n += len(h.sessions) - h.dialing
	}
	return n
}

// hasOpen says that a session with the address is open.
func (sv *server) hasOpen(addr netip.AddrPort) bool {
	return slices.ContainsFunc(sv.hosts, func(h *host) bool {
		i := slices.Index(h.addrs, addr)
		return i >= 0 && h.hasOpen(i)
	})
}

// room says that the host may have one more session. Its first one does not wait until more than one is earned, and nobody takes a place
// that was made for another.
func (h *host) room() bool {
	sv := h.server
	if sv.turn != nil && sv.turn != h {
		return false
	}
	if len(h.sessions) == 0 {
		return sv.sessions() < sv.limit.bound()
	}
	return sv.sessions() < sv.limit.sessions()
}

// share is how many sessions each host of a server has when all that have mail take as many as they may.
func (sv *server) share() int {
	busy := 0
	for _, h := range sv.hosts {
		if h.waiting > 0 || len(h.sessions) > len(h.ready) {
			busy++
		}
	}
	return max(sv.limit.sessions()/max(busy, 1), 1)
}

// needy is another host of the server that has less than its share of the sessions, and no room for one that it wants; nil is none.
func (sv *server) needy(but *host) *host {
	if len(sv.hosts) == 1 {
		return nil
	}
	share := sv.share()
	for _, h := range sv.hosts {
		if h != but && h.short && h.waiting > 0 && len(h.sessions) < share {
			return h
		}
	}
	return nil
}

// yields says that a session that could go on is to make room for another host of its server: when its own has more than its share, or has
// had its turn with the only one.
func (h *host) yields(now time.Time, s *session) bool {
	sv := h.server
	o := sv.needy(h)
	if o == nil || sv.turn != nil {
		return false
	}
	if len(h.sessions) <= sv.share() && (len(o.sessions) > 0 || now.Before(s.opened.Add(turnTime))) {
		return false
	}
	sv.turn = o
	return true
}

// makeRoom closes a session that rests at another host of the server. It is false when there is none.
func (e *engine) makeRoom(h *host) bool {
	for _, o := range h.server.hosts {
		if o != h && o.waiting == 0 && len(o.ready) > 0 {
			e.counts.SessionsEvicted++
			e.close(o.ready[0])
			return true
		}
	}
	return false
}

// wakeShort looks again at the hosts of the server that wanted a session and had no room.
func (e *engine) wakeShort(sv *server) {
	for _, h := range sv.hosts {
		if h.short {
			e.wake(h)
		}
	}
}

// runShort notes that the host lacks a session. Others of its server gather no more.
func (e *engine) runShort(h *host) {
	h.short = true
	for _, o := range h.server.hosts {
		if o != h && len(o.ready) > 0 {
			e.wake(o)
		}
	}
}

package feed

import (
	"crypto/tls"
)

// maxTicket bounds what is kept of a session: a ticket, and the peer's certificates. Some 6 KiB are usual.
const maxTicket = 24 << 10

// tickets are those of one server under one policy, for one session. A session is resumed with the certificate of the first one, at which no
// other policy may have looked.
//
// A post-quantum key exchange is half of what a handshake costs, and a resumed session need not repeat it: its secrets come from the first
// session's too. So where there is a ticket a classic one is offered alone. If the server does not take the ticket that session has to do with
// it, and gives none for others, so that the next one begins anew.
type tickets struct {
	cache   tls.ClientSessionCache
	key     string
	spoiled bool // nothing is kept any more; set before the session's receiver begins
}

// useTickets are the tickets for a session to be dialled.
func (p *protection) useTickets(k *tlsKit, d dial) tls.ClientSessionCache {
	p.tickets = &tickets{cache: k.tickets, key: d.policy.key + " " + d.sni}
	if d.sni == "" {
		p.tickets.key += d.to.String()
	}
	_, p.quick = k.tickets.Get(p.tickets.key)
	return p.tickets
}

// Get is part of tls.ClientSessionCache.
func (t *tickets) Get(string) (*tls.ClientSessionState, bool) { return t.cache.Get(t.key) }

// Put is part of tls.ClientSessionCache.
func (t *tickets) Put(_ string, s *tls.ClientSessionState) {
	if t.spoiled {
		return
	}
	if s != nil && !worthKeeping(s) {
		s = nil
	}
	t.cache.Put(t.key, s)
}

// spoil throws away what there is, and what comes.
func (t *tickets) spoil() {
	t.cache.Put(t.key, nil)
	t.spoiled = true
}

func worthKeeping(s *tls.ClientSessionState) bool {
	ticket, state, err := s.ResumptionState()
	if err != nil || state == nil {
		return false
	}
	whole, err := state.Bytes()
	return err == nil && len(ticket)+len(whole) <= maxTicket
}

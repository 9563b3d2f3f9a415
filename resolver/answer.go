package resolver

import (
	"time"

	"github.com/miekg/dns"
)

// againAfter is the pause before a server that gave an unusable answer is asked again; another server is asked at once.
// A recursor under load answers SERVFAIL and is better a moment later.
const againAfter = 250 * time.Millisecond

// receive looks at one message of a port. What does not answer a question in flight there is ignored (RFC 5452 section 9.1),
// and the question goes on waiting: garbage must not end it.
func (u *upstream) receive(p *port, msg []byte) {
	now := time.Now()
	h, ok := readHeader(msg)
	q := u.match(now, p, h, ok, msg)
	if q == nil {
		return
	}
	switch {
	case h.truncated && !p.stream:
		// Looked at before unpacking, which fails on messages cut in mid-record. A partial set of MX records is never
		// used (RFC 2181 section 9): the best one may be missing, which ends in a false loop.
		u.overTCP(now, q, p.server)
	case h.truncated:
		u.again(now, q, p.server, "truncated over TCP")
	case h.rcode == dns.RcodeFormatError && !q.plain:
		u.withoutEDNS(now, q, p.server)
	case h.rcode != dns.RcodeSuccess && h.rcode != dns.RcodeNameError:
		u.again(now, q, p.server, rcodeName(h.rcode))
	default:
		u.understand(now, q, p.server, msg)
	}
}

// match finds the question that a message answers and takes it out of flight; nil: none.
func (u *upstream) match(now time.Time, p *port, h header, ok bool, msg []byte) *question {
	u.mu.Lock()
	defer u.mu.Unlock()
	var q *question
	if ok && h.response {
		q = p.asked[h.id]
	}
	if q == nil || !h.answers(msg, q.wire, q.end) {
		u.stats.Spoofed++
		return nil
	}
	u.measure(now, q, p, h)
	u.timers.remove(q)
	u.window.inFlight--
	u.heard = now
	if u.queue.len() > 0 {
		u.nudge()
	}
	return q
}

// measure learns from an answer: that the server lives, its round trip, and whether datagrams were lost on the way.
func (u *upstream) measure(now time.Time, q *question, p *port, h header) {
	i := q.forget(p, h.id)
	s := p.server
	s.silent, s.trouble = 0, ""
	if p.stream {
		s.stream.note(now, p)
		return
	}
	s.rtt.sample(now.Sub(q.sends[i].at))
	// The first transmission's answer is a slow one at worst; that of a later one means the first was lost.
	if i > 0 || h.rcode == dns.RcodeServerFailure {
		u.window.lost(now, s.rtt.smoothed)
		return
	}
	u.window.answered(now, s.rtt.smoothed)
}

// understand reads an answer and, if it is usable, ends the question.
func (u *upstream) understand(now time.Time, q *question, s *server, msg []byte) {
	var m dns.Msg
	if err := m.Unpack(msg); err != nil {
		u.again(now, q, s, "malformed answer")
		return
	}
	f := parse(now, &m, q.key)
	if f.status == failed {
		u.again(now, q, s, f.reason)
		return
	}
	f.server = s.addr
	u.done(q.key, f)
}

// withoutEDNS asks the same server once more in the old format (RFC 6891 section 7).
func (u *upstream) withoutEDNS(now time.Time, q *question, s *server) {
	u.mu.Lock()
	q.plain = true
	q.wire = withoutEDNS(q.wire, q.end)
	q.last = u.before(s)
	ended := u.back(now, q)
	u.mu.Unlock()
	u.fail(now, q, ended)
}

// again goes on after an unusable answer: with the next server, or a moment later with the same if there is one only, then
// not any more. SERVFAIL, REFUSED and the like say something about the server and never that a domain does not exist.
func (u *upstream) again(now time.Time, q *question, s *server, reason string) {
	u.mu.Lock()
	q.bad++
	q.reason = reason
	q.last = s
	ended := q.bad >= max(2, len(u.servers))
	due := now
	if q.bad%len(u.servers) == 0 {
		due = now.Add(againAfter)
	}
	ended = ended || u.back(due, q)
	u.mu.Unlock()
	u.fail(now, q, ended)
}

// back puts a question in flight again, to be sent when due; true: it is too late for that.
func (u *upstream) back(due time.Time, q *question) (ended bool) {
	q.sends, q.tries = nil, 0
	if u.closed || !due.Before(q.deadline) {
		return true
	}
	u.window.inFlight++
	u.timers.set(q, due)
	u.nudge()
	return false
}

// fail ends a question without a usable answer, if it is to end.
func (u *upstream) fail(now time.Time, q *question, ended bool) {
	if ended {
		u.done(q.key, failure(now, q.reason, q.last.addr))
	}
}

// before is the server after which choose turns to s.
func (u *upstream) before(s *server) *server {
	n := len(u.servers)
	for i := range u.servers {
		if u.servers[(i+1)%n] == s {
			return u.servers[i]
		}
	}
	return s
}

package resolver

import (
	"encoding/binary"
	"time"

	"github.com/miekg/dns"
)

// The pauses before a server that gave an unusable answer is asked again; another server is asked at once. A recursor under
// load answers SERVFAIL and is better a moment later; BIND keeps such an answer for 1 s (servfail-ttl), so the second pause is
// longer than that.
const (
	againAfter = 250 * time.Millisecond
	longAfter  = 1200 * time.Millisecond
)

// How often a question is asked when the answers are unusable. Of SERVFAIL one may come of load; RFC 9520 section 3.1 allows three
// askings. Another server is always asked.
const (
	patience         = 2
	patienceServfail = 3
	patienceStrained = 2 // askings more, as far as the timeout lets them, when the server has shown to be overloaded just now
)

// An answer ends a question: what the servers said, or that they said nothing of use.
type answer struct {
	question *question
	facts    *facts
}

// An arrival is a message and the question it answers, which is out of flight until the message was looked at.
type arrival struct {
	question *question
	header   header
	message  []byte
}

// An inbox is what one reader has in hand. It is the reader's own, and used again for each of its reads.
type inbox struct {
	arrivals []arrival
	answers  []answer
}

// receive looks at messages of a port. All that one read gave are matched under one lock, and handed on together: a wave of
// answers costs few locks and wakes few goroutines.
func (u *upstream) receive(p *port, in *inbox, messages [][]byte) {
	now := time.Now()
	in.arrivals, in.answers = in.arrivals[:0], in.answers[:0]
	u.match(now, p, in, messages)
	for _, a := range in.arrivals {
		if f := u.judge(now, p, a); f != nil {
			in.answers = append(in.answers, answer{a.question, f})
		}
	}
	clear(in.arrivals)
	if len(in.answers) > 0 {
		u.done(in.answers)
	}
	clear(in.answers)
}

// match finds the questions that messages answer and takes them out of flight. What answers no question in flight here is
// ignored (RFC 5452 section 9.1), and the question goes on waiting: garbage must not end it.
func (u *upstream) match(now time.Time, p *port, in *inbox, messages [][]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, msg := range messages {
		h, ok := readHeader(msg)
		var q *question
		if ok && h.response {
			q = p.asked[h.id]
		}
		if q == nil || !h.answers(msg, q.key) {
			u.stats.Spoofed++
			if ok && h.response && p.server.gone {
				p.server.gone, p.server.silent = false, 0 // it is back, and slow: somebody else was quicker
			}
			continue
		}
		u.measure(now, q, p, h)
		u.land(q)
		u.heard = now
		if h.rcode == dns.RcodeSuccess || h.rcode == dns.RcodeNameError {
			u.useful, u.barren = now, ""
		}
		in.arrivals = append(in.arrivals, arrival{q, h, msg})
	}
	if u.queue.len()+u.stalled.len() > 0 && len(in.arrivals) > 0 {
		u.nudge()
	}
}

// judge reads a message: the facts that end its question, or nil when the question goes on.
func (u *upstream) judge(now time.Time, p *port, a arrival) *facts {
	q, h := a.question, a.header
	switch {
	case h.truncated && !p.stream:
		// Looked at before unpacking, which fails on messages cut in mid-record. A partial set of MX records is never
		// used (RFC 2181 section 9): the best one may be missing, which ends in a false loop.
		return u.overTCP(now, q, p.server)
	case h.truncated:
		return u.again(now, q, p.server, "truncated over TCP")
	case h.rcode == dns.RcodeFormatError && q.form&plain == 0:
		return u.withoutEDNS(now, q, p.server)
	case h.rcode == dns.RcodeServerFailure:
		return u.againAtMost(now, q, p.server, rcodeName(h.rcode), patienceServfail)
	case h.rcode != dns.RcodeSuccess && h.rcode != dns.RcodeNameError:
		return u.again(now, q, p.server, rcodeName(h.rcode))
	}
	f := u.understand(now, q, p.server, a.message)
	if f != nil {
		// RFC 7672 section 2.1.3: the bit says something only if the server is trusted, and the way to it.
		f.secure = h.validated && p.server.trusted && f.status != failed
		if u.secure && !p.server.trusted {
			f.expires, f.stopgap = earlier(f.expires, now.Add(failureTTL)), true // until a trusted one is back
		}
	}
	return f
}

// measure learns from an answer: that the server lives, its round trip, and whether datagrams were lost on the way.
func (u *upstream) measure(now time.Time, q *question, p *port, h header) {
	i := q.forget(p, h.id)
	s := p.server
	s.silent, s.gone, s.trouble = 0, false, ""
	if p.stream {
		s.stream.note(now, p)
		return
	}
	s.rtt.sample(now.Sub(q.sends[i].at))
	// The first transmission's answer is a slow one at worst; that of a later one means the first was lost.
	if i > 0 || h.rcode == dns.RcodeServerFailure {
		u.window.lost(now, q.sends[0].at, s.rtt.smoothed)
		return
	}
	u.window.answered(now, q.sends[0].at, s.rtt.smoothed)
}

// understand reads the records of an answer. Nearly all are of the plain kind that scan reads; the codec is for the rest.
func (u *upstream) understand(now time.Time, q *question, s *server, msg []byte) *facts {
	f := scan(now, msg, q.key)
	if f == nil {
		var m dns.Msg
		// The codec is content with fewer records than the header counts, if the message ends between two of them.
		if err := m.Unpack(msg); err != nil || len(m.Answer) != int(binary.BigEndian.Uint16(msg[6:])) {
			return u.again(now, q, s, "malformed answer")
		}
		f = parse(now, &m, q.key)
	}
	if f.status == failed {
		return u.again(now, q, s, f.reason)
	}
	f.server = s.addr
	return f
}

// withoutEDNS asks the same server once more in the old format (RFC 6891 section 7).
func (u *upstream) withoutEDNS(now time.Time, q *question, s *server) *facts {
	u.mu.Lock()
	defer u.mu.Unlock()
	q.form |= plain
	q.last = u.before(s)
	return u.back(now, now, q)
}

// again goes on after an unusable answer: with the next server, or a moment later with the same if there is one only, then
// not any more. SERVFAIL, REFUSED and the like say something about the server and never that a domain does not exist.
func (u *upstream) again(now time.Time, q *question, s *server, reason string) *facts {
	return u.againAtMost(now, q, s, reason, patience)
}

func (u *upstream) againAtMost(now time.Time, q *question, s *server, reason string, askings int) *facts {
	u.mu.Lock()
	defer u.mu.Unlock()
	q.bad++
	q.reason = reason
	q.last = s
	due := now
	switch n := int32(u.askable()); {
	case q.bad == n:
		due = now.Add(againAfter)
	case q.bad%n == 0:
		due = now.Add(longAfter)
	}
	if u.window.strained(now) {
		askings += patienceStrained // it may be our own flood that the server cannot bear
	}
	if int(q.bad) >= max(askings, len(u.servers)) {
		u.failed(q)
		return failure(now, q.reason, q.last.addr)
	}
	return u.back(now, due, q)
}

// back puts a question in flight again, to be sent when due, or says that it is too late for that.
func (u *upstream) back(now, due time.Time, q *question) *facts {
	q.unsent()
	if u.closed || !due.Before(u.deadline(q)) {
		u.failed(q)
		return failure(now, q.reason, q.last.addr)
	}
	q.stalled = true // a pause takes no room in the window: nobody works on the question meanwhile
	u.timers.set(q, due)
	u.nudge()
	return nil
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

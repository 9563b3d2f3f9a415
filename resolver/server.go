package resolver

import (
	"cmp"
	"slices"
	"time"
)

const (
	portsPerServer = 4
	silentLimit    = 10              // waits in a row that ended without an answer
	probeEvery     = 3 * time.Second // a silent server gets one question
	reopenAfter    = time.Second     // between attempts to open a socket
)

// A server is one recursive server as we know it. The upstream's lock guards it.
type server struct {
	addr    string
	trusted bool // its AD bit is believed; never changes
	rtt     rtt
	ports   []*port   // open UDP sockets
	turn    int       // the port used now
	stream  *stream   // the shared TCP connection; nil: none
	silent  int       // waits in a row that ended without any answer from it
	probe   time.Time // when a silent server may be asked again
	reopen  time.Time // no socket is opened before
	gone    bool      // nobody listens there, or can be reached
	trouble string    // why it has no socket or does not answer; empty: not known
}

// port returns the UDP socket whose turn it is, or nil. The turn changes with each burst: what is sent together goes through one
// socket, and the answers come together there.
func (s *server) port() *port {
	if len(s.ports) == 0 {
		return nil
	}
	return s.ports[s.turn%len(s.ports)]
}

// healthy says that the server may be asked. A silent one is asked once in a while, by the question that finds it due.
func (s *server) healthy(now time.Time) bool {
	if len(s.ports) == 0 {
		return false
	}
	if s.silent < silentLimit {
		return true
	}
	if now.Before(s.probe) {
		return false
	}
	s.probe = now.Add(probeEvery)
	return true
}

// missed counts a wait that ended without an answer.
func (s *server) missed(now time.Time) {
	s.silent++
	if s.silent == silentLimit {
		s.probe = now.Add(probeEvery)
	}
}

// choose returns the server for a question's next transmission: the first healthy one in configured order at first, and the
// one behind the last asked from then on. With none healthy the turn goes round all the same. For DANE a server that is not trusted is
// asked only while nobody listens at any trusted one: it would make an insecure answer of what the trusted one refuses as bogus, or is slow
// to find, which others can bring about.
func (u *upstream) choose(now time.Time, q *question) *server {
	start := 0
	for i, s := range u.servers {
		if s == q.last {
			start = i + 1
		}
	}
	n, alone := len(u.servers), u.deserted()
	var second, last *server
	for i := range n {
		s := u.servers[(start+i)%n]
		if u.secure && !s.trusted && !alone {
			continue
		}
		switch {
		case !s.healthy(now):
		case s.trusted || !u.secure:
			return s
		case second == nil:
			second = s
		}
		last = cmp.Or(last, s)
	}
	return cmp.Or(second, last)
}

// deserted says that nobody listens at any trusted server.
func (u *upstream) deserted() bool {
	return !slices.ContainsFunc(u.servers, func(s *server) bool { return s.trusted && !s.gone })
}

// askable is how many servers may be asked now, see choose.
func (u *upstream) askable() (n int) {
	alone := u.deserted()
	for _, s := range u.servers {
		if s.trusted || alone || !u.secure {
			n++
		}
	}
	return n
}

// refused hears that nobody listens at the server: it counts as silent at once, and what it was asked goes to others now.
func (u *upstream) refused(now time.Time, s *server) {
	s.trouble, s.gone = "connection refused", true
	if s.silent >= silentLimit {
		return
	}
	s.silent, s.probe = silentLimit, now.Add(probeEvery)
	if u.choose(now, &question{last: s}) == s {
		return
	}
	var stranded []*question
	for _, q := range u.timers {
		if q.last == s {
			stranded = append(stranded, q)
		}
	}
	for _, q := range stranded {
		u.timers.set(q, now)
	}
}

package resolver

import (
	"math/rand/v2"
	"time"
)

// A question is one key on its way through the upstream: in the queue, then in flight (in the timers), then answered. While
// a reader looks at its answer it is in neither. The upstream's lock guards it.
type question struct {
	key  key
	wire []byte // packed; only the sender goroutine writes its first two bytes, the ID
	end  int    // of the question section in wire

	queued   time.Time
	started  time.Time // first transmission
	deadline time.Time // started + Config.Timeout: time in the queue is not the servers' fault
	due      time.Time // when the sender looks at it again
	place    int       // in timers; -1: not there

	sends  []transmission // that may still be answered
	tries  int            // transmissions since the last answer of any kind
	bad    int            // unusable answers
	last   *server        // asked last; nil: none yet
	plain  bool           // asked without EDNS, after a FORMERR
	reason string         // of the last unusable answer
}

// A transmission is one datagram or one message on a stream. Each has its own ID.
type transmission struct {
	port *port
	id   uint16
	at   time.Time
}

func newQuestion(k key) *question {
	q := &question{key: k, place: -1}
	q.wire, q.end = packQuery(k)
	return q
}

// register gives the question an ID on a port. The ID is random and unique there: a forger has to guess it together
// with the source port (RFC 5452 section 9.2).
func (q *question) register(now time.Time, p *port) uint16 {
	id := uint16(rand.Uint32())
	for p.asked[id] != nil {
		id = uint16(rand.Uint32())
	}
	p.asked[id] = q
	q.sends = append(q.sends, transmission{port: p, id: id, at: now})
	q.last = p.server
	q.tries++
	return id
}

// forget makes all transmissions so far unanswerable and returns the index of the one with this port and ID, or -1.
func (q *question) forget(p *port, id uint16) int {
	index := -1
	for i, s := range q.sends {
		delete(s.port.asked, s.id)
		if s.port == p && s.id == id {
			index = i
		}
	}
	return index
}

// A queue holds the questions that wait for the window, first come first served.
type queue struct {
	questions []*question
	head      int
}

func (l *queue) len() int { return len(l.questions) - l.head }

func (l *queue) push(q *question) { l.questions = append(l.questions, q) }

func (l *queue) first() *question { return l.questions[l.head] }

func (l *queue) pop() *question {
	q := l.questions[l.head]
	l.questions[l.head] = nil
	l.head++
	if l.head == len(l.questions) {
		l.questions, l.head = l.questions[:0], 0
	} else if l.head > 1024 && l.head > len(l.questions)/2 {
		l.questions = append(l.questions[:0], l.questions[l.head:]...)
		l.head = 0
	}
	return q
}

package resolver

import (
	"math/rand/v2"
	"time"
)

// A question is one key on its way through the upstream: in the queue, then in flight (in the timers), then answered. While
// a reader looks at its answer it is in neither. The upstream's lock guards it, but for waiting.
type question struct {
	key     key
	waiting []*lookup // whose answer this is; the Resolver's, guarded by its lock

	since time.Time // when it was queued; in flight, when it was first sent: time in the queue is not the servers' fault
	due   time.Time // when the sender looks at it again
	place int32     // in timers; -1: not there

	tries   int32 // transmissions since the last answer of any kind
	bad     int32 // unusable answers
	rank    rank
	form    form           // plain after a FORMERR
	stalled bool           // waits to be sent again, and does not count as in flight; an answer may still come
	last    *server        // asked last; nil: none yet
	reason  string         // of the last unusable answer
	sends   []transmission // that may still be answered

	firstSend [1]transmission // where sends begins: mostly there is one only
	firstWait [1]*lookup      // where waiting begins, likewise
}

// A transmission is one datagram or one message on a stream. Each has its own ID.
type transmission struct {
	port *port
	id   uint16
	at   time.Time
}

func (q *question) init(k key) {
	q.key, q.place = k, -1
	q.sends, q.waiting = q.firstSend[:0], q.firstWait[:0]
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

// unsent makes a question one that was sent to nobody, after an answer that decided nothing.
func (q *question) unsent() { q.sends, q.tries = q.firstSend[:0], 0 }

// A rank is how soon a question is asked, of those that wait for the window.
type rank uint8

const (
	rankNext  rank = iota // a lookup that has an answer already needs it: one round trip more, and it is done
	rankFirst             // a lookup begins with it
	rankLast              // nobody waits for it
	ranks
)

// A queue holds the questions that wait for the window: by rank, and first come first served.
type queue [ranks]line

func (l *queue) len() int { return l[rankNext].len() + l[rankFirst].len() + l[rankLast].len() }

func (l *queue) push(q *question) { l[q.rank].push(q) }

// pop takes the question to be asked next. There is one.
func (l *queue) pop() *question {
	r := rankNext
	for l[r].len() == 0 {
		r++
	}
	return l[r].pop()
}

// overdue takes a question that was queued by then; nil when there is none.
func (l *queue) overdue(then time.Time) *question {
	for r := range l {
		if l[r].len() > 0 && !l[r].first().since.After(then) {
			return l[r].pop()
		}
	}
	return nil
}

// oldest is when the first of the questions was queued.
func (l *queue) oldest() (since time.Time, any bool) {
	for r := range l {
		if l[r].len() > 0 && (!any || l[r].first().since.Before(since)) {
			since, any = l[r].first().since, true
		}
	}
	return since, any
}

// A line holds questions in the order in which they came.
type line struct {
	questions []*question
	head      int
}

func (l *line) len() int { return len(l.questions) - l.head }

func (l *line) push(q *question) { l.questions = append(l.questions, q) }

func (l *line) first() *question { return l.questions[l.head] }

func (l *line) pop() *question {
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

package crash

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

// A kind is what an action does.
type kind uint8

const (
	dialing kind = iota
	speaking
	answering
	parting
	keeping
	confirming
	asking
)

func (k kind) String() string {
	return [...]string{"dial", "smtp write", "lmtp write", "lmtp end", "ledger write", "ledger done", "dns question"}[k]
}

// tears says that half of such an action can happen.
func (k kind) tears() bool { return k == speaking || k == answering }

// An action is one effect of a process on the world outside of it: the only moments at which it matters whether the process still
// lives.
type action struct {
	kind    kind
	who     string // connection, domain or ledger; tells actions that wait at the same time apart
	octets  []byte // that are written
	process *process
	turn    chan turn // from the director, once; capacity 1
}

// A turn is what becomes of an action.
type turn struct {
	octets int  // of those to be written
	dead   bool // its process is: nothing happens
}

// A stage lets one action happen at a time, in an order that depends on the seed alone: who wants to act waits until everybody
// else in the bubble waits too. That makes runs repeatable, explores orders that one machine would never show, and gives each
// action a number.
type stage struct {
	plan  *plan
	log   *log
	crash func(*process, point) // called by the director between two actions, when everybody waits
	wake  chan struct{}
	stop  chan struct{} // closed when the run is over
	order *rand.Rand    // the director's

	mu      sync.Mutex // guards what follows; never held while waiting
	waiting []*action
	count   int // actions that happened, or at which a process died
	points  []point
	done    []deed
	last    int // actions up to the moment at which the host MTA had no more to do
}

// A deed is an action that happened, as the next run wants to know it.
type deed struct {
	kind   kind
	octets []byte
}

func newStage(p *plan, l *log, points []point) *stage {
	return &stage{plan: p, log: l, points: points, wake: make(chan struct{}, 1), stop: make(chan struct{}),
		order: rand.New(rand.NewPCG(p.seed, 1))}
}

// act waits for the action's turn.
func (s *stage) act(a *action) turn {
	a.turn = make(chan turn, 1)
	s.mu.Lock()
	if a.process.dead {
		s.mu.Unlock()
		return turn{dead: true}
	}
	s.waiting = append(s.waiting, a)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return <-a.turn
}

// direct is the director: the only goroutine that gives turns, and the only one that calls synctest.Wait.
func (s *stage) direct() {
	for {
		select {
		case <-s.wake:
		case <-s.stop:
			return
		}
		for a := s.next(); a != nil; a = s.next() {
			s.perform(a)
			// Or what follows from two actions would happen at the same instant, in no order.
			time.Sleep(jitter(s.order, time.Microsecond))
		}
	}
}

// next chooses the action whose turn it is, once everybody waits; nil when there is none.
func (s *stage) next() *action {
	synctest.Wait()
	if s.some() && s.plan.stalls > 0 && s.order.Float64() < s.plan.stalls {
		time.Sleep(time.Duration(s.order.Int64N(int64(40 * time.Millisecond)))) // a machine that is busy with something else
		synctest.Wait()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return nil
	}
	slices.SortFunc(s.waiting, (*action).compare) // they came in no order that could be repeated
	i := 0
	if len(s.waiting) > 1 {
		i = s.order.IntN(len(s.waiting))
	}
	a := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	return a
}

func (a *action) compare(b *action) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.who, b.who))
}

func (s *stage) some() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) > 0
}

// perform lets an action happen, or a process die over it.
func (s *stage) perform(a *action) {
	s.mu.Lock()
	s.count++
	k := s.count
	s.done = append(s.done, deed{a.kind, a.octets})
	var p point
	if len(s.points) > 0 && s.points[0].K == k {
		p, s.points = s.points[0], s.points[1:]
	}
	s.mu.Unlock()
	whole := turn{octets: len(a.octets)}
	if p.K == 0 {
		s.log.action(k, a, whole)
		a.turn <- whole
		return
	}
	switch {
	case p.How == Behind:
	case p.How == Torn && a.kind.tears():
		whole.octets = min(p.Octets, len(a.octets))
	default:
		whole = turn{dead: true}
	}
	s.log.action(k, a, whole)
	if !whole.dead {
		a.turn <- whole
		synctest.Wait() // it has happened, and whatever follows from it waits for its turn
	}
	s.crash(a.process, p)
	if whole.dead {
		a.turn <- whole
	}
}

// bury ends the waiting of a dead process. It was marked as dead with s.mu held.
func (s *stage) bury(p *process) {
	s.mu.Lock()
	p.dead = true
	var rest []*action
	for _, a := range s.waiting {
		if a.process == p {
			a.turn <- turn{dead: true}
		} else {
			rest = append(rest, a)
		}
	}
	s.waiting = rest
	s.mu.Unlock()
}

// lives says that a process is not dead.
func (s *stage) lives(p *process) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !p.dead
}

// deeds are the actions so far.
func (s *stage) deeds() []deed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done[:len(s.done):len(s.done)]
}

// noMore ends the deaths: what is left is a process that finishes.
func (s *stage) noMore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.points = nil
	s.last = s.count
}

package crash

import (
	"context"
	"math/rand/v2"

	"net/netip"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// lmtpAddr stands for the unix socket: nothing takes time there.
var lmtpAddr = netip.MustParseAddrPort("127.0.0.1:2424")

// A hostMTA is a queue that hands its messages over by LMTP until every recipient has been answered for good. What it has noted
// of replies survives its death, as in the queue files of Postfix.
type hostMTA struct {
	w       *world
	plan    hostPlan
	queue   []*queued
	running sync.WaitGroup

	mu     sync.Mutex // guards what follows, and the recipients in queue
	deaths int        // that are still to come
	conns  map[*hostSession]bool
	life   int // grows with each death
}

// A queued is a message in the queue.
type queued struct {
	n    int
	plan messagePlan
	to   []*rcpt
	luck *rand.Rand // its own: several messages draw at the same time
}

// A rcpt is a recipient in the queue.
type rcpt struct {
	person person
	code   int // of the last final reply; 0 is none
	done   bool
}

func newHost(w *world) *hostMTA {
	p := w.plan
	h := &hostMTA{w: w, plan: p.host, deaths: p.host.atMost, conns: map[*hostSession]bool{}}
	for i, m := range p.messages {
		q := &queued{n: i, plan: m, luck: rand.New(rand.NewPCG(p.seed, uint64(300+i)))}
		for _, to := range m.to {
			q.to = append(q.to, &rcpt{person: person{i, to}})
		}
		h.queue = append(h.queue, q)
	}
	return h
}

// attempts is how often a message is tried: with the last pauses far more than a day.
const attempts = 60

// run returns when the queue is empty, or everything was tried too often.
func (h *hostMTA) run() {
	for _, q := range h.queue {
		h.running.Go(func() {
			time.Sleep(q.plan.at)
			pause := h.plan.pause
			for range attempts {
				open := h.open(q)
				if len(open) == 0 {
					return
				}
				h.hand(q, open)
				time.Sleep(pause + h.jitter(q, pause))
				pause = min(2*pause, 20*time.Minute)
			}
		})
	}
	h.running.Wait()
}

// hand hands the open recipients of a message over, some at a time.
func (h *hostMTA) hand(q *queued, open []*rcpt) {
	var parts sync.WaitGroup
	for n := 0; len(open) > 0; n++ {
		some := open[:min(h.plan.chunk, len(open))]
		open = open[len(some):]
		if !h.plan.together {
			h.deliver(q, some)
			continue
		}
		wait := time.Duration(n) * h.jitter(q, h.plan.apart)
		parts.Go(func() {
			time.Sleep(wait)
			h.deliver(q, some)
		})
	}
	parts.Wait()
}

// deliver is one connection. Whatever goes wrong on it, what has no reply is tried again.
func (h *hostMTA) deliver(q *queued, to []*rcpt) {
	c, err := h.w.net.Dial(context.Background(), lmtpAddr)
	if err != nil {
		return
	}
	s := &hostSession{host: h, conn: c.(*netsim.Conn), acquaintance: h.w.hosts.of(c.LocalAddr()), queued: q, to: to, dies: -1}
	if h.death(q) {
		s.doom()
	}
	h.mu.Lock()
	s.life = h.life
	h.conns[s] = true
	h.mu.Unlock()
	s.talk()
	s.close()
	h.mu.Lock()
	delete(h.conns, s)
	h.mu.Unlock()
}

// death draws whether a connection's process is going to die.
func (h *hostMTA) death(q *queued) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.deaths == 0 || q.luck.Float64() >= h.plan.dies {
		return false
	}
	h.deaths--
	return true
}

// die is the end of the machine: connections end with what was not read, and what was read and not noted is lost.
func (h *hostMTA) die() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.life++
	for s := range h.conns {
		s.close()
	}
}

// lives says that the machine has not died since.
func (h *hostMTA) lives(life int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.life == life
}

// open are the recipients that were not answered for good.
func (h *hostMTA) open(q *queued) (open []*rcpt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range q.to {
		if !r.done {
			open = append(open, r)
		}
	}
	return open
}

// mark notes a final reply, durably.
func (h *hostMTA) mark(r *rcpt, code int) {
	h.mu.Lock()
	r.code = code
	r.done = code/100 != 4
	h.mu.Unlock()
	h.w.answered(r.person, code)
}

func (h *hostMTA) jitter(q *queued, most time.Duration) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return jitter(q.luck, most)
}

package resolver

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
)

// An upstream asks questions of recursive servers: thousands at once, over few sockets. Its sender goroutine alone writes
// datagrams and watches the time; a reader per socket takes the answers. doc.go lists the goroutines.
type upstream struct {
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	timeout time.Duration
	form    form            // of all questions
	done    func([]answer)  // called with every question asked, once, without the lock held; the slice is the caller's
	ctx     context.Context // ends with close
	cancel  context.CancelFunc
	work    sync.WaitGroup

	secure bool // trusted servers are asked, whatever they say, and others only where nobody listens; never changes

	// From whoever gave the sender something to do, to the sender. Capacity 1: more than one nudge says nothing new.
	wake chan struct{}

	mu      sync.Mutex
	servers []*server
	window  window
	pace    pace
	queue   queue // questions to be asked first
	stalled queue // questions to be sent again; some have been answered since
	timers  timers
	heard   time.Time // last answer of any server
	useful  time.Time // last one that said something about its question
	barren  string    // why questions fail since then, when all do; "" when they do not
	closed  bool
	stats   Stats
}

func newUpstream(c Config, done func([]answer)) *upstream {
	u := &upstream{dial: c.Dial, timeout: c.Timeout, done: done, wake: make(chan struct{}, 1), window: newWindow(c.Window)}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	if c.DANE {
		u.form = wantAD
	}
	for _, addr := range c.Servers {
		s := &server{addr: addr, trusted: c.trusts(addr)}
		u.servers = append(u.servers, s)
		u.secure = u.secure || c.DANE && s.trusted
	}
	u.work.Go(u.run)
	return u
}

// ask queues questions; done is called with each, later.
func (u *upstream) ask(questions []*question) {
	now := time.Now()
	if u.enqueue(now, questions) {
		return
	}
	given := make([]answer, len(questions))
	for i, q := range questions {
		given[i] = answer{q, failure(now, closedReason, "")}
	}
	u.done(given)
}

// enqueue returns false after close.
func (u *upstream) enqueue(now time.Time, questions []*question) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return false
	}
	if u.queue.len() == 0 && u.window.inFlight == 0 && now.Sub(u.heard) >= restAfter {
		u.window.rest()
	}
	for _, q := range questions {
		q.since, q.form = now, u.form
		u.queue.push(q)
	}
	u.nudge()
	return true
}

const restAfter = 10 * time.Second // without an answer, and with nothing asked

const closedReason = "the resolver is closed"

// close ends all goroutines and fails all questions.
func (u *upstream) close() {
	u.cancel()
	u.mu.Lock()
	u.closed = true
	unanswered := append([]*question(nil), u.timers...)
	for u.queue.len() > 0 {
		unanswered = append(unanswered, u.queue.pop())
	}
	for _, q := range u.timers {
		q.forget(nil, 0)
		q.place = -1
	}
	u.timers = nil
	for _, s := range u.servers {
		for _, p := range s.ports {
			p.conn.Close()
		}
	}
	u.mu.Unlock()
	u.giveUp(unanswered, func(*question) string { return closedReason }, "")
	u.work.Wait()
}

// nudge makes the sender look.
func (u *upstream) nudge() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// run is the sender: what is due is sent again, what waits is sent as far as window and pace allow.
func (u *upstream) run() {
	timer := time.NewTimer(time.Hour) // nothing to do before the first nudge
	defer timer.Stop()
	var out outbox
	for u.ctx.Err() == nil {
		select {
		case <-u.wake:
		case <-timer.C:
		case <-u.ctx.Done():
			return
		}
		u.openPorts()
		timer.Reset(u.collect(&out))
		u.send(&out)
		u.giveUp(out.unanswered, func(q *question) string { return q.reason }, u.asked())
		out.reset()
	}
}

// giveUp ends questions that nobody answered.
func (u *upstream) giveUp(unanswered []*question, reason func(*question) string, server string) {
	if len(unanswered) == 0 {
		return
	}
	now := time.Now()
	given := make([]answer, len(unanswered))
	for i, q := range unanswered {
		given[i] = answer{q, failure(now, reason(q), server)}
	}
	u.done(given)
}

// asked names the server in the error of a question without answer.
func (u *upstream) asked() string {
	if len(u.servers) == 1 {
		return u.servers[0].addr
	}
	return ""
}

// An outbox is what one turn of the sender found to do once the lock is free.
type outbox struct {
	datagrams  []datagram
	unanswered []*question
	wire       []byte         // what is being written
	messages   []ipv4.Message // likewise, for one system call
}

func (o *outbox) reset() {
	clear(o.datagrams)
	clear(o.unanswered)
	o.datagrams, o.unanswered = o.datagrams[:0], o.unanswered[:0]
}

// collect fills the outbox and returns how long there is nothing more to do.
func (u *upstream) collect(out *outbox) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	tokens := u.pace.refill(now)
	for _, s := range u.servers {
		s.turn++
	}
	for len(out.datagrams) < tokens {
		q := u.timers.next()
		if q == nil || now.Before(q.due) {
			break
		}
		u.expire(now, q, out)
	}
	if u.barren != "" {
		u.abandon(now, out)
	}
	for len(out.datagrams) < tokens && u.stalled.len() > 0 && u.window.open() {
		u.resume(now, u.stalled.pop(), out)
	}
	for len(out.datagrams) < tokens && u.queue.len() > 0 && u.window.open() {
		u.start(now, u.queue.pop(), out)
	}
	u.pace.tokens -= len(out.datagrams)
	if u.pace.tokens <= 0 {
		return burst / 2 * perSlice
	}
	wait := time.Hour
	if q := u.timers.next(); q != nil {
		wait = q.due.Sub(now)
	}
	if since, any := u.queue.oldest(); any && u.barren != "" {
		wait = min(wait, since.Add(u.timeout).Sub(now))
	}
	return wait
}

// start sends a question for the first time.
func (u *upstream) start(now time.Time, q *question, out *outbox) {
	if u.barren == "" {
		q.since = now // else it has what is left of its time: waits must not add up
	}
	u.fly(q, now)
	u.stats.Questions++
	switch q.key.qtype {
	case dns.TypeMX:
		u.stats.MXQuestions++
	case dns.TypeA:
		u.stats.AQuestions++
	case dns.TypeAAAA:
		u.stats.AAAAQuestions++
	case dns.TypeTLSA:
		u.stats.TLSAQuestions++
	case dns.TypeTXT:
		u.stats.TXTQuestions++
	}
	u.transmit(now, q, out)
}

// transmit sends a question to the next server and sets the time to wait for it.
func (u *upstream) transmit(now time.Time, q *question, out *outbox) {
	s := u.choose(now, q)
	p := s.port()
	wait := firstRTO
	if p != nil {
		wait = s.rtt.timeout(int(q.tries) / u.askable())
		out.datagrams = append(out.datagrams, datagram{port: p, id: q.register(now, p), key: q.key, form: q.form})
	} else {
		q.last = s
	}
	u.timers.set(q, earlier(now.Add(wait), u.deadline(q)))
}

// deadline is when a question in flight is given up.
func (u *upstream) deadline(q *question) time.Time { return q.since.Add(u.timeout) }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// fly counts a question as in flight, to be looked at when due.
func (u *upstream) fly(q *question, due time.Time) {
	u.window.inFlight++
	q.stalled = false
	u.timers.set(q, due)
}

// land takes a question out of flight.
func (u *upstream) land(q *question) {
	u.timers.remove(q)
	if !q.stalled {
		u.window.inFlight--
	}
	q.stalled = false
}

// expire acts on a question whose wait is over: it stalls until the window lets it be sent again, before all that was not yet
// asked, or is given up at its deadline.
func (u *upstream) expire(now time.Time, q *question, out *outbox) {
	if q.tries > 0 && !q.stalled {
		q.last.missed(now)
		if q.tries == 1 {
			u.window.suspected(now, q.since, q.last.rtt.smoothed)
		}
	}
	if now.Before(u.deadline(q)) {
		if !q.stalled {
			u.window.inFlight--
		}
		q.stalled = true
		u.timers.set(q, u.deadline(q))
		u.stalled.push(q)
		return
	}
	u.drop(q)
	u.stats.Timeouts++
	u.window.lost(now, q.since, q.last.rtt.smoothed)
	if q.reason == "" {
		q.reason = cmp.Or(q.last.trouble, fmt.Sprintf("no answer in %v", u.timeout))
	}
	out.unanswered = append(out.unanswered, q)
	u.failed(q)
}

// failed notes a question that ends without anything usable. When nothing usable came since it was sent, nothing is to be expected.
func (u *upstream) failed(q *question) {
	if u.useful.Before(q.since) {
		u.barren = q.reason
		u.nudge()
	}
}

// resume sends a stalled question, unless it was answered meanwhile.
func (u *upstream) resume(now time.Time, q *question, out *outbox) {
	if !q.stalled {
		return
	}
	if q.tries > 0 {
		u.stats.Retries++
	}
	u.fly(q, now)
	u.transmit(now, q, out)
}

// drop takes a question that will have no answer out of flight. A stream that stayed silent over it is dead.
func (u *upstream) drop(q *question) {
	for _, t := range q.sends {
		if s := t.port.server.stream; s != nil && t.port == &s.port && s.heard.Before(t.at) {
			s.cancel()
		}
	}
	q.forget(nil, 0)
	u.land(q)
}

// abandon fails what waits in the queue longer than a question may take, when no server said anything usable for that long:
// else a long queue would meet dead servers, or living ones that cannot reach the world, one window at a time.
func (u *upstream) abandon(now time.Time, out *outbox) {
	for q := u.queue.overdue(now.Add(-u.timeout)); q != nil; q = u.queue.overdue(now.Add(-u.timeout)) {
		q.reason = fmt.Sprintf("no usable answer from any server since %v: %s", u.timeout, u.barren)
		out.unanswered = append(out.unanswered, q)
	}
}

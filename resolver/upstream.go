package resolver

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// An upstream asks questions of recursive servers: thousands at once, over few sockets. Its sender goroutine alone writes
// datagrams and watches the time; a reader per socket takes the answers. doc.go lists the goroutines.
type upstream struct {
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	timeout time.Duration
	done    func(key, *facts) // called once for every question asked, without the lock held
	ctx     context.Context   // ends with close
	cancel  context.CancelFunc
	work    sync.WaitGroup

	// From whoever gave the sender something to do, to the sender. Capacity 1: more than one nudge says nothing new.
	wake chan struct{}

	mu      sync.Mutex
	servers []*server
	window  window
	pace    pace
	queue   queue
	timers  timers
	heard   time.Time // last answer of any server
	closed  bool
	stats   Stats
}

func newUpstream(c Config, done func(key, *facts)) *upstream {
	u := &upstream{dial: c.Dial, timeout: c.Timeout, done: done, wake: make(chan struct{}, 1), window: newWindow(c.Window)}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	for _, addr := range c.Servers {
		u.servers = append(u.servers, &server{addr: addr})
	}
	u.work.Go(u.run)
	return u
}

// ask queues questions; done is called for each, later.
func (u *upstream) ask(keys []key) {
	now := time.Now()
	u.mu.Lock()
	if !u.closed {
		for _, k := range keys {
			q := newQuestion(k)
			q.queued = now
			u.queue.push(q)
		}
		u.nudge()
		u.mu.Unlock()
		return
	}
	u.mu.Unlock()
	for _, k := range keys {
		u.done(k, failure(now, closedReason, ""))
	}
}

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
	for _, q := range unanswered {
		u.done(q.key, failure(time.Now(), closedReason, ""))
	}
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
		u.send(out.datagrams)
		for _, q := range out.unanswered {
			u.done(q.key, failure(time.Now(), q.reason, u.asked()))
		}
		out.reset()
	}
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
	for len(out.datagrams) < tokens {
		q := u.timers.next()
		if q == nil || now.Before(q.due) {
			break
		}
		u.expire(now, q, out)
	}
	for len(out.datagrams) < tokens && u.queue.len() > 0 && u.window.open() {
		u.start(now, u.queue.pop(), out)
	}
	u.pace.tokens -= len(out.datagrams)
	if u.pace.tokens <= 0 {
		return burst / 2 * perSlice
	}
	if q := u.timers.next(); q != nil {
		return q.due.Sub(now)
	}
	return time.Hour
}

// start sends a question for the first time.
func (u *upstream) start(now time.Time, q *question, out *outbox) {
	q.started, q.deadline = now, now.Add(u.timeout)
	u.window.inFlight++
	u.stats.Questions++
	switch q.key.qtype {
	case dns.TypeMX:
		u.stats.MXQuestions++
	case dns.TypeA:
		u.stats.AQuestions++
	case dns.TypeAAAA:
		u.stats.AAAAQuestions++
	}
	u.transmit(now, q, out)
}

// transmit sends a question to the next server and sets the time to wait for it.
func (u *upstream) transmit(now time.Time, q *question, out *outbox) {
	s := u.choose(now, q)
	p := s.port()
	wait := firstRTO
	if p != nil {
		wait = s.rtt.timeout(q.tries / len(u.servers))
		out.datagrams = append(out.datagrams, datagram{port: p, wire: q.wire, id: q.register(now, p)})
	} else {
		q.last = s
	}
	u.timers.set(q, earlier(now.Add(wait), q.deadline))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// expire acts on a question whose wait is over: it is sent again, or given up at its deadline.
func (u *upstream) expire(now time.Time, q *question, out *outbox) {
	if len(q.sends) > 0 {
		q.last.missed(now)
	}
	if now.Before(q.deadline) {
		if q.tries > 0 {
			u.stats.Retries++
		}
		u.transmit(now, q, out)
		return
	}
	u.drop(q)
	u.stats.Timeouts++
	u.window.lost(now, q.last.rtt.smoothed)
	if q.reason == "" {
		q.reason = cmp.Or(q.last.trouble, fmt.Sprintf("no answer in %v", u.timeout))
	}
	out.unanswered = append(out.unanswered, q)
	if u.heard.Before(q.started) {
		u.abandon(now, out)
	}
}

// drop takes a question that will have no answer out of flight. A stream that stayed silent over it is dead.
func (u *upstream) drop(q *question) {
	for _, t := range q.sends {
		if s := t.port.server.stream; s != nil && t.port == &s.port && s.heard.Before(t.at) {
			s.cancel()
		}
	}
	q.forget(nil, 0)
	u.timers.remove(q)
	u.window.inFlight--
}

// abandon fails what waits in the queue longer than a question may take, when no server answered anything for that long:
// else a long queue would meet dead servers one window at a time.
func (u *upstream) abandon(now time.Time, out *outbox) {
	for u.queue.len() > 0 && now.Sub(u.queue.first().queued) >= u.timeout {
		q := u.queue.pop()
		q.reason = fmt.Sprintf("no server answers since %v", u.timeout)
		out.unanswered = append(out.unanswered, q)
	}
}

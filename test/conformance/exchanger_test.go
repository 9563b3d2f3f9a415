package conformance

import (
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"time"
)

// A host is an exchanger as a row describes it.
type host struct {
	addr   string // in 192.0.2.0/24
	faults []fault
	offer  []string // EHLO keywords; nil: PIPELINING, SIZE 0, 8BITMIME
	manner manner
	dead   bool // nobody listens there

	tls    *secured // how it speaks TLS; nil: not at all
	config *tls.Config
}

// An exchanger is a host of a row: its faults, and what it saw.
type exchanger struct {
	host
	scaled func(time.Duration) time.Duration
	gate   <-chan struct{} // closed when the domains of the row were asked for: no greeting before
	told   <-chan struct{} // closed when the message under test was answered
	stop   chan struct{}   // closed by close, which alone closes it
	l      net.Listener
	work   sync.WaitGroup // the accepting goroutine and one for each connection

	mu    sync.Mutex // never held while waiting
	left  []int      // how often each fault still happens
	seen  []*connection
	conns []net.Conn
	over  bool
}

// newExchanger serves on a listener.
func newExchanger(h host, l net.Listener, scaled func(time.Duration) time.Duration, gate, told <-chan struct{}) *exchanger {
	x := &exchanger{host: h, scaled: scaled, gate: gate, told: told, stop: make(chan struct{}), l: l, left: make([]int, len(h.faults))}
	for i, f := range h.faults {
		x.left[i] = max(f.times, 1)
	}
	x.work.Go(x.accept)
	return x
}

func (x *exchanger) accept() {
	for {
		c, err := x.l.Accept()
		if err != nil {
			return
		}
		x.mu.Lock()
		if x.over {
			x.mu.Unlock()
			c.Close()
			return
		}
		s := newServer(x, c, len(x.seen)+1)
		x.seen, x.conns = append(x.seen, s.rec), append(x.conns, c)
		x.work.Go(func() { s.serve(); x.locked(func() { s.rec.done = true }) })
		x.mu.Unlock()
	}
}

// close ends all connections and waits for them.
func (x *exchanger) close() {
	x.mu.Lock()
	if !x.over {
		x.over = true
		close(x.stop)
	}
	conns := x.conns
	x.mu.Unlock()
	x.l.Close()
	for _, c := range conns {
		c.Close()
	}
	x.work.Wait()
}

// settling is how long a client may take to leave a connection on which all has been said. No verdict depends on its length.
const settling = patience

// settle waits until the connections on which an exchanger has fallen silent were left by the client.
func (x *exchanger) settle(tick func()) {
	for end := time.Now().Add(settling); time.Now().Before(end); tick() {
		if !slices.ContainsFunc(x.connections(), func(c connection) bool { return c.silent && !c.done }) {
			return
		}
	}
}

// connections are copies of what was seen so far. Transactions are shared: they are read when all is over.
func (x *exchanger) connections() []connection {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []connection
	for _, c := range x.seen {
		all = append(all, *c)
	}
	return all
}

func (x *exchanger) locked(f func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f()
}

// fault is the first of those that are left and match.
func (x *exchanger) fault(matches func(*fault) bool) *fault {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.faults {
		if x.left[i] > 0 && matches(&x.faults[i]) {
			x.left[i]--
			return &x.faults[i]
		}
	}
	return nil
}

// thinking is how long an exchanger takes to its greeting over sockets, where packets take no time.
const thinking = 50 * time.Millisecond

// ready waits until the row's domains were asked for: else the recipients of the second one might come too late for the first
// transaction.
func (x *exchanger) ready(stop <-chan struct{}) bool {
	if x.gate == nil {
		return true
	}
	select {
	case <-x.gate:
	case <-stop:
		return false
	}
	timer := time.NewTimer(thinking)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
		return false
	}
}

// hello is the reply to EHLO.
func (x *exchanger) hello(encrypted bool) []string {
	offer := x.offer
	if offer == nil {
		offer = []string{"PIPELINING", "SIZE 0", "8BITMIME"}
		if x.tls != nil && !encrypted {
			offer = append(offer, "STARTTLS")
		}
	}
	if encrypted {
		offer = slices.DeleteFunc(slices.Clone(offer), func(word string) bool { return word == "STARTTLS" })
		if x.tls.offer != nil {
			offer = x.tls.offer
		}
	}
	lines := append([]string{"mx.test"}, offer...)
	for i := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		lines[i] = "250" + sep + lines[i]
	}
	return lines
}

package crash

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/lmtp"
	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// A process is one life of smtpfeed: its real parts, with everything that leaves them in the hands of the stage.
type process struct {
	world  *world
	n      int  // from 0
	dead   bool // guarded by the stage
	life   context.Context
	end    context.CancelFunc
	feeder *feed.Feeder
	server *lmtp.Server
	book   *book // nil is no ledger
	listen net.Listener
	looped chan struct{}  // closed when the feeder's loop has ended
	over   sync.WaitGroup // the listener and the book's writer

	mu    sync.Mutex // guards what follows
	dials map[netip.AddrPort]int
	conns []*netsim.Conn // all that it ever had
	ended bool           // its connections were closed

	kept map[person]bool // what its ledger has confirmed; guarded by the world
}

// boot starts a process with what the ledger kept.
func (w *world) boot() error {
	p := &process{world: w, n: w.born(), looped: make(chan struct{}), dials: map[netip.AddrPort]int{}, kept: map[person]bool{}}
	p.life, p.end = context.WithCancel(context.Background())
	plan := w.plan
	c := feed.Config{Hostname: "feed.test", Dial: p.dial, Resolver: &lookups{&w.names, p}, Seed: plan.seed + 1,
		SessionsPerHost:          plan.sessions,
		RecipientsPerTransaction: plan.perTurn, ChunkingFrom: plan.chunkingFrom, GatherTime: plan.gather}
	var found []feed.Delivery
	if w.shelf != nil {
		p.book = newBook(p, w.shelf)
		c.Ledger = p.book
		found = w.shelf.open()
		w.found(found)
		p.over.Go(p.book.run)
	}
	p.feeder = feed.New(c)
	go func() {
		defer close(p.looped)
		p.feeder.Run(p.life)
	}()
	if len(found) > 0 {
		p.feeder.Recall(found)
	}
	p.server = lmtp.New(lmtp.Config{Hostname: "feed.test", Mailer: p.feeder, Budget: plan.budget})
	l, err := w.net.Listen(lmtpAddr)
	if err != nil {
		return err
	}
	p.listen = &inwards{l, p}
	p.over.Go(func() { _ = p.server.Serve(p.listen) }) // a listener that was closed under it
	w.set(p)
	w.log.note("process %d begins; its ledger has %d deliveries", p.n, len(found))
	return nil
}

// act waits for the turn of an action.
func (p *process) act(k kind, who string, octets []byte) turn {
	if octets != nil {
		octets = append([]byte(nil), octets...) // it is used again when the action is over
	}
	return p.world.stage.act(&action{kind: k, who: who, octets: octets, process: p})
}

func (p *process) lives() bool { return p.world.stage.lives(p) }

// counted numbers the dials to an address.
func (p *process) counted(to netip.AddrPort) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dials[to]++
	return p.dials[to]
}

// hold makes a connection one of those that a death closes; not when that has happened.
func (p *process) hold(c *netsim.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		c.Close()
		return false
	}
	p.conns = append(p.conns, c)
	return true
}

// die is kill -9: sockets are closed as the kernel does, with what was written still on its way, and nothing else leaves the
// process any more. The director calls it when everybody waits.
func (p *process) die(at point) {
	w := p.world
	w.stage.bury(p)
	w.log.note("process %d dies (%v)", p.n, at)
	w.note(p)
	release := func() {}
	if w.shelf != nil {
		release = w.shelf.die(at)
	}
	p.closeAll()
	w.work.Go(func() {
		p.shut()
		release()
	})
}

func (p *process) closeAll() {
	p.listen.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, c := range p.conns {
		c.Close() // those that it had closed itself too
	}
}

// shut ends the goroutines of a dead process, none of which can do anything any more.
func (p *process) shut() {
	p.end()
	p.server.Close()
	p.rest()
}

// finish ends a process in order.
func (p *process) finish() {
	defer p.end()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	p.feeder.Drain()
	p.server.Drain(ctx)
	p.rest()
	if p.world.shelf != nil {
		p.world.shelf.close()
	}
}

// rest waits for what a process still has to do.
func (p *process) rest() {
	<-p.looped
	if p.book != nil {
		close(p.book.closed)
	}
	p.over.Wait()
}

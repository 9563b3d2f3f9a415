package crash

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// A world is everything in one bubble: a host MTA, smtpfeed in all its lives, exchangers and DNS.
type world struct {
	plan    *plan
	log     *log
	net     *netsim.Net
	stage   *stage
	host    *hostMTA
	hosts   acquaintances
	names   names
	remotes []*remote
	shelf   shelf          // nil is no ledger
	work    sync.WaitGroup // the director, burials and rebirths
	ids     map[recordID]person
	digests map[[32]byte]int // messages

	mu       sync.Mutex // guards what follows; never held while waiting
	luck     *rand.Rand
	refused  int // dials that were
	births   int
	process  *process // the one that lives, or died last
	deaths   map[*process]bool
	outwards map[uint16]*outward // by our port
	copies   map[person][]copied
	bounces  map[string]bool   // addresses that an exchanger has refused for good; "" is everybody
	records  map[person]string // why the ledger has them no longer
	recorded map[person]bool   // those that a ledger was confirmed to have, or has brought back
	apart    map[person]int    // replies that the host MTA had read when it died
	unheard  map[person]int    // times that a process had the recipient and the host MTA got no reply
	attempt  map[person]int
	flown    map[seat]int // attempts of the host MTA
	faults   []string
	extra    map[reason]int // copies beyond the first
	inFlight int            // recipients whose dot had left, at deaths
}

// A recordID is a recipient as the ledger has it.
type recordID struct {
	message   feed.MessageID
	recipient feed.RecipientID
}

func newWorld(p *plan, points []point, dir string) *world {
	w := &world{plan: p, log: newLog(), net: netsim.New(), hosts: acquaintances{port: map[uint16]*acquaintance{}},
		ids: map[recordID]person{}, digests: map[[32]byte]int{}, luck: rand.New(rand.NewPCG(p.seed, 3)), refused: p.refusedAtMost,
		deaths: map[*process]bool{}, outwards: map[uint16]*outward{}, copies: map[person][]copied{}, bounces: map[string]bool{},
		records: map[person]string{}, recorded: map[person]bool{}, apart: map[person]int{}, unheard: map[person]int{},
		attempt: map[person]int{}, flown: map[seat]int{}, extra: map[reason]int{}}
	w.names = names{w: w, asked: map[string]int{}, known: map[string]error{}}
	w.stage = newStage(p, w.log, points)
	w.stage.crash = w.crash
	switch p.ledger.kind {
	case modelLedger:
		w.shelf = &model{world: w}
	case realLedger:
		w.shelf = &file{world: w, dir: dir}
	}
	for i, m := range p.messages {
		w.digests[sha256.Sum256(m.body)] = i
		for _, to := range m.to {
			w.ids[idOf(m, to)] = person{i, to}
		}
	}
	w.host = newHost(w)
	return w
}

// idOf names a recipient as feed does: what is found in a ledger of an earlier version must be found by a later one too.
func idOf(m messagePlan, to string) (id recordID) {
	digest, sum := sha256.Sum256(m.body), sha256.Sum256([]byte(to))
	message := sha256.Sum256(append(digest[:], m.from...))
	return recordID{feed.MessageID(message[:16]), feed.RecipientID(sum[:16])}
}

// run is the whole story. It returns when nothing of it is left.
func (w *world) run() {
	w.work.Go(w.stage.direct)
	if err := w.begin(); err != nil {
		w.violated("the world cannot begin: %v", err)
		return
	}
	empty := make(chan struct{}) // closed when the host MTA is done
	go func() {
		defer close(empty)
		w.host.run()
	}()
	<-empty
	w.log.note("the host MTA's queue is at rest")
	w.stage.noMore()
	time.Sleep(10 * time.Second) // a process that died last is born again
	w.living().finish()
	time.Sleep(time.Second) // what it wrote last arrives
	for _, r := range w.remotes {
		r.server.Close()
	}
	time.Sleep(time.Minute)
	close(w.stage.stop)
	w.work.Wait()
	w.judge()
}

func (w *world) begin() error {
	w.net.Host(lmtpAddr.Addr(), netsim.Link{})
	for n := range w.plan.remotes {
		r, err := w.startRemote(n)
		if err != nil {
			return err
		}
		w.remotes = append(w.remotes, r)
	}
	return w.boot()
}

// crash ends a process, and with the power the host MTA; later there is a new one.
func (w *world) crash(p *process, at point) {
	p.die(at)
	if at.Power {
		w.host.die()
	}
	w.work.Go(func() {
		time.Sleep(w.plan.restart)
		if err := w.boot(); err != nil {
			w.violated("smtpfeed cannot begin again: %v", err)
		}
	})
}

func (w *world) born() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.births++
	return w.births - 1
}

func (w *world) set(p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.process = p
}

func (w *world) living() *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.process
}

// refusesDial draws whether an exchanger refuses a connection.
func (w *world) refusesDial() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refused == 0 || w.luck.Float64() >= w.plan.refusedDials {
		return false
	}
	w.refused--
	return true
}

// longest is about how many octets a connection may carry, as a time for those who draw it.
func (w *world) longest() (most time.Duration) {
	for _, m := range w.plan.messages {
		most = max(most, time.Duration(2*len(m.body)+400))
	}
	return most
}

// know notes a connection.
func (w *world) know(o *outward) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outwards[portOf(o.LocalAddr())] = o
}

// note notes a death.
func (w *world) note(p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaths[p] = true
	for _, o := range w.outwards {
		if o.process != p {
			continue
		}
		for _, f := range o.inDoubt() {
			w.inFlight += len(f.to)
		}
	}
}

// take notes that an exchanger has a message for a recipient.
func (w *world) take(m *mxsim.Message, to string, c copied) {
	n, known := w.digests[m.Digest]
	if !known {
		w.violated("%s has got a message for %s that nobody sent: %d octets", c.remote.plan.addr, to, m.Size)
		return
	}
	c.who, c.at = person{n, to}, time.Since(w.log.start)
	w.log.note("%v: takes the message for %v, says %q", c.remote.plan.addr.Addr(), c.who, c.reply)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.copies[c.who] = append(w.copies[c.who], c)
	if m.From != w.plan.messages[n].from {
		w.fault("a message of %s came from %s", w.plan.messages[n].from, m.From)
	}
}

// mayBounce notes that an exchanger refuses an address for good; "" is everybody.
func (w *world) mayBounce(to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bounces[to] = true
}

// kept notes what the ledger has confirmed.
func (w *world) kept(p *process, e feed.Entry) {
	for _, d := range e.Delivered {
		for _, r := range d.Recipients {
			who, known := w.ids[recordID{d.Message, r}]
			if !known {
				w.violated("the ledger is told of somebody whom no message is for")
				continue
			}
			w.mu.Lock()
			p.kept[who], w.recorded[who] = true, true
			if len(w.copies[who]) == 0 {
				w.fault("the ledger is told that %v is delivered, and no exchanger has it", who)
			}
			w.mu.Unlock()
		}
	}
}

// found notes what a process begins with.
func (w *world) found(ds []feed.Delivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range ds {
		for _, r := range d.Recipients {
			w.recorded[w.ids[recordID{d.Message, r}]] = true
		}
	}
}

// lost notes that a ledger does not have what it was told.
func (w *world) lost(e feed.Entry, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range e.Delivered {
		for _, r := range d.Recipients {
			w.records[w.ids[recordID{d.Message, r}]] = why
		}
	}
}

// violated notes that a promise was broken.
func (w *world) violated(format string, parts ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault(format, parts...)
}

// fault is violated for who holds the mutex.
func (w *world) fault(format string, parts ...any) {
	text := fmt.Sprintf(format, parts...)
	w.log.note("BROKEN PROMISE: %s", text)
	w.faults = append(w.faults, text)
}

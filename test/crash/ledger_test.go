package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/ledger"
)

// A shelf is what a ledger keeps beyond a process. The real one is a file.
type shelf interface {
	// open begins the life of a process with what was kept before it.
	open() []feed.Delivery
	// write keeps entries together, and calls done when that is finished. It may take its time.
	write(entries []feed.Entry, done func())
	// die ends the life of a process: everything it wrote survives, or with power what must. release frees what it held.
	die(p point) (release func())
	// close ends the life of a process that has finished.
	close()
}

// A book is a process's Ledger: entries become actions.
type book struct {
	process *process
	shelf   shelf
	plan    ledgerPlan
	luck    *rand.Rand // the writer's

	mu      sync.Mutex // guards what follows
	waiting []bookEntry
	more    chan struct{} // to the writer; capacity 1
	closed  chan struct{} // by who buries the process
}

type bookEntry struct {
	entry feed.Entry
	done  func()
}

func newBook(p *process, s shelf) *book {
	plan := p.world.plan
	return &book{process: p, shelf: s, plan: plan.ledger, luck: rand.New(rand.NewPCG(plan.seed, uint64(200+p.n))),
		more: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Keep is feed.Ledger's.
func (b *book) Keep(e feed.Entry, done func()) {
	b.mu.Lock()
	b.waiting = append(b.waiting, bookEntry{e, done})
	b.mu.Unlock()
	select {
	case b.more <- struct{}{}:
	default:
	}
}

// run is the writer: what comes while it writes is written together.
func (b *book) run() {
	for {
		select {
		case <-b.more:
			b.write()
		case <-b.closed:
			b.write()
			return
		}
	}
}

func (b *book) write() {
	if b.plan.delay > 0 && b.process.lives() {
		time.Sleep(b.plan.delay)
	}
	b.mu.Lock()
	batch := b.waiting
	b.waiting = nil
	b.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	entries := b.fit(batch)
	if !b.process.act(keeping, "", describe(entries)).dead {
		written := make(chan struct{}) // closed when the shelf has them
		b.shelf.write(entries, func() { close(written) })
		<-written
	}
	b.confirm(batch)
}

// fit is what of a batch is going to be kept: a disk may be slow, or full.
func (b *book) fit(batch []bookEntry) (entries []feed.Entry) {
	for _, e := range batch {
		entries = append(entries, e.entry)
	}
	if !b.process.lives() {
		return entries
	}
	switch {
	case b.plan.late > 0 && b.luck.Float64() < b.plan.late:
		time.Sleep(4*time.Second + jitter(b.luck, 8*time.Second))
	case b.plan.fails > 0 && b.luck.Float64() < b.plan.fails:
		for i := range entries {
			b.process.world.lost(entries[i], "the disk was full")
			entries[i].Delivered = nil
		}
	}
	return entries
}

// confirm tells the feeder, one by one.
func (b *book) confirm(batch []bookEntry) {
	for _, e := range batch {
		if e.done == nil {
			continue
		}
		if !b.process.act(confirming, "", nil).dead {
			b.process.world.kept(b.process, e.entry)
		}
		e.done()
	}
}

// describe is entries as the log shows them.
func describe(entries []feed.Entry) []byte {
	var b []byte
	for _, e := range entries {
		n := 0
		for _, d := range e.Delivered {
			n += len(d.Recipients)
		}
		b = fmt.Appendf(b, "%d delivered, %d forgotten; ", n, len(e.Forgotten))
	}
	return b
}

// A model is a shelf that keeps entries in order. What is lost with the power is any number of the last ones, unless each was
// synced.
type model struct {
	world   *world
	entries []feed.Entry
}

func (m *model) open() []feed.Delivery {
	var alive []feed.Delivery
	for _, e := range m.entries {
		alive = append(alive, e.Delivered...)
		for _, f := range e.Forgotten {
			kept := alive[:0:0]
			for _, d := range alive {
				if d.Message != f {
					kept = append(kept, d)
				}
			}
			alive = kept
		}
	}
	return alive
}

func (m *model) write(entries []feed.Entry, done func()) {
	m.entries = append(m.entries, entries...)
	done()
}

func (m *model) die(p point) (release func()) {
	release = func() {}
	if !p.Power || m.world.plan.ledger.power {
		return release
	}
	r := rand.New(rand.NewPCG(m.world.plan.seed, uint64(1000+p.K)))
	left := r.IntN(len(m.entries) + 1)
	for _, e := range m.entries[left:] {
		m.world.lost(e, "the power went")
	}
	m.entries = m.entries[:left:left]
	return release
}

func (m *model) close() {}

// A file is a shelf made of the real ledger. The dead process's file stays locked until it is buried: the next one gets a copy.
type file struct {
	world  *world
	dir    string
	number int
	ledger *ledger.Ledger
	before []byte       // the file as it was when the process began
	wrote  []feed.Entry // by this process
}

func (f *file) path() string { return filepath.Join(f.dir, fmt.Sprintf("ledger-%d.db", f.number)) }

func (f *file) open() (found []feed.Delivery) {
	f.before, _ = os.ReadFile(f.path()) // there may be none
	mode := ledger.Process
	if f.world.plan.ledger.power {
		mode = ledger.Power
	}
	f.wrote = nil
	f.ledger = ledger.Open(ledger.Config{Path: f.path(), Sync: mode, Found: func(ds []feed.Delivery) { found = ds }})
	return found
}

func (f *file) write(entries []feed.Entry, done func()) {
	f.wrote = append(f.wrote, entries...)
	left := sync.WaitGroup{}
	left.Add(len(entries))
	for _, e := range entries {
		f.ledger.Keep(e, left.Done)
	}
	left.Wait()
	done()
}

// die copies the file as it is. Without sync = power none of what this process wrote need be on the disk, and then nothing is.
func (f *file) die(p point) (release func()) {
	now, err := os.ReadFile(f.path())
	if p.Power && !f.world.plan.ledger.power {
		now = f.before
		for _, e := range f.wrote {
			f.world.lost(e, "the power went")
		}
	}
	f.number++
	if err == nil {
		err = os.WriteFile(f.path(), now, 0o600)
	}
	if err != nil {
		f.world.violated("the ledger's file cannot be copied: %v", err)
	}
	dead := f.ledger
	return func() { dead.Close(context.Background()) }
}

func (f *file) close() { f.ledger.Close(context.Background()) }

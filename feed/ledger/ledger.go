package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
)

// Sync is what a delivery that was kept survives.
type Sync uint8

const (
	Process Sync = iota // the end of the process, also by kill -9: the kernel has it
	Power               // the loss of power: the disk has it (fdatasync)
)

const (
	defaultKeep  = 120 * time.Hour
	defaultQueue = 200_000
	// defaultLazy is how long a forgotten message may wait for a commit to ride along with. What is not forgotten when the process is killed
	// is remembered by the next one, and equal words that were submitted on purpose would be taken for the same message.
	defaultLazy = 20 * time.Millisecond
	// After a failure the file is tried again after firstRetry, and then twice as late each time up to lastRetry.
	firstRetry = time.Second
	lastRetry  = 10 * time.Second
)

// Config says where a Ledger is kept, and how.
type Config struct {
	Path  string
	Sync  Sync
	Keep  time.Duration // how long a delivery is of use; 0 is 120 hours
	Queue int           // recipients that may wait for the disk, and as many that wait for a file that failed; 0 is 200,000
	Log   *slog.Logger  // nil is silence

	// Found is told what the file held, and is not called for an empty one: before Open returns, or later by a goroutine of
	// the Ledger's, once, if the file could be opened only then. It must not wait for the Ledger,
	// nor change what it is given. After a commit that failed halfway a delivery may be there twice.
	Found func([]feed.Delivery)

	lazy        time.Duration
	first, last time.Duration // retries
	now         func() time.Time
}

func (c Config) withDefaults() Config {
	if c.Keep <= 0 {
		c.Keep = defaultKeep
	}
	if c.Queue <= 0 {
		c.Queue = defaultQueue
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Found == nil {
		c.Found = func([]feed.Delivery) {}
	}
	if c.lazy == 0 {
		c.lazy = defaultLazy
	}
	if c.first == 0 {
		c.first, c.last = firstRetry, lastRetry
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c
}

// A Ledger is a feed.Ledger in a file. Its methods may be called from any goroutine.
type Ledger struct {
	c    Config
	wake chan struct{} // sent by Keep, its timer and Close, who do not wait, received by the keeper, who takes all: room for one
	done chan struct{} // closed by the keeper when the file is closed

	mu      sync.Mutex
	queue   []order
	queued  int // weight of the queue and of what the keeper has in hand
	dropped int // recipients for which the queue had no room
	closing bool
	stats   Stats // as the keeper last saw it
}

// An order is one call of Keep.
type order struct {
	entry feed.Entry
	done  func()
}

var _ feed.Ledger = (*Ledger)(nil)

// Open opens the file, hands over what it holds and starts the keeper. It never fails: without a file it tells so in the log
// and in Stats, keeps nothing, and tries again.
func Open(c Config) *Ledger {
	l := &Ledger{c: c.withDefaults(), wake: make(chan struct{}, 1), done: make(chan struct{})}
	k := &keeper{Ledger: l, group: newGroup(l.c.Queue)}
	k.save()
	k.publish()
	go k.run()
	return l
}

// Keep notes an entry. done is called after the commit that holds it, or when it is known that it cannot be kept now, by the
// keeper's goroutine or one of its own; it may be nil. An entry that only forgets and has no done waits up to a second for
// others.
func (l *Ledger) Keep(e feed.Entry, done func()) {
	first, ok := l.enqueue(order{e, done})
	switch {
	case !ok && done != nil:
		// Not here: Keep never blocks, and done may wait for its caller. Not by the keeper: the disk may hang.
		go done()
	case !ok:
	case done != nil || len(e.Delivered) > 0:
		l.rouse()
	case first:
		time.AfterFunc(l.c.lazy, l.rouse)
	}
}

// enqueue takes an order in, if there is room. first is whether nothing waited.
func (l *Ledger) enqueue(o order) (first, ok bool) {
	n := recipients(o.entry)
	w := n + len(o.entry.Forgotten)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing || l.queued > 0 && l.queued+w > l.c.Queue {
		l.dropped += n
		return false, false
	}
	l.queue = append(l.queue, o)
	l.queued += w
	return len(l.queue) == 1, true
}

func recipients(e feed.Entry) (n int) {
	for i := range e.Delivered {
		n += len(e.Delivered[i].Recipients)
	}
	return n
}

func (l *Ledger) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Close commits what waits and closes the file. If the disk takes longer than ctx, it says so and leaves the keeper to it.
// What is kept afterwards is dropped.
func (l *Ledger) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	l.rouse()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ledger: closing %s: %w", l.c.Path, context.Cause(ctx))
	}
}

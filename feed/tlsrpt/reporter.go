package tlsrpt

import (
	"context"
	"fmt"
	"sync"

	"github.com/smtpfeed/smtpfeed/feed"
)

// maxPending is how many results may wait for the keeper: some 11 MiB, and as much for those that it has in hand.
const maxPending = 1 << 16

// A Reporter is a feed.Observer that makes reports. Its methods may be called from any goroutine.
type Reporter struct {
	c      Config
	keeps  bool               // there is a directory, and a keeper
	cancel context.CancelFunc // ends editions
	wake   chan struct{}      // sent by ObserveTLS and Close, who do not wait, received by the keeper, who takes all: room for one
	done   chan struct{}      // closed by the keeper when it has saved all and ended

	mu      sync.Mutex
	pending []feed.TLSResult // for the keeper
	totals  [resultTypes]uint64
	closing bool
	stats   Stats // without Results
}

var _ feed.Observer = (*Reporter)(nil)

// Open loads what an earlier process counted, and starts the Reporter. It is an error if the configuration is unusable, if the
// directory cannot be made or written to, or if another process uses it.
func Open(c Config) (*Reporter, error) {
	r := &Reporter{wake: make(chan struct{}, 1), done: make(chan struct{}), cancel: func() {}}
	if c.Directory == "" {
		r.c = c.withDefaults()
		close(r.done)
		return r, nil
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("tlsrpt: %w", err)
	}
	r.c, r.keeps = c, true
	d, err := openDisk(c.Directory)
	if err != nil {
		return nil, fmt.Errorf("tlsrpt: %w", err)
	}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	k := newKeeper(ctx, r, d)
	k.load()
	go k.run()
	return r, nil
}

// ObserveTLS counts results. It copies them, and leaves the rest to the keeper.
func (r *Reporter) ObserveTLS(results []feed.TLSResult) {
	if len(results) == 0 {
		return
	}
	r.mu.Lock()
	for i := range results {
		r.totals[resultOf(results[i].Result)]++
	}
	if !r.keeps || r.closing {
		r.mu.Unlock()
		return
	}
	n := min(len(results), maxPending-len(r.pending))
	r.pending = append(r.pending, results[:n]...)
	r.stats.Dropped += uint64(len(results) - n)
	r.mu.Unlock()
	r.rouse()
}

// take hands the keeper all that waits, and gives an emptied slice back for what comes next.
func (r *Reporter) take(spare []feed.TLSResult) (taken []feed.TLSResult, closing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken, r.pending = r.pending, spare[:0]
	return taken, r.closing
}

func (r *Reporter) rouse() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Close saves the counts and ends all goroutines. Reports under way are broken off, and taken up by the next process. If that
// takes longer than ctx, for a Mail or Texts that does not heed its own, Close says so; the counts are saved by then, unless
// the disk hangs. What is observed afterwards is in the totals only.
func (r *Reporter) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closing = true
	r.mu.Unlock()
	r.cancel()
	r.rouse()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("tlsrpt: closing %s: %w", r.c.Directory, context.Cause(ctx))
	}
}

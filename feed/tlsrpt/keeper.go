package tlsrpt

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

const (
	saveEvery  = 5 * time.Minute
	maxTrouble = 300 // octets of an error that is logged
)

// A keeper owns the counts. It is one goroutine.
type keeper struct {
	*Reporter
	ctx      context.Context // of the editions
	disk     *disk
	slots    chan struct{}  // taken by deliveries, given back by them: capacity is how many there may be at once
	running  sync.WaitGroup // editions
	today    *day
	editions []*edition // of days that have ended, in order

	spare   []feed.TLSResult // to be filled while another slice is counted
	dirty   bool             // something is not saved yet
	trouble bool             // saving failed, and that was told
	dropped uint64           // of Stats.Dropped, how many were told
}

func newKeeper(ctx context.Context, r *Reporter, d *disk) *keeper {
	return &keeper{
		Reporter: r, ctx: ctx, disk: d, slots: make(chan struct{}, concurrency), today: newDay(dateOf(time.Now()), r.c.bounds()),
	}
}

func (k *keeper) run() {
	defer close(k.done)
	defer k.disk.close()
	// Ticks are never far apart, also in a quiet hour: a clock that is set, or a machine that slept, is noticed at the next one.
	tick := time.NewTimer(k.untilTick())
	defer tick.Stop()
	for closing := false; !closing; {
		due := false
		select {
		case <-k.wake:
		case <-tick.C:
			due = true
		}
		ended := k.turn(time.Now())
		closing = k.collect()
		if k.retire() || ended || due || closing {
			k.save()
		}
		if due {
			tick.Reset(k.untilTick())
		}
	}
	// The counts are safe: now the editions may take their time to end, and what they did meanwhile is saved too.
	k.running.Wait()
	k.retire()
	k.save()
}

// untilTick is to the end of the day, and at most saveEvery.
func (k *keeper) untilTick() time.Duration {
	return min(max(time.Until(k.today.date.end()), 0), saveEvery)
}

// collect counts all that waits.
func (k *keeper) collect() (closing bool) {
	results, closing := k.take(k.spare)
	if len(results) > 0 {
		k.dirty = true
	}
	before := k.today.tally
	for i := range results {
		k.today.add(&results[i])
	}
	clear(results) // strings and policies must not outlive their use for it
	k.spare = results
	k.publish(before)
	return closing
}

// publish puts what changed into Stats.
func (k *keeper) publish(before tally) {
	now := k.today.tally
	k.note(func(s *Stats) {
		s.Domains, s.Editions = len(k.today.domains), len(k.editions)
		s.Overflow += now.overflow - before.overflow
		s.Folded += now.folded - before.folded
		s.Unnamed += now.unnamed - before.unnamed
	})
}

// save writes all that is not reported yet, if there is something new.
func (k *keeper) save() {
	days := make([]savedDay, 0, len(k.editions)+1)
	for _, e := range k.editions {
		s, changed := e.snapshot()
		k.dirty = k.dirty || changed
		days = append(days, s)
	}
	if !k.dirty {
		return
	}
	// The whole file each time: it is small beside the mail that it counts (some 4 us a domain), and a rename makes it whole or
	// not there.
	days = append(days, savedDay{day: k.today, left: copies(k.today)})
	err := k.disk.write(stateName, stateMode, func(w io.Writer) error { return writeState(w, days) })
	k.dirty = err != nil
	if err != nil && !k.trouble {
		k.c.Log.Warn("TLS report counts cannot be saved; they are kept in memory", "error", wire.Clean(err.Error(), maxTrouble))
	} else if err == nil && k.trouble {
		k.c.Log.Info("TLS report counts are saved again", "directory", k.c.Directory)
	}
	k.trouble = err != nil
}

// copies are the domains of a day, in order. What they point to does not change while they are written.
func copies(d *day) []domain {
	all := make([]domain, 0, len(d.domains))
	for _, m := range d.sorted() {
		all = append(all, *m)
	}
	return all
}

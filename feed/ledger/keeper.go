package ledger

import (
	"errors"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// maxTrouble bounds Stats.Trouble.
const maxTrouble = 300

// shrinkRunning is the size from which a file in which nothing is left is begun anew while it is in use. bbolt gives no page
// back, and each commit writes the list of the free ones.
const shrinkRunning = 16 << 20

const (
	// stride is how long after a commit the next one begins at the earliest, while that lets several orders share it: a commit costs the
	// same for one delivery as for a hundred, and 1,000 single messages a second would cost a tenth of a core. Replies wait as long for
	// company on their way to the host MTA.
	stride = 4 * time.Millisecond
	// unpaced is how many commits follow each other at once after one for which waiting brought no company: a host MTA that sends one
	// message after the other waits for each reply.
	unpaced = 64
)

// A keeper owns the file. Only its goroutine, and Open before that, calls bbolt. After any failure it closes the file and
// opens it again: whatever went wrong, what then counts is what can be read.
type keeper struct {
	*Ledger
	store *store // nil while the file cannot be used
	group group  // not yet on disk

	read    bool      // the file was read, and what it held handed over
	suspect error     // the file is damaged, though reading it may not show that
	last    time.Time // when the last commit ended
	hurry   int       // commits that need not keep the stride
	pause   time.Duration
	due     time.Time // when the file may be tried again
	outage  outage

	commits, kept, forgotten, failures, setAside, unsaved int
}

// An outage is a time without a file. It is told once.
type outage struct {
	since   time.Time // zero: there is none
	trouble string
	dropped int // what had been dropped when it began
}

// run takes all that waits as one group: while one commit is under way the next one gathers.
func (k *keeper) run() {
	defer close(k.done)
	for {
		k.wait()
		paced := k.keepStride()
		orders, weight, closing := k.take()
		if paced && len(orders) < 2 {
			k.hurry = unpaced
		}
		for i := range orders {
			k.group.add(orders[i].entry)
		}
		if closing && k.read && k.group.size() > 0 {
			k.due = time.Time{} // the last chance
		}
		k.save()
		k.last = time.Now()
		if closing {
			k.finish()
		}
		k.release(weight)
		k.publish()
		for i := range orders {
			if orders[i].done != nil {
				orders[i].done()
			}
		}
		if closing {
			return
		}
	}
}

// wait ends when there may be something to do: orders, or a file to try again.
func (k *keeper) wait() {
	if k.store != nil {
		<-k.wake
		return
	}
	t := time.NewTimer(time.Until(k.due))
	defer t.Stop()
	select {
	case <-k.wake:
	case <-t.C:
	}
}

// keepStride waits for more orders where commits follow each other closely; it says whether it did.
func (k *keeper) keepStride() bool {
	left := time.Until(k.last.Add(stride))
	switch {
	case left <= 0:
		return false
	case k.hurry > 0:
		k.hurry--
		return false
	}
	time.Sleep(left)
	return true
}

func (k *keeper) take() (orders []order, weight int, closing bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	orders, k.queue = k.queue, nil
	return orders, k.queued, k.closing
}

// release gives room in the queue back once its orders are on disk or in the group, which has a bound of its own.
func (k *keeper) release(weight int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queued -= weight
}

// save commits the group, and opens the file before if it is time to.
func (k *keeper) save() {
	if k.store == nil && time.Now().Before(k.due) {
		return
	}
	err := k.open()
	if err == nil {
		err = k.commit()
	}
	if k.condemn(err) {
		// Waiting does not mend it, and what is in the group deserves to be written now.
		if err = k.open(); err == nil {
			err = k.commit()
		}
	}
	if err != nil {
		k.failed(err)
		return
	}
	k.works()
}

// condemn notes that the file is to be set aside, if err says that it is damaged.
func (k *keeper) condemn(err error) bool {
	var d *damage
	if !errors.As(err, &d) {
		return false
	}
	k.suspect = d
	return true
}

func (k *keeper) commit() error {
	wrote, err := k.store.commit(&k.group)
	if err != nil {
		k.failures++
		k.drop(err)
		return err
	}
	if wrote {
		k.commits++
	}
	k.kept += k.group.recipients
	k.forgotten += len(k.group.forgotten)
	k.group.reset()
	if len(k.store.index) == 0 && k.store.size > shrinkRunning {
		k.drop(nil)
		return k.open()
	}
	return nil
}

// drop closes the file.
func (k *keeper) drop(err error) {
	k.store.close(err)
	k.store = nil
}

// failed goes on without the file for a while, and tells so if that is new.
func (k *keeper) failed(err error) {
	k.pause = min(max(2*k.pause, k.c.first), k.c.last)
	k.due = time.Now().Add(k.pause)
	begins := k.outage.since.IsZero()
	if begins {
		k.outage.since, k.outage.dropped = time.Now(), k.group.dropped
	}
	k.outage.trouble = wire.Clean(err.Error(), maxTrouble)
	if begins {
		k.c.Log.Warn("ledger: cannot be used; mail goes on, but what is delivered now may be delivered again after a crash",
			"path", k.c.Path, "error", k.outage.trouble, "do", advice(k.c.Path, err))
	}
}

// works ends an outage.
func (k *keeper) works() {
	k.pause = 0
	if k.outage.since.IsZero() {
		return
	}
	k.c.Log.Info("ledger: works again", "path", k.c.Path, "outage", time.Since(k.outage.since).Round(time.Millisecond),
		"dropped", k.group.dropped-k.outage.dropped)
	k.outage = outage{}
}

// finish closes the file for good.
func (k *keeper) finish() {
	k.unsaved = k.group.recipients
	if k.unsaved > 0 {
		k.c.Log.Warn("ledger: closed with recipients that were not written", "path", k.c.Path, "recipients", k.unsaved)
	}
	dropped := k.group.dropped
	k.group = newGroup(k.c.Queue)
	k.group.dropped = dropped
	if k.store != nil {
		k.drop(nil)
	}
}

// publish shows the keeper's state to Stats.
func (k *keeper) publish() {
	s := Stats{
		Open: k.store != nil, Trouble: k.outage.trouble,
		Queued:  k.group.size(),
		Commits: k.commits, Kept: k.kept, Forgotten: k.forgotten, Failures: k.failures, SetAside: k.setAside,
		Dropped: k.group.dropped + k.unsaved,
	}
	if k.store != nil {
		s.Messages, s.Recipients, s.Bytes = len(k.store.index), k.store.recipients, k.store.size
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stats = s
}

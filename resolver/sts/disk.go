package sts

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

const (
	// saveDelay is how long policies gather before they are written: one file for a long list, not one per policy.
	saveDelay = 30 * time.Second
	// saveShare keeps writing below a fiftieth of the time, however large the file has become.
	saveShare = 50
	// saveRetry is how long after a failure it is tried again.
	saveRetry = 5 * time.Minute
)

// A disk knows what of the book the cache file lacks. Store.mu guards it.
type disk struct {
	stale  bool          // the file lacks something, if only when a policy was asked for last: Close writes
	write  time.Time     // when it is to be written because the policies themselves have changed; zero: never
	saving bool          // a save is under way
	took   time.Duration // the last save
	broken bool          // the last save failed, and the log says so
}

// change notes that the file lacks a policy.
func (d *disk) change(now time.Time) {
	d.stale = true
	if d.write.IsZero() {
		d.write = now.Add(max(saveDelay, saveShare*d.took))
	}
}

// due is when to save; zero is never.
func (d *disk) due() time.Time {
	if d.saving {
		return time.Time{}
	}
	return d.write
}

// load reads the cache file, at Open.
func (s *Store) load(now time.Time) {
	// A line is its policy's text and some 100 octets.
	limit := int64(4*s.book.budget) + maxLine
	c, err := readFile(s.c.Path, limit, now)
	for _, l := range c.policies {
		s.book.put(now, l.p, l.asked, scheduleLoaded(now, l.p, s.c.Retry))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.c.Log.Warn("sts: the file of policies cannot be used; they are fetched again when mail needs them",
			"path", s.c.Path, "error", printable(err.Error()), "policies", len(c.policies))
	}
	if c.damaged > 0 {
		s.c.Log.Warn("sts: the file of policies is damaged; what was unreadable is fetched again when mail needs it",
			"path", s.c.Path, "ignored", c.damaged, "first", printable(c.first.Error()), "policies", len(c.policies))
	}
}

// probe tells at the start, and not when the first policy is lost, that the file cannot be written.
func (s *Store) probe() {
	f, err := createTemp(s.c.Path)
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		s.disk.broken = true
		s.warnUnwritable(err)
	}
}

func (s *Store) warnUnwritable(err error) {
	s.c.Log.Warn("sts: the file of policies cannot be written; they are fetched again after the next start",
		"path", s.c.Path, "error", err)
}

// startSave saves in a goroutine of its own if it is time: a disk that hangs holds up nobody but Close. The lock is held.
func (s *Store) startSave(now time.Time) {
	due := s.disk.due()
	if due.IsZero() || now.Before(due) {
		return
	}
	s.disk.write = time.Time{}
	if s.c.Path == "" {
		return
	}
	s.disk.saving, s.disk.stale = true, false
	policies := s.snapshot()
	s.wg.Add(1)
	go s.save(policies)
}

// save is a goroutine that ends when the file is written.
func (s *Store) save(policies []loaded) {
	defer s.wg.Done()
	begun := time.Now()
	err := writeFile(s.c.Path, policies)
	s.saved(time.Now(), begun, err)
	s.rouse()
}

// saved notes how a save went. An outage is told once.
func (s *Store) saved(now, begun time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &s.disk
	d.saving, d.took = false, now.Sub(begun)
	if err == nil {
		d.broken = false
		return
	}
	d.stale, d.write = true, now.Add(saveRetry)
	if !d.broken {
		s.warnUnwritable(err)
	}
	d.broken = true
}

// finalSave is the one at Close, when no goroutine of ours runs any more.
func (s *Store) finalSave() error {
	policies, stale := s.unsaved()
	if s.c.Path == "" || !stale {
		return nil
	}
	err := writeFile(s.c.Path, policies)
	if err != nil {
		s.warnUnwritable(err)
	}
	return err
}

func (s *Store) unsaved() (policies []loaded, stale bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot(), s.disk.stale
}

// snapshot is the book, what was asked for longest ago first: read in this order it is the same book again. The lock is held.
func (s *Store) snapshot() []loaded {
	all := make([]loaded, 0, len(s.book.index))
	for at := s.book.recent.Back(); at != nil; at = at.Prev() {
		e := at.Value.(*entry)
		all = append(all, loaded{e.p, e.asked})
	}
	return all
}

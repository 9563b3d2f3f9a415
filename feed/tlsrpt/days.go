package tlsrpt

import (
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// maxAge is how old the end of a day may be for its report to be of use to anybody.
const maxAge = 7 * 24 * time.Hour

// load takes up what an earlier process left. Only Open calls it, before the keeper runs.
func (k *keeper) load() {
	k.tidy(k.disk.clear())
	k.sweep(time.Now())
	var days []savedDay
	err := k.disk.readState(func(r io.Reader) (err error) {
		days, err = readState(r, k.c.bounds())
		return err
	})
	if err != nil {
		k.c.Log.Warn("TLS report counts of the last process are lost: their file is damaged and was set aside",
			"directory", k.c.Directory, "file", damagedName, "error", wire.Clean(err.Error(), maxTrouble))
		k.tidy(k.disk.setAside())
	}
	for _, d := range days {
		k.takeUp(d)
	}
	k.publish(k.today.tally)
}

// takeUp goes on with a saved day.
func (k *keeper) takeUp(d savedDay) {
	switch now := time.Now(); {
	case d.date >= k.today.date:
		// Today, or a day that the clock has not come to yet: then it was wrong before, or is now.
		if len(k.today.domains) == 0 && d.date == k.today.date {
			k.today.id = d.id
		}
		k.today.merge(d.day)
	case now.Sub(d.date.end()) > maxAge:
		k.c.Log.Warn("a day's TLS reports are dropped: they are too old", "day", d.date, "domains", len(d.domains))
		k.dirty = true
	default:
		k.begin(d.day, d.due)
	}
}

// turn ends the day if it is over.
func (k *keeper) turn(now time.Time) (ended bool) {
	date := dateOf(now)
	switch {
	case date == k.today.date:
		return false
	case date < k.today.date:
		// The clock was set back. What was counted belongs to the time that it shows now, or nobody knows where.
		k.today.date = date
		return false
	}
	k.tellBounds()
	over := k.today
	k.today = newDay(date, k.c.bounds())
	k.begin(over, time.Time{})
	k.sweep(now)
	k.dirty = true
	return true
}

// begin starts the edition of a day that has ended. due is when its reports are made; zero is to be drawn.
func (k *keeper) begin(d *day, due time.Time) {
	if len(d.domains) == 0 {
		return
	}
	end := d.date.end()
	if due.Before(end) || due.After(end.Add(k.c.Delay)) {
		// RFC 8460 section 4.1: all report on the same day, so they should not do it in the same minute.
		due = end.Add(rand.N(k.c.Delay))
	}
	e := &edition{Reporter: k.Reporter, disk: k.disk, slots: k.slots, day: d, due: due}
	k.editions = append(k.editions, e)
	k.running.Go(func() { e.run(k.ctx) })
}

// retire forgets editions that are reported to the end.
func (k *keeper) retire() bool {
	n := len(k.editions)
	k.editions = slices.DeleteFunc(k.editions, (*edition).isOver)
	if n == len(k.editions) {
		return false
	}
	k.dirty = true
	k.publish(k.today.tally)
	return true
}

// tellBounds tells once a day what had no room.
func (k *keeper) tellBounds() {
	dropped := k.droppedSince()
	if t := k.today.tally; t.overflow > 0 || t.folded > 0 || dropped > 0 {
		k.c.Log.Warn("TLS reports of the day are not complete: more domains, policies or kinds of failure than may be counted",
			"day", k.today.date, "left_out", t.overflow, "without_details", t.folded, "too_fast", dropped, "max_domains", k.c.Domains)
	}
}

// droppedSince is how many results were dropped since it was last asked.
func (k *keeper) droppedSince() (n uint64) {
	k.note(func(s *Stats) { n, k.dropped = s.Dropped-k.dropped, s.Dropped })
	return n
}

// sweep removes old reports.
func (k *keeper) sweep(now time.Time) { k.tidy(k.disk.sweep(now.Add(-k.c.Keep))) }

// tidy tells what could not be tidied up.
func (k *keeper) tidy(err error) {
	if err != nil {
		k.c.Log.Warn("the directory of TLS reports cannot be tidied up", "error", wire.Clean(err.Error(), maxTrouble))
	}
}

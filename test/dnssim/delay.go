package dnssim

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// A parcel is a datagram to be sent at its time.
type parcel struct {
	due time.Time
	to  net.Addr
	msg *[]byte // from a pool and back
}

// grain is how exactly parcels keep their time: those of one grain are sent together, as a timer's precision does anyway.
const grain = 500 * time.Microsecond

// A wave is the parcels of one grain.
type wave struct {
	due     time.Time
	parcels []parcel
}

// A delayer sends parcels at their time, or up to a grain later, from one goroutine: no timer or goroutine each.
type delayer struct {
	send func([]parcel)
	wake chan struct{} // from add to run, capacity 1: the first wave is due earlier than run knows

	mu      sync.Mutex
	waiting []wave // by time
	spare   [][]parcel
}

func newDelayer(send func([]parcel)) *delayer {
	return &delayer{send: send, wake: make(chan struct{}, 1)}
}

func (d *delayer) add(parcels []parcel) {
	d.mu.Lock()
	first := false
	for _, p := range parcels {
		first = d.insert(p) || first
	}
	d.mu.Unlock()
	if first {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

// insert puts a parcel into its wave; true: that is a new one and the first of all.
func (d *delayer) insert(p parcel) bool {
	due := p.due.Add(grain - 1).Truncate(grain)
	i, found := slices.BinarySearchFunc(d.waiting, due, func(w wave, due time.Time) int { return w.due.Compare(due) })
	if !found {
		d.waiting = slices.Insert(d.waiting, i, wave{due: due, parcels: d.room()})
	}
	d.waiting[i].parcels = append(d.waiting[i].parcels, p)
	return !found && i == 0
}

// room is an empty list, if possible one that was used before.
func (d *delayer) room() []parcel {
	n := len(d.spare)
	if n == 0 {
		return nil
	}
	room := d.spare[n-1]
	d.spare = d.spare[:n-1]
	return room
}

func (d *delayer) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-d.wake:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		for due := d.take(timer); due != nil; due = d.take(timer) {
			d.send(due)
			d.giveBack(due)
		}
	}
}

// take removes the first wave if it is due, or sets the timer for it.
func (d *delayer) take(timer *time.Timer) []parcel {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting) == 0 {
		return nil
	}
	if wait := time.Until(d.waiting[0].due); wait > 0 {
		timer.Reset(wait)
		return nil
	}
	due := d.waiting[0].parcels
	d.waiting = slices.Delete(d.waiting, 0, 1)
	return due
}

func (d *delayer) giveBack(sent []parcel) {
	clear(sent)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spare = append(d.spare, sent[:0])
}

package dnssim

import (
	"container/heap"
	"context"
	"net/netip"
	"sync"
	"time"
)

// A parcel is a datagram to be sent at its time.
type parcel struct {
	due time.Time
	to  netip.AddrPort
	msg []byte
}

// parcels is a heap by due time.
type parcels []parcel

func (p parcels) Len() int           { return len(p) }
func (p parcels) Less(i, j int) bool { return p[i].due.Before(p[j].due) }
func (p parcels) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *parcels) Push(x any)        { *p = append(*p, x.(parcel)) }
func (p *parcels) Pop() any {
	last := len(*p) - 1
	x := (*p)[last]
	(*p)[last] = parcel{}
	*p = (*p)[:last]
	return x
}

// A delayer sends parcels at their time from one goroutine: no timer or goroutine each.
type delayer struct {
	send func(parcel)
	wake chan struct{} // from add to run, capacity 1: the first parcel is due earlier than run knows

	mu      sync.Mutex
	waiting parcels
}

func newDelayer(send func(parcel)) *delayer {
	return &delayer{send: send, wake: make(chan struct{}, 1)}
}

func (d *delayer) add(p parcel) {
	d.mu.Lock()
	first := len(d.waiting) == 0 || p.due.Before(d.waiting[0].due)
	heap.Push(&d.waiting, p)
	d.mu.Unlock()
	if first {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

func (d *delayer) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var due []parcel
	for {
		select {
		case <-d.wake:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		due = d.take(due[:0], timer)
		for _, p := range due {
			d.send(p)
		}
	}
}

// take removes what is due and sets the timer for what is next.
func (d *delayer) take(due []parcel, timer *time.Timer) []parcel {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for len(d.waiting) > 0 && !now.Before(d.waiting[0].due) {
		due = append(due, heap.Pop(&d.waiting).(parcel))
	}
	if len(d.waiting) > 0 {
		timer.Reset(d.waiting[0].due.Sub(now))
	}
	return due
}

package feed

import (
	"container/heap"
	"time"
)

// A timer is one deadline of the engine. The zero timer is not set; due must be given before set.
type timer struct {
	at    time.Time
	order uint64 // of setting: equal deadlines fire in this order
	slot  int    // position in the heap plus one; 0 when not set
	due   func(now time.Time)
}

// timers are the engine's deadlines, the earliest on top.
type timers struct {
	heap  timerHeap
	count uint64
}

// set arms t for at, whether or not it was armed before.
func (ts *timers) set(t *timer, at time.Time) {
	ts.count++
	t.at, t.order = at, ts.count
	if t.slot > 0 {
		heap.Fix(&ts.heap, t.slot-1)
		return
	}
	heap.Push(&ts.heap, t)
}

// stop disarms t; a timer that is not set stays so.
func (ts *timers) stop(t *timer) {
	if t.slot > 0 {
		heap.Remove(&ts.heap, t.slot-1)
	}
}

// next is the earliest deadline; ok is false when there is none.
func (ts *timers) next() (at time.Time, ok bool) {
	if len(ts.heap) == 0 {
		return time.Time{}, false
	}
	return ts.heap[0].at, true
}

// fire calls due of every timer whose moment has come. A timer set by one of them for a moment that has come fires too.
func (ts *timers) fire(now time.Time) {
	for len(ts.heap) > 0 && !ts.heap[0].at.After(now) {
		t := heap.Pop(&ts.heap).(*timer)
		t.due(now)
	}
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].order < h[j].order
	}
	return h[i].at.Before(h[j].at)
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i+1, j+1
}

func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	*h = append(*h, t)
	t.slot = len(*h)
}

func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.slot = 0
	return t
}

package killloop

import "sync"

// A hub counts what recorders tell.
type hub struct {
	mu      sync.Mutex
	counts  map[Event]int
	waiting []await
}

// An await is somebody who waits for a count.
type await struct {
	event   Event
	n       int
	reached chan<- struct{} // closed by the hub
}

func newHub() *hub { return &hub{counts: make(map[Event]int)} }

// hear counts an event.
func (h *hub) hear(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[e]++
	for i, a := range h.waiting {
		if a.event == e && a.n == h.counts[e] {
			close(a.reached)
			h.waiting[i].event = "" // never again
		}
	}
}

// after returns a channel that is closed with the n-th event from now.
func (h *hub) after(e Event, n int) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	reached := make(chan struct{})
	if n <= 0 {
		close(reached)
		return reached
	}
	h.waiting = append(h.waiting, await{e, h.counts[e] + n, reached})
	return reached
}

package lmtp

import (
	"sync"

	"github.com/smtpfeed/smtpfeed/feed"
)

// A sink stands between the Mailer's loop, which must never wait, and the goroutine of an envelope, which may.
type sink struct {
	// ready says that something was settled. The Mailer's loop sends, the envelope's goroutine receives; one place, since a
	// second signal would say nothing new.
	ready chan struct{}

	mu      sync.Mutex // held for a copy only
	settled []feed.Settlement
	spare   []feed.Settlement // the slice before, to be filled again
}

func newSink() *sink { return &sink{ready: make(chan struct{}, 1)} }

// Settle implements feed.Sink.
func (s *sink) Settle(list []feed.Settlement) {
	s.mu.Lock()
	s.settled = append(s.settled, list...)
	s.mu.Unlock()
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// take returns what was settled since the last call; it is valid until the next one.
func (s *sink) take() []feed.Settlement {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := s.settled
	s.settled, s.spare = s.spare[:0], batch
	return batch
}

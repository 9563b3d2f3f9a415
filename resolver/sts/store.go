package sts

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A Lookup finds the addresses of a host. It must end when its context does.
type Lookup = func(ctx context.Context, host string) ([]netip.Addr, error)

var errClosed = errors.New("smtpfeed is stopping")

// A Store has the policies. Open makes it. Its methods may be called from any goroutine.
type Store struct {
	c       Config
	fetcher fetcher
	ctx     context.Context    // of all fetches; ends with Close
	cancel  context.CancelFunc // called by Close
	wake    chan struct{}      // from anybody, who does not wait, to the keeper: something is due earlier. Room for one, for all
	wg      sync.WaitGroup     // the keeper, fetch goroutines, a save under way

	close    sync.Once
	closeErr error // written in close

	mu       sync.Mutex // guards all below; nothing under it waits
	lookup   Lookup
	book     *book
	failures *failures
	flights  flights
	disk     disk
	closed   bool
	stats    Stats
}

// Open reads the cache file and starts the keeper. A file that cannot be read or written is told in the log and hinders
// nobody; the error is about the configuration.
func Open(c Config) (*Store, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{
		c: c, fetcher: fetcher{c}, wake: make(chan struct{}, 1),
		book: newBook(c.Policies), failures: newFailures(c.Policies), flights: flights{open: make(map[string]*flight)},
		stats: Stats{Failures: map[string]uint64{FetchError: 0, PolicyInvalid: 0, WebPKIInvalid: 0}},
	}
	if c.Roots == nil {
		pool, err := x509.SystemCertPool()
		checkRoots(pool, err, c.Log)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if c.Path != "" {
		s.load(time.Now())
		if c.ReadOnly {
			s.c.Path = ""
		} else {
			s.probe()
		}
	}
	s.wg.Add(1)
	go s.keep()
	return s, nil
}

// LookupWith says how the addresses of policy hosts are found. It is called once, before the first Fetch; policies that are
// due to be refreshed wait for it.
func (s *Store) LookupWith(lookup func(ctx context.Context, host string) ([]netip.Addr, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookup = lookup
	s.depart()
}

// Cached returns the live policy of a domain, or nil. Whoever calls it wants to deliver mail: the policy is kept fresh.
func (s *Store) Cached(now time.Time, domain string) *Policy {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.book.get(now, domain)
	if p != nil {
		s.disk.stale = true
	}
	return p
}

// Close ends all fetches, whose dones it waits for, answers whoever waits for one, and saves the policies. Its error is the
// file's; it was logged. Fetch may still be called, and answers at once.
func (s *Store) Close() error {
	s.close.Do(func() {
		waiting := s.shut()
		s.cancel()
		for _, w := range waiting {
			s.answer(w)
		}
		s.wg.Wait()
		s.closeErr = s.finalSave()
	})
	return s.closeErr
}

// shut lets nothing begin any more, and returns who waits for what has not begun.
func (s *Store) shut() []answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.strand(time.Now())
}

// Stats are counters since Open, and gauges.
type Stats struct {
	Policies  int               // now
	Fetching  int               // now
	Waiting   int               // domains whose fetch has not begun, now
	Fetches   uint64            // that ended, whatever became of them, refreshes included
	Refreshes uint64            // that succeeded
	Failures  map[string]uint64 // by Error.Result: all three
	Evicted   uint64            // live policies that had to make room
	Refused   uint64            // calls of Fetch that found too many others waiting, or waited too long
}

// Stats returns the store's counters and gauges.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Policies, st.Evicted = len(s.book.index), s.book.evicted
	st.Fetching, st.Waiting = s.flights.flying, s.flights.parked
	st.Failures = maps.Clone(st.Failures)
	return st
}

// Policies returns the live policies by domain.
func (s *Store) Policies() []Policy {
	all := s.live(time.Now())
	slices.SortFunc(all, func(a, b Policy) int { return cmp.Compare(a.Domain, b.Domain) })
	return all
}

func (s *Store) live(now time.Time) []Policy {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Policy, 0, len(s.book.index))
	for _, e := range s.book.index {
		if e.p.live(now) {
			all = append(all, *e.p)
		}
	}
	return all
}

// rouse has the keeper look at the time again.
func (s *Store) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

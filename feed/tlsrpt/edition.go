package tlsrpt

import (
	"context"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

const (
	concurrency  = 8 // deliveries at once: nobody waits for a report
	firstRetry   = 5 * time.Minute
	retryFactor  = 3
	maxRetries   = 5
	maxEdition   = 24 * time.Hour // RFC 8460 section 5.5: "a sender SHOULD attempt redelivery for up to 24 hours"
	textsTimeout = 30 * time.Second
	mailTimeout  = 10 * time.Minute
)

// An edition is the reports of one day that has ended.
type edition struct {
	*Reporter
	disk  *disk
	slots chan struct{}
	day   *day
	due   time.Time

	mu      sync.Mutex // day.domains, which are those still to be done, and the mailed of each
	changed bool       // since the last snapshot
	over    bool       // all are done or given up
}

// run makes the reports when they are due. It is a goroutine of its own.
func (e *edition) run(ctx context.Context) {
	if !sleep(ctx, time.Until(e.due)) {
		return
	}
	// However slow the DNS and the host MTA are, a day's reports end before those of the day after tomorrow begin.
	limited, cancel := context.WithTimeout(ctx, maxEdition)
	defer cancel()
	left := e.rounds(limited, e.deliveries())
	if ctx.Err() != nil {
		return // the process ends, and the next one goes on
	}
	e.giveUp(left)
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
	e.rouse()
}

// rounds tries the deliveries, again and again those that failed, and returns what is left.
func (e *edition) rounds(ctx context.Context, left []*delivery) []*delivery {
	for wait, i := firstRetry, 0; ; wait, i = wait*retryFactor, i+1 {
		left = e.round(ctx, left)
		if len(left) == 0 || i == maxRetries || ctx.Err() != nil {
			return left
		}
		e.note(func(s *Stats) { s.Retried += uint64(len(left)) })
		if !sleep(ctx, wait) {
			return left
		}
	}
}

// deliveries are those of the day's domains, in the order of their names.
func (e *edition) deliveries() (all []*delivery) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range e.day.sorted() {
		all = append(all, &delivery{edition: e, domain: m})
	}
	return all
}

// round tries each delivery once, and returns those that are not done. The slots are shared by all editions: after a long time
// without a process several days are reported at once.
func (e *edition) round(ctx context.Context, all []*delivery) (left []*delivery) {
	var running sync.WaitGroup
	for _, d := range all {
		select {
		case e.slots <- struct{}{}:
		case <-ctx.Done():
			running.Wait()
			return unfinished(all)
		}
		running.Go(func() {
			defer func() { <-e.slots }()
			d.attempt(ctx)
		})
	}
	running.Wait()
	return unfinished(all)
}

func unfinished(all []*delivery) (left []*delivery) {
	for _, d := range all {
		if !d.done {
			left = append(left, d)
		}
	}
	return left
}

// finish takes a domain off the list.
func (e *edition) finish(m *domain) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.day.domains, m.name)
	e.changed = true
}

// sent notes that an address has the report.
func (e *edition) sent(m *domain, to string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	// A new slice each time: a snapshot may have the old one.
	m.mailed = append(append(make([]string, 0, len(m.mailed)+1), m.mailed...), to)
	e.changed = true
}

// giveUp ends what is left. That a domain's DNS did not answer is its own trouble, and common; the rest an operator should know
// of.
func (e *edition) giveUp(left []*delivery) {
	var unanswered, failed uint64
	var last *delivery
	for _, d := range left {
		e.finish(d.domain)
		if d.asked {
			failed, last = failed+1, d
		} else {
			unanswered++
		}
	}
	e.note(func(s *Stats) { s.Failed += failed; s.Unanswered += unanswered })
	if last != nil {
		e.c.Log.Warn("TLS reports could not be written or mailed, and are given up", "day", e.day.date, "reports", failed,
			"domain", last.domain.name, "error", wire.Clean(last.trouble(), maxTrouble))
	}
	e.c.Log.Info("the day's TLS reports are done", "day", e.day.date, "unanswered", unanswered, "failed", failed)
}

// snapshot is what is left to do, and whether that changed since the last one.
func (e *edition) snapshot() (savedDay, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	changed := e.changed
	e.changed = false
	return savedDay{day: e.day, due: e.due, left: copies(e.day)}, changed
}

func (e *edition) isOver() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.over
}

// sleep is whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package feed

import (
	"strconv"
	"strings"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

const (
	// learnedFor is how long a limit that a host showed is believed without being seen again.
	learnedFor = time.Hour
	// failedCohort is how many sessions in a row may end without any transaction gone well before the host counts as
	// unreachable. Postfix's SCHEDULER_README calls it the failed cohort.
	failedCohort = 3
)

// A limit is what a host has been seen to take. The host publishes none of it: we learn, and forget when until is past.
type limit struct {
	window     int // sessions the host has earned; grows by success, falls by failure
	cap        int // window's bound by configuration
	ceiling    int // window's bound as the host showed it; 0 is none
	failures   int // sessions in a row that ended badly
	recipients int // a transaction takes at most

	learnedRecipients bool
	oneDomain         bool // a transaction takes one domain
	noPipelining      bool // no commands behind a body
	until             time.Time
}

// sessions is how many the host may have now.
func (l *limit) sessions() int {
	n := min(l.window, l.cap)
	if l.ceiling > 0 {
		n = min(n, l.ceiling)
	}
	return max(n, 1)
}

// opened rewards a session that came to be with one more: as in TCP's slow start, twice as many a round.
func (l *limit) opened() { l.window = min(l.window+1, l.cap) }

// succeeded rewards a transaction gone well.
func (l *limit) succeeded() {
	l.failures = 0
	l.window = min(l.window+1, l.cap)
}

// shrink answers a session that ended badly.
func (l *limit) shrink() {
	l.failures++
	l.window = max(l.window/2, 1)
}

// reset begins again with one session: a host that was down is probed, not flooded.
func (l *limit) reset() { l.window, l.failures = 1, 0 }

// crowded notes that the host took no connection beyond the n it has.
func (l *limit) crowded(now time.Time, n int) {
	l.ceiling = max(n, 1)
	l.until = now.Add(learnedFor)
}

// offered takes the LIMITS of an EHLO reply (RFC 9422).
func (l *limit) offered(now time.Time, c wire.Caps) {
	if c.RcptMax > 0 && c.RcptMax < l.recipients {
		l.atMost(now, c.RcptMax)
	}
	if c.RcptDomainMax == 1 {
		l.single(now)
	}
}

// atMost notes that a transaction takes n recipients.
func (l *limit) atMost(now time.Time, n int) {
	l.recipients, l.learnedRecipients = max(n, 1), true
	l.until = now.Add(learnedFor)
}

// single notes that a transaction takes one domain.
func (l *limit) single(now time.Time) {
	l.oneDomain = true
	l.until = now.Add(learnedFor)
}

// careful notes that the host lost count of pipelined commands.
func (l *limit) careful(now time.Time) {
	l.noPipelining = true
	l.until = now.Add(learnedFor)
}

// expire forgets what was learned too long ago.
func (l *limit) expire(now time.Time, recipients int) {
	if l.until.IsZero() || now.Before(l.until) {
		return
	}
	l.ceiling, l.recipients, l.learnedRecipients, l.oneDomain, l.noPipelining = 0, recipients, false, false, false
	l.until = time.Time{}
}

// String is what was learned, in words, for status.
func (l *limit) String() string {
	var words []string
	if l.learnedRecipients {
		words = append(words, strconv.Itoa(l.recipients)+" recipients a transaction")
	}
	if l.oneDomain {
		words = append(words, "one domain a transaction")
	}
	if l.ceiling > 0 {
		words = append(words, strconv.Itoa(l.ceiling)+" sessions")
	}
	if l.noPipelining {
		words = append(words, "no pipelining behind a body")
	}
	return strings.Join(words, ", ")
}

package feed

import (
	"strconv"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

const (
	// provenWindow is how many sessions a server may have that has opened one. Postfix begins with as many to a destination that it
	// knows nothing of (initial_destination_concurrency).
	provenWindow = 5
	// failedCohort is how many sessions in a row may end without any transaction gone well before the host counts as
	// unreachable. Postfix's SCHEDULER_README calls it the failed cohort.
	failedCohort = 3
)

// A limit is what a server has been seen to take, whatever policy its hosts are under. It publishes none of it: we learn, and forget when
// until is past.
type limit struct {
	window     int // sessions the server has earned; grows by success, falls by failure
	cap        int // window's bound by configuration
	ceiling    int // window's bound as the server showed it; 0 is none
	recipients int // a transaction takes at most

	learnedRecipients bool
	messages          int           // a session takes at most; 0 is no limit known
	suspected         int           // transactions after which the last session was turned away; a second one like it makes the limit
	oneDomain         bool          // a transaction takes one domain
	sessionDomains    int           // a session takes at most, as its EHLO reply says each time; here for status
	noRiding          bool          // no commands behind a body
	noPipelining      bool          // no commands behind commands either
	noChunking        bool          // no BDAT, whatever the EHLO reply offers
	noParams          bool          // MAIL goes without SIZE and BODY, whatever it offers
	noDSN             bool          // nothing is said of notifications, whatever it offers
	life              time.Duration // how long what was learned is believed without being seen again
	rides             bool          // commands behind a body were answered as they should: new sessions need not prove it again
	pipelines         bool          // a group of commands was answered as it should: a later stall has another cause
	until             time.Time
}

// sessions is how many the server may have now.
func (l *limit) sessions() int { return max(min(l.window, l.bound()), 1) }

// bound is how many it may have when it has earned them.
func (l *limit) bound() int {
	if l.ceiling > 0 {
		return min(l.cap, l.ceiling)
	}
	return l.cap
}

// opened rewards a session that came to be, the n-th: with provenWindow at once, and from there with twice as many a round, as in
// TCP's slow start.
func (l *limit) opened(n int) { l.window = min(max(l.window, provenWindow, 2*n), l.cap) }

// succeeded rewards a transaction gone well.
func (l *limit) succeeded() { l.window = min(l.window+1, l.cap) }

// shrink answers a session that ended badly.
func (l *limit) shrink() { l.window = max(l.window/2, 1) }

// reset begins again with one session: a server that was down is probed, not flooded.
func (l *limit) reset() { l.window = 1 }

// crowded notes that the host took no connection beyond the n it has.
func (l *limit) crowded(now time.Time, n int) {
	l.ceiling = max(n, 1)
	l.until = now.Add(l.life)
}

// offered takes the LIMITS of an EHLO reply (RFC 9422).
func (l *limit) offered(now time.Time, c wire.Caps) {
	if c.RcptMax > 0 && c.RcptMax < l.recipients {
		l.atMost(now, c.RcptMax)
	}
	if c.MailMax > 0 {
		l.perSession(now, c.MailMax)
	}
	if c.RcptDomainMax > 0 {
		l.sessionDomains = c.RcptDomainMax
		l.until = now.Add(l.life)
	}
}

// perSession notes that a session takes n messages.
func (l *limit) perSession(now time.Time, n int) {
	l.messages, l.suspected = max(n, 1), 0
	l.until = now.Add(l.life)
}

// turnedAway notes that a session was told to go when it began another transaction, after n. Once that may be chance: a server
// that restarts, an idle timeout of its own. Twice after the same number is a limit. It says whether that is known now.
func (l *limit) turnedAway(now time.Time, n int) bool {
	if n != l.suspected {
		l.suspected = n
		return false
	}
	l.perSession(now, n)
	return true
}

// atMost notes that a transaction takes n recipients.
func (l *limit) atMost(now time.Time, n int) {
	l.recipients, l.learnedRecipients = max(n, 1), true
	l.until = now.Add(l.life)
}

// single notes that a transaction takes one domain.
func (l *limit) single(now time.Time) {
	l.oneDomain = true
	l.until = now.Add(l.life)
}

// careful notes that the host lost count of pipelined commands. If they rode behind a body, that is what it does not bear;
// else it is spoken to command by command.
func (l *limit) careful(now time.Time, rode bool) {
	l.noRiding, l.rides = true, false
	l.noPipelining = l.noPipelining || !rode
	l.until = now.Add(l.life)
}

// dataOnly notes that the host offers CHUNKING and does not understand BDAT.
func (l *limit) dataOnly(now time.Time) {
	l.noChunking = true
	l.until = now.Add(l.life)
}

// plain notes that the host refuses MAIL for parameters that it offers.
func (l *limit) plain(now time.Time) {
	l.noParams = true
	l.until = now.Add(l.life)
}

// unasked notes that the host refuses what is asked of notifications though it offers to take it. If it was sent MAIL without SIZE and BODY
// for that before, they were not what it minded.
func (l *limit) unasked(now time.Time) {
	l.noDSN, l.noParams = true, false
	l.until = now.Add(l.life)
}

// expire forgets what was learned too long ago.
func (l *limit) expire(now time.Time, recipients int) {
	if !l.until.IsZero() && !now.Before(l.until) {
		*l = limit{window: l.window, cap: l.cap, recipients: recipients, life: l.life, pipelines: l.pipelines, rides: l.rides}
	}
}

// words is what was learned, for status.
func (l *limit) words() []string {
	var words []string
	if l.learnedRecipients {
		words = append(words, strconv.Itoa(l.recipients)+" recipients a transaction")
	}
	if l.oneDomain {
		words = append(words, "one domain a transaction")
	}
	if l.messages > 0 {
		words = append(words, strconv.Itoa(l.messages)+" messages a session")
	}
	if l.sessionDomains > 0 {
		words = append(words, strconv.Itoa(l.sessionDomains)+" domains a session")
	}
	if l.ceiling > 0 {
		words = append(words, strconv.Itoa(l.ceiling)+" sessions")
	}
	switch {
	case l.noPipelining:
		words = append(words, "no pipelining")
	case l.noRiding:
		words = append(words, "no pipelining behind a body")
	}
	if l.noChunking {
		words = append(words, "no chunking")
	}
	if l.noParams {
		words = append(words, "MAIL without SIZE and BODY")
	}
	if l.noDSN {
		words = append(words, "no DSN")
	}
	return words
}

// A tlsLimit is what a host has been seen to take of TLS. It is not the server's: the policy's names have part in it, and whoever publishes
// a policy that a server cannot keep must not spoil the TLS of others there.
type tlsLimit struct {
	life       time.Duration
	none       bool // TLS fails: sessions that may be plaintext are
	smallHello bool // it fails with a ClientHello that does not fit one packet
	wanted     bool // without it the host refused mail
	falls      int  // times in a row that plaintext was all that was left
	until      time.Time
	kept       time.Time // until when falls is remembered
}

// bareTime is for how long plaintext is all that is left after TLS has failed, the first time; it doubles, up to Config.LimitsTTL. A server
// whose TLS fails is often one that starts anew or has too much to do.
const bareTime = 5 * time.Minute

// fails notes that TLS failed. What is tried next: a ClientHello that fits one packet, and after that plaintext.
func (l *tlsLimit) fails(now time.Time, reduced bool) {
	if !reduced {
		l.smallHello = true
		l.until = now.Add(l.life)
		return
	}
	l.none = true
	if now.After(l.kept) {
		l.falls = 0
	}
	l.falls++
	d := min(l.life, bareTime<<min(l.falls-1, 4))
	l.until, l.kept = now.Add(d), now.Add(3*d)
}

// works notes that a session has TLS.
func (l *tlsLimit) works() { l.falls, l.kept = 0, time.Time{} }

// insists notes that the host refuses mail without TLS, which was tried without since TLS had failed.
func (l *tlsLimit) insists(now time.Time) {
	l.none, l.wanted = false, true
	l.until = now.Add(l.life)
}

// expire forgets what was learned too long ago. It says whether TLS is to be tried again.
func (l *tlsLimit) expire(now time.Time) (again bool) {
	if l.until.IsZero() || now.Before(l.until) {
		return false
	}
	again = l.none
	*l = tlsLimit{life: l.life, falls: l.falls, kept: l.kept}
	return again
}

// words is what was learned, for status.
func (l *tlsLimit) words() []string {
	switch {
	case l.none:
		return []string{"no TLS"}
	case l.smallHello:
		return []string{"reduced ClientHello"}
	}
	return nil
}

package resolver

import "time"

const (
	maxWindow   = 10_000
	leastWindow = 64
	leastLosses = 4 // fewer are chance
	leastRound  = 25 * time.Millisecond
	strain      = 5 * time.Second

	// opening is the eighths of a question that each answer opens the window by in slow start: it doubles each round trip. Three or four
	// times were no faster with 10,000 questions (two cores are busy from 1,500 in flight on) and made unbound and BIND drop twice as many.
	opening = 8
)

// A window is how many questions may be in flight, adapted like TCP's congestion window: it opens by slow start, since the
// number in flight decides how long a big list takes, and closes when a recursor begins to drop: silently (a full receive
// buffer, unbound's wait-limit) or with SERVFAIL (BIND). What it has proven it keeps from one list to the next: there is no
// harm in that, since the first round of a list judges it again. What it lost it forgets after a rest. Pure; the upstream's
// lock guards it.
type window struct {
	size     int
	start    int  // the configured size
	inFlight int  // those whose wait is over are not: they count as lost until they are sent again
	halved   bool // slow start is over, by a loss: growth is an eighth
	hold     bool // losses are beginning: no growth this round
	credit   int  // eighths of a question

	cut      time.Time // when it shrank last: what was sent before has had its effect
	roundEnd time.Time
	answers  int // in this round, and half of what counted before: losses are known some rounds later than answers
	losses   int // likewise
	suspects int // in this round and half of before: questions whose first wait ended without an answer
}

func newWindow(size int) window {
	size = min(max(size, 1), maxWindow)
	return window{size: size, start: size}
}

// rest begins anew after a pause: troubles of another hour say nothing about this one.
func (w *window) rest() {
	w.size = max(w.size, w.start)
	w.halved, w.hold = false, false
	w.cut = time.Time{}
	w.answers, w.losses, w.suspects = 0, 0, 0
}

// open says that one more question may be sent.
func (w *window) open() bool { return w.inFlight < w.size }

// answered counts an answer that came at first asking. A window that was not in use tells nothing by it and stays.
func (w *window) answered(now, sent time.Time, rtt time.Duration) {
	w.round(now, rtt)
	if sent.Before(w.cut) {
		return
	}
	w.answers++
	if w.hold || w.inFlight < w.size/2 {
		return
	}
	gain := opening
	if w.halved {
		gain = 1
	}
	w.credit += gain
	w.size = min(w.size+w.credit/8, maxWindow)
	w.credit %= 8
}

// lost counts a question that needed a second asking, got SERVFAIL, or no answer at all, when that is known: slow answers are
// not lost. Sent is when it was asked first.
func (w *window) lost(now, sent time.Time, rtt time.Duration) {
	w.round(now, rtt)
	if !sent.Before(w.cut) {
		w.losses++
	}
}

// suspected counts a question whose first wait is over. It may be lost or slow; until that is known the window does not grow,
// or it would grow by rounds beyond what the server takes. When most are late it does not matter which they are.
func (w *window) suspected(now, sent time.Time, rtt time.Duration) {
	w.round(now, rtt)
	if !sent.Before(w.cut) {
		w.suspects++
	}
}

// round judges the last round trip when it is over: above a quarter lost or half late the window halves, above an eighth it gives an eighth
// away, above a sixteenth it stays.
// The thresholds are high because a list's dead domains (SERVFAIL, no answer) look like congestion and are none, and because
// a lost datagram costs a retransmission only. The floor lies below what BIND's defaults answer of a flood (287).
func (w *window) round(now time.Time, rtt time.Duration) {
	if now.Before(w.roundEnd) {
		return
	}
	total := w.answers + w.losses
	burst, late := w.losses >= leastLosses, w.suspects >= leastLosses
	w.hold = burst && w.losses*16 > total || late && w.suspects*8 > w.answers+w.suspects
	switch {
	case burst && w.losses*4 > total, late && w.suspects > w.answers:
		w.shrink(now, w.size/2)
	case burst && w.losses*8 > total:
		w.shrink(now, w.size-w.size/8)
	}
	w.answers /= 2
	w.losses /= 2
	w.suspects /= 2
	w.roundEnd = now.Add(max(rtt, leastRound))
}

// strained says that the servers were overloaded a moment ago.
func (w *window) strained(now time.Time) bool { return w.halved && now.Sub(w.cut) < strain }

func (w *window) shrink(now time.Time, size int) {
	w.size = max(size, min(w.size, leastWindow))
	w.halved = true
	w.cut = now
	w.answers, w.losses, w.suspects = 0, 0, 0 // this evidence is used up
}

const (
	burst    = 128                   // datagrams back to back
	perSlice = 10 * time.Microsecond // one more datagram each
)

// A pace keeps bursts below what a default receive buffer holds (208 KiB, about 270 questions): a token bucket.
// Its rate lies above what one core can ask, so it delays the start of a burst only.
type pace struct {
	tokens int
	filled time.Time
}

// refill returns how many datagrams may be sent now, at most.
func (p *pace) refill(now time.Time) int {
	if n := now.Sub(p.filled) / perSlice; n > 0 {
		p.tokens = int(min(time.Duration(p.tokens)+n, burst))
		p.filled = now
	}
	return p.tokens
}

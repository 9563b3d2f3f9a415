package resolver

import "time"

const (
	maxWindow   = 10_000
	leastWindow = 64
	leastLosses = 4 // fewer are chance
	leastRound  = 25 * time.Millisecond
)

// A window is how many questions may be in flight, adapted like TCP's congestion window: it opens by slow start, since the
// number in flight decides how long a big list takes, and closes when a recursor begins to drop: silently (a full receive
// buffer, unbound's wait-limit) or with SERVFAIL (BIND). Pure; the upstream's lock guards it.
type window struct {
	size     int
	inFlight int
	halved   bool // slow start is over: growth is an eighth
	hold     bool // losses are beginning: no growth this round
	credit   int  // eighths of a question

	roundEnd time.Time
	answers  int // in this round, and half of what counted before: losses are known some rounds later than answers
	losses   int // likewise
}

func newWindow(size int) window { return window{size: min(max(size, 1), maxWindow)} }

// open says that one more question may be sent.
func (w *window) open() bool { return w.inFlight < w.size }

// answered counts an answer that came at first asking. A window that was not in use tells nothing by it and stays.
func (w *window) answered(now time.Time, rtt time.Duration) {
	w.round(now, rtt)
	w.answers++
	if w.hold || w.inFlight < w.size/2 {
		return
	}
	gain := 8
	if w.halved {
		gain = 1
	}
	w.credit += gain
	w.size = min(w.size+w.credit/8, maxWindow)
	w.credit %= 8
}

// lost counts a question that needed a second asking, got SERVFAIL, or no answer at all. Slow answers are not lost: a
// question is counted when what became of it is known, not when its first retransmission is due.
func (w *window) lost(now time.Time, rtt time.Duration) {
	w.round(now, rtt)
	w.losses++
}

// round judges the last round trip when it is over: above a quarter lost the window halves, above a sixteenth it stays.
// The thresholds are high because a list's dead domains (SERVFAIL, no answer) look like congestion and are none, and because
// a lost datagram costs a retransmission only. The floor lies below what BIND's defaults answer of a flood (287).
func (w *window) round(now time.Time, rtt time.Duration) {
	if now.Before(w.roundEnd) {
		return
	}
	total := w.answers + w.losses
	burst := w.losses >= leastLosses
	w.hold = burst && w.losses*16 > total
	if burst && w.losses*4 > total {
		w.size = max(w.size/2, min(w.size, leastWindow))
		w.halved = true
		w.answers, w.losses = 0, 0 // this evidence is used up
	}
	w.answers /= 2
	w.losses /= 2
	w.roundEnd = now.Add(max(rtt, leastRound))
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

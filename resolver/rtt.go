package resolver

import "time"

const (
	firstRTO  = 400 * time.Millisecond // before anything was measured; RFC 6298's 1 s is too long to wait for a lost datagram
	minMargin = 40 * time.Millisecond  // above the smoothed round trip: a recursor's answers from its cache come evenly, the others do not
	maxRTO    = 1500 * time.Millisecond
)

// An rtt is a server's round trip time as RFC 6298 section 2 smooths it. Every transmission has its own ID, so each answer measures
// the transmission that it answers and Karn's problem does not arise.
type rtt struct {
	smoothed time.Duration
	variance time.Duration
}

func (r *rtt) sample(d time.Duration) {
	if r.smoothed == 0 {
		r.smoothed, r.variance = d, d/2
		return
	}
	r.variance += ((r.smoothed - d).Abs() - r.variance) / 4
	r.smoothed += (d - r.smoothed) / 8
}

// timeout is how long to wait for the answer to the nth transmission to this server, from 0: growing, bounded. It does not double
// as TCP's: the window already bounds what is sent, and a long wait for the last few of a list is what a list waits for.
func (r *rtt) timeout(n int) time.Duration {
	base := firstRTO
	if r.smoothed > 0 {
		base = min(r.smoothed+max(4*r.variance, minMargin), maxRTO)
	}
	return min(base*time.Duration(1+min(n, 100)), maxRTO)
}

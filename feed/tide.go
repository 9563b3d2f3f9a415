package feed

import "time"

const (
	// tideStep is the time over which answers are counted. It is longer than a round trip to a busy recursor, between two of whose bursts
	// nothing comes.
	tideStep = 50 * time.Millisecond
	// tideSoon is the time within which all answers are worth waiting for, however few of them are a host's.
	tideSoon = 200 * time.Millisecond
)

// A tide is how the answers to a message's lookups come in: as a flood at first, for which it is worth waiting, and then, when the domains
// are left whose servers are far away or dead, one by one.
type tide struct {
	asking int       // carriers that wait for a lookup
	routed int       // recipients whose hosts became known, or were known when they came
	began  time.Time // of the count
	count  int       // of answers since then
	before int       // in the tideStep before
}

// answered counts a recipient whose lookup has ended.
func (t *tide) answered(now time.Time) {
	t.asking--
	t.roll(now)
	t.count++
}

// roll begins a new count when a tideStep is over.
func (t *tide) roll(now time.Time) {
	switch passed := now.Sub(t.began); {
	case passed >= 2*tideStep:
		t.began, t.before, t.count = now, 0, 0
	case passed >= tideStep:
		t.began, t.before, t.count = t.began.Add(tideStep), t.count, 0
	}
}

// within is how many answers are to be expected in a time, at the present pace. It begins a new count where that is due.
func (t *tide) within(now time.Time, d time.Duration) int {
	t.roll(now)
	measured := tideStep + now.Sub(t.began)
	return min(t.asking, int(float64(t.before+t.count)*float64(d)/float64(measured)))
}

// brings says that a lane is better left until then: all is in soon, or it will probably get more of what comes in meanwhile, and an eighth
// of what it has. Only where recipients of several domains meet are more of them to be expected.
func (t *tide) brings(now time.Time, l *lane, until time.Time) bool {
	if t.asking == 0 || !l.mixed() {
		return false
	}
	if t.within(now, tideSoon) == t.asking {
		return true
	}
	// The lane got so many of those that were routed since it had its first one.
	had, of := l.waiting-1, max(t.routed-l.routed, 1)
	coming := t.within(now, until.Sub(now))
	return coming*had >= of && coming*8 >= of
}

// mixed says that recipients of several domains wait in the lane: those of one domain came together.
func (l *lane) mixed() bool { return l.waiting > 1 && l.list.head.route != l.list.tail.route }

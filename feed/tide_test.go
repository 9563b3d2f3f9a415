package feed

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A lane is left to gather while the flood of a message's answers comes in, and not for the sake of the few behind it. What is tabled is
// how many of a host's recipients go with its first transaction, and when.
func TestLanesWaitForTheFlood(t *testing.T) {
	const (
		all   = 10_000
		share = 200 // of so many domains one is the host's
		ms    = time.Millisecond
	)
	steady := func(d time.Duration) func(time.Duration) int {
		return func(at time.Duration) int { return int(all * at / d) }
	}
	steadyBut := func(perSecond int) func(time.Duration) int { // the last fiftieth comes at this pace
		return func(at time.Duration) int {
			return min(steady(300*ms)(at), all*98/100+perSecond*int(at)/int(time.Second))
		}
	}
	bursts := func(at time.Duration) int { return 200 * (1<<(at/(45*ms)) - 1) }
	for name, c := range map[string]struct {
		answered    func(at time.Duration) int // of all
		share       int
		from        time.Duration // a session is there
		first, last time.Duration // when it goes, between
		least       int           // recipients
	}{
		"all at once":            {steady(ms), share, 150 * ms, 150 * ms, 150 * ms, 50},
		"a local recursor":       {steady(300 * ms), share, 150 * ms, 300 * ms, 310 * ms, 50},
		"a slow machine":         {steady(1800 * ms), share, 150 * ms, 1800 * ms, 1810 * ms, 50},
		"a session was there":    {steady(300 * ms), share, 10 * ms, 300 * ms, 310 * ms, 50},
		"a recursor far away":    {steady(20_000 * ms), share, 1000 * ms, 1500 * ms, 2100 * ms, 4},
		"bursts of a slow start": {bursts, share, 150 * ms, 270 * ms, 280 * ms, 50},
		"one in fifty is dead":   {steadyBut(0), share, 150 * ms, 300 * ms, 400 * ms, 49},
		"one in fifty is far":    {steadyBut(40), share, 150 * ms, 300 * ms, 400 * ms, 49},
		"two domains of a host":  {steady(300 * ms), all / 2, 200 * ms, 200 * ms, 310 * ms, 2},
		"one domain of a host":   {steady(300 * ms), all, 150 * ms, 150 * ms, 150 * ms, 1},
	} {
		t.Run(name, func(t *testing.T) {
			at, got := gatherTide(c.answered, all, c.share, c.from)
			assert.GreaterOrEqual(t, at, c.first, "no sooner")
			assert.LessOrEqual(t, at, c.last, "no later")
			assert.GreaterOrEqual(t, got, c.least, "recipients in the transaction")
		})
	}
}

// gatherTide lets answers come in, of which one of a share is for a host, and says when its lane is cut, looked at every 10 ms from a time on, and
// what is in it.
func gatherTide(answered func(at time.Duration) int, all, share int, from time.Duration) (cut time.Duration, waiting int) {
	td := tide{asking: all}
	one, two := &recipient{route: &route{}}, &recipient{route: &route{}}
	l := &lane{list: recipientList{head: one, tail: one}}
	for at := time.Duration(0); ; at += 10 * time.Millisecond {
		now := epoch.Add(at)
		for n := min(answered(at), all); all-td.asking < n; {
			td.answered(now)
			td.routed++
			if (all-td.asking)%share != 1 {
				continue
			}
			if l.waiting++; l.waiting == 1 {
				l.since, l.routed = now, td.routed
			} else {
				l.list.tail = two
			}
		}
		if until := l.since.Add(2 * time.Second); at >= from && l.waiting > 0 && !(now.Before(until) && td.brings(now, l, until)) {
			return at, l.waiting
		}
	}
}

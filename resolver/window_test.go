package resolver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const roundTrip = 30 * time.Millisecond

// flood plays rounds in which the window is full and the nth question of each is lost as the rule says.
func flood(w *window, rounds int, lost func(size, n int) bool) {
	now := epoch
	for range rounds {
		now = now.Add(roundTrip)
		size := w.size
		w.inFlight = size
		for n := range size {
			if lost(size, n) {
				w.lost(now, now.Add(-roundTrip), roundTrip)
			} else {
				w.answered(now, now.Add(-roundTrip), roundTrip)
			}
		}
	}
}

func TestWindow(t *testing.T) {
	for _, c := range []struct {
		rule   string
		start  int
		rounds int
		lost   func(size, n int) bool
		check  func(size int) bool
	}{
		{"slow start doubles each round trip", 200, 3, func(_, _ int) bool { return false }, func(s int) bool { return s == 1600 }},
		{"at most 10,000", 200, 20, func(_, _ int) bool { return false }, func(s int) bool { return s == maxWindow }},
		{"1 % loss does not stop it", 200, 20, func(_, n int) bool { return n%100 == 0 }, func(s int) bool { return s == maxWindow }},
		{"a tenth lost holds it", 200, 20, func(_, n int) bool { return n%10 == 0 }, func(s int) bool { return s < 800 && s >= 200 }},
		{"it settles below twice what a recursor takes at once", 200, 50, func(_, n int) bool { return n >= 1000 },
			func(s int) bool { return s >= 500 && s <= 2000 }},
		{"everything lost: it does not fall below the floor", 200, 50, func(_, _ int) bool { return true }, func(s int) bool { return s == leastWindow }},
		{"a configured window below the floor stays", 8, 50, func(_, _ int) bool { return true }, func(s int) bool { return s == 8 }},
		{"less than four losses are chance", 8, 1, func(_, n int) bool { return n < 3 }, func(s int) bool { return s >= 8 }},
	} {
		t.Run(c.rule, func(t *testing.T) {
			w := newWindow(c.start)
			flood(&w, c.rounds, c.lost)
			assert.True(t, c.check(w.size), "the window should obey the rule, and is %d", w.size)
		})
	}
}

func TestWindowGivesAnEighthAway(t *testing.T) {
	w := newWindow(maxWindow)
	flood(&w, 2, func(_, n int) bool { return n%6 == 0 })
	assert.Equal(t, maxWindow-maxWindow/8, w.size, "a sixth lost should cost an eighth of the window")
}

func TestWindowIsNotCutTwiceForOneFlood(t *testing.T) {
	w := newWindow(1600)
	flood(&w, 2, func(_, n int) bool { return n%2 == 0 })
	size := w.size
	now := epoch.Add(3 * roundTrip)
	for range 3 {
		for range 100 {
			w.lost(now, epoch, roundTrip) // asked before the window shrank, known only now
		}
		now = now.Add(roundTrip)
	}
	assert.Equal(t, size, w.size, "what was asked before should not count again")
}

func TestWindowHoldsOnSuspicion(t *testing.T) {
	w := newWindow(200)
	now := epoch
	for range 20 {
		now = now.Add(roundTrip)
		w.inFlight = w.size
		for n := range w.size {
			if n%6 == 0 {
				w.suspected(now, now.Add(-roundTrip), roundTrip)
			} else {
				w.answered(now, now.Add(-roundTrip), roundTrip)
			}
		}
	}
	assert.Less(t, w.size, 400, "with every sixth question late the window should not grow")
	assert.GreaterOrEqual(t, w.size, 200, "nor shrink: late is not lost")
}

func TestWindowHalvesWhenMostAreLate(t *testing.T) {
	w := newWindow(1000)
	for i := range 3 {
		now := epoch.Add(time.Duration(i) * roundTrip)
		w.inFlight = w.size
		for range 100 {
			w.answered(now, now.Add(-roundTrip), roundTrip)
			w.suspected(now, now.Add(-roundTrip), roundTrip)
			w.suspected(now, now.Add(-roundTrip), roundTrip)
		}
	}
	assert.Less(t, w.size, 1000, "late or lost, that many are too many")
	assert.GreaterOrEqual(t, w.size, 500, "but what was asked before the window shrank should not count again")
}

func TestWindowForgetsLossesAfterARest(t *testing.T) {
	w := newWindow(200)
	flood(&w, 50, func(_, _ int) bool { return true })
	require.Equal(t, leastWindow, w.size, "the window should be at its floor")
	w.rest()
	flood(&w, 2, func(_, _ int) bool { return false })
	assert.Equal(t, 800, w.size, "after a rest it should open from the configured size, by slow start")
	w.rest()
	assert.Equal(t, 800, w.size, "and what it has proven should stay")
}

func TestWindowForgivesTheTailOfAList(t *testing.T) {
	w := newWindow(200)
	flood(&w, 4, func(_, n int) bool { return n%100 == 0 })
	size := w.size
	now := epoch.Add(6 * roundTrip) // everything else is answered; what was lost comes alone
	for range size / 100 {
		w.lost(now, now.Add(-roundTrip), roundTrip)
	}
	w.lost(now.Add(roundTrip), now, roundTrip)
	assert.GreaterOrEqual(t, w.size, size, "late losses should be measured by the questions they were lost among")
}

func TestWindowUnusedStays(t *testing.T) {
	w := newWindow(200)
	for i := range 10_000 {
		w.inFlight = 50
		w.answered(epoch.Add(time.Duration(i)*time.Millisecond), epoch, roundTrip)
	}
	assert.Equal(t, 200, w.size, "a window that was not the limit should not grow")
}

func TestWindowHalvesOncePerRoundTrip(t *testing.T) {
	w := newWindow(1000)
	now := epoch
	w.lost(now, now.Add(-roundTrip), roundTrip)
	for range 500 {
		w.lost(now.Add(time.Millisecond), now, roundTrip)
	}
	assert.Equal(t, 1000, w.size, "a round should be judged at its end")
	for range 500 {
		w.lost(now.Add(roundTrip), now, roundTrip)
	}
	assert.Equal(t, 500, w.size, "one round should halve once")
}

func TestPace(t *testing.T) {
	var p pace
	assert.Equal(t, burst, p.refill(epoch), "a burst should be allowed at first")
	p.tokens -= burst
	assert.Zero(t, p.refill(epoch.Add(perSlice-1)), "nothing should be allowed right behind it")
	assert.Equal(t, 1, p.refill(epoch.Add(perSlice)), "one more should be allowed each slice")
	assert.Equal(t, burst, p.refill(epoch.Add(time.Hour)), "credit should not exceed a burst")
}

func TestRTT(t *testing.T) {
	var r rtt
	assert.Equal(t, firstRTO, r.timeout(0), "before a measurement the first timeout should hold")
	assert.Equal(t, 2*firstRTO, r.timeout(1), "it should grow")
	for range 100 {
		r.sample(30 * time.Millisecond)
	}
	assert.Equal(t, 30*time.Millisecond+minMargin, r.timeout(0), "an even round trip should keep the least margin")
	assert.Equal(t, 4*(30*time.Millisecond+minMargin), r.timeout(3), "it should grow by as much each time")
	assert.Equal(t, maxRTO, r.timeout(30), "the timeout should be bounded")
	assert.Equal(t, maxRTO, r.timeout(1000), "however often")
	r.sample(230 * time.Millisecond)
	assert.InDelta(t, 255, r.timeout(0).Milliseconds(), 1, "RFC 6298: srtt 55 ms and four times the deviation of 50 ms")
}

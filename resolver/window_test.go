package resolver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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
				w.lost(now, roundTrip)
			} else {
				w.answered(now, roundTrip)
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

func TestWindowForgivesTheTailOfAList(t *testing.T) {
	w := newWindow(200)
	flood(&w, 4, func(_, n int) bool { return n%100 == 0 })
	size := w.size
	now := epoch.Add(6 * roundTrip) // everything else is answered; what was lost comes alone
	for range size / 100 {
		w.lost(now, roundTrip)
	}
	w.lost(now.Add(roundTrip), roundTrip)
	assert.GreaterOrEqual(t, w.size, size, "late losses should be measured by the questions they were lost among")
}

func TestWindowUnusedStays(t *testing.T) {
	w := newWindow(200)
	for i := range 10_000 {
		w.inFlight = 50
		w.answered(epoch.Add(time.Duration(i)*time.Millisecond), roundTrip)
	}
	assert.Equal(t, 200, w.size, "a window that was not the limit should not grow")
}

func TestWindowHalvesOncePerRoundTrip(t *testing.T) {
	w := newWindow(1000)
	now := epoch
	w.lost(now, roundTrip)
	for range 500 {
		w.lost(now.Add(time.Millisecond), roundTrip)
	}
	assert.Equal(t, 1000, w.size, "a round should be judged at its end")
	for range 500 {
		w.lost(now.Add(roundTrip), roundTrip)
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
	assert.Equal(t, 2*firstRTO, r.timeout(1), "it should double")
	for range 100 {
		r.sample(30 * time.Millisecond)
	}
	assert.Equal(t, 30*time.Millisecond+minMargin, r.timeout(0), "an even round trip should keep the least margin")
	assert.Equal(t, maxRTO, r.timeout(9), "the timeout should be bounded")
	assert.Equal(t, maxRTO, r.timeout(1000), "however often")
	r.sample(230 * time.Millisecond)
	assert.InDelta(t, 255, r.timeout(0).Milliseconds(), 1, "RFC 6298: srtt 55 ms and four times the deviation of 50 ms")
}

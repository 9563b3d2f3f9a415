package ledger

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/smtpfeed/smtpfeed/feed"
)

func waiting(g *group) []feed.MessageID {
	ids := []feed.MessageID{}
	for _, p := range g.deliveries {
		if !p.gone {
			ids = append(ids, p.Message)
		}
	}
	return ids
}

func TestGroup(t *testing.T) {
	d := func(ns ...int) (e feed.Entry) {
		for _, n := range ns {
			e.Delivered = append(e.Delivered, delivery(n, 2))
		}
		return e
	}
	f := func(ns ...int) (e feed.Entry) {
		for _, n := range ns {
			e.Forgotten = append(e.Forgotten, message(n))
		}
		return e
	}
	both := feed.Entry{Delivered: d(1, 2).Delivered, Forgotten: f(1).Forgotten}
	large := feed.Entry{Delivered: []feed.Delivery{delivery(1, 11)}}
	for name, c := range map[string]struct {
		entries []feed.Entry
		kept    []int
		dropped int
	}{
		"deliveries wait in order":                         {[]feed.Entry{d(3, 1), d(2)}, []int{3, 1, 2}, 0},
		"forgetting cancels all of a message":              {[]feed.Entry{d(1, 2, 1), d(1), f(1)}, []int{2}, 0},
		"what comes after forgetting is kept":              {[]feed.Entry{d(1), f(1), d(1)}, []int{1}, 0},
		"an entry delivers before it forgets":              {[]feed.Entry{both}, []int{2}, 0},
		"forgetting what is not there is nothing":          {[]feed.Entry{f(1), f(1), d(2)}, []int{2}, 0},
		"a delivery to nobody is nothing":                  {[]feed.Entry{{Delivered: []feed.Delivery{delivery(1, 0)}}}, []int{}, 0},
		"beyond the limit deliveries are dropped":          {[]feed.Entry{d(1, 2, 3, 4, 5, 6)}, []int{1, 2, 3, 4, 5}, 2},
		"cancelling makes room":                            {[]feed.Entry{d(1, 2, 3, 4, 5), f(1), d(6)}, []int{2, 3, 4, 5, 6}, 0},
		"one delivery that is beyond the limit has a turn": {[]feed.Entry{large, d(2)}, []int{1}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(10)
			for _, e := range c.entries {
				g.add(e)
			}
			want := []feed.MessageID{}
			for _, n := range c.kept {
				want = append(want, message(n))
			}
			assert.Equal(t, want, waiting(&g), "these wait for the commit")
			assert.Equal(t, len(want), g.live(), "and are counted")
			assert.Equal(t, c.dropped, g.dropped, "so many recipients were dropped")
		})
	}
}

func TestGroupOfALongOutageIsBounded(t *testing.T) {
	g := newGroup(100)
	g.deliver(delivery(-1, 1))
	for i := range 20 * sparse {
		g.deliver(delivery(i, 1))
		g.deliver(delivery(i, 2))
		g.forget(message(i))
	}
	assert.LessOrEqual(t, len(g.deliveries), 4*sparse, "cancelled deliveries give their room back")
	assert.Equal(t, []feed.MessageID{message(-1)}, waiting(&g), "and take no other with them")
	assert.Len(t, g.forgotten, 100, "what is to be forgotten is bounded, too")
	g.forget(message(-1))
	assert.Zero(t, g.recipients, "a packed group still knows its messages")
}

func TestGroupIsEmptyAfterReset(t *testing.T) {
	for _, n := range []int{1, 10 * sparse} {
		g := newGroup(2 * n)
		for i := range 3 * n {
			g.deliver(delivery(i, 1))
		}
		g.forget(message(0))
		dropped := g.dropped
		g.reset()
		assert.Equal(t, []int{0, 0, dropped}, []int{g.size(), g.live(), g.dropped}, "only what was dropped is remembered")
		g.deliver(delivery(0, 1))
		assert.Equal(t, []feed.MessageID{message(0)}, waiting(&g), "and it takes in the next")
	}
}

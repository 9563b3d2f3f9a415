package resolver

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTimersKeepOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	questions := make([]*question, 500)
	for i := range questions {
		questions[i] = &question{place: -1}
	}
	var heap timers
	for range 20_000 {
		q := questions[rnd.IntN(len(questions))]
		if rnd.IntN(3) == 0 {
			heap.remove(q)
			require.Equal(t, int32(-1), q.place, "a removed question should not be in the heap")
			continue
		}
		heap.set(q, epoch.Add(time.Duration(rnd.IntN(1000))*time.Millisecond))
		require.Same(t, q, heap[q.place], "a question should know its place")
	}
	last := epoch
	for q := heap.next(); q != nil; q = heap.next() {
		require.False(t, q.due.Before(last), "questions should come out by due time")
		last = q.due
		heap.remove(q)
	}
	assert.Empty(t, heap, "all should have come out")
}

func TestQueueServesByRank(t *testing.T) {
	var l queue
	for i, r := range []rank{rankLast, rankFirst, rankNext, rankLast, rankNext, rankFirst} {
		l.push(&question{tries: int32(i), rank: r, since: epoch.Add(time.Duration(i) * time.Second)})
	}
	assert.EqualValues(t, 0, l.overdue(epoch.Add(time.Second/2)).tries, "of any rank the overdue one should leave")
	assert.Nil(t, l.overdue(epoch.Add(time.Second/2)), "and nobody else")
	var served []int32
	for l.len() > 0 {
		served = append(served, l.pop().tries)
	}
	assert.Equal(t, []int32{2, 4, 1, 5, 3}, served, "what ends a lookup should go before what begins one, and that before what nobody waits for")
}

func TestQueueIsFirstComeFirstServed(t *testing.T) {
	var l line
	next, pushed := 0, 0
	for round := range 200 {
		for range round * 7 % 90 {
			l.push(&question{tries: int32(pushed)})
			pushed++
		}
		for range round * 5 % 80 {
			if l.len() == 0 {
				break
			}
			require.EqualValues(t, next, l.first().tries, "the first should be the oldest")
			require.EqualValues(t, next, l.pop().tries, "the oldest should leave first")
			next++
		}
		require.Equal(t, pushed-next, l.len(), "the length should be what is left")
	}
}

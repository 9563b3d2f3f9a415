package lmtp

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

func body(text string) *wire.Body {
	var w wire.BodyWriter
	w.Write([]byte(text))
	return w.Body()
}

func TestMemoryBudget(t *testing.T) {
	m := newMemory(100)
	assert.True(t, m.room(100), "the whole budget is room")
	assert.False(t, m.room(101), "and no octet more")
	require.True(t, m.take(60), "60 of 100 can be taken")
	assert.False(t, m.take(41), "41 more cannot")
	assert.True(t, m.take(40), "40 more can")
	assert.False(t, m.room(0), "a budget used up has no room for a content of unknown size")
	assert.True(t, m.take(0), "what takes nothing more can go on")
	m.give(1)
	assert.True(t, m.room(0), "one octet given back is room")
}

func TestMemoryShares(t *testing.T) {
	m := newMemory(1000)
	a, b, other := body("equal\r\n"), body("equal\r\n"), body("other\r\n.\r\n")
	require.True(t, m.take(500), "the content was counted while it was read")
	first, equal := m.share(a, 500)
	assert.False(t, equal, "the first of its content")
	assert.Same(t, a, first.body, "is kept")
	second, equal := m.share(b, 0)
	assert.True(t, equal, "the second")
	assert.Same(t, a, second.body, "is exchanged for the first")
	third, equal := m.share(other, 0)
	assert.False(t, equal, "another content is its own")

	octets, bodies := m.held()
	assert.Equal(t, a.Memory()+other.Memory(), octets, "each content is counted once, with what it holds now")
	assert.Equal(t, 2, bodies, "there are two")
	m.release(first)
	_, bodies = m.held()
	assert.Equal(t, 2, bodies, "the second still holds the body of the first")
	m.release(second)
	m.release(third)
	octets, bodies = m.held()
	assert.Zero(t, octets+int64(bodies), "nothing is held in the end")
}

func TestSink(t *testing.T) {
	s := newSink()
	one, two, three := feed.Settlement{Recipient: 1}, feed.Settlement{Recipient: 2}, feed.Settlement{Recipient: 3}
	list := []feed.Settlement{one}
	s.Settle(list)
	list[0] = three
	s.Settle([]feed.Settlement{two}) // the signal is still there: it must not wait
	<-s.ready
	assert.Equal(t, []feed.Settlement{one, two}, s.take(), "all is taken at once, and the caller's slice was not kept")
	assert.Empty(t, s.take(), "once")
	s.Settle([]feed.Settlement{three})
	<-s.ready
	assert.Equal(t, []feed.Settlement{three}, s.take(), "and then what is new")
}

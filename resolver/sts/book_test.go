package sts

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lasting is a policy that is valid for a time from noon.
func lasting(domain string, age time.Duration) *Policy {
	return &Policy{Domain: domain, ID: "1", Mode: Enforce, MX: []string{"mx." + domain}, MaxAge: age, Expires: noon.Add(age)}
}

func (b *book) keep(domain string, age time.Duration) {
	b.put(noon, lasting(domain, age), noon, noon.Add(age))
}

// TestBookEviction: first what has expired, then what was not asked for longest.
func TestBookEviction(t *testing.T) {
	b := newBook(3)
	for _, d := range []string{"a.test", "b.test", "c.test"} {
		b.keep(d, time.Hour)
	}
	require.NotNil(t, b.get(noon, "a.test"), "the first policy is there")
	b.keep("d.test", time.Hour)
	assert.Nil(t, b.peek(noon, "b.test"), "the one that nobody asked for makes room")
	assert.NotNil(t, b.peek(noon, "a.test"), "the one that was asked for stays")
	assert.NotNil(t, b.peek(noon, "c.test"), "one is enough")
	assert.EqualValues(t, 1, b.evicted, "and it is counted")

	b = newBook(2)
	b.keep("old.test", time.Hour)
	b.keep("brief.test", time.Minute)
	b.put(noon.Add(time.Minute), lasting("new.test", time.Hour), noon, noon.Add(time.Hour))
	assert.NotNil(t, b.peek(noon, "old.test"), "while something has expired nothing that is live makes room")
	assert.EqualValues(t, 0, b.evicted, "what has expired is no loss")
}

func TestBookBudget(t *testing.T) {
	b := newBook(100)
	require.Equal(t, minBudget, b.budget, "a small book has room for large policies")
	for i := range 100 {
		p := lasting(fmt.Sprintf("d%d.test", i), time.Hour)
		p.Text = []string{strings.Repeat("x", 60_000)}
		b.put(noon, p, noon, p.Expires)
		assert.LessOrEqual(t, b.size, b.budget, "the octets are bounded, not only the policies")
	}
	assert.Len(t, b.index, 17, "as many are kept as there is room for")
	assert.NotNil(t, b.peek(noon, "d99.test"), "the last one among them")

	huge := lasting("huge.test", time.Hour)
	huge.Text = []string{strings.Repeat("x", 2<<20)}
	b.put(noon, huge, noon, huge.Expires)
	assert.Empty(t, b.index, "one that is larger than all the room is not kept, and no harm is done")
	assert.Zero(t, b.size, "nothing takes no room")
}

func TestBookExpiry(t *testing.T) {
	b := newBook(3)
	b.keep("a.test", time.Hour)
	assert.NotNil(t, b.get(noon.Add(time.Hour-1), "a.test"), "a policy is live until it expires")
	assert.Nil(t, b.get(noon.Add(time.Hour), "a.test"), "and then it is not, looked at or not")
	b.keep("a.test", 2*time.Hour)
	assert.NotNil(t, b.get(noon.Add(time.Hour), "a.test"), "a newer one takes its place")
	b.keep("a.test", 0)
	assert.Nil(t, b.get(noon, "a.test"), "max_age 0 ends the older one")
	b.keep("b.test", 0)
	assert.Empty(t, b.index, "and is not kept itself")
}

// TestBookModel: whatever is done, index, order of use, agenda and size agree.
func TestBookModel(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	b, now := newBook(20), noon
	for range 4_000 {
		now = now.Add(time.Duration(rnd.Intn(60)) * time.Second)
		domain := fmt.Sprintf("d%d.test", rnd.Intn(40))
		switch rnd.Intn(4) {
		case 0:
			age := time.Duration(rnd.Intn(100)) * time.Minute
			p := &Policy{Domain: domain, MaxAge: age, Expires: now.Add(age), Text: make([]string, rnd.Intn(9))}
			b.put(now, p, now, now.Add(time.Duration(rnd.Intn(60))*time.Minute))
		case 1:
			b.get(now, domain)
		case 2:
			for e := b.due(now); e != nil; e = b.due(now) {
				if !e.p.live(now) {
					b.remove(e)
					continue
				}
				b.delay(e, e.p.Expires)
			}
		case 3:
			b.remove(b.index[domain])
		}
		checkBook(t, b)
	}
}

func checkBook(t *testing.T, b *book) {
	size := 0
	for domain, e := range b.index {
		size += e.p.size()
		if domain != e.p.Domain || b.agenda[e.place] != e || e.use.Value != e {
			require.Fail(t, "an entry is not where it says", "%s", domain)
		}
	}
	require.Equal(t, size, b.size, "the size is the sum of all")
	require.Len(t, b.agenda, len(b.index), "everything is on the agenda")
	require.Equal(t, len(b.index), b.recent.Len(), "and in the order of use")
	require.LessOrEqual(t, len(b.index), b.limit, "and not too much")
	for i := range b.agenda {
		require.False(t, b.agenda[i].due.Before(b.agenda[0].due), "what is due first stands in front")
	}
}

func TestFailures(t *testing.T) {
	f := newFailures(2)
	failure := func(domain string) *Error { return failed(domain, FetchError, "x") }
	f.put(noon, "1", failure("a.test"), noon.Add(time.Minute))
	assert.NotNil(t, f.get(noon, "a.test", "1"), "a failure is remembered")
	assert.Nil(t, f.get(noon, "a.test", "2"), "for its version only (RFC 8461 section 3.3)")
	assert.Nil(t, f.get(noon.Add(time.Minute), "a.test", "1"), "for its time only")
	f.forget("a.test")
	assert.Nil(t, f.get(noon, "a.test", "1"), "until there is success")

	f.put(noon, "1", failure("a.test"), noon.Add(time.Minute))
	f.put(noon, "2", failure("a.test"), noon.Add(time.Minute))
	assert.NotNil(t, f.get(noon, "a.test", "2"), "that an older failure ends does not end the newer one")
	f.put(noon, "1", failure("b.test"), noon.Add(time.Minute))
	f.put(noon, "1", failure("c.test"), noon.Add(time.Minute))
	assert.Nil(t, f.get(noon, "a.test", "2"), "the oldest one makes room")
	assert.Len(t, f.index, 2, "the number is bounded")
	f.put(noon.Add(time.Hour), "1", failure("d.test"), noon.Add(2*time.Hour))
	assert.Len(t, f.index, 1, "what is over is forgotten")
	f.put(noon.Add(time.Hour), "1", failure("d.test"), noon.Add(time.Hour))
	f.put(noon.Add(2*time.Hour), "1", failure("e.test"), noon.Add(2*time.Hour))
	assert.Empty(t, f.queue, "also if everything is over")
}

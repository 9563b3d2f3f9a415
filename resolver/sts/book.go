package sts

import (
	"container/heap"
	"container/list"
	"time"
)

// Bounds on the memory of a book.
const (
	perPolicy = 1 << 10 // octets that a policy may take on average; common ones take 0.8 KiB
	minBudget = 1 << 20 // octets, so that a small book has room for a large policy
)

// A book has the policies. It is pure: no clock, no lock, no goroutine. It holds at most limit policies and budget octets; what
// was not asked for longest goes first, after what has expired.
type book struct {
	limit   int
	budget  int
	size    int // octets of all policies
	index   map[string]*entry
	recent  *list.List // of *entry, the one asked for last in front
	agenda  agenda     // by when something is to be done about it
	evicted uint64
}

// An entry is one policy. Its policy is live, or its time on the agenda has come.
type entry struct {
	p     *Policy
	asked time.Time // when somebody wanted it last
	due   time.Time // when it is looked at: to be refreshed, or because it expires
	place int       // on the agenda
	use   *list.Element
}

func newBook(limit int) *book {
	return &book{limit: limit, budget: max(limit*perPolicy, minBudget), index: make(map[string]*entry), recent: list.New()}
}

// get returns the live policy of a domain that somebody asks for, or nil.
func (b *book) get(now time.Time, domain string) *Policy {
	e := b.index[domain]
	if e == nil || !e.p.live(now) {
		return nil
	}
	e.asked = now
	b.recent.MoveToFront(e.use)
	return e.p
}

// peek is get by somebody who does not want to deliver mail.
func (b *book) peek(now time.Time, domain string) *Policy {
	if e := b.index[domain]; e != nil && e.p.live(now) {
		return e.p
	}
	return nil
}

// put takes a policy in place of the domain's older one, whose time of use it inherits; a new one was asked for at asked. A
// policy that is dead at once (max_age 0) only ends the older one.
func (b *book) put(now time.Time, p *Policy, asked, due time.Time) {
	old := b.index[p.Domain]
	if old != nil {
		asked = old.asked
	}
	if !p.live(now) {
		b.remove(old)
		return
	}
	if old != nil {
		b.size += p.size() - old.p.size()
		old.p, old.due = p, due
		heap.Fix(&b.agenda, old.place)
	} else {
		e := &entry{p: p, asked: asked, due: due}
		e.use = b.recent.PushFront(e)
		b.index[p.Domain] = e
		b.size += p.size()
		heap.Push(&b.agenda, e)
	}
	b.shrink(now)
}

// shrink makes room.
func (b *book) shrink(now time.Time) {
	full := func() bool { return len(b.index) > b.limit || b.size > b.budget }
	if full() {
		for range b.agenda { // what has expired stands in front, if anywhere
			if e := b.agenda[0]; !e.p.live(now) {
				b.remove(e)
				continue
			}
			break
		}
	}
	for full() && len(b.index) > 0 {
		b.evicted++
		b.remove(b.recent.Back().Value.(*entry))
	}
}

func (b *book) remove(e *entry) {
	if e == nil {
		return
	}
	delete(b.index, e.p.Domain)
	b.recent.Remove(e.use)
	heap.Remove(&b.agenda, e.place)
	b.size -= e.p.size()
}

// due returns the first entry of the agenda if its time has come, or nil.
func (b *book) due(now time.Time) *entry {
	if len(b.agenda) == 0 || now.Before(b.agenda[0].due) {
		return nil
	}
	return b.agenda[0]
}

// delay puts an entry elsewhere on the agenda.
func (b *book) delay(e *entry, due time.Time) {
	e.due = due
	heap.Fix(&b.agenda, e.place)
}

// next is when due has something to return; zero is never.
func (b *book) next() time.Time {
	if len(b.agenda) == 0 {
		return time.Time{}
	}
	return b.agenda[0].due
}

// An agenda is a heap of entries by due. It satisfies heap.Interface.
type agenda []*entry

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].due.Before(a[j].due) }
func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].place, a[j].place = i, j
}

// Push is for package heap.
func (a *agenda) Push(x any) {
	e := x.(*entry)
	e.place = len(*a)
	*a = append(*a, e)
}

// Pop is for package heap.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	e := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return e
}

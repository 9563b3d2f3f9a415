package resolver

import "time"

// timers is the heap of the questions in flight by the time at which something must happen to them: one runtime timer in
// all, and a question leaves it at O(log n) when its answer comes.
type timers []*question

// next returns the question due first, or nil.
func (t timers) next() *question {
	if len(t) == 0 {
		return nil
	}
	return t[0]
}

// set puts a question at its due time, whether it is in the heap or not.
func (t *timers) set(q *question, due time.Time) {
	q.due = due
	if q.place < 0 {
		q.place = int32(len(*t))
		*t = append(*t, q)
	}
	t.down(int(q.place))
	t.up(int(q.place))
}

// remove takes a question out, if it is in.
func (t *timers) remove(q *question) {
	i, last := int(q.place), len(*t)-1
	if i < 0 {
		return
	}
	t.swap(i, last)
	(*t)[last] = nil
	*t = (*t)[:last]
	q.place = -1
	if i < last {
		t.down(i)
		t.up(i)
	}
}

func (t timers) swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].place, t[j].place = int32(i), int32(j)
}

func (t timers) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !t[i].due.Before(t[parent].due) {
			return
		}
		t.swap(i, parent)
		i = parent
	}
}

func (t timers) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(t) {
			return
		}
		if right := child + 1; right < len(t) && t[right].due.Before(t[child].due) {
			child = right
		}
		if !t[child].due.Before(t[i].due) {
			return
		}
		t.swap(i, child)
		i = child
	}
}

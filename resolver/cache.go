package resolver

import "time"

// Bounds on how long an answer is believed. The lower one keeps an answer for the work that asked it even if its TTL is 0.
const (
	minTTL      = 5 * time.Second
	maxTTL      = 24 * time.Hour
	maxNegative = time.Hour
	noSOA       = 60 * time.Second // a negative answer without a SOA record says nothing about its life
	failureTTL  = 30 * time.Second // RFC 9520 section 3.2: at least 1 s, at most 5 min
)

// positiveTTL clamps what a record says. RFC 2181 section 8: "implementations should treat TTL values received with the
// most significant bit set as if the entire value received was zero."
func positiveTTL(seconds uint32) time.Duration {
	if seconds&(1<<31) != 0 {
		seconds = 0
	}
	return min(max(time.Duration(seconds)*time.Second, minTTL), maxTTL)
}

// negativeTTL is RFC 2308 section 5: the smaller of the SOA record's TTL and its minimum field.
func negativeTTL(soaTTL, soaMinimum uint32) time.Duration {
	return min(positiveTTL(soaTTL), positiveTTL(soaMinimum), maxNegative)
}

// A cache keeps answers until they expire and never more than a fixed number. It is pure: no clock, no lock, no goroutine.
// At the bound the clock algorithm makes room: the hand passes over an entry used since its last visit once, and takes
// the first that is expired or unused. That costs O(1) on average and keeps what the lists ask for again and again.
type cache struct {
	limit   int
	stale   time.Duration // Config.Stale
	staled  uint64        // answers kept beyond their TTL
	index   map[key]int32
	entries []entry
	hand    int
}

type entry struct {
	key   key
	facts *facts
	used  bool // since the hand passed
}

func newCache(limit int, stale time.Duration) *cache {
	return &cache{limit: limit, stale: stale, index: make(map[key]int32)}
}

// get returns the live answer of a question, or nil.
func (c *cache) get(now time.Time, k key) *facts {
	i, ok := c.index[k]
	if !ok || !now.Before(c.entries[i].facts.expires) {
		return nil
	}
	c.entries[i].used = true
	return c.entries[i].facts
}

// put stores an answer in place of an older one, and returns what is believed from now on: that answer, or when it is a
// failure, the older one (see outlived).
func (c *cache) put(now time.Time, k key, f *facts) *facts {
	i, ok := c.index[k]
	if !ok {
		i = int32(c.slot(now))
		c.index[k] = i
		c.entries[i] = entry{key: k, facts: f}
		return f
	}
	e := &c.entries[i]
	if old := e.facts; f.status == failed && old.usable(now, c.stale) {
		c.staled++
		f = old.outlived(now)
	}
	e.facts = f
	return f
}

// slot returns the place for a new entry, emptied if it was taken.
func (c *cache) slot(now time.Time) int {
	if len(c.entries) < c.limit {
		c.entries = append(c.entries, entry{})
		return len(c.entries) - 1
	}
	for {
		i := c.hand
		c.hand = (c.hand + 1) % c.limit
		e := &c.entries[i]
		if !e.used || !now.Before(e.facts.expires) {
			delete(c.index, e.key)
			return i
		}
		e.used = false
	}
}

func (c *cache) len() int { return len(c.index) }

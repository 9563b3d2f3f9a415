package feed

import (
	"hash/maphash"
	"time"
)

// Which host of its route a recipient goes to.

// choose is the candidate to take: of the lowest preference that has a live untried host, the one with the least to do.
// A host that is doubtful is taken only when all are. It is -1 when there is none.
func (rt *route) choose(now time.Time, tried uint16) int {
	if i := rt.best(func(i int, h *host) bool { return tried&(1<<i) == 0 && !h.down(now) && !h.doubtful() }); i >= 0 {
		return i
	}
	return rt.best(func(i int, h *host) bool { return tried&(1<<i) == 0 && !h.down(now) })
}

func (rt *route) best(fit func(i int, h *host) bool) int {
	best := -1
	for i, c := range rt.candidates {
		if best >= 0 && c.preference > rt.candidates[best].preference || c.left != nil || !fit(i, c.host) {
			continue
		}
		if best < 0 || c.preference < rt.candidates[best].preference || c.host.load() < rt.candidates[best].host.load() {
			best = i
		}
	}
	return best
}

// untried says that a host of the route was not tried, since it is down: what another one refuses for good, it might take later.
func (rt *route) untried(tried uint16) bool {
	for i, c := range rt.candidates {
		if tried&(1<<i) == 0 && c.left == nil {
			return true
		}
	}
	return false
}

// hopeless is the outcome of a recipient for whom choose found nothing: what the most preferred unreachable host said.
func (rt *route) hopeless(now time.Time, tried uint16) *Outcome {
	i := rt.best(func(i int, h *host) bool { return tried&(1<<i) == 0 && h.down(now) })
	if i < 0 {
		i = rt.best(func(_ int, h *host) bool { return h.down(now) })
	}
	if i >= 0 {
		return rt.candidates[i].host.downOutcome
	}
	for _, c := range rt.candidates {
		if c.left != nil {
			return c.left
		}
	}
	panic("BUG: no candidate left, and none is down")
}

// rankOf orders equally preferred hosts: random between processes, fixed within one.
func rankOf(seed uint64, key string) uint64 {
	h := seed
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 0x100000001b3 // FNV-1a
	}
	return h ^ h>>29
}

// randomSeed draws a seed for rankOf.
func randomSeed() uint64 { return maphash.Bytes(maphash.MakeSeed(), nil) }

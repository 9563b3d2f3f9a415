package sts

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

const week = 7 * 24 * time.Hour

// TestRefreshDaily: RFC 8461 section 3.3: "MTAs SHOULD proactively refresh cached policies before they expire; a suggested refresh
// frequency is once per day".
func TestRefreshDaily(t *testing.T) {
	run(t, nil, func(t *testing.T, w *world, s *Store) {
		w.site("a.test", plain(policyOf(Enforce, "mx.a.test", "31557600")))
		first := good(t, s, "a.test", "1")
		for day := range 10 {
			time.Sleep(24 * time.Hour)
			assert.NotNil(t, s.Cached(time.Now(), "a.test"), "mail goes there each day")
			assert.InDelta(t, day, w.requests("a.test")-1, float64(day)/4+1, "it is fetched again about daily")
		}
		p := s.Cached(time.Now(), "a.test")
		assert.True(t, p.Expires.After(first.Expires), "and lives longer")
		assert.Equal(t, "1", p.ID, "and is known by the same id")
		assert.EqualValues(t, w.requests("a.test")-1, s.Stats().Refreshes, "and it is counted")
	})
}

// TestRefreshChanges: a policy that changes without a new id, as by an attack on DNS that hides the new one, is found nevertheless
// (RFC 8461 section 10.2).
func TestRefreshChanges(t *testing.T) {
	run(t, nil, func(t *testing.T, w *world, s *Store) {
		w.site("a.test", plain(policyOf(Testing, "mx.a.test", "604800")))
		good(t, s, "a.test", "1")
		time.Sleep(time.Hour)
		s.Cached(time.Now(), "a.test")
		w.site("a.test", plain(policyOf(Enforce, "mx.a.test", "604800")))
		time.Sleep(24 * time.Hour)
		assert.Equal(t, Enforce, s.Cached(time.Now(), "a.test").Mode, "a day later the new one is applied")
	})
}

// TestRefreshUnused: what nobody mails is left alone, while it has long to live.
func TestRefreshUnused(t *testing.T) {
	run(t, nil, func(t *testing.T, w *world, s *Store) {
		w.site("a.test", plain(policyOf(Enforce, "mx.a.test", "31557600")))
		good(t, s, "a.test", "1")
		time.Sleep(100 * 24 * time.Hour)
		assert.Equal(t, 1, w.requests("a.test"), "one mail is no reason to ask for months")
		assert.NotNil(t, s.Cached(time.Now(), "a.test"), "the policy still holds")
		time.Sleep(25 * time.Hour)
		assert.Equal(t, 2, w.requests("a.test"), "new mail is a reason")
		time.Sleep(366 * 24 * time.Hour)
		assert.Zero(t, s.Stats().Policies, "in the end it is dropped")
		assert.Equal(t, 2, w.requests("a.test"), "without being asked for again")
	})
}

// TestRefreshWeekly: a policy of a week survives from one weekly mail to the next, and a few days more.
func TestRefreshWeekly(t *testing.T) {
	run(t, nil, func(t *testing.T, w *world, s *Store) {
		w.site("a.test", plain(policyOf(Enforce, "mx.a.test", "604800")))
		good(t, s, "a.test", "1")
		for range 5 {
			time.Sleep(week)
			assert.NotNil(t, s.Cached(time.Now(), "a.test"), "it has not lapsed: nobody could hide it this week")
		}
		time.Sleep(4 * week)
		assert.Nil(t, s.Cached(time.Now(), "a.test"), "two weeks without mail, and it is let go")
	})
}

// TestRefreshShort: a policy that lives for minutes is not asked for all the time.
func TestRefreshShort(t *testing.T) {
	run(t, nil, func(t *testing.T, w *world, s *Store) {
		w.site("a.test", plain(policyOf(Enforce, "mx.a.test", "300")))
		good(t, s, "a.test", "1")
		for range 299 {
			time.Sleep(time.Second)
			assert.NotNil(t, s.Cached(time.Now(), "a.test"), "it is live")
		}
		time.Sleep(time.Second)
		assert.Nil(t, s.Cached(time.Now(), "a.test"), "until its time is over")
		assert.Equal(t, 1, w.requests("a.test"), "it was not refreshed")
	})
}

// TestRefreshFails: the policy that is known holds until it expires, the host is asked again in hours, and administrators are told.
func TestRefreshFails(t *testing.T) {
	for _, mode := range []Mode{Enforce, None} {
		t.Run(mode.String(), func(t *testing.T) {
			run(t, nil, func(t *testing.T, w *world, s *Store) {
				w.site("a.test", plain(policyOf(mode, "mx.a.test", "604800")))
				p := good(t, s, "a.test", "1")
				w.site("a.test", http.NotFound)
				time.Sleep(time.Hour)
				s.Cached(time.Now(), "a.test")
				time.Sleep(3 * 24 * time.Hour)
				assert.Same(t, p, s.Cached(time.Now(), "a.test"), "it is still the first one")
				tries := w.requests("a.test") - 1
				assert.InDelta(t, 14, tries, 3, "tries are some four hours apart")
				want := tries
				if mode == None {
					want = 0 // RFC 8461 section 3.3: "unless the cached policy mode is "none""
				}
				assert.Equal(t, want, w.log.count("level=WARN"), "each failure is told: %s", w.log.String())
				assert.Same(t, p, good(t, s, "a.test", "1"), "its id is known, so a failed refresh is no error")

				w.site("a.test", plain(policyOf(mode, "mx.a.test", "604800")))
				time.Sleep(5 * time.Hour)
				assert.NotSame(t, p, s.Cached(time.Now(), "a.test"), "when the host is well again the policy is fresh")
				w.site("a.test", http.NotFound)
				time.Sleep(week)
				assert.Nil(t, s.Cached(time.Now(), "a.test"), "no failure makes it live longer")
			})
		})
	}
}

// TestRefreshYields: mail that waits for a policy comes before refreshing, which has a quarter of the places.
func TestRefreshYields(t *testing.T) {
	run(t, func(c *Config) { c.Fetches = 4 }, func(t *testing.T, w *world, s *Store) {
		var wg sync.WaitGroup
		for i := range 20 {
			domain := fmt.Sprintf("d%d.test", i)
			w.site(domain, plain(policyOf(Enforce, "mx.test", "604800")))
			wg.Go(func() { good(t, s, domain, "1") })
		}
		wg.Wait()
		time.Sleep(time.Hour)
		for i := range 20 {
			domain := fmt.Sprintf("d%d.test", i)
			s.Cached(time.Now(), domain)
			w.site(domain, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		}
		time.Sleep(24*time.Hour + 10*time.Second)
		synctest.Wait()
		st := s.Stats()
		assert.LessOrEqual(t, st.Fetching, 1, "one of four places is for refreshing")
		w.site("new.test", plain(policyOf(Enforce, "mx.test", "604800")))
		begun := time.Now()
		good(t, s, "new.test", "1")
		assert.Less(t, time.Since(begun), time.Second, "mail does not wait for it")
	})
}

// TestPromotion: a refresh that waits for its turn is made at once when mail asks for the same policy.
func TestPromotion(t *testing.T) {
	f := flights{open: make(map[string]*flight)}
	for _, d := range []string{"a.test", "b.test", "b.test"} {
		f.addRefresh(lasting(d, time.Hour))
	}
	assert.Len(t, f.background, 2, "a domain is refreshed once")
	f.add("b.test", "2", &waiter{})
	first := f.take(4)
	assert.Equal(t, &flight{domain: "b.test", id: "2", waiters: first.waiters}, first, "the one that mail waits for is first, with the new id")
	first.begun = true
	second := f.take(4)
	assert.Equal(t, "a.test", second.domain, "then the other one")
	second.begun = true
	assert.Nil(t, f.take(4), "and neither a second time")
}

func TestSchedule(t *testing.T) {
	const retry = 5 * time.Minute
	cases := []struct {
		rule        string
		age         time.Duration
		step        time.Duration
		early, late time.Duration
	}{
		{"a long one daily", 365 * 24 * time.Hour, daily, 19 * time.Hour, 24 * time.Hour},
		{"a short one at half of its life", 10 * time.Hour, daily, 4 * time.Hour, 5 * time.Hour},
		{"after a failure sooner", 365 * 24 * time.Hour, soon, 3 * time.Hour, 4 * time.Hour},
		{"a very short one when it has expired", 9 * time.Minute, daily, 9 * time.Minute, 9 * time.Minute},
		{"one that is over at once", 0, daily, 0, 0},
	}
	for _, c := range cases {
		for range 100 {
			wait := schedule(noon, lasting("a.test", c.age), retry, c.step).Sub(noon)
			assert.True(t, wait >= c.early && wait <= c.late, "%s: %v", c.rule, wait)
		}
	}
	for range 100 {
		wait := scheduleLoaded(noon.Add(100*time.Hour), lasting("a.test", week), retry).Sub(noon.Add(100 * time.Hour))
		assert.True(t, wait >= 0 && wait < spread, "what became due while nothing ran is spread over an hour: %v", wait)
	}
	late := noon.Add(week - time.Minute)
	assert.Equal(t, noon.Add(week), scheduleLoaded(late, lasting("a.test", week), retry), "what is about to expire does")
}

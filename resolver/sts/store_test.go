package sts

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// run runs a test in a bubble with a world and its store.
func run(t *testing.T, change func(*Config), test func(*testing.T, *world, *Store)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if change != nil {
			change(&w.conf)
		}
		s := w.open()
		defer s.Close()
		test(t, w, s)
	})
}

func TestFetchAndCache(t *testing.T) {
	run(t, nil, func(t *testing.T, w *world, s *Store) {
		assert.Nil(t, s.Cached(time.Now(), "a.test"), "at first nothing is known")
		w.site("a.test", plain(policyOf(Enforce, "mx.a.test", "86400")))
		p := good(t, s, "a.test", "1")
		assert.True(t, p.Matches("mx.a.test"), "the policy is the host's")
		assert.Equal(t, "1", p.ID, "and has the record's id")
		assert.Same(t, p, s.Cached(time.Now(), "a.test"), "it is kept")

		known := false
		s.Fetch("a.test", "1", func(got *Policy, err error) { known = got == p && err == nil })
		assert.True(t, known, "what is known is answered at once")
		assert.Equal(t, 1, w.requests("a.test"), "without another request")

		w.site("a.test", plain(policyOf(Testing, "mx.a.test", "86400")))
		assert.Equal(t, Testing, good(t, s, "a.test", "2").Mode, "a new id is a new policy")
		assert.Equal(t, "2", s.Cached(time.Now(), "a.test").ID, "which takes the place of the old one")
		time.Sleep(24 * time.Hour)
		assert.Nil(t, s.Cached(time.Now(), "b.test"), "others have none")
	})
}

// TestSingleFlight: many ask for one domain, its policy host is asked once.
func TestSingleFlight(t *testing.T) {
	run(t, nil, func(t *testing.T, w *world, s *Store) {
		w.site("a.test", plain(policyOf(Enforce, "mx.a.test", "86400")))
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { good(t, s, "a.test", "1") })
		}
		wg.Wait()
		assert.Equal(t, 1, w.requests("a.test"), "one request serves all")
	})
}

// TestNewerID: who has seen a newer id is not given what was asked for before.
func TestNewerID(t *testing.T) {
	run(t, nil, func(t *testing.T, w *world, s *Store) {
		hold := make(chan struct{}) // closed by the test
		w.site("a.test", func(rw http.ResponseWriter, r *http.Request) {
			<-hold
			plain(policyOf(Enforce, "old.a.test", "86400"))(rw, r)
		})
		got := make(chan *Policy, 4)
		keep := func(p *Policy, err error) { assert.NoError(t, err, "both fetches succeed"); got <- p }
		s.Fetch("a.test", "1", keep)
		synctest.Wait()
		time.Sleep(time.Second)
		s.Fetch("a.test", "2", keep)
		s.Fetch("a.test", "2", keep)
		s.Fetch("a.test", "1", keep)
		w.site("a.test", plain(policyOf(Enforce, "new.a.test", "86400")))
		close(hold)
		for range 2 {
			assert.Equal(t, "old.a.test", (<-got).MX[0], "who knows of the first id gets the first policy")
		}
		for range 2 {
			p := <-got
			assert.Equal(t, "new.a.test 2", p.MX[0]+" "+p.ID, "who knows of the second id gets the second one")
		}
		assert.Equal(t, 2, w.requests("a.test"), "with one more request")
	})
}

// TestFailureIsRemembered: RFC 8461 section 3.3 wants no new attempt for five minutes, per version id.
func TestFailureIsRemembered(t *testing.T) {
	run(t, nil, func(t *testing.T, w *world, s *Store) {
		first := fetch(t, s, "a.test", "1")
		assert.Equal(t, "HTTP status 404", bad(t, first).Reason, "there is no policy")
		time.Sleep(5*time.Minute - time.Second)
		at := time.Now()
		assert.Equal(t, first, fetch(t, s, "a.test", "1"), "the answer is the same")
		assert.Equal(t, at, time.Now(), "at once")
		assert.Equal(t, 1, w.requests("a.test"), "without a request")

		fetch(t, s, "a.test", "2")
		assert.Equal(t, 2, w.requests("a.test"), "a new version is worth a new attempt")
		w.site("a.test", plain(policyOf(Enforce, "mx.a.test", "86400")))
		bad(t, fetch(t, s, "a.test", "2"))
		time.Sleep(5 * time.Minute)
		good(t, s, "a.test", "2")
		assert.EqualValues(t, 2, s.Stats().Failures[FetchError], "both failures are counted")
	})
}

// TestOlderPolicyOnFailure: RFC 8461 section 3.3: "if no "live" policy can be discovered via DNS or fetched via HTTPS, but a valid
// (non-expired) policy exists in the sender's cache, the sender MUST apply that cached policy".
func TestOlderPolicyOnFailure(t *testing.T) {
	run(t, nil, func(t *testing.T, w *world, s *Store) {
		w.site("a.test", plain(policyOf(Enforce, "mx.a.test", "86400")))
		p := good(t, s, "a.test", "1")
		for i, h := range []http.HandlerFunc{http.NotFound, plain("<html>"), plain("version: STSv1\nmode: none\nmax_age: x")} {
			w.site("a.test", h)
			for range 2 {
				r := fetch(t, s, "a.test", fmt.Sprint(i+2))
				bad(t, r)
				assert.Same(t, p, r.p, "the older policy is given with the error, also from memory")
			}
			assert.Same(t, p, s.Cached(time.Now(), "a.test"), "and stays")
		}
		assert.Equal(t, 3, w.log.count("a policy could not be fetched again"), "administrators are told, once each")
		assert.Equal(t, map[string]uint64{FetchError: 1, PolicyInvalid: 2, WebPKIInvalid: 0}, s.Stats().Failures, "and it is counted by result")
		time.Sleep(24 * time.Hour)
		assert.Nil(t, fetch(t, s, "a.test", "9").p, "an expired policy is not given")
	})
}

// TestFetchFromDone: whoever is answered may ask again at once.
func TestFetchFromDone(t *testing.T) {
	run(t, func(c *Config) { c.Fetches = 1 }, func(t *testing.T, w *world, s *Store) {
		w.site("b.test", plain(policyOf(Enforce, "mx.b.test", "86400")))
		got := make(chan result, 1) // from the last done
		s.Fetch("a.test", "1", func(*Policy, error) {
			s.Fetch("a.test", "1", func(_ *Policy, err error) {
				assert.Error(t, err, "the failure is known")
				s.Fetch("b.test", "1", func(p *Policy, err error) { got <- result{p, err} })
			})
		})
		assert.NoError(t, (<-got).err, "another domain is fetched, with one place for fetches")
	})
}

// TestFullHouse: there is an end to how many may wait.
func TestFullHouse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(newWorld(t).conf)
		require.NoError(t, err, "the store opens")
		answers := 0
		for range maxWaiting {
			s.Fetch("a.test", "1", func(*Policy, error) { answers++ })
		}
		assert.Contains(t, bad(t, fetch(t, s, "b.test", "1")).Reason, "fetches wait already", "one more is answered at once")
		assert.EqualValues(t, 1, s.Stats().Refused, "and counted")
		require.NoError(t, s.Close(), "the store closes")
		assert.Equal(t, maxWaiting, answers, "those who waited are answered")
	})
}

// TestMaxAgeZero: the policy holds for those who asked for it, and ends the one before.
func TestMaxAgeZero(t *testing.T) {
	run(t, nil, func(t *testing.T, w *world, s *Store) {
		w.site("a.test", plain(policyOf(Enforce, "mx.a.test", "86400")))
		good(t, s, "a.test", "1")
		w.site("a.test", plain("version: STSv1\nmode: none\nmax_age: 0\n"))
		assert.Equal(t, None, good(t, s, "a.test", "2").Mode, "it is given")
		assert.Nil(t, s.Cached(time.Now(), "a.test"), "it is not kept, and neither is the older one")
		good(t, s, "a.test", "2")
		assert.Equal(t, 3, w.requests("a.test"), "it is asked for each time")
	})
}

// TestFetchesAreBounded: no more at once than configured; all are answered.
func TestFetchesAreBounded(t *testing.T) {
	run(t, func(c *Config) { c.Fetches = 3 }, func(t *testing.T, w *world, s *Store) {
		var now, most atomic.Int32
		var wg sync.WaitGroup
		for i := range 20 {
			domain := fmt.Sprintf("d%d.test", i)
			w.site(domain, func(rw http.ResponseWriter, r *http.Request) {
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Second)
				now.Add(-1)
				plain(policyOf(Enforce, "mx.test", "86400"))(rw, r)
			})
			wg.Add(1)
			s.Fetch(domain, "1", func(_ *Policy, err error) {
				assert.NoError(t, err, "all policies are had")
				wg.Done()
			})
		}
		synctest.Wait()
		st := s.Stats()
		assert.Equal(t, [2]int{3, 17}, [2]int{st.Fetching, st.Waiting}, "three are under way, the others wait")
		wg.Wait()
		synctest.Wait()
		assert.EqualValues(t, 3, most.Load(), "three at once were asked for")
		st = s.Stats()
		assert.Equal(t, Stats{Policies: 20, Fetches: 20, Failures: st.Failures}, st, "and nothing is left")
	})
}

// TestPatience: dead policy hosts, however many, hold mail up for twice the timeout at most; and yet each is asked.
func TestPatience(t *testing.T) {
	run(t, func(c *Config) { c.Fetches = 2 }, func(t *testing.T, w *world, s *Store) {
		w.net.Host(siteAddr, netsim.Link{BlackHole: true})
		var answers int
		var mu sync.Mutex
		begun := time.Now()
		for i := range 20 {
			s.Fetch(fmt.Sprintf("d%d.test", i), "1", func(_ *Policy, err error) {
				mu.Lock()
				defer mu.Unlock()
				answers++
				assert.Contains(t, bad(t, result{nil, err}).Reason, "in time", "the reason is the time")
				assert.LessOrEqual(t, time.Since(begun), 30*time.Second, "nobody waits longer")
			})
		}
		time.Sleep(31 * time.Second)
		mu.Lock()
		assert.Equal(t, 20, answers, "all are answered")
		mu.Unlock()
		assert.InDelta(t, 17, s.Stats().Refused, 1, "those whose turn did not come among them; two fetches end at the same moment")
		assert.Equal(t, 14, s.Stats().Waiting, "their fetches are still to be made")
		time.Sleep(3 * time.Minute)
		assert.EqualValues(t, 20, s.Stats().Fetches, "and are made")
		assert.Zero(t, s.Stats().Waiting, "so that nothing waits")
	})
}

// TestClose: whatever is under way ends, and everybody is answered, once.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.conf.Fetches = 2
		w.site("a.test", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		s := w.open()
		answered := make(map[string]int)
		var mu sync.Mutex
		for _, key := range []string{"a.test 1", "a.test 2", "b.test 1", "c.test 1", "d.test 1"} {
			domain, id := key[:6], key[7:]
			if domain != "a.test" {
				w.site(domain, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			}
			s.Fetch(domain, id, func(p *Policy, err error) {
				mu.Lock()
				defer mu.Unlock()
				assert.Contains(t, bad(t, result{p, err}).Reason, "smtpfeed is stopping", "the reason is ours")
				answered[key]++
			})
			time.Sleep(time.Second)
		}
		begun := time.Now()
		require.NoError(t, s.Close(), "the store closes")
		require.NoError(t, s.Close(), "twice is once")
		assert.Less(t, time.Since(begun), time.Second, "at once")
		assert.Equal(t, map[string]int{"a.test 1": 1, "a.test 2": 1, "b.test 1": 1, "c.test 1": 1, "d.test 1": 1}, answered, "each is answered once")
		assert.Zero(t, s.Stats().Failures[FetchError], "our end is no failure of a policy host")
		bad(t, fetch(t, s, "e.test", "1"))
	})
}

// TestWithoutLookup: what is asked for before LookupWith waits for it.
func TestWithoutLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s, err := Open(w.conf)
		require.NoError(t, err, "the store opens")
		defer s.Close()
		assert.Contains(t, bad(t, fetch(t, s, "a.test", "1")).Reason, "no policy in time", "and not for ever")
		s.LookupWith(func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{siteAddr}, nil })
		synctest.Wait()
		time.Sleep(time.Second)
		assert.Equal(t, 1, w.requests("a.test"), "then the fetch is made")
	})
}

func TestPolicies(t *testing.T) {
	run(t, nil, func(t *testing.T, w *world, s *Store) {
		for _, d := range []string{"c.test", "a.test", "b.test"} {
			w.site(d, plain(policyOf(Enforce, "mx."+d, map[bool]string{true: "60", false: "86400"}[d == "b.test"])))
			good(t, s, d, "1")
		}
		domains := func() (all []string) {
			for _, p := range s.Policies() {
				all = append(all, p.Domain)
			}
			return all
		}
		assert.Equal(t, []string{"a.test", "b.test", "c.test"}, domains(), "they are sorted")
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"a.test", "c.test"}, domains(), "and live")
	})
}

// TestConcurrency is for the race detector: everything at once, while the store closes.
func TestConcurrency(t *testing.T) {
	run(t, func(c *Config) { c.Fetches, c.Policies, c.Path = 4, 10, t.TempDir()+"/policies" }, func(t *testing.T, w *world, s *Store) {
		var wg sync.WaitGroup
		var asked, answered atomic.Int32
		for i := range 20 {
			domain := fmt.Sprintf("d%d.test", i)
			if i%3 > 0 {
				w.site(domain, plain(policyOf(Enforce, "mx.test", "86400")))
			}
			wg.Go(func() {
				for n := range 20 {
					asked.Add(1)
					s.Fetch(domain, fmt.Sprint(n/4), func(p *Policy, err error) {
						assert.True(t, err != nil || p.Domain == domain, "a policy is the domain's own")
						s.Cached(time.Now(), domain)
						answered.Add(1)
					})
					s.Cached(time.Now(), domain)
					s.Stats()
					s.Policies()
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		wg.Go(func() {
			time.Sleep(150 * time.Millisecond)
			assert.NoError(t, s.Close(), "the store closes in the middle")
		})
		wg.Wait()
		assert.Equal(t, asked.Load(), answered.Load(), "every call was answered once")
	})
}

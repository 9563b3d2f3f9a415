package crash

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The flags that repeat a run.
const (
	seedFlag = "seed"
	killFlag = "k"
)

func TestMain(m *testing.M) {
	flag.Uint64(seedFlag, 0, "repeat the run of this seed alone")
	flag.String(killFlag, "", `where its processes die: "17", "17:behind", "17:torn=3", perhaps with ":power"`)
	flag.Parse()
	os.Exit(m.Run())
}

// flagOf is what a flag was set to; ok is false when it was not.
func flagOf[T any](name string) (value T, ok bool) {
	flag.Visit(func(f *flag.Flag) {
		if f.Name == name {
			value, ok = f.Value.(flag.Getter).Get().(T), true
		}
	})
	return value, ok
}

// repeated is the run that the flags ask for.
func repeated(t *testing.T) (r run, ok bool) {
	r.seed, ok = flagOf[uint64](seedFlag)
	text, _ := flagOf[string](killFlag)
	points, err := pointsOf(text)
	require.NoError(t, err, "-%s says where processes die", killFlag)
	r.points = points
	return r, ok
}

// A sweep plays runs and adds up what they came to.
type sweep struct {
	mu    sync.Mutex // guards total
	total tally
	seeds int
}

// play plays a run and asserts what was promised.
func (s *sweep) play(t *testing.T, r run) *world {
	t.Helper()
	w := play(t, r)
	s.add(w)
	if !assert.Empty(t, w.faults, "every promise is kept; again: %s", r.again()) {
		t.Logf("what happened:\n%s", w.log)
		t.FailNow()
	}
	return w
}

func (s *sweep) add(w *world) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total.add(w)
}

// some plays a seed without a death, and then with deaths at some of its actions.
func (s *sweep) some(t *testing.T, seed uint64, points int) {
	deeds := s.whole(t, seed)
	r := rand.New(rand.NewPCG(seed, 4))
	for range points {
		s.play(t, run{seed, drawn(r, deeds)})
	}
}

// every plays a seed with a death at each of its actions, in every way. Large worlds are left to some.
func (s *sweep) every(t *testing.T, seed uint64) {
	deeds := s.whole(t, seed)
	if len(deeds) > mostActions {
		return
	}
	r := rand.New(rand.NewPCG(seed, 5))
	for i, d := range deeds {
		for _, p := range ways(r, i+1, d) {
			s.play(t, run{seed, []point{p}})
		}
		s.play(t, run{seed, []point{ways(r, i+1, d)[0], {K: i + 2 + r.IntN(20)}}})
	}
}

// whole plays a seed without a death: its actions.
func (s *sweep) whole(t *testing.T, seed uint64) []deed {
	w := s.play(t, run{seed: seed})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seeds++
	return w.stage.deeds()[:w.stage.last]
}

// drawn is one death, or two of which the second meets a process that recovers.
func drawn(r *rand.Rand, deeds []deed) []point {
	i := r.IntN(len(deeds))
	all := ways(r, i+1, deeds[i])
	points := []point{all[r.IntN(len(all))]}
	if one(r, 3) {
		points = append(points, point{K: i + 2 + r.IntN(len(deeds)), How: how(r.IntN(2)), Power: one(r, 4)})
	}
	return points
}

// ways are the ways to die at an action.
func ways(r *rand.Rand, k int, d deed) []point {
	all := []point{{K: k}, {K: k, Power: true}}
	if d.kind != dialing && d.kind != asking {
		all = append(all, point{K: k, How: Behind}, point{K: k, How: Behind, Power: true})
	}
	if d.kind.tears() && len(d.octets) > 1 {
		all = append(all, point{K: k, How: Torn, Octets: 1 + r.IntN(len(d.octets)-1)})
	}
	if d.kind == speaking && len(d.octets) > 5 { // within CRLF.CRLF, if it ends so
		all = append(all, point{K: k, How: Torn, Octets: len(d.octets) - 1 - r.IntN(4)})
	}
	return all
}

// workers is how many worlds there are at once.
const workers = 2

// each calls do with numbers from 0, in order, until it says false.
func each(t *testing.T, do func(t *testing.T, n int) bool) {
	next := make(chan int, workers) // from the goroutine below
	over := make(chan struct{})
	go func() {
		defer close(next)
		for n := 0; ; n++ {
			select {
			case next <- n:
			case <-over:
				return
			}
		}
	}()
	t.Cleanup(sync.OnceFunc(func() { close(over) }))
	for range workers {
		t.Run("worker", func(t *testing.T) {
			t.Parallel()
			for n := range next {
				if !do(t, n) {
					return
				}
			}
		})
	}
}

// TestCrash lets processes die at some actions of many seeds. With -seed it repeats one run, and tells what happened.
func TestCrash(t *testing.T) {
	if r, ok := repeated(t); ok {
		w := play(t, r)
		t.Logf("%d actions\n%s", w.stage.last, w.log)
		assert.Empty(t, w.faults, "every promise is kept")
		return
	}
	s := &sweep{}
	t.Cleanup(func() { t.Log(s) })
	each(t, func(t *testing.T, n int) bool {
		if n < someSeeds {
			s.some(t, uint64(n), somePoints)
		}
		return n < someSeeds
	})
}

// TestEveryPoint lets processes die at every action of a few seeds.
func TestEveryPoint(t *testing.T) {
	s := &sweep{}
	t.Cleanup(func() { t.Log(s) })
	each(t, func(t *testing.T, n int) bool {
		if n < everySeeds {
			s.every(t, uint64(everyFrom+n))
		}
		return n < everySeeds
	})
}

// TestSameSeedSameRun is what makes a failure worth its report. Goroutines that are woken at the same instant still run in no
// order, so it is asked of nearly all runs and not of each.
func TestSameSeedSameRun(t *testing.T) {
	const runs, mayDiffer = 60, 6
	differ := 0
	for n := range runs {
		r := run{uint64(n), []point{{K: 5 + n%20, How: how(n % 2)}}}
		first, second := play(t, r).log.String(), play(t, r).log.String()
		if first != second {
			differ++
		}
	}
	assert.LessOrEqual(t, differ, mayDiffer, "a seed and a place to die decide nearly all that happens")
}

// What each run of the tests does: about a minute of two processors with the race detector.
const (
	someSeeds  = 1000
	somePoints = 2
	everySeeds = 10
	everyFrom  = 1_000_000
	// mostActions is how many a world may have that dies at each of them.
	mostActions = 60
)

// TestSoak goes on for as long as SMTPFEED_CRASH_SOAK says, with seeds that nobody has tried.
func TestSoak(t *testing.T) {
	text := os.Getenv("SMTPFEED_CRASH_SOAK")
	if text == "" {
		t.Skip("SMTPFEED_CRASH_SOAK=10m goes on for ten minutes")
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "SMTPFEED_CRASH_SOAK is a duration")
	end := time.Now().Add(d)
	first := rand.Uint64() >> 16
	s := &sweep{}
	t.Cleanup(func() { t.Logf("from seed %d: %v", first, s) })
	each(t, func(t *testing.T, n int) bool {
		s.some(t, first+uint64(n), 2*somePoints)
		return time.Now().Before(end)
	})
}

// add adds a run.
func (y *tally) add(w *world) {
	if y.extra == nil {
		y.extra = map[reason]int{}
	}
	y.runs++
	y.actions += len(w.stage.deeds())
	y.deaths += len(w.deaths)
	y.inFlight += w.inFlight
	for _, c := range w.copies {
		y.copies += len(c)
	}
	for why, n := range w.extra {
		y.extra[why] += n
	}
}

// String is what was done.
func (s *sweep) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	y := s.total
	text := fmt.Sprintf("%d runs of %d seeds, %d actions, %d deaths with %d recipients in flight, %d copies",
		y.runs, s.seeds, y.actions, y.deaths, y.inFlight, y.copies)
	for _, why := range []reason{unread, unkept, unsaved, unledger, unnoted} {
		text += fmt.Sprintf("\n%6d copies more: %s", y.extra[why], why)
	}
	return text
}

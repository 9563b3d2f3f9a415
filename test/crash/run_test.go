package crash

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A run is one story: a seed, and where processes die in it.
type run struct {
	seed   uint64
	points []point
}

// again is the command that repeats a run.
func (r run) again() string {
	return fmt.Sprintf("go test ./test/crash -run TestCrash -seed=%d -k=%s", r.seed, listOf(r.points))
}

// stuckAfter is when a run is taken for one that hangs: it takes milliseconds.
const stuckAfter = 2 * time.Minute

// play plays a run in a bubble of its own.
func play(t *testing.T, r run) (w *world) {
	t.Helper()
	stuck := time.AfterFunc(stuckAfter, func() { panic("stuck: " + r.again()) })
	defer stuck.Stop()
	p := newPlan(r.seed)
	dir := ""
	if p.ledger.kind == realLedger {
		dir = t.TempDir()
	}
	ended := false
	defer func() {
		if !ended { // synctest panics when somebody is left behind
			t.Logf("left behind: %s\n%s", r.again(), w.log)
		}
	}()
	synctest.Test(t, func(*testing.T) {
		w = newWorld(p, r.points, dir)
		w.run()
	})
	ended = true
	return w
}

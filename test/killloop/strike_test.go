package killloop

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A toll is what a round has killed so far.
type toll struct {
	processes int
	agents    int
	feeds     []Death
	recorders []string // their names
}

// wait returns at a moment, or when it can come no more: everything was delivered before.
func (l *loop) wait(t *testing.T, r *running, m Moment, reached <-chan struct{}) {
	t.Helper()
	look := time.NewTicker(300 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-reached:
			<-time.After(m.Delay)
			return
		case <-look.C:
			if l.over(t, r) {
				return
			}
		}
	}
}

// over says that the round's mail was delivered, and has the host MTA go on if it was not.
func (l *loop) over(t *testing.T, r *running) bool {
	t.Helper()
	if !r.done && !r.submitted(t, time.After(0)) {
		return false
	}
	all, err := l.host.Queue()
	require.NoError(t, err, "the queue can be listed")
	l.again(t, all, true)
	return len(all) == 0
}

// strike kills, and starts again what nobody else does.
func (l *loop) strike(t *testing.T, r *running, s Strike) {
	t.Helper()
	sum := &r.toll
	var restart []func(*testing.T)
	for _, v := range s.Victims {
		switch v {
		case Feed:
			killed := time.Now().UnixNano()
			l.feed.Kill(t)
			sum.feeds = append(sum.feeds, Death{killed, time.Now().UnixNano()})
			sum.processes++
			restart = append(restart, l.feed.Start)
		case Recorder:
			victim := l.recorders[s.Pick%len(l.recorders)]
			victim.kill(t)
			sum.recorders = append(sum.recorders, victim.name())
			sum.processes++
			restart = append(restart, victim.start)
		case Agent:
			sum.kill(t, l.host.Agents(), s.Pick)
		}
	}
	for _, f := range restart {
		f(t)
	}
}

// kill kills processes of the host MTA: all, or every second one.
func (sum *toll) kill(t *testing.T, agents []int, pick int) {
	t.Helper()
	for i, pid := range agents {
		if i%(1+pick) != 0 {
			continue
		}
		err := syscall.Kill(pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		require.NoError(t, err, "a delivering process can be killed")
		sum.processes++
		sum.agents++
	}
}

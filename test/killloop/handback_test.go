package killloop

import (
	"sync/atomic"
	"testing"
	"time"
)

// killLate kills the host MTA's agents at the moment when it was given all replies for the nth part of a list; nobody when that
// can come no more. It takes an agent less to note what it has read than it takes to find it, so it is one that was there a
// moment before.
func (l *loop) killLate(t *testing.T, r *running, nth int) {
	t.Helper()
	var agents atomic.Pointer[[]int]
	stop, stopped := make(chan struct{}), make(chan struct{}) // closed here, and by the goroutine below when it ends
	go func() {
		defer close(stopped)
		for every := time.NewTicker(2 * time.Millisecond); ; <-every.C {
			select {
			case <-stop:
				every.Stop()
				return
			default:
				now := l.host.Agents()
				agents.Store(&now)
			}
		}
	}()
	if l.awaitAnswers(t, r, nth) {
		if now := agents.Load(); now != nil {
			r.toll.kill(t, *now, 0)
		}
	}
	close(stop)
	<-stopped
}

// part is how many recipients a part of a list has at least.
const part = 50

// awaitAnswers waits for smtpfeed to say that it has written all replies for a part of a list, as often as that.
func (l *loop) awaitAnswers(t *testing.T, r *running, nth int) bool {
	t.Helper()
	listen, look := time.NewTicker(200*time.Microsecond), time.NewTicker(300*time.Millisecond)
	defer listen.Stop()
	defer look.Stop()
	for {
		l.listen(t)
		n := 0
		for _, a := range l.heard {
			if a.Recipients >= part {
				n++
			}
		}
		if n >= nth {
			return true
		}
		select {
		case <-listen.C:
		case <-look.C:
			if l.over(t, r) {
				return false
			}
		}
	}
}

package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A household is all processes of a host MTA. sendmail and Exim deliver in processes whose parent ends: those become children of ours
// (see adopt), and would be missing below the host's own. So a household is everything below us but for what is known to be another's.
type household struct {
	others []int // the roots of the others

	stop chan struct{} // closed when the peak is not looked for any more
	all  sync.WaitGroup
	peak int64 // octets; the watch's until stop is closed and all has been waited for
}

// adopt makes us the parent of all orphans below us (PR_SET_CHILD_SUBREAPER of prctl(2)).
func adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// members are the processes that are there, those that have ended and nobody waited for among them.
func (h *household) members() (map[int]procStat, error) {
	all, err := tree(os.Getpid(), h.others...)
	delete(all, os.Getpid())
	return all, err
}

// cpu is what the processes have used so far. A process that is waited for while we look is counted with neither itself nor its parent: so we
// look twice, and the larger sum is right, as the true one never falls.
func (h *household) cpu() (map[int]procStat, error) {
	first, err := h.members()
	if err != nil {
		return nil, err
	}
	timed(first)
	second, err := h.members()
	if sumCPU(timed(second)) >= sumCPU(first) {
		return second, err
	}
	return first, err
}

// watch looks for the peak of memory until watched is called. Looking costs a twentieth of one core at most: at a thousand processes it takes
// a tenth of a second.
func (h *household) watch() {
	h.stop = make(chan struct{})
	h.all.Go(func() {
		for {
			began := time.Now()
			h.look()
			select {
			case <-h.stop:
				return
			case <-time.After(max(100*time.Millisecond, 20*time.Since(began))):
			}
		}
	})
}

func (h *household) look() {
	if all, err := h.members(); err == nil {
		h.peak = max(h.peak, memory(all))
	}
}

// watched ends the watch and is the peak, the end counted.
func (h *household) watched() int64 {
	close(h.stop)
	h.all.Wait()
	h.look()
	return h.peak
}

// dying is how long processes may take to end that have been told to.
const dying = 5 * time.Second

// bury forgets what has ended, and ends what a host has left behind and does not end by itself in time. That is an error: figures may be
// wrong then.
func (h *household) bury(patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		left, err := h.reap()
		if err != nil || len(left) == 0 {
			return err
		}
		if time.Now().After(end) {
			return abandoned(left)
		}
	}
}

// reap waits for children that have ended and that os/exec does not know, and says which have not.
func (h *household) reap() (left map[int]procStat, err error) {
	left, err = h.members()
	for pid, p := range left {
		if p.parent != os.Getpid() {
			delete(left, pid) // it becomes ours when its parent ends
		} else if n, _ := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); n == pid {
			delete(left, pid)
		}
	}
	return left, err
}

// abandoned ends processes.
func abandoned(left map[int]procStat) (err error) {
	for pid, p := range left {
		err = errors.Join(err, fmt.Errorf("the host has left a process %s behind", p.name))
		syscall.Kill(pid, syscall.SIGKILL)
		syscall.Wait4(pid, nil, 0, nil)
	}
	return err
}

// ended is the name of all programs that have ended and were waited for, of which only the sum is known.
const ended = "(ended)"

// spent is what each program has used in between, in seconds. What a process had used before that has ended since is with its parent now.
func spent(before, after map[int]procStat) map[string]float64 {
	used := make(map[string]float64)
	for pid, p := range after {
		used[p.name] += (p.self - before[pid].self).Seconds()
		used[ended] += (p.reaped - before[pid].reaped).Seconds()
	}
	for pid, p := range before {
		if _, ok := after[pid]; !ok {
			used[ended] -= (p.self + p.reaped).Seconds()
		}
	}
	return used
}

func total(used map[string]float64) (sum float64) {
	for _, s := range used {
		sum += s
	}
	return sum
}

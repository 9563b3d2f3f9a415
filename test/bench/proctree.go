package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// treeCPU is what a process and all below it have used so far. It never falls, because a process that ends goes on counting as
// one that its parent has waited for.
func treeCPU(root int) (sum time.Duration, err error) {
	all, err := tree(root)
	return sumCPU(timed(all)), err
}

// timed are processes with their times as exact as can be.
func timed(all map[int]procStat) map[int]procStat {
	for pid, p := range all {
		p.self = exact(pid, p.self)
		all[pid] = p
	}
	return all
}

func sumCPU(all map[int]procStat) (sum time.Duration) {
	for _, p := range all {
		sum += p.self + p.reaped
	}
	return sum
}

// exact is the time in nanoseconds of a process of one thread (Documentation/scheduler/sched-stats.rst): with a thousand that live for
// some milliseconds of CPU each, ticks would lose half. rough is for kernels without it.
func exact(pid int, rough time.Duration) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		return rough
	}
	first, _, _ := strings.Cut(string(b), " ")
	if n, err := strconv.ParseInt(first, 10, 64); err == nil {
		return time.Duration(n)
	}
	return rough
}

// treeMemory is the memory of a process and all below it, in octets; what several share is counted once (PSS).
func treeMemory(root int) (int64, error) {
	all, err := tree(root)
	return memory(all), err
}

// memory is that of some processes.
func memory(all map[int]procStat) (sum int64) {
	for pid := range all {
		n, err := fieldOf(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")
		if err == nil { // else it has just ended
			sum += n
		}
	}
	return sum
}

// tree is a process and all below it, but for other trees that hang on it.
func tree(root int, but ...int) (map[int]procStat, error) {
	everything, err := processes()
	if err != nil {
		return nil, err
	}
	below := make(map[int]procStat)
	for pid := range everything {
		for at := pid; at > 1 && !slices.Contains(but, at); at = everything[at].parent {
			if at == root {
				below[pid] = everything[pid]
				break
			}
		}
	}
	return below, nil
}

// processes are all of the machine's.
func processes() (map[int]procStat, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	all := make(map[int]procStat)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, err := readStat(pid); err == nil { // else it has just ended
			all[pid] = p
		}
	}
	return all, nil
}

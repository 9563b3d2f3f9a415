package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc/PID/stat: USER_HZ, 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// cpu is what a process and its reaped children have used so far.
func cpu(pid int) (time.Duration, error) {
	p, err := readStat(pid)
	return p.self + p.reaped, err
}

// A procStat is the part of proc(5)'s stat that is wanted.
type procStat struct {
	name         string // its program's, of which the kernel keeps 15 octets
	parent       int
	self, reaped time.Duration // used by itself, and by children that it has waited for
}

func readStat(pid int) (procStat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(string(b))
}

// parseStat reads fields 2, 4 and 14 to 17. The second field is the command's name in brackets, which may hold anything.
func parseStat(text string) (p procStat, err error) {
	front, back, _ := cutLast(text, ')')
	_, name, _ := strings.Cut(front, "(")
	f := strings.Fields(back)
	if len(f) < 15 {
		return p, fmt.Errorf("no process's stat: %q", text)
	}
	var n [15]int64
	for _, i := range []int{1, 11, 12, 13, 14} {
		if n[i], err = strconv.ParseInt(f[i], 10, 64); err != nil {
			return p, err
		}
	}
	return procStat{name, int(n[1]), time.Duration(n[11]+n[12]) * tick, time.Duration(n[13]+n[14]) * tick}, nil
}

// cutLast cuts around the last sep.
func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return "", s, false
}

// peakMemory is the most memory that a process ever held, in octets (VmHWM of proc(5)).
func peakMemory(pid int) (int64, error) {
	return fieldOf(fmt.Sprintf("/proc/%d/status", pid), "VmHWM:")
}

// fieldOf reads a line like "VmHWM:   1234 kB" of a file in /proc, in octets.
func fieldOf(file, field string) (int64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if kb, ok := strings.CutPrefix(line, field); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New(file + " has no " + field)
}

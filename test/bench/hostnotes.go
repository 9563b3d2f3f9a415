package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// note is what the columns cannot say of a row, in sentences; "" when they say it all.
func (r hostRow) note(all []hostRow) string {
	switch {
	case r.left != "":
		return "left out, as " + r.left + "."
	case r.failed != nil:
		return "failed."
	case r.late != nil:
		return fmt.Sprintf("ended after %v, when %s had arrived.", r.late.after, count(float64(r.late.arrived)))
	}
	var said []string
	if n := r.median(func(f figures) float64 { return f.Messages }); n > 1 {
		text := "submitted as " + count(n) + " messages"
		if why := r.limit().why; why != "" {
			text += ", as " + why
		}
		said = append(said, text+".")
	}
	if r.slow() {
		said = append(said, "One round only.")
	}
	if r.way == fed {
		said = append(said, r.split(), r.bound(), r.busiest(), r.faster(all))
	}
	return strings.Join(slices.DeleteFunc(said, func(s string) bool { return s == "" }), " ")
}

// A part is one of those into which the time through a host is split, one after the other.
type part struct {
	what    string
	seconds float64
	own     bool // the host's
}

// parts splits the time from the submission's first octet until the host's queue is empty. Each begins where the one before ends: what
// smtpfeed delivers while mail is still being handed over costs no time of its own.
func (r hostRow) parts() []part {
	intake, dot := r.intake(), r.median(func(f figures) float64 { return f.Dot })
	last, empty := r.wall(), r.median(func(f figures) float64 { return f.Empty })
	return []part{
		{"intake", intake, true},
		{"handing over", max(0, dot-intake), true},
		{"delivery", max(0, last-dot), false},
		{"noting the replies", max(0, empty-max(last, dot)), true},
	}
}

// split says how long each part takes.
func (r hostRow) split() string {
	var sum float64
	for _, p := range r.parts() {
		sum += p.seconds
	}
	var said []string
	for _, p := range r.parts() {
		said = append(said, fmt.Sprintf("%s %s (%.0f %%)", p.what, seconds(p.seconds), 100*p.seconds/max(sum, 1e-9)))
	}
	return fmt.Sprintf("Its queue is empty after %s: %s.", seconds(sum), strings.Join(said, ", "))
}

// bound names what takes most time.
func (r hostRow) bound() string {
	most := slices.MaxFunc(r.parts(), func(a, b part) int { return cmp.Compare(a.seconds, b.seconds) })
	if most.own {
		return "The limit is the host, in " + most.what + "."
	}
	return "The host is not the limit."
}

// busiest says which of the host's programs used most, while it took the list in and after.
func (r hostRow) busiest() string {
	var said []string
	for _, half := range []struct {
		when string
		used func(figures) map[string]float64
	}{
		{"during intake", func(f figures) map[string]float64 { return f.Taking }},
		{"after it", func(f figures) map[string]float64 { return f.Giving }},
	} {
		if text := most(r.programs(half.used)); text != "" {
			said = append(said, text+" "+half.when)
		}
	}
	if said == nil {
		return ""
	}
	return "Most CPU of the host's: " + strings.Join(said, ", ") + "."
}

// programs are the medians of what each program used.
func (r hostRow) programs(of func(figures) map[string]float64) map[string]float64 {
	used := make(map[string]float64)
	for _, f := range r.runs {
		for name := range of(f) {
			used[name] = r.median(func(f figures) float64 { return of(f)[name] })
		}
	}
	return used
}

// most are the programs that used most, and something worth telling.
func most(used map[string]float64) string {
	names := slices.SortedFunc(maps.Keys(used), func(a, b string) int {
		return cmp.Or(cmp.Compare(used[b], used[a]), strings.Compare(a, b))
	})
	var said []string
	for _, name := range names[:min(3, len(names))] {
		if used[name] >= 0.01 {
			said = append(said, name+" "+seconds(used[name]))
		}
	}
	return strings.Join(said, ", ")
}

// faster compares what lies behind the intake, which is the same for all ways.
func (r hostRow) faster(all []hostRow) string {
	var said []string
	for _, w := range []way{shipped, tuned} {
		if times := ratio(findHost(all, r, w).since(), r.since()); times != "" {
			said = append(said, times+" times as long "+w.words())
		}
	}
	if said == nil {
		return ""
	}
	return "From the end of intake to the last delivery it takes " + strings.Join(said, ", ") + "."
}

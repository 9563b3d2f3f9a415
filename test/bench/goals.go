package main

import (
	"fmt"
	"strings"
)

// A goal is a figure that smtpfeed is to reach, at a shape.
type goal struct {
	key, what string
	by        string // whose figure; "" is smtpfeed's
	get       func(figures) float64
	against   string  // divided by this candidate's figure; "" is by nobody's
	most      float64 // what it may be
}

// goals are what the project has set itself. They are of the full shapes.
func goals() []goal {
	wall := func(f figures) float64 { return f.Wall }
	all := []goal{
		{key: "a", what: "CPU seconds for 10,000 recipients", get: func(f figures) float64 { return 1e4 * f.CPU / f.Recipients }, most: 0.35},
		{key: "b", what: "peak memory in MB", get: func(f figures) float64 { return f.Memory / 1e6 }, most: 250},
		{key: "d", what: "a message's mean time / the raw client's", get: func(f figures) float64 { return f.Mean }, against: raw{}.name(), most: 1.3},
		{key: "e", what: "seconds of the first list", get: wall, most: 8},
		{key: "e", what: "seconds of the second list", by: feeder{}.name() + secondList, get: wall, most: 1},
	}
	for _, g := range []struct {
		key  string
		most float64
	}{{"a", 1.3}, {"b", 1.3}, {"c", 1.3}, {"v", 1.5}, {"g", 1.2}} {
		all = append(all, goal{key: g.key, what: "time / the raw client's", get: wall, against: raw{}.name(), most: g.most})
	}
	for _, g := range []struct {
		key    string
		faster float64
	}{{"a", 15}, {"b", 6}, {"c", 8}, {"d", 2}, {"v", 10}, {"e", 4}, {"g", 1}} {
		what := fmt.Sprintf("time / the tuned Postfix's, which is to be %g times as long", g.faster)
		all = append(all, goal{key: g.key, what: what, get: wall, against: tunedName, most: 1 / g.faster})
	}
	return all
}

// verdicts say of each goal whether it was reached, as far as the rows can tell.
func verdicts(rows []row) string {
	var b strings.Builder
	for _, g := range goals() {
		value, ok := g.value(rows)
		if !ok {
			continue
		}
		verdict := "reached"
		if value > g.most {
			verdict = "MISSED "
		}
		fmt.Fprintf(&b, "%s  %s: %6.3f, at most %6.3f: %s\n", verdict, g.key, value, g.most, g.what)
	}
	return b.String()
}

// value is the goal's figure; ok says that whoever it takes was there.
func (g goal) value(rows []row) (v float64, ok bool) {
	by := g.by
	if by == "" {
		by = feeder{}.name()
	}
	r := find(rows, g.key, by)
	if len(r.runs) == 0 {
		return 0, false
	}
	v = r.median(g.get)
	if g.against == "" {
		return v, true
	}
	other := find(rows, g.key, g.against).median(g.get)
	return v / other, other > 0
}

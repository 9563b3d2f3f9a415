package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A row is what one candidate did with one shape, over all rounds.
type row struct {
	shape     shape
	candidate string
	runs      []figures
}

// median is that of one figure over the rounds: noise of a busy machine makes a run slower, never faster, so a mean would be
// the noise's.
func (r row) median(of func(figures) float64) float64 {
	all := make([]float64, len(r.runs))
	for i, f := range r.runs {
		all[i] = of(f)
	}
	return middle(all)
}

// middle is the median of some figures; 0 of none.
func middle(all []float64) float64 {
	slices.Sort(all)
	n := len(all)
	if n == 0 {
		return 0
	}
	return (all[(n-1)/2] + all[n/2]) / 2
}

func (r row) wall() float64 { return r.median(func(f figures) float64 { return f.Wall }) }

func (r row) cpu() float64 { return r.median(func(f figures) float64 { return f.CPU }) }

func (r row) memory() float64 { return r.median(func(f figures) float64 { return f.Memory }) }

func (r row) mean() float64 { return r.median(func(f figures) float64 { return f.Mean }) }

// A column is one of a table's, whose rows are R.
type column[R any] struct {
	title string
	cell  func(r R, all []R) string
}

func columns() []column[row] {
	return []column[row]{
		{"shape", func(r row, _ []row) string { return r.shape.key }},
		{"by", func(r row, _ []row) string { return r.candidate }},
		{"last delivery", of(seconds, func(f figures) float64 { return f.Wall })},
		{"median delivery", of(seconds, func(f figures) float64 { return f.Median })},
		{"recipients/s", of(count, func(f figures) float64 { return f.Recipients / f.Wall })},
		{"sessions", of(count, func(f figures) float64 { return f.Sessions })},
		{"transactions", of(count, func(f figures) float64 { return f.Transactions })},
		{"DNS questions", of(count, func(f figures) float64 { return f.Questions })},
		{"MB sent", of(megabytes, func(f figures) float64 { return f.Octets })},
		{"CPU", of(seconds, func(f figures) float64 { return f.CPU })},
		{"memory MB", of(megabytes, func(f figures) float64 { return f.Memory })},
		{"time / raw client's", func(r row, all []row) string { return fraction(r, find(all, r.shape.key, raw{}.name())) }},
		{"Postfix's / time", func(r row, all []row) string { return fraction(find(all, r.shape.key, postfixName), r) }},
		{"tuned Postfix's / time", func(r row, all []row) string { return fraction(find(all, r.shape.key, tunedName), r) }},
	}
}

// of is a cell with a figure of its own row.
func of(format func(float64) string, get func(figures) float64) func(row, []row) string {
	return func(r row, _ []row) string { return format(r.median(get)) }
}

// find is a candidate's row at a shape; one without runs when there is none.
func find(all []row, key, candidate string) row {
	for _, r := range all {
		if r.shape.key == key && r.candidate == candidate {
			return r
		}
	}
	return row{}
}

// fraction compares two times; "" when one is missing.
func fraction(above, below row) string {
	if above.wall() <= 0 || below.wall() <= 0 {
		return ""
	}
	return strconv.FormatFloat(above.wall()/below.wall(), 'f', 2, 64)
}

// table is the whole of it as Markdown, with what the letters of the shapes mean below.
func table(rows []row) string {
	return fmt.Sprintf("%s\n%s\nMedians of the rounds; %s.\n", markdown(columns(), rows, 2), legend(rows), machine())
}

// markdown is a table whose first columns, so many, are text, and the others figures.
func markdown[R any](columns []column[R], rows []R, words int) string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	var titles, rule []string
	for i, c := range columns {
		titles, rule = append(titles, c.title), append(rule, map[bool]string{true: "---", false: "---:"}[i < words])
	}
	line(titles)
	line(rule)
	for _, r := range rows {
		var cells []string
		for _, c := range columns {
			cells = append(cells, c.cell(r, rows))
		}
		line(cells)
	}
	return b.String()
}

// legend explains the shapes in the table.
func legend(rows []row) string {
	var b strings.Builder
	for i, r := range rows {
		if i == 0 || rows[i-1].shape.key != r.shape.key {
			fmt.Fprintf(&b, "- %s: %s.%s\n", r.shape.key, r.shape.title, remarks(rows, r.shape))
		}
	}
	return b.String()
}

// remarks are what the columns cannot say.
func remarks(rows []row, s shape) string {
	var b strings.Builder
	for _, r := range rows {
		if mean := r.mean(); r.shape.key == s.key && mean > 0 {
			fmt.Fprintf(&b, " A message takes %s %.1f ms.", r.candidate, 1000*mean)
		}
	}
	if s.personal() && find(rows, s.key, tunedName).wall() > 0 {
		fmt.Fprintf(&b, " The tuned Postfix has %d delivery processes, one for each message in flight.", s.callers)
	}
	if n := len(find(rows, s.key, postfixName).runs); n > 0 && n < len(find(rows, s.key, tunedName).runs) {
		b.WriteString(" Postfix as shipped did it in one round only.")
	}
	return b.String()
}

func seconds(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) + " s" }

func megabytes(x float64) string { return strconv.FormatFloat(x/1e6, 'f', 1, 64) }

// count writes 10000 as "10,000".
func count(x float64) string {
	s := strconv.FormatFloat(x, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

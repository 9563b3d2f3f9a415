package conformance

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// A column is a mailer in the table.
type column string

const (
	asProgram column = "smtpfeed"
	asEngine  column = "in memory"
	asPostfix column = "Postfix"
)

// width is how wide it is.
func (c column) width() int {
	if c == asPostfix {
		return 42
	}
	return 10
}

// A report is what came of all rows, for the table.
type report struct {
	mu      sync.Mutex
	columns []column
	cells   map[string]map[column]*cell // by id
	ids     []string                    // in the order in which they came
}

// A cell is what came of the rows of an id with one mailer.
type cell struct {
	played int
	failed []string     // what went wrong, a line each
	harms  map[harm]int // rows with each
}

func newReport(columns ...column) *report {
	return &report{columns: columns, cells: map[string]map[column]*cell{}}
}

// add notes what came of a row.
func (r *report) add(c column, w row, next bool, problems []problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cells[w.id] == nil {
		r.cells[w.id] = map[column]*cell{}
		r.ids = append(r.ids, w.id)
	}
	if r.cells[w.id][c] == nil {
		r.cells[w.id][c] = &cell{harms: map[harm]int{}}
	}
	x := r.cells[w.id][c]
	x.played++
	if len(problems) == 0 {
		return
	}
	seen, texts := map[harm]bool{}, []string{}
	for _, p := range problems {
		texts = append(texts, p.text)
		if p.harm != "" && !seen[p.harm] {
			seen[p.harm] = true
			x.harms[p.harm]++
		}
	}
	x.failed = append(x.failed, fmt.Sprintf("%s%s: %s", w.rule, variantName(next), strings.Join(texts, "; ")))
}

// variantName is how a row's second world is named.
func variantName(next bool) string {
	if next {
		return " (with another exchanger)"
	}
	return ""
}

// word is a cell in the table. Where somebody else than smtpfeed does otherwise, that is a difference; only harm is told apart.
func (c *cell) word(of column) string {
	switch {
	case c == nil:
		return "-"
	case len(c.failed) > 0 && of != asPostfix:
		return fmt.Sprintf("FAIL %d/%d", len(c.failed), c.played)
	case len(c.failed) > 0:
		return fmt.Sprintf("other %d/%d", len(c.failed), c.played) + c.harmed()
	}
	return fmt.Sprintf("PASS %d", c.played)
}

// harmed names the harms, worst first.
func (c *cell) harmed() (s string) {
	for _, h := range []harm{lost, doubled, bounced} {
		if n := c.harms[h]; n > 0 {
			s += fmt.Sprintf(" %s %d", h, n)
		}
	}
	return s
}

// print writes the table: a line for each id, how the columns differ, and sums.
func (r *report) print(w io.Writer, faults []entry, reasons map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(w, "%-9s", "id")
	for _, c := range r.columns {
		fmt.Fprintf(w, " %-*s", c.width(), c)
	}
	fmt.Fprintln(w, " fault")
	triggers := map[string]string{}
	for _, e := range faults {
		triggers[e.ID] = e.Trigger
	}
	for _, id := range r.order(faults) {
		r.printLine(w, id, triggers[id])
	}
	r.printDetails(w)
	r.printReasons(w, faults, reasons)
	r.printSums(w, faults, reasons)
}

// order is that of the catalogue, and then what it does not have.
func (r *report) order(faults []entry) (ids []string) {
	for _, e := range faults {
		if r.cells[e.ID] != nil {
			ids = append(ids, e.ID)
		}
	}
	extra := slices.DeleteFunc(slices.Clone(r.ids), func(id string) bool { return slices.Contains(ids, id) })
	slices.Sort(extra)
	return append(ids, extra...)
}

func (r *report) printLine(w io.Writer, id, trigger string) {
	fmt.Fprintf(w, "%-9s", id)
	for _, c := range r.columns {
		fmt.Fprintf(w, " %-*s", c.width(), r.cells[id][c].word(c))
	}
	fmt.Fprintf(w, " %.90s\n", trigger)
}

// printDetails says where a mailer does otherwise.
func (r *report) printDetails(w io.Writer) {
	for _, c := range r.columns {
		ids := slices.Clone(r.ids)
		slices.Sort(ids)
		for _, id := range ids {
			x := r.cells[id][c]
			if x == nil {
				continue
			}
			for _, f := range x.failed {
				fmt.Fprintf(w, "\n%s, %s %s\n", c, id, f)
			}
		}
	}
}

func (r *report) printReasons(w io.Writer, faults []entry, reasons map[string]string) {
	fmt.Fprintln(w, "\nNot covered:")
	for _, e := range faults {
		if why, listed := reasons[e.ID]; listed {
			fmt.Fprintf(w, "%-8s %s\n", e.ID, why)
		}
	}
}

func (r *report) printSums(w io.Writer, faults []entry, reasons map[string]string) {
	ours := len(slices.DeleteFunc(slices.Clone(faults), func(e entry) bool { return !strings.HasPrefix(e.ID, "X-") }))
	fmt.Fprintf(w, "\n%d faults in the catalogue, %d of them not covered; %d further ones.\n", len(faults)-ours, len(reasons), ours)
	for _, c := range r.columns {
		ids, good, played, failed, harms := 0, 0, 0, 0, map[harm]int{}
		for _, id := range r.ids {
			if x := r.cells[id][c]; x != nil {
				ids, played, failed = ids+1, played+x.played, failed+len(x.failed)
				for h, n := range x.harms {
					harms[h] += n
				}
				if len(x.failed) == 0 {
					good++
				}
			}
		}
		fmt.Fprintf(w, "%-10s %3d of %3d ids as wanted; %d rows played, %d of them otherwise (%d lose mail, %d double it, %d bounce it)\n",
			c, good, ids, played, failed, harms[lost], harms[doubled], harms[bounced])
	}
}

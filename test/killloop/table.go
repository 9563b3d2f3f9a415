package killloop

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A Row is what rounds of one kind came to.
type Row struct {
	Host, Ledger, Kind string

	Rounds, Kills, Recipients, Missing, AtRisk, Excess, Changed int
	Duplicates                                                  [len(Causes)]int
	Oldest                                                      time.Duration // of what was Unread
}

// columns are the heads of what Row.String tells.
var columns = [...]string{
	"host", "killed", "ledger", "rounds", "kills", "recipients", "missing", // nobody has a copy
	"at risk",                                                  // copies without a delivery record
	"twice", "unanswered", "unread", "handed back", "recorded", // duplicates, and of them by cause
	"excess",        // of them, those that a ledger does not allow
	"changed",       // of them, those with another content
	"oldest unread", // how long before the kill of smtpfeed its 250 was written
}

// String is the row, with tabs between its columns.
func (r *Row) String() string {
	twice, causes := 0, ""
	for _, n := range r.Duplicates {
		twice += n
		causes += fmt.Sprintf("\t%d", n)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d%s\t%d\t%d\t%v", r.Host, r.Kind, r.Ledger, r.Rounds, r.Kills, r.Recipients,
		r.Missing, r.AtRisk, twice, causes, r.Excess, r.Changed, r.Oldest.Round(100*time.Microsecond))
}

// A Table is what was found, by host, ledger and what was killed.
type Table struct{ rows []*Row }

// Add counts a round. kills is how many processes died.
func (t *Table) Add(host, ledger string, r Round, kills int, v Verdict) {
	for _, kind := range []string{r.Kind(), all} {
		row := t.row(host, ledger, kind)
		row.Rounds++
		row.Kills += kills
		row.Recipients += v.Recipients
		row.Missing += len(v.Missing)
		row.AtRisk += v.AtRisk
		row.Excess += len(v.Excess())
		for i, c := range Causes {
			row.Duplicates[i] += v.Count(c)
		}
		for _, d := range v.Duplicates {
			if d.Changed {
				row.Changed++
			}
			row.Oldest = max(row.Oldest, d.Age)
		}
	}
}

// all is the kind of the row that is the sum.
const all = "(all)"

func (t *Table) row(host, ledger, kind string) *Row {
	i := slices.IndexFunc(t.rows, func(r *Row) bool { return r.Host == host && r.Ledger == ledger && r.Kind == kind })
	if i < 0 {
		i = len(t.rows)
		t.rows = append(t.rows, &Row{Host: host, Ledger: ledger, Kind: kind})
	}
	return t.rows[i]
}

// String is the table as text. Rows of one kind stand below each other, without a ledger and with it.
func (t *Table) String() string {
	rows := slices.Clone(t.rows)
	slices.SortStableFunc(rows, func(a, b *Row) int {
		if a.Host != b.Host {
			return strings.Compare(a.Host, b.Host)
		}
		return strings.Compare(a.Kind+"\x00"+a.Ledger, b.Kind+"\x00"+b.Ledger)
	})
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(columns[:], "\t"))
	for _, r := range rows {
		fmt.Fprintln(w, r)
	}
	w.Flush() // to a Builder, which cannot fail
	return b.String()
}

package hostcheck

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// A Severity is what a finding costs. The zero value is the worst.
type Severity int

const (
	Wrong  Severity = iota // smtpfeed's own configuration, or what it needs of the machine, does not work
	Unsafe                 // mail may be lost, duplicated, bounced, refused, stopped or read by others
	Slow                   // it costs time
	Note                   // worth knowing
)

// String is the word that stands at the beginning of a finding.
func (s Severity) String() string { return [...]string{"wrong", "unsafe", "slow", "note"}[s] }

// A Finding is one thing that was found, in words for the administrator.
type Finding struct {
	Severity Severity
	Where    string // "postfix", "sendmail", "exim", "opensmtpd", or a key of smtpfeed's configuration
	Text     string // what was found and what it does
	Mend     string // the command that mends it; "" if Text says it all
}

// String is one line, "unsafe: postfix: ...", and, indented below, the command. Control characters, which a configuration may
// hold, never reach the terminal.
func (f Finding) String() string {
	s := fmt.Sprintf("%s: %s: %s", f.Severity, f.Where, printable(f.Text))
	if f.Mend != "" {
		s += "\n    " + printable(f.Mend)
	}
	return s
}

// printable replaces what could move a terminal's cursor, fake a line, or show the rest of it in another order (U+202E).
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// Sort brings the worst to the front, keeps the order otherwise and drops repetitions.
func Sort(found []Finding) []Finding {
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(a.Severity, b.Severity) })
	seen := map[Finding]bool{}
	return slices.DeleteFunc(found, func(f Finding) bool {
		again := seen[f]
		seen[f] = true
		return again
	})
}

// A report gathers the findings about one host MTA.
type report struct {
	where string
	found []Finding
}

// add notes one finding; the text is a format.
func (r *report) add(s Severity, mend, format string, args ...any) {
	r.found = append(r.found, Finding{s, r.where, fmt.Sprintf(format, args...), mend})
}

package main

import (
	"errors"
	"fmt"
	"strings"
)

// A hostRow is what one host did with one list in one way.
type hostRow struct {
	row
	hosted
	late   *unfinished // a run took too long
	left   string      // why there was none; "" when there was
	failed error       // of a run that does not count
}

func (r hostRow) intake() float64 { return r.median(func(f figures) float64 { return f.Intake }) }

// since is how long the last delivery was behind the host's last reply to the submission.
func (r hostRow) since() float64 {
	return r.median(func(f figures) float64 { return f.Wall - f.Intake })
}

// failures are those of all rows.
func failures(rows []hostRow) (err error) {
	for _, r := range rows {
		err = errors.Join(err, r.failed)
	}
	return err
}

func hostColumns() []column[hostRow] {
	own := func(f figures) float64 { return f.CPU - f.FeedCPU }
	memory := func(f figures) float64 { return f.Memory - f.FeedMemory }
	return []column[hostRow]{
		{"list", func(r hostRow, _ []hostRow) string { return r.shape.key }},
		{"host", func(r hostRow, _ []hostRow) string { return r.hosted.kind.name }},
		{"delivers", func(r hostRow, _ []hostRow) string { return r.way.words() }},
		{"intake", intakeCell},
		{"last delivery", lastDelivery},
		{"since intake", figureOf(seconds, func(f figures) float64 { return f.Wall - f.Intake })},
		{"recipients/s", figureOf(count, func(f figures) float64 { return f.Recipients / f.Wall })},
		{"sessions", figureOf(count, func(f figures) float64 { return f.Sessions })},
		{"transactions", figureOf(count, func(f figures) float64 { return f.Transactions })},
		{"DNS questions", figureOf(count, func(f figures) float64 { return f.Questions })},
		{"CPU", figureOf(seconds, func(f figures) float64 { return f.CPU })},
		{"host's", figureOf(seconds, own)},
		{"smtpfeed's", fedOnly(seconds, func(f figures) float64 { return f.FeedCPU })},
		{"memory MB", figureOf(megabytes, func(f figures) float64 { return f.Memory })},
		{"host's", figureOf(megabytes, memory)},
		{"smtpfeed's", fedOnly(megabytes, func(f figures) float64 { return f.FeedMemory })},
		{"as shipped / time", func(r hostRow, all []hostRow) string { return r.against(shipped, all) }},
		{"tuned / time", func(r hostRow, all []hostRow) string { return r.against(tuned, all) }},
	}
}

// words is the way in the table.
func (w way) words() string {
	return map[way]string{shipped: "alone, as shipped", tuned: "alone, tuned", fed: "with smtpfeed"}[w]
}

// figureOf is a cell with a median, when there is one.
func figureOf(format func(float64) string, get func(figures) float64) func(hostRow, []hostRow) string {
	return func(r hostRow, _ []hostRow) string {
		if len(r.runs) == 0 {
			return ""
		}
		return format(r.median(get))
	}
}

// fedOnly is the same for what only a host with smtpfeed has.
func fedOnly(format func(float64) string, get func(figures) float64) func(hostRow, []hostRow) string {
	cell := figureOf(format, get)
	return func(r hostRow, all []hostRow) string {
		if r.way != fed {
			return ""
		}
		return cell(r, all)
	}
}

// intakeCell is also for rows whose host took the list and did not deliver it in time.
func intakeCell(r hostRow, _ []hostRow) string {
	switch {
	case len(r.runs) > 0:
		return seconds(r.intake())
	case r.late != nil && r.late.intake > 0:
		return seconds(r.late.intake)
	}
	return ""
}

// lastDelivery is also for rows without a run that counts.
func lastDelivery(r hostRow, _ []hostRow) string {
	switch {
	case r.left != "":
		return "left out"
	case r.late != nil:
		return "> " + seconds(r.late.after.Seconds())
	case r.failed != nil:
		return "failed"
	}
	return seconds(r.wall())
}

// against says how many times as long the same host takes another way.
func (r hostRow) against(w way, all []hostRow) string {
	other := findHost(all, r, w)
	switch {
	case len(r.runs) == 0:
		return ""
	case other.late != nil:
		return "> " + ratio(other.late.after.Seconds(), r.wall())
	}
	return ratio(other.wall(), r.wall())
}

// ratio compares two times; "" when one is missing.
func ratio(above, below float64) string {
	if above <= 0 || below <= 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", above/below)
}

// findHost is the row of the same list and host in another way; one without runs when there is none.
func findHost(all []hostRow, like hostRow, w way) hostRow {
	for _, r := range all {
		if r.shape.key == like.shape.key && r.hosted.kind.key == like.hosted.kind.key && r.way == w {
			return r
		}
	}
	return hostRow{}
}

// hostTable is the whole of it as Markdown, with what the lists are and what bounds each host below.
func hostTable(rows []hostRow, versions []string) string {
	var b strings.Builder
	b.WriteString(markdown(hostColumns(), rows, 3) + "\n")
	for i, r := range rows {
		if i == 0 || rows[i-1].shape.key != r.shape.key {
			fmt.Fprintf(&b, "- %s: %s.\n", r.shape.key, r.shape.title)
		}
	}
	for _, r := range rows {
		if note := r.note(rows); note != "" {
			fmt.Fprintf(&b, "- %s to %s %s: %s\n", r.shape.key, r.hosted.kind.name, r.way.words(), note)
		}
	}
	fmt.Fprintf(&b, "\nMedians of the rounds; %s.\n", withVersions(machine(), versions))
	return b.String()
}

// withVersions adds the hosts that the machine's description has not named.
func withVersions(machine string, versions []string) string {
	for _, v := range versions {
		if !strings.Contains(machine, v) {
			machine += ", " + v
		}
	}
	return machine
}

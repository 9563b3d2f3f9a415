package main

import (
	"fmt"
	"math"
	"strconv"
)

// tlsColumns compare each row with its counterpart. Both have done their work in the same rounds, one right after the other, so they are
// compared round by round.
func tlsColumns() []column[row] {
	return []column[row]{
		{"shape", func(r row, _ []row) string { return r.shape.key }},
		{"by", func(r row, _ []row) string { return r.candidate }},
		{"last delivery", of(seconds, func(f figures) float64 { return f.Wall })},
		{"sessions", of(count, func(f figures) float64 { return f.Sessions })},
		{"handshakes", of(count, func(f figures) float64 { return f.Handshakes })},
		{"resumed", of(percent, func(f figures) float64 { return f.Resumed / f.Handshakes })},
		{"handshakes/s", of(count, func(f figures) float64 { return f.Handshakes / f.Wall })},
		{"DNS questions", of(count, func(f figures) float64 { return f.Questions })},
		{"CPU", of(seconds, func(f figures) float64 { return f.CPU })},
		{"the world's CPU", of(seconds, func(f figures) float64 { return f.World })},
		{"memory MB", of(megabytes, func(f figures) float64 { return f.Memory })},
		{"time / without it", against(fold, func(with, without figures) float64 { return with.Wall / without.Wall })},
		{"CPU / without it", against(fold, func(with, without figures) float64 { return with.CPU / without.CPU })},
		{"CPU a handshake", against(milliseconds, func(with, without figures) float64 {
			if with.Handshakes < enough || without.Handshakes > 0 {
				return 0
			}
			return (with.CPU - without.CPU) / with.Handshakes
		})},
	}
}

// comparison explains the last columns.
const comparison = "\"Without it\" is in plaintext, and for DANE and MTA-STS with TLS alone; CPU is the candidate's own."

// enough handshakes make a difference of CPU time that is more than its noise.
const enough = 1000

// against is a cell with what a row is to its counterpart: the median over the rounds that both did.
func against(format func(float64) string, compare func(with, without figures) float64) func(row, []row) string {
	return func(r row, all []row) string {
		other := find(all, r.shape.key, counterpart(r.candidate))
		if other.candidate == r.candidate {
			return ""
		}
		var each []float64
		for i := range min(len(r.runs), len(other.runs)) {
			each = append(each, compare(r.runs[i], other.runs[i]))
		}
		if len(each) == 0 {
			return ""
		}
		return format(middle(each))
	}
}

// tlsTable is the whole of it as Markdown.
func tlsTable(rows []row) string {
	return fmt.Sprintf("%s\n%s\n%s Medians of the rounds; %s.\n", markdown(tlsColumns(), rows, 2), legend(rows), comparison, machine())
}

// percent is a share; "" where there is nothing to have a share of.
func percent(x float64) string {
	if math.IsNaN(x) {
		return ""
	}
	return strconv.FormatFloat(100*x, 'f', 0, 64) + " %"
}

// fold is how many times as much; "" where what it is compared with is too small to be seen.
func fold(x float64) string {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return ""
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

// milliseconds is "" for none.
func milliseconds(x float64) string {
	if x == 0 {
		return ""
	}
	return strconv.FormatFloat(1000*x, 'f', 2, 64) + " ms"
}

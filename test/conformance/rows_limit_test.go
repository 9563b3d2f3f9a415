package conformance

import (
	"fmt"
	"strings"
)

// What the general rules of the catalogue allow of a reply.
const (
	longestLine  = 2048     // with its line end
	longestReply = 64 << 10 // all lines, with their line ends
	mostLines    = 128
)

// lineOf is a reply line of n octets with its line end.
func lineOf(code string, n int) string { return code + strings.Repeat("x", n-len(code)-2) }

// limitRows are replies at the limit, and beyond it by one.
func limitRows() (rows []row) {
	for _, m := range []struct {
		at        stage
		of, code  string
		beyond    string // outcome of the reply beyond the limit
		then      then
		doubtless bool
	}{
		{atGreeting, "", "220", "T 4.5.0", down, true}, {atEhlo, "", "250", "T 4.5.0", down, true}, {atMail, "", "250", "", same, true},
		{atRcpt, "b@", "250", "", same, true}, {atData, "", "354", "", same, true}, {atDot, "", "250", "U 4.5.0", fresh, false},
	} {
		within := []string{lineOf(m.code+" ", longestLine), several(m.code, mostLines, 20), several(m.code, 32, longestReply/32)}
		beyond := []string{lineOf(m.code+" ", longestLine+1), several(m.code, mostLines+1, 20), several(m.code, 33, longestReply/33+1)}
		for i, what := range []string{"a line of 2048 octets", "128 lines", "64 KiB"} {
			taken := row{id: "X-LIM-02", rule: fmt.Sprintf("%s: %s", m.at, what), want: all("OK"), then: same,
				faults: []fault{{at: m.at, of: m.of, do: do(say(within[i]))}}}
			taken.careful = m.at == atEhlo // it offers nothing
			cut := fault{at: m.at, of: m.of, do: do(say(beyond[i]), hush)}
			refused := once("X-LIM-03", fmt.Sprintf("%s: more than %s", m.at, what), cut)
			if m.beyond != "" {
				refused = row{id: refused.id, rule: refused.rule, want: all(m.beyond), then: m.then, faults: []fault{cut}}
			}
			rows = append(rows, taken, refused)
		}
	}
	return rows
}

// several is a reply of n lines of so many octets each.
func several(code string, n, size int) string {
	lines := make([]string, n)
	for i := range lines {
		sep := "-"
		if i == n-1 {
			sep = " "
		}
		lines[i] = lineOf(code+sep, size)
	}
	return strings.Join(lines, "\r\n")
}

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rowOf is a row with one run for each time.
func rowOf(key, candidate string, walls ...float64) row {
	r := row{shape: shape{key: key, title: "title of " + key}, candidate: candidate}
	for _, w := range walls {
		r.runs = append(r.runs, figures{Wall: w, Recipients: 10000})
	}
	return r
}

func TestMedians(t *testing.T) {
	assert.Equal(t, 2.0, rowOf("a", "x", 9, 1, 2).wall(), "of three it is the middle one")
	assert.Equal(t, 1.5, rowOf("a", "x", 2, 1).wall(), "of two the mean")
	assert.Zero(t, rowOf("a", "x").wall(), "of none nothing")
}

func TestTableComparesWithinAShape(t *testing.T) {
	rows := []row{rowOf("a", raw{}.name(), 1), rowOf("a", "smtpfeed", 1.5), rowOf("a", postfixName, 30), rowOf("a", tunedName, 15), rowOf("b", raw{}.name(), 4), rowOf("b", "smtpfeed", 5)}
	rows[5].runs[0].Mean = 0.2071
	lines := strings.Split(table(rows), "\n")
	cells := func(i int) []string {
		parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(lines[i], "|"), "|"), "|")
		for k := range parts {
			parts[k] = strings.TrimSpace(parts[k])
		}
		return parts
	}
	n := len(columns())
	assert.Len(t, cells(0), n, "every column has a title")
	assert.Len(t, cells(1), n, "and a rule")
	assert.Equal(t, []string{"a", "smtpfeed", "1.50 s"}, cells(3)[:3], "a row begins with shape, candidate and time")
	assert.Equal(t, []string{"1.50", "20.00", "10.00"}, cells(3)[n-3:], "and ends with the ratios")
	assert.Equal(t, []string{"1.25", "", ""}, cells(7)[n-3:], "of its own shape")
	assert.Contains(t, lines, "- a: title of a.", "shapes are explained, once")
	assert.Contains(t, lines, "- b: title of b. A message takes smtpfeed 207.1 ms.", "with a message's time where it was measured")
	assert.Contains(t, lines[len(lines)-2], "cores", "the machine is told")
}

func TestLegendSaysWhatColumnsCannot(t *testing.T) {
	rows := []row{rowOf("d", postfixName, 9), rowOf("d", tunedName, 8, 8)}
	for i := range rows {
		rows[i].shape.callers = 200
	}
	text := legend(rows)
	assert.Contains(t, text, "The tuned Postfix has 200 delivery processes", "how many messages are in flight")
	assert.Contains(t, text, "one round only", "and what was not done often")
	assert.NotContains(t, legend(rows[1:]), "one round only", "unless nobody did it")
}

func TestGoals(t *testing.T) {
	at := func(f figures, key, candidate string) row {
		return row{shape: shape{key: key}, candidate: candidate, runs: []figures{f}}
	}
	rows := []row{
		at(figures{Wall: 1}, "a", raw{}.name()), at(figures{Wall: 1.2, CPU: 0.7, Recipients: 20000}, "a", "smtpfeed"), at(figures{Wall: 12}, "a", tunedName),
		at(figures{Wall: 9}, "e", "smtpfeed"), at(figures{Wall: 0.5}, "e", "smtpfeed"+secondList),
		at(figures{Mean: 0.2}, "d", raw{}.name()), at(figures{Mean: 0.25}, "d", "smtpfeed"),
	}
	assert.Equal(t, []string{
		"reached  a:  0.350, at most  0.350: CPU seconds for 10,000 recipients",
		"reached  d:  1.250, at most  1.300: a message's mean time / the raw client's",
		"MISSED   e:  9.000, at most  8.000: seconds of the first list",
		"reached  e:  0.500, at most  1.000: seconds of the second list",
		"reached  a:  1.200, at most  1.300: time / the raw client's",
		"MISSED   a:  0.100, at most  0.067: time / the tuned Postfix's, which is to be 15 times as long",
		"",
	}, strings.Split(verdicts(rows), "\n"), "each goal whose candidates took part is judged")
	assert.Empty(t, verdicts(nil), "and no other")
}

func TestFiguresAreWrittenForReaders(t *testing.T) {
	assert.Equal(t, []string{"7", "999", "1,000", "1,234,568"}, []string{count(7), count(999), count(1000), count(1234567.8)}, "thousands are set apart")
	assert.Equal(t, "1.2", megabytes(1234567), "a megabyte is a million")
	assert.Equal(t, "0.05 s", seconds(0.0512), "two decimals")
}

func TestReadmeKeepsWhatIsAroundTheTable(t *testing.T) {
	got, err := replaceMarked("before\n<!-- bench -->\nold\n<!-- /bench -->\nbehind\n", "bench", "new\n")
	require.NoError(t, err)
	assert.Equal(t, "before\n<!-- bench -->\nnew\n<!-- /bench -->\nbehind\n", got, "only the table changes")
	again, err := replaceMarked(got, "bench", "new\n")
	require.NoError(t, err)
	assert.Equal(t, got, again, "writing it twice changes nothing")
	for name, text := range map[string]string{
		"no marks":             "text",
		"no end":               "<!-- bench -->\n",
		"the end comes before": "<!-- /bench -->\n<!-- bench -->\n",
		"another table's":      "<!-- bench-hosts -->\n<!-- /bench-hosts -->\n",
	} {
		_, err := replaceMarked(text, "bench", "new\n")
		assert.Error(t, err, name)
	}
}

func TestReadmeShowsThePictureThatIsThere(t *testing.T) {
	assert.Empty(t, growthPicture("nowhere.svg"), "a picture that was not made yet is not shown")
	assert.Contains(t, growthPicture("picture.go"), "](picture.go)\n", "one that was is, with a path from the README")
}

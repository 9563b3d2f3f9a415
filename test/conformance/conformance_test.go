package conformance

import (
	"flag"
	"os"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/stretchr/testify/require"
)

var (
	only        = flag.String("only", "", "play rows whose \"ID rule\" matches this `expression`")
	withPostfix = flag.Bool("postfix", false, "play to Postfix too, which is information")
	withLong    = flag.Bool("long", false, "play long rows over sockets too, hurried")
	table       = flag.Bool("table", false, "print the table")
)

func TestMain(m *testing.M) { os.Exit(feedd.Run(m)) }

// TestConformance plays every row: to the engine in fake time, and to the program over sockets.
func TestConformance(t *testing.T) {
	rows := chosen(t)
	columns := []column{asProgram, asEngine}
	if *withPostfix {
		columns = append(columns, asPostfix)
	}
	r := newReport(columns...)
	onSockets := newTheatre(t).start(rows, *withLong) // they take their time while those in memory take the processor's
	t.Run("engine", func(t *testing.T) { playInMemory(t, r, rows) })
	t.Run("program", func(t *testing.T) { reportSockets(t, r, onSockets) })
	if *withPostfix {
		t.Run("postfix", func(t *testing.T) { playToPostfix(t, r, rows) })
	}
	if *table {
		r.print(os.Stdout, append(catalogue(t), extras()...), notCovered())
	}
}

// chosen are the rows that -only leaves.
func chosen(t *testing.T) (rows []row) {
	expression, err := regexp.Compile(*only)
	require.NoError(t, err, "-only is a regular expression")
	for _, r := range allRows() {
		if expression.MatchString(r.name()) {
			rows = append(rows, r)
		}
	}
	return rows
}

// playInMemory plays each row in a bubble of its own.
func playInMemory(t *testing.T, r *report, rows []row) {
	for _, row := range rows {
		for _, next := range row.variants() {
			if row.where != onSockets {
				t.Run(row.name()+variantName(next), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { playInBubble(t, r, row, next) })
				})
			}
		}
	}
}

func playInBubble(t *testing.T, r *report, row row, next bool) {
	w := newMemory(row.link)
	e := startEngine(t, w, row.setup)
	p := &play{row: row, next: next, world: w, mailer: e}
	v := p.run()
	e.end()
	time.Sleep(time.Second) // what the engine wrote last arrives
	if n := w.net.Open(); n > 0 {
		v.problems = append(v.problems, problem{text: "a connection was left open"})
	}
	r.add(asEngine, row, next, v.problems)
	tell(t, row, v.problems)
}

// tell fails for problems, unless they are known.
func tell(t *testing.T, r row, problems []problem) {
	why, known := openFaults()[r.name()]
	for _, p := range problems {
		if known {
			t.Logf("known (%s): %s", why, p.text)
		} else {
			t.Error(p.text)
		}
	}
}

// reportSockets waits for each of the rows that are being played over sockets.
func reportSockets(t *testing.T, r *report, rows []performance) {
	for _, p := range rows {
		t.Run(p.row.name()+variantName(p.next), func(t *testing.T) {
			v := <-p.done
			r.add(asProgram, p.row, p.next, v.problems)
			tell(t, p.row, v.problems)
		})
	}
}

// playToPostfix does the same for Postfix. Where it does otherwise nothing fails.
func playToPostfix(t *testing.T, r *report, rows []row) {
	for _, p := range newPostfixTheatre(t).start(withoutProgram(rows), true) {
		v := <-p.done
		r.add(asPostfix, p.row, p.next, v.problems)
	}
}

// withoutProgram leaves out rows that are about smtpfeed as a program.
func withoutProgram(rows []row) (rest []row) {
	for _, r := range rows {
		if r.play == nil {
			rest = append(rest, r)
		}
	}
	return rest
}

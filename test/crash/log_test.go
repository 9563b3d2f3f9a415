package crash

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// A log is the story of a run. It becomes text only when somebody wants to read it.
type log struct {
	start time.Time
	mu    sync.Mutex // guards lines
	lines []line
}

type line struct {
	at    time.Duration
	k     int // of an action; 0 is something else
	act   *action
	turn  turn
	text  string
	parts []any
}

func newLog() *log { return &log{start: time.Now()} }

// action notes an action and what became of it.
func (l *log) action(k int, a *action, t turn) {
	l.add(line{at: time.Since(l.start), k: k, act: a, turn: t})
}

// note notes what else happened.
func (l *log) note(format string, parts ...any) {
	l.add(line{at: time.Since(l.start), text: format, parts: parts})
}

func (l *log) add(n line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, n)
}

// String is one line for each action and each note.
func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, n := range l.lines {
		fmt.Fprintf(&b, "%12.6f ", n.at.Seconds())
		if n.act == nil {
			fmt.Fprintf(&b, "      "+n.text+"\n", n.parts...)
			continue
		}
		fmt.Fprintf(&b, "%4d  process %d: %v %s %s\n", n.k, n.act.process.n, n.act.kind, n.act.who, shown(n.act.octets, n.turn))
	}
	return b.String()
}

// shown is what was written, the middle of it left out.
func shown(b []byte, t turn) string {
	const most = 120
	text := string(b)
	if len(text) > 2*most {
		text = text[:most] + "..." + text[len(text)-most:]
	}
	if len(b) > 0 {
		text = fmt.Sprintf("%q", text)
	}
	switch {
	case t.dead:
		text += " and dies before it"
	case t.octets < len(b):
		text += fmt.Sprintf(" and dies behind %d octets of it", t.octets)
	}
	return text
}

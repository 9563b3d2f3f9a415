package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

var (
	queueID = regexp.MustCompile(`\b[0-9][A-Za-z0-9]{7}[0-9]{6,}\b`)
	clock   = regexp.MustCompile(`(Mon|Tue|Wed|Thu|Fri|Sat|Sun), +[0-9]+ [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} ([-+][0-9]{4}( \([A-Z]+\))?|GMT)`)
	// sendmail's qf: T creation, K last attempt, I device and inode of the data file; doc/op, "Queue file format".
	stamps = regexp.MustCompile(`(?m)^[TKI][0-9][0-9/]*$`)
)

// normal replaces what differs between any two runs: queue ids, times, the data file's inode, and the directory of the instance.
func normal(text, dir string) string {
	text = strings.ReplaceAll(text, dir, "DIR")
	text = queueID.ReplaceAllString(text, "ID")
	text = clock.ReplaceAllString(text, "DATE")
	return stamps.ReplaceAllString(text, "STAMP")
}

// queued is all that sendmail has in its queue: control and data files, normalised, in the order of their text. A submission that
// sendmail splits makes several, whose ids say nothing.
func queued(dir string) (string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "mq", "*"))
	if err != nil {
		return "", err
	}
	var all []string
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		all = append(all, filepath.Base(name)[:2]+"\n"+normal(string(text), dir))
	}
	sort.Strings(all)
	return strings.Join(all, "\n"), nil
}

// same says where two texts differ first.
func same(what, stock, patched string) error {
	if stock == patched {
		return nil
	}
	a, b := strings.Split(stock, "\n"), strings.Split(patched, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Errorf("%s differs in line %d: stock %q, patched %q", what, i+1, a[i], b[i])
		}
	}
	return fmt.Errorf("%s: stock has %d lines, patched %d", what, len(a), len(b))
}

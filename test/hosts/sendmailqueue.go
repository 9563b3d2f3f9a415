package hosts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Queue reads the queue's files, as mailq(1) does, which cuts addresses after 38 characters. sendmail keeps one reason for a
// message, that of the recipient it tried last; the others' are in the log only. As a queue run locks each message when its turn
// comes, all count as active while any process is at work.
func (m *Sendmail) Queue() (all []Queued, err error) {
	active := m.busy()
	for _, dir := range []string{"queue", "queue/smtpfeed", "client"} {
		files, err := filepath.Glob(m.setup.path(dir, "qf*"))
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue // it was delivered just now
			} else if err != nil {
				return nil, err
			}
			for _, q := range parseQueueFile(string(text)) {
				q.ID, q.Active = strings.TrimPrefix(filepath.Base(name), "qf"), active
				all = append(all, q)
			}
		}
	}
	return all, nil
}

// parseQueueFile reads a qf file (appendix B of sendmail's "Installation and Operation Guide"): each line begins with a letter
// that says what it is. A message's M comes before its recipients, "RPFD:<user@example.org>", where the letters before the colon
// are flags.
func parseQueueFile(text string) (all []Queued) {
	var reason string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "M"):
			reason = line[1:]
		case strings.HasPrefix(line, "R"):
			_, address, _ := strings.Cut(line, ":")
			all = append(all, Queued{Address: strings.Trim(address, "<>"), Reason: reason})
		}
	}
	return all
}

// busy says that a process beside the daemon is there: one that takes mail, delivers it, or runs the queue.
func (m *Sendmail) busy() bool {
	daemon, _ := m.daemon()
	for _, pid := range m.processes() {
		if pid != daemon {
			return true
		}
	}
	return false
}

// daemon is the daemon's number: the first line of its file. The second one is its command.
func (m *Sendmail) daemon() (pid int, err error) {
	text, err := os.ReadFile(m.setup.path("pid"))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if pid, err = strconv.Atoi(line); err != nil {
		return 0, fmt.Errorf("sendmail's pid file: %w", err)
	}
	return pid, nil
}

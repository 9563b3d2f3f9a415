package hosts

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
)

// Queue asks exim -bp who is left, and the log why.
func (e *Exim) Queue() ([]Queued, error) {
	reasons, err := e.reasons()
	if err != nil {
		return nil, err
	}
	argv := e.command("-bp")
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	if err != nil {
		return nil, fmt.Errorf("exim -bp: %w", err)
	}
	all := parseEximQueue(string(out))
	locked := map[string]bool{}
	for i := range all {
		q := &all[i]
		if _, known := locked[q.ID]; !known {
			if locked[q.ID], err = e.locked(q.ID); err != nil {
				return nil, err
			}
		}
		var tried bool
		q.Reason, tried = reasons[deferral{q.ID, q.Address}]
		q.Active = locked[q.ID] || !tried // Exim delivers a new message at once
	}
	return all, nil
}

// A message of exim -bp: " 3h  1.2K 1vMh2K-000abc-0a <sender>", perhaps "*** frozen ***", and its recipients on lines of their
// own, with a D in front of those that are done.
var eximMessage = regexp.MustCompile(`^ *\S+ +\S+ +(\w{6}-\w{6,11}-\w{2,4}) <`)

func parseEximQueue(text string) (all []Queued) {
	id := ""
	for line := range strings.Lines(text) {
		if m := eximMessage.FindStringSubmatch(line); m != nil {
			id = m[1]
			continue
		}
		address := strings.TrimSpace(line)
		if address == "" || strings.HasPrefix(line, "        D ") {
			continue
		}
		all = append(all, Queued{ID: id, Address: address})
	}
	return all
}

// A deferral is a recipient of a message that was put off.
type deferral struct{ id, address string }

// "2026-11-22 12:00:00 1vMh2K-000abc-0a == a@b.example R=smtpfeed T=smtpfeed defer (-46) H=... : LMTP error after ...: 451 4.7.1
// words"
var eximDefer = regexp.MustCompile(`^\S+ \S+ (\S+) == (\S+)(?: <\S+>)? .*?defer \(-?\d+\):? ?(.*)$`)

// notYet is what a queue run says that comes too early.
const notYet = "retry time not reached"

// reasons are the latest why recipients were deferred, by the log. What smtpfeed's transport said is alone; Exim's own words are
// as they are.
func (e *Exim) reasons() (map[deferral]string, error) {
	all := map[deferral]string{}
	text, err := os.ReadFile(e.Log())
	if errors.Is(err, os.ErrNotExist) {
		return all, nil
	}
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, " == ") { // the regular expression would take seconds for a list
			continue
		}
		m := eximDefer.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		who := deferral{m[1], m[2]}
		if all[who] == "" || !strings.HasPrefix(m[3], notYet) { // which is no reason, but that there was one
			all[who] = m[3]
		}
	}
	return all, err
}

// locked says that a process works on a message: it has a lock on its data file.
func (e *Exim) locked(id string) (bool, error) {
	f, err := os.OpenFile(e.setup.path("spool/input", id+"-D"), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil // it is done meanwhile
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Len: 1}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock)
	return err == nil && lock.Type != syscall.F_UNLCK, err
}

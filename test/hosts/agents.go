package hosts

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Agents are the processes that hand a message over: each lmtp(8) below this instance's master that has a queue file open. The
// others wait for work.
func (p *Postfix) Agents() (pids []int) {
	for _, pid := range p.below() {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)) // of one that has ended there is nothing
		if string(name) == "lmtp\n" && p.delivers(pid) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// delivers says that a process has a message of the queue open.
func (p *Postfix) delivers(pid int) bool {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	return slices.ContainsFunc(files, func(f string) bool {
		to, _ := os.Readlink(f)
		return strings.HasPrefix(to, p.setup.path("queue/active")+"/")
	})
}

// Agents are the processes that hand a message over: sendmail forks one for each message that it takes, and some for a queue
// run. They say in their titles (setproctitle(3)) what they do; while they speak to a mailer, "sendmail: QUEUEID HOST: client
// COMMAND".
func (m *Sendmail) Agents() (pids []int) {
	for _, pid := range m.processes() {
		title, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // of one that has ended there is nothing
		if strings.Contains(string(title), ": client ") {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

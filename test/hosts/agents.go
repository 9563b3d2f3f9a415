package hosts

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Agents are the processes that hand mail to smtpfeed, or would: lmtp(8), below this instance's master. One lives on for a while
// after its delivery (max_idle).
func (p *Postfix) Agents() (pids []int) {
	for _, pid := range p.below() {
		if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(name) == "lmtp\n" {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// Agents are the processes that deliver: sendmail forks one for each message that it takes, and some for a queue run. They say in their
// titles (setproctitle(3)) what they do; while they speak to a mailer, "sendmail: QUEUEID HOST: client COMMAND".
func (m *Sendmail) Agents() (pids []int) {
	for _, pid := range m.processes() {
		if title, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.Contains(string(title), ": client ") {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

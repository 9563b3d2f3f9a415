package hosts_test

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/hosts"
)

// silence listens on a socket, and says nothing to whoever connects.
func silence(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	require.NoError(t, err, "there is a socket")
	t.Cleanup(func() { l.Close() })
	require.NoError(t, syscall.Chmod(path, 0o666), "for everybody")
}

func TestAgentsAreThoseThatHandAMessageOver(t *testing.T) {
	type agents interface {
		hosts.Host
		Agents() []int
	}
	for name, make := range map[string]func(hosts.Setup) (agents, error){
		"Postfix":  func(s hosts.Setup) (agents, error) { return hosts.NewPostfix(s) },
		"sendmail": func(s hosts.Setup) (agents, error) { return hosts.NewSendmail(s) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := newDir(t)
			silence(t, dir+"/silent.sock")
			h, err := make(hosts.Setup{Dir: dir, Feed: "unix:" + dir + "/silent.sock"})
			require.NoError(t, err, "an instance is made")
			require.NoError(t, h.Start(), "it starts")
			t.Cleanup(func() { assert.NoError(t, h.Stop(), "it ends") })
			assert.Empty(t, h.Agents(), "nothing is to be handed over")
			m := hosts.Mail{From: "a@sender.test", To: []string{"b@d.example"}, Content: "Subject: x\r\n\r\n"}
			for range 2 {
				_, err = hosts.Submit(h.Addr(), m)
				require.NoError(t, err, "mail is taken")
			}
			var pids []int
			require.Eventually(t, func() bool {
				pids = h.Agents()
				return len(pids) == 2
			}, patience, 50*time.Millisecond, "each has a process")
			for _, pid := range pids {
				require.NoError(t, syscall.Kill(pid, syscall.SIGKILL), "which can be killed")
			}
			require.Eventually(t, func() bool {
				all, err := h.Queue()
				return err == nil && len(all) == 2 && !all[0].Active && !all[1].Active
			}, patience, 50*time.Millisecond, "and the host keeps its mail")
		})
	}
}

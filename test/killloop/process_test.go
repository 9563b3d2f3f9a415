package killloop

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
)

// A recorderProcess is a recorder, which is started again after each kill.
type recorderProcess struct {
	letter string // begins its name
	starts int
	file   string
	hosts  []string
	slow   time.Duration // processing of its first host
	hub    *hub

	cmd   *exec.Cmd
	stdin io.Closer
	heard chan struct{} // closed when all that it said was heard
}

// name begins the names of the messages that it takes.
func (r *recorderProcess) name() string { return fmt.Sprintf("%s%d", r.letter, r.starts) }

func (r *recorderProcess) start(t *testing.T) {
	t.Helper()
	r.starts++
	r.cmd = exec.Command(os.Getenv(recorderVariable), append([]string{
		"-name", r.name(), "-file", r.file, "-rtt", rtt.String(), "-processing", r.slow.String(),
	}, r.hosts...)...)
	r.cmd.Stderr = os.Stderr
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	r.stdin, err = r.cmd.StdinPipe()
	require.NoError(t, err, "the recorder sees us live")
	out, err := r.cmd.StdoutPipe()
	require.NoError(t, err, "the recorder is heard")
	require.NoError(t, r.cmd.Start(), "a recorder starts")
	ready := make(chan struct{}) // closed by the goroutine below, which ends with what the recorder says
	r.heard = make(chan struct{})
	go r.listen(out, ready, r.heard)
	select {
	case <-ready:
	case <-time.After(feedd.Patience):
		require.Fail(t, "a recorder takes connections")
	}
}

// listen hears the process to its end.
func (r *recorderProcess) listen(out io.Reader, ready, heard chan struct{}) {
	defer close(heard)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ready" {
			close(ready)
			continue
		}
		r.hub.hear(Event(lines.Text()))
	}
}

// kill ends it as kill -9 does, and returns when it is gone and heard.
func (r *recorderProcess) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, r.cmd.Process.Kill(), "the recorder runs")
	<-r.heard // before Wait, which closes the pipe
	r.cmd.Wait()
	r.stdin.Close()
	r.cmd = nil
}

// end has it end in good order.
func (r *recorderProcess) end(t *testing.T) {
	if r.cmd == nil {
		return
	}
	r.cmd.Process.Signal(syscall.SIGTERM)
	<-r.heard
	assert.NoError(t, r.cmd.Wait(), "a recorder ends well")
	r.stdin.Close()
	r.cmd = nil
}

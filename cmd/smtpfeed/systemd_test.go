package main

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

func TestSystemdIsTold(t *testing.T) {
	w := newWorld(t, mxsim.Config{})
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: w.path("notify"), Net: "unixgram"})
	require.NoError(t, err, "systemd listens")
	defer told.Close()
	t.Setenv("NOTIFY_SOCKET", w.path("notify"))
	t.Setenv("WATCHDOG_USEC", "20000")
	next := func() string {
		b := make([]byte, 100)
		n, err := told.Read(b)
		require.NoError(t, err, "systemd is told")
		return string(b[:n])
	}
	d := w.start(t, w.config(t, ""))
	assert.Equal(t, "READY=1", next(), "once everything is open")
	assert.Equal(t, "WATCHDOG=1", next(), "again and again while the loop answers")
	d.signals <- syscall.SIGTERM
	state := next()
	for state == "WATCHDOG=1" {
		state = next()
	}
	assert.Equal(t, "STOPPING=1", state, "at the beginning of the end")
}

func TestAliveMeansTheLoopAnswers(t *testing.T) {
	w := newWorld(t, mxsim.Config{})
	d, err := newDaemon(w.config(t, ""), streams{err: new(lockedBuffer)}, nil)
	require.NoError(t, err, "the daemon starts")
	defer d.closeListeners()
	assert.True(t, d.alive(sampleTimeout), "the loop answers")
	d.delivery.close()
	assert.False(t, d.alive(sampleTimeout), "a loop that has ended does not")
	d.draining.Store(true)
	assert.True(t, d.alive(sampleTimeout), "but while draining that is as it should be")
}

func TestUnitFiles(t *testing.T) {
	unit, err := os.ReadFile("dist/smtpfeed.service")
	require.NoError(t, err, "the unit is there")
	for _, line := range []string{"Type=notify", "Restart=always", "RestartPreventExitStatus=64 78", "LimitNOFILE=65536", "ProtectSystem=strict", "RuntimeDirectory=smtpfeed", "LogsDirectory=smtpfeed"} {
		assert.Contains(t, string(unit), "\n"+line+"\n", "the unit says %s", line)
	}
	socket, err := os.ReadFile("dist/smtpfeed.socket")
	require.NoError(t, err, "the socket unit is there")
	_, path := defaults().LMTP.Listen[0].split()
	assert.Contains(t, string(socket), "\nListenStream="+path+"\n", "the socket is the one smtpfeed would open itself")
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("NOT CHECKED: systemd-analyze is not installed, so the unit files were not verified")
	}
	out, _ := exec.Command(analyze, "verify", "dist/smtpfeed.service", "dist/smtpfeed.socket").CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "smtpfeed.") && !strings.Contains(line, "is not executable") && !strings.Contains(line, "not-found") {
			t.Errorf("systemd finds fault with the units: %s", line)
		}
	}
}

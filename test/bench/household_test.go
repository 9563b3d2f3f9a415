package main

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// orphan has a process started whose parent ends. It ends when the returned file is closed, and not by the hangup of its parent.
func orphan(t *testing.T) (end *os.File) {
	t.Helper()
	in, end, err := os.Pipe()
	require.NoError(t, err)
	c := exec.Command("sh", "-c", "cat <&3 >/dev/null &")
	c.ExtraFiles = []*os.File{in}
	require.NoError(t, c.Run(), "the parent ends at once")
	require.NoError(t, in.Close())
	return end
}

func TestOrphansBelongToTheHousehold(t *testing.T) {
	require.NoError(t, adopt(), "orphans come to us")
	end := orphan(t)
	var h household
	all, err := h.members()
	require.NoError(t, err)
	assert.NotContains(t, all, os.Getpid(), "we are no part of it")
	require.Len(t, all, 1, "the orphan is all there is")
	for pid := range all {
		others := household{others: []int{pid}}
		none, err := others.members()
		require.NoError(t, err)
		assert.Empty(t, none, "but what is known to be another's")
	}
	h.watch()
	assert.Positive(t, h.watched(), "its memory is seen")
	require.NoError(t, end.Close())
	require.NoError(t, h.bury(time.Minute), "who ends by himself is waited for")
	all, err = h.members()
	require.NoError(t, err)
	assert.Empty(t, all, "and forgotten")
}

func TestWhatIsLeftBehindIsEnded(t *testing.T) {
	require.NoError(t, adopt(), "orphans come to us")
	defer orphan(t).Close()
	var h household
	require.Error(t, h.bury(0), "who does not end is a fault of the host's")
	all, err := h.members()
	require.NoError(t, err)
	assert.Empty(t, all, "and is ended")
}

func TestCPUIsSplitByProgram(t *testing.T) {
	const second = time.Second
	before := map[int]procStat{
		1: {name: "master", self: second},
		2: {name: "smtpd", self: second},
		3: {name: "smtp", self: 2 * second, reaped: second},
	}
	after := map[int]procStat{
		1: {name: "master", self: second, reaped: 7 * second / 2}, // the smtp that ended, and half a second of it since
		2: {name: "smtpd", self: 3 * second},
		4: {name: "qmgr", self: second},
	}
	used := spent(before, after)
	assert.Equal(t, map[string]float64{"master": 0, "smtpd": 2, "qmgr": 1, ended: 0.5}, used, "what those that have ended had used before does not count again")
	assert.Equal(t, (sumCPU(after) - sumCPU(before)).Seconds(), total(used), "nothing is lost")
}

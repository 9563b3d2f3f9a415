package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStatIsRead(t *testing.T) {
	const text = "4711 (a ) b (c) S 42 4711 4711 0 -1 4194560 1 2 3 4 150 25 7 3 20 0 1 0 100 1000 10 18446744073709551615\n"
	p, err := parseStat(text)
	require.NoError(t, err)
	assert.Equal(t, procStat{name: "a ) b (c", parent: 42, self: 1750 * time.Millisecond, reaped: 100 * time.Millisecond}, p, "whatever the command's name is")
	for name, bad := range map[string]string{"empty": "", "short": "1 (x) S 1 2", "no number": "1 (x) S x 2 3 4 5 6 7 8 9 10 11 12 13 14 15"} {
		_, err := parseStat(bad)
		assert.Error(t, err, name)
	}
}

func TestFieldsAreRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "status")
	require.NoError(t, os.WriteFile(file, []byte("Name:\tx\nVmPeak:\t   99 kB\nVmHWM:\t   12 kB\n"), 0o600))
	n, err := fieldOf(file, "VmHWM:")
	require.NoError(t, err)
	assert.Equal(t, int64(12<<10), n, "kB are 1024 octets")
	_, err = fieldOf(file, "Pss:")
	assert.ErrorContains(t, err, "Pss:", "a field that is not there is an error")
}

func TestTreeIsAProcessAndAllBelow(t *testing.T) {
	// The shell says that its own child runs, and waits until its input ends.
	c := exec.Command("sh", "-c", "cat & echo; wait")
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	_, err = out.Read(make([]byte, 1))
	require.NoError(t, err)
	defer c.Wait()
	defer in.Close()

	own, err := tree(os.Getpid())
	require.NoError(t, err)
	assert.Contains(t, own, os.Getpid(), "the root belongs to it")
	assert.Contains(t, own, c.Process.Pid, "so does a child")
	below, err := tree(c.Process.Pid)
	require.NoError(t, err)
	assert.NotContains(t, below, os.Getpid(), "a parent does not")
	used, err := treeCPU(os.Getpid())
	require.NoError(t, err)
	assert.Positive(t, used, "processes use time")
	memory, err := treeMemory(os.Getpid())
	require.NoError(t, err)
	assert.Positive(t, memory, "and memory")
}

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAQueueIsEmptyWithoutFiles(t *testing.T) {
	i := &instance{kind: kind{queue: []string{"queue/active", "queue/deferred"}}, dir: t.TempDir()}
	assert.False(t, i.holds(), "a queue that was not made yet holds nothing")
	deep := filepath.Join(i.dir, "queue/deferred/A/B")
	require.NoError(t, os.MkdirAll(deep, 0o700))
	assert.False(t, i.holds(), "directories are none")
	held := filepath.Join(i.dir, "queue/hold")
	require.NoError(t, os.Mkdir(held, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(held, "x"), nil, 0o600))
	assert.False(t, i.holds(), "what is held is not to be delivered")
	require.NoError(t, os.WriteFile(filepath.Join(deep, "x"), nil, 0o600))
	assert.True(t, i.holds(), "a file is mail, however deep")
}

func TestDirectoriesAreOpenToTheHostsUsers(t *testing.T) {
	dir, err := sharedDir("bench-test-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), info.Mode().Perm(), "they may look")
}

func TestTheWorldIsToldToHosts(t *testing.T) {
	s, err := (&world{dns: "127.0.53.53:53", port: "2525"}).setup()
	require.NoError(t, err)
	assert.Equal(t, "127.0.53.53", s.World.DNS, "resolv.conf has no ports")
	assert.Equal(t, "2525", s.World.Port, "the hosts' is another")
}

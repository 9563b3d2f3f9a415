package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLockKeepsOthersOut(t *testing.T) {
	path := somewhere(t)
	f, err := lockFile(path, 0)
	require.NoError(t, err, "a file is made and locked")
	_, err = lockFile(path, 0)
	assert.ErrorIs(t, err, errLocked, "the second one is told at once")
	require.NoError(t, f.Close(), "the first one ends")
	f, err = lockFile(path, 0)
	require.NoError(t, err, "then it is free")
	require.NoError(t, os.Rename(path, path+".moved"), "somebody moves it")
	assert.ErrorIs(t, sameFile(f, path), errMoved, "a lock on a file that is elsewhere keeps nobody out")
	require.NoError(t, os.WriteFile(path, nil, fileMode), "and makes another")
	assert.ErrorIs(t, sameFile(f, path), errMoved, "nor one on a file that was replaced")
	f.Close()
}

func TestSetAside(t *testing.T) {
	path := somewhere(t)
	now := time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)
	for i := range 3 {
		require.NoError(t, os.WriteFile(path, fmt.Append(nil, "bad ", i), fileMode), "a file is there")
		f, err := lockFile(path, 0)
		require.NoError(t, err, "and locked")
		f, err = setAside(f, path, now.Add(time.Duration(i)*time.Hour))
		require.NoError(t, err, "it is set aside")
		info, err := f.Stat()
		require.NoError(t, err, "the new one is open")
		assert.Zero(t, info.Size(), "the new one is empty")
		assert.NoError(t, sameFile(f, path), "and at the path")
		_, err = lockFile(path, 0)
		assert.ErrorIs(t, err, errLocked, "and locked")
		f.Close()
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	require.NoError(t, err, "the directory can be read")
	assert.Equal(t, []string{path, path + ".corrupt-20261122T103000Z"}, left, "only the last one is kept")
	b, err := os.ReadFile(left[1])
	require.NoError(t, err, "it can be read")
	assert.Equal(t, "bad 2", string(b), "and is what was there")
}

func TestAttemptsAreCounted(t *testing.T) {
	path := somewhere(t)
	for n := range int64(3) {
		assert.Equal(t, n+1, attempt(path), "each attempt that does not end counts")
	}
	attempted(path)
	assert.Equal(t, int64(1), attempt(path), "one that ends makes the count begin anew")
	attempted(path)
	require.NoError(t, syscall.Mkfifo(path+attemptSuffix, fileMode), "something else stands there")
	assert.Zero(t, attempt(path), "where it cannot be counted nothing waits, and nothing is set aside")
	assert.Zero(t, attempt("/nowhere/ledger.db"), "nor in a directory that does not exist")
}

func TestAdvice(t *testing.T) {
	const path = "/var/lib/smtpfeed/ledger.db"
	for want, errs := range map[string][]error{
		"make room on the file system of /var/lib/smtpfeed":                {syscall.ENOSPC, syscall.EDQUOT},
		"let the user that runs smtpfeed write to /var/lib/smtpfeed":       {syscall.EACCES, syscall.EPERM, syscall.EROFS},
		"make the directory /var/lib/smtpfeed, and let the user that runs": {syscall.ENOENT},
		"end the other process, or give each process":                      {errLocked},
		"name a file":                              {errNotFile},
		"nothing: a new file is begun":             {errMoved},
		"look at the disk and at the kernel's log": {syscall.EIO, errors.New("anything else")},
	} {
		for _, err := range errs {
			assert.Contains(t, advice(path, &fs.PathError{Op: "write", Path: path, Err: err}), want, "of %v", err)
		}
	}
}

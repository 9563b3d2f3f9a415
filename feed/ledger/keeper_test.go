package ledger

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	berrors "go.etcd.io/bbolt/errors"
)

// idle is a keeper that nobody runs.
func idle(t *testing.T, path string) (*keeper, *world) {
	t.Helper()
	w := open(t, Config{Path: path, first: firstRetry, last: lastRetry})
	w.shut()
	return &keeper{Ledger: w.Ledger, group: newGroup(100)}, w
}

func TestRetriesBecomeRare(t *testing.T) {
	k, w := idle(t, somewhere(t))
	var pauses []time.Duration
	for range 7 {
		k.failed(syscall.EIO)
		pauses = append(pauses, k.pause/time.Second)
	}
	assert.Equal(t, []time.Duration{1, 2, 4, 8, 10, 10, 10}, pauses, "an outage is looked at ever less often, in seconds")
	assert.Equal(t, 1, strings.Count(w.logged(), "level=WARN"), "and told once")
	k.works()
	k.failed(syscall.ENOSPC)
	assert.Equal(t, firstRetry, k.pause, "the next one begins anew")
	assert.Equal(t, 2, strings.Count(w.logged(), "level=WARN"), "and is told")
}

func TestNothingIsTriedBeforeItIsTime(t *testing.T) {
	k, _ := idle(t, somewhere(t))
	k.failed(syscall.EIO)
	k.save()
	assert.Nil(t, k.store, "the file is left alone until then")
	k.due = time.Time{}
	k.save()
	require.NotNil(t, k.store, "and opened then")
	k.finish()
}

func TestTroubleIsClean(t *testing.T) {
	k, _ := idle(t, somewhere(t))
	k.failed(errors.New("a\x1b[31m b\r\nc " + strings.Repeat("x", 1000)))
	k.publish()
	s := k.Stats()
	assert.True(t, strings.HasPrefix(s.Trouble, "a?[31m b c x"), "no path can write to a terminal: %s", s.Trouble)
	assert.Len(t, s.Trouble, maxTrouble, "and it has an end")
}

func TestDamageIsToldFromTrouble(t *testing.T) {
	k, _ := idle(t, somewhere(t))
	for _, err := range []error{berrors.ErrInvalid, berrors.ErrChecksum, fmt.Errorf("open: %w", berrors.ErrVersionMismatch)} {
		assert.True(t, k.condemn(guarded(func() error { return err })), "%v does not pass by waiting", err)
	}
	assert.True(t, k.condemn(guarded(func() error { panic("page 7 already freed") })), "nor does a panic")
	for _, err := range []error{nil, syscall.ENOSPC, syscall.EIO, berrors.ErrTimeout, berrors.ErrDatabaseNotOpen} {
		assert.False(t, k.condemn(guarded(func() error { return err })), "%v may", err)
	}
}

// A file that reads well but makes bbolt panic would do so again.
func TestFileThatBboltRefusesIsSetAside(t *testing.T) {
	path := somewhere(t)
	k, w := idle(t, path)
	require.NoError(t, k.open(), "the file is opened")
	k.group.deliver(delivery(1, 2))
	k.save()
	k.group.deliver(delivery(2, 3))
	k.drop(nil)
	k.suspect = &damage{"assertion failed"}
	k.save()
	require.NotNil(t, k.store, "a new file is in use")
	assert.Equal(t, []int{1, 5}, []int{k.setAside, k.store.recipients}, "with what was in the old one and what was to be written")
	assert.Contains(t, w.logged(), "assertion failed", "and the reason is told")
	assert.NoError(t, k.suspect, "the new one is not suspected")
	k.finish()
}

package ledger

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
)

// mount makes a small file system of its own.
func mount(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("ledger", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("SKIPPED: mounting a tmpfs is not allowed here (%v; it takes root), so full and read-only disks are NOT tested", err)
	}
	t.Cleanup(func() {
		assert.NoError(t, syscall.Unmount(dir, 0), "nothing holds the file system when the Ledger is closed")
	})
	return dir
}

// fill takes the room that is left, but for some octets.
func fill(t *testing.T, dir string, leave int64) (file string) {
	t.Helper()
	var fs syscall.Statfs_t
	require.NoError(t, syscall.Statfs(dir, &fs), "the room is known")
	file = filepath.Join(dir, "filler")
	b := make([]byte, max(int64(fs.Bavail)*fs.Bsize-leave, 0))
	require.NoError(t, os.WriteFile(file, b, 0o600), "the room is taken")
	return file
}

func TestFullDiskIsSatOut(t *testing.T) {
	for name, sync := range map[string]Sync{"process": Process, "power": Power} {
		t.Run(name, func(t *testing.T) {
			dir := mount(t, "2m")
			path := filepath.Join(dir, "ledger.db")
			w := open(t, Config{Path: path, Sync: sync})
			w.deliver(delivery(0, 10))
			filler := fill(t, dir, 32<<10)
			for i := range 100 {
				w.deliver(delivery(1+i, 50))
				if i%10 == 0 {
					w.forget(message(1 + i))
				}
			}
			s := w.Stats()
			assert.False(t, s.Open, "the file is not in use on a full disk")
			assert.Contains(t, s.Trouble, "no space left on device", "and it is said why")
			assert.NotZero(t, s.Failures, "it is counted")
			assert.Equal(t, 1, strings.Count(w.logged(), "level=WARN"), "it is told once: %s", w.logged())
			assert.Contains(t, w.logged(), "make room on the file system of "+dir, "with what to do")

			require.NoError(t, os.Remove(filler), "somebody makes room")
			s = w.until(isOpen)
			assert.Equal(t, []int{91, 10 + 90*50}, []int{s.Messages, s.Recipients}, "then everything is written")
			assert.Equal(t, []int{0, 0}, []int{s.Queued, s.Dropped}, "and nothing was lost")
			assert.Contains(t, w.logged(), "works again", "and it is told")
			assert.Empty(t, s.Trouble, "there is no trouble left")
			w.shut()
			w = open(t, Config{Path: path, Sync: sync})
			assert.Len(t, messages(w.founds()...), 91, "and found again")
			w.shut()
		})
	}
}

func TestDiskIsFullFromTheStart(t *testing.T) {
	for _, room := range []int64{0, 4096, 8192, 12288} {
		dir := mount(t, "1m")
		filler := fill(t, dir, room)
		w := open(t, Config{Path: filepath.Join(dir, "ledger.db")})
		w.deliver(delivery(1, 1))
		assert.False(t, w.Stats().Open, "it goes on without a file when there is room for %d octets", room)
		require.NoError(t, os.Remove(filler), "somebody makes room")
		s := w.until(isOpen)
		assert.Equal(t, []int{1, 0}, []int{s.Messages, s.SetAside}, "a file that could only be begun is no damaged one")
		w.shut()
	}
}

// What was found on a full disk is told and kept, also when it cannot be written yet.
func TestDamagedFileOnAFullDisk(t *testing.T) {
	dir := mount(t, "1m")
	path := filepath.Join(dir, "ledger.db")
	require.NoError(t, os.WriteFile(path, spoilt(sample(t, 30), 29), fileMode), "the broken file is written")
	filler := fill(t, dir, 0)
	w := open(t, Config{Path: path})
	found := messages(w.founds()...)
	assert.NotEmpty(t, found, "what could be read is handed over")
	require.NoError(t, os.Remove(filler), "somebody makes room")
	s := w.until(isOpen)
	assert.Equal(t, []int{len(found), 1}, []int{s.Messages, s.SetAside}, "and written then")
	w.shut()
}

func TestReadOnlyDiskIsSatOut(t *testing.T) {
	dir := mount(t, "1m")
	remount := func(flags uintptr) {
		require.NoError(t, syscall.Mount("ledger", dir, "tmpfs", syscall.MS_REMOUNT|flags, ""), "the file system is mounted anew")
	}
	path := filepath.Join(dir, "ledger.db")
	w := open(t, Config{Path: path})
	w.deliver(delivery(1, 1))
	w.shut()
	remount(syscall.MS_RDONLY)
	w = open(t, Config{Path: path})
	w.deliver(delivery(2, 1))
	assert.False(t, w.Stats().Open, "it goes on without a file")
	assert.Contains(t, w.logged(), "let the user that runs smtpfeed write to "+dir, "and tells what to do")
	remount(0)
	s := w.until(isOpen)
	assert.Equal(t, 2, s.Messages, "then both are on disk")
	assert.Equal(t, []feed.MessageID{message(1)}, messages(w.founds()...), "and what was there is handed over")
	w.shut()
}

func TestMissingDirectoryIsSatOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "smtpfeed")
	w := open(t, Config{Path: filepath.Join(dir, "ledger.db")})
	w.deliver(delivery(1, 1))
	assert.Equal(t, 1, strings.Count(w.logged(), "level=WARN"), "it is told once")
	assert.Contains(t, w.logged(), "make the directory "+dir, "with what to do")
	require.NoError(t, os.Mkdir(dir, 0o700), "somebody makes it")
	s := w.until(isOpen)
	assert.Equal(t, 1, s.Messages, "what was kept meanwhile is written")
	info, err := os.Stat(w.c.Path)
	require.NoError(t, err, "the file is there")
	assert.Equal(t, os.FileMode(fileMode), info.Mode(), "and only for its owner")
}

func TestFileInUseIsTakenOver(t *testing.T) {
	path := somewhere(t)
	first := open(t, Config{Path: path})
	first.deliver(delivery(1, 1), delivery(2, 1), delivery(3, 1))
	second := open(t, Config{Path: path})
	second.deliver(delivery(4, 1))
	second.forget(message(2))
	s := second.Stats()
	assert.False(t, s.Open, "a file that is in use is left alone")
	assert.Contains(t, s.Trouble, errLocked.Error(), "and it is said why")
	first.shut()
	s = second.until(isOpen)
	assert.Equal(t, 3, s.Messages, "when it is free it is taken over, with what was kept and forgotten meanwhile")
	left := []feed.MessageID{message(1), message(3)}
	assert.Equal(t, left, messages(second.founds()...), "and what it holds is handed over once, but for what was forgotten")
}

// A done that does not return stands for a disk that hangs: the keeper does not come back in either case.
func TestHungDiskFillsNoMemory(t *testing.T) {
	w := open(t, Config{Path: somewhere(t), Queue: 100})
	hung, hangs := make(chan struct{}), make(chan struct{})
	w.Keep(feed.Entry{}, func() { close(hangs); <-hung })
	<-hangs
	for i := range 10 {
		w.Keep(feed.Entry{Delivered: []feed.Delivery{delivery(i, 10)}}, nil)
	}
	w.deliver(delivery(11, 10))
	s := w.Stats()
	assert.Equal(t, []int{100, 10}, []int{s.Queued, s.Dropped}, "beyond the queue's bound entries are dropped, counted, and done")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	assert.ErrorIs(t, w.Close(ctx), context.Canceled, "Close leaves the disk alone when its time is over")
	close(hung)
	w.shut()
	assert.Equal(t, 100, w.Stats().Kept, "what was in the queue is written when the disk is back")
}

func TestOutageFillsNoMemory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	w := open(t, Config{Path: filepath.Join(dir, "ledger.db"), Queue: 100})
	for i := range 50 {
		w.deliver(delivery(i, 10))
	}
	s := w.Stats()
	assert.Equal(t, []int{100, 400}, []int{s.Queued, s.Dropped}, "beyond its bound what cannot be written is dropped and counted")
	require.NoError(t, os.Mkdir(dir, 0o700), "somebody makes the directory")
	s = w.until(isOpen)
	assert.Equal(t, 10, s.Messages, "what was not dropped is written")
	assert.Contains(t, w.logged(), "dropped=400", "and it is told how much was")
	w.shut()
	assert.Equal(t, 400, w.Stats().Dropped, "which is known to the end")
}

func TestCloseInAnOutageCountsWhatIsLost(t *testing.T) {
	w := open(t, Config{Path: filepath.Join(t.TempDir(), "missing", "ledger.db")})
	w.deliver(delivery(1, 7))
	w.shut()
	assert.Equal(t, 7, w.Stats().Dropped, "recipients that were never written are counted")
	assert.Contains(t, w.logged(), "recipients=7", "and told")
}

func TestEmptiedFileIsBegunAnew(t *testing.T) {
	path := somewhere(t)
	w := open(t, Config{Path: path})
	for i := range 80 {
		w.deliver(delivery(i, 1000))
	}
	for i := range 80 {
		w.forget(message(i))
	}
	assert.Greater(t, w.Stats().Bytes, int64(shrinkOpening), "the file does not shrink by itself")
	w.shut()
	w = open(t, Config{Path: path})
	assert.Less(t, w.Stats().Bytes, int64(shrinkOpening), "a large one in which nothing is left is begun anew")
	big := delivery(1000, shrinkRunning/idSize+1)
	w.c.Queue = len(big.Recipients)
	w.keep(feed.Entry{Delivered: []feed.Delivery{big}})
	w.forget(big.Message)
	s := w.Stats()
	assert.Less(t, s.Bytes, int64(shrinkOpening), "also while it is in use")
	assert.True(t, s.Open, "and it stays in use")
}

package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
)

// sample is a file as it is after some use: several levels of pages, free ones, values that span pages.
func sample(t testing.TB, messages int) []byte {
	t.Helper()
	path := somewhere(t)
	l := Open(Config{Path: path})
	for i := range messages {
		d := delivery(i, 1+i%5)
		if i%50 == 0 {
			d = delivery(i, 300)
		}
		l.Keep(feed.Entry{Delivered: []feed.Delivery{d}}, nil)
		if i > 20 && i%4 == 0 {
			l.Keep(feed.Entry{Forgotten: []feed.MessageID{message(i - 20)}}, nil)
			settle(l)
		}
	}
	require.NoError(t, l.Close(context.Background()), "the sample is closed")
	b, err := os.ReadFile(path)
	require.NoError(t, err, "the sample can be read")
	return b
}

// spoilt is a file in which the nth message's value has a wrong octet, wherever it stands.
func spoilt(file []byte, n int) []byte {
	id := message(n)
	bad := id
	bad[1]++
	return bytes.ReplaceAll(file, id[:], bad[:])
}

// lives asserts that a Ledger works on whatever stands at path, and that what it finds is from the sample.
func lives(t *testing.T, path string, messages int, what string) (found int, s Stats) {
	t.Helper()
	w := open(t, Config{Path: path})
	s = w.Stats()
	for _, ds := range w.founds() {
		for _, d := range ds {
			require.True(t, known(d, messages), "%s: only what was kept is found, not %v", what, d)
			found++
		}
	}
	mark := delivery(1_000_000, 2)
	w.deliver(mark)
	require.True(t, w.Stats().Open, "%s: it is in use: %s\n%s", what, w.Stats().Trouble, w.logged())
	w.shut()
	n := open(t, Config{Path: path})
	n.shut()
	require.Len(t, n.founds(), 1, "%s: the file holds something", what)
	require.Contains(t, n.founds()[0], mark, "%s: what was kept then is found", what)
	require.Len(t, n.founds()[0], found+1, "%s: and so is what had been found", what)
	return found, s
}

// known is whether d is one that sample kept: its recipients tell the number.
func known(d feed.Delivery, messages int) bool {
	n := int(binary.BigEndian.Uint64(d.Recipients[0][:]))
	want := delivery(n, len(d.Recipients))
	return n < messages && d.Message == want.Message && slices.Equal(d.Recipients, want.Recipients) && d.Reply == want.Reply &&
		d.MX == want.MX && d.Addr == want.Addr
}

func TestFlippedOctetsAreSurvived(t *testing.T) {
	const messages, rounds = 400, 100
	const metas = 2 * 4096 // without the newer one bbolt takes the older one, as if the last commit had not ended
	good := sample(t, messages)
	path := somewhere(t)
	require.NoError(t, os.WriteFile(path, good, fileMode), "the sample is copied")
	whole, _ := lives(t, path, messages, "the sample itself")

	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	least, aside := whole, 0
	for round := range rounds {
		bad := slices.Clone(good)
		for range 1 + r.IntN(4) {
			bad[metas+r.IntN(len(bad)-metas)] ^= byte(1 << r.IntN(8))
		}
		require.NoError(t, os.WriteFile(path, bad, fileMode), "the broken file is written")
		found, s := lives(t, path, messages, fmt.Sprintf("seed %d round %d", seed, round))
		require.True(t, found == whole || s.SetAside == 1, "seed %d round %d: nothing is missed without a word", seed, round)
		least = min(least, found)
		aside += s.SetAside
	}
	t.Logf("%d of %d files were set aside; of %d deliveries at least %d were read", aside, rounds, whole, least)
	assert.NotZero(t, aside, "damage is noticed")
}

// Heads and elements are what bbolt trusts: octets of them are turned in every page, others in every run.
func TestFlippedStructureIsSurvived(t *testing.T) {
	const messages, step = 60, 8
	good := sample(t, messages)
	path := somewhere(t)
	for page := 0; page+4096 <= len(good); page += 4096 {
		for at := page + rand.IntN(step); at < page+96; at += step {
			bad := slices.Clone(good)
			bad[at] ^= 1 << (at % 8)
			require.NoError(t, os.WriteFile(path, bad, fileMode), "the broken file is written")
			lives(t, path, messages, fmt.Sprintf("octet %d of page %d", at-page, page/4096))
		}
	}
}

func TestCutFilesAreSurvived(t *testing.T) {
	const messages = 100
	good := sample(t, messages)
	path := somewhere(t)
	sizes := []int{0, 1, 79, 80, 4095, 4096, 4097, 8192, 12288, 16384, len(good) - 4096, len(good) - 1}
	for range 60 {
		sizes = append(sizes, rand.IntN(len(good)))
	}
	for _, size := range sizes {
		require.NoError(t, os.WriteFile(path, good[:size], fileMode), "the cut file is written")
		lives(t, path, messages, fmt.Sprintf("cut to %d", size))
		zeroed := append(slices.Clone(good[:size]), make([]byte, len(good)-size)...)
		require.NoError(t, os.WriteFile(path, zeroed, fileMode), "the zeroed file is written")
		lives(t, path, messages, fmt.Sprintf("zeroed from %d", size))
	}
}

func TestGarbageIsSetAside(t *testing.T) {
	path := somewhere(t)
	for name, b := range map[string][]byte{
		"text": []byte("this is no ledger\n"), "zeros": make([]byte, 100_000), "ones": slices.Repeat([]byte{0xff}, 100_000),
	} {
		require.NoError(t, os.WriteFile(path, b, fileMode), "the garbage is written")
		found, s := lives(t, path, 0, name)
		assert.Zero(t, found, "%s: nothing is found", name)
		assert.Equal(t, 1, s.SetAside, "%s: it is set aside and counted", name)
	}
	aside, err := filepath.Glob(path + asideInfix + "*")
	require.NoError(t, err, "the directory can be read")
	assert.Len(t, aside, 1, "only one such file is kept")
}

func TestWhatIsSetAsideIsTold(t *testing.T) {
	path := somewhere(t)
	require.NoError(t, os.WriteFile(path, spoilt(sample(t, 50), 49), fileMode), "the broken file is written")
	w := open(t, Config{Path: path})
	assert.Contains(t, w.logged(), "level=WARN", "it is told")
	assert.Contains(t, w.logged(), "checksum is wrong", "with the reason")
	s := w.Stats()
	assert.Equal(t, len(messages(w.founds()...)), s.Messages, "what could be read is in the new file before Open returns")
	assert.NotZero(t, s.Messages, "and that is something")
}

func TestFileThatKillsItsReaderIsSetAside(t *testing.T) {
	path := somewhere(t)
	good := sample(t, 10)
	for attempts, aside := range []int{0, 0, 1} {
		require.NoError(t, os.WriteFile(path, good, fileMode), "the file is written")
		require.NoError(t, os.WriteFile(path+attemptSuffix, make([]byte, attempts), fileMode), "attempts that never ended are noted")
		w := open(t, Config{Path: path})
		w.shut()
		assert.Equal(t, aside, w.Stats().SetAside, "it is not read again after %d attempts", attempts)
		assert.Equal(t, aside == 0, len(w.founds()) == 1, "it is read after %d attempts if it is not set aside", attempts)
		assert.NoFileExists(t, path+attemptSuffix, "an attempt that ended is not counted")
	}
}

func TestNewerFileIsSetAside(t *testing.T) {
	n := &findings{}
	n.take(aboutBucket, []byte(versionKey), []byte{fileVersion + 1})
	assert.True(t, n.newer, "a version that is not known is not read")
	n.take(aboutBucket, []byte(versionKey), []byte{fileVersion})
	assert.False(t, n.newer, "the own version is")
}

func TestPathThatIsNoFile(t *testing.T) {
	for name, make := range map[string]func(string) error{
		"directory":   func(p string) error { return os.Mkdir(p, 0o700) },
		"fifo":        func(p string) error { return syscall.Mkfifo(p, 0o600) },
		"dead link":   func(p string) error { return os.Symlink(p+"/nowhere/ledger.db", p) },
		"device":      func(p string) error { return os.Symlink("/dev/null", p) },
		"endless one": func(p string) error { return os.Symlink("/dev/zero", p) },
	} {
		t.Run(name, func(t *testing.T) {
			path := somewhere(t)
			require.NoError(t, make(path), "the obstacle is made")
			w := open(t, Config{Path: path})
			w.deliver(delivery(1, 1))
			s := w.Stats()
			assert.False(t, s.Open, "it goes on without a file")
			assert.NotEmpty(t, s.Trouble, "and says why")
			assert.Equal(t, 1, s.Queued, "what is kept waits for a file")
			require.NoError(t, os.Remove(path), "the obstacle is removed")
			s = w.until(isOpen)
			assert.Equal(t, []int{1, 0}, []int{s.Messages, s.Queued}, "then it is written")
		})
	}
}

func TestFileCutWhileOpen(t *testing.T) {
	for name, to := range map[string]func(int64) int64{
		"to nothing":    func(int64) int64 { return 0 },
		"to its metas":  func(int64) int64 { return 8192 },
		"in the middle": func(n int64) int64 { return n / 2 },
	} {
		t.Run(name, func(t *testing.T) {
			path := somewhere(t)
			w := open(t, Config{Path: path})
			for i := range 500 {
				w.deliver(delivery(i, 1))
			}
			require.NoError(t, os.Truncate(path, to(w.Stats().Bytes)), "somebody cuts the file")
			w.deliver(delivery(1000, 1))
			s := w.until(isOpen)
			assert.NotZero(t, s.Failures, "it is noticed and counted")
			w.shut()
			w = open(t, Config{Path: path})
			assert.Contains(t, messages(w.founds()...), message(1000), "and what is kept then is found")
		})
	}
}

// The mapping of a file that was cut is SIGBUS for who reads it.
func TestFaultIsADamage(t *testing.T) {
	path := somewhere(t)
	w := open(t, Config{Path: path})
	w.deliver(delivery(1, 1))
	w.shut()
	k := &keeper{Ledger: w.Ledger, group: newGroup(10)}
	require.NoError(t, k.open(), "the file is opened")
	require.NoError(t, os.Truncate(path, 0), "somebody cuts the file")
	k.group.deliver(delivery(2, 1))
	err := guarded(func() error { return k.store.write(nil, &k.group) })
	var d *damage
	require.ErrorAs(t, err, &d, "a fault in bbolt is an error")
	assert.Contains(t, err.Error(), "invalid memory address", "of this kind")
	k.drop(err)
}

func TestFileMovedAway(t *testing.T) {
	w := open(t, Config{Path: somewhere(t)})
	w.shut()
	k := &keeper{Ledger: w.Ledger, group: newGroup(10)}
	require.NoError(t, k.open(), "the file is opened")
	require.NoError(t, os.Remove(w.c.Path), "somebody deletes the file")
	k.store.lookedAt = time.Time{}
	k.group.deliver(delivery(1, 1))
	k.save()
	assert.Contains(t, k.outage.trouble, errMoved.Error(), "it is noticed at the next look")
	k.due = time.Time{}
	k.save()
	require.NotNil(t, k.store, "a new file is begun")
	assert.Equal(t, 1, k.store.recipients, "with what was to be written")
	k.finish()
}

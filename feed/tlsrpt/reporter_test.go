package tlsrpt

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
)

func noTexts(context.Context, string) ([]string, error) { return nil, nil }

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600), "there is a file")
	for name, change := range map[string]func(*Config){
		"no hostname":                        func(c *Config) { c.Hostname = "" },
		"a hostname that leads elsewhere":    func(c *Config) { c.Hostname = "../mx" },
		"a contact that is no address":       func(c *Config) { c.Contact = "operator" },
		"a sender with a line break":         func(c *Config) { c.From = "a@b.test\r\nBcc: x@y.test" },
		"two senders":                        func(c *Config) { c.From = "a@b.test, c@d.test" },
		"nobody to ask":                      func(c *Config) { c.Texts = nil },
		"a directory that is a file":         func(c *Config) { c.Directory = file },
		"a directory that cannot be made":    func(c *Config) { c.Directory = filepath.Join(file, "x") },
		"a directory where no file can be":   func(c *Config) { c.Directory = "/proc" },
		"a directory of a lock that is none": func(c *Config) { require.NoError(t, os.Mkdir(filepath.Join(c.Directory, lockName), 0o700), "made") },
	} {
		t.Run(name, func(t *testing.T) {
			c := Config{Hostname: "mx.sender.test", Directory: t.TempDir(), Texts: noTexts}
			change(&c)
			_, err := Open(c)
			assert.ErrorContains(t, err, "tlsrpt: ", "it is refused")
		})
	}
}

func TestDefaults(t *testing.T) {
	c := Config{Hostname: "MX.Sender.test.", Texts: noTexts, Organization: "", Directory: t.TempDir()}
	require.NoError(t, c.check(), "little is needed")
	assert.Equal(t, []string{"mx.sender.test", "postmaster@mx.sender.test", "<postmaster@mx.sender.test>", "mx.sender.test"},
		[]string{c.Hostname, c.Contact, c.From, c.Organization}, "the rest follows from the hostname")
	assert.Equal(t, []time.Duration{30 * 24 * time.Hour, 4 * time.Hour}, []time.Duration{c.Keep, c.Delay}, "or is what it was said to be")
}

func TestDirectoryIsUsedByOneProcess(t *testing.T) {
	c := Config{Hostname: "mx.sender.test", Directory: filepath.Join(t.TempDir(), "new"), Texts: noTexts}
	r, err := Open(c)
	require.NoError(t, err, "a directory is made")
	_, err = Open(c)
	assert.ErrorIs(t, err, errInUse, "a second process is refused")
	require.NoError(t, r.Close(t.Context()), "the first one ends")
	require.NoError(t, r.Close(t.Context()), "and may be told twice")
	r, err = Open(c)
	require.NoError(t, err, "then another may use it")
	require.NoError(t, r.Close(t.Context()), "it ends too")
}

func TestNoDirectoryIsTotalsOnly(t *testing.T) {
	r, err := Open(Config{})
	require.NoError(t, err, "nothing is needed for it")
	r.ObserveTLS([]feed.TLSResult{good("a.example"), bad("a.example", "dane-required", ""), bad("b.example", "x", "")})
	r.ObserveTLS(nil)
	s := r.Stats()
	assert.Equal(t, []uint64{1, 1, 1}, []uint64{s.Results["success"], s.Results["dane-required"], s.Results["validation-failure"]}, "results are counted")
	assert.Len(t, s.Results, int(resultTypes), "all types have a number")
	assert.Zero(t, s.Domains, "domains are not kept")
	assert.Empty(t, r.pending, "nothing waits for anybody")
	require.NoError(t, r.Close(t.Context()), "there is nothing to end")
}

func TestTooManyResultsAtOnceAreDropped(t *testing.T) {
	r := &Reporter{keeps: true, wake: make(chan struct{}, 1)} // with a keeper that never comes
	batch := make([]feed.TLSResult, 1000)
	for range 70 {
		r.ObserveTLS(batch)
	}
	assert.Len(t, r.pending, maxPending, "so many may wait")
	assert.Equal(t, uint64(70_000-maxPending), r.Stats().Dropped, "the rest is counted as dropped")
	assert.Equal(t, uint64(70_000), r.Stats().Results["success"], "and in the totals")
}

func TestIncompleteReportsAreToldOnceADay(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.config()
		c.Domains, c.Details = 10, 1
		w.open(c)
		for day := range 3 {
			for i := range 30 {
				w.observe(bad(fmt.Sprintf("d%d.example", i), "dane-required", fmt.Sprint(i)), bad("d0.example", "dane-required", fmt.Sprint(i)))
			}
			s := w.Stats()
			assert.Equal(t, uint64(20*(day+1)), s.Overflow, "domains past the bound are counted")
			assert.Equal(t, uint64(29*(day+1)), s.Folded, "and failures without details")
			pass(24 * time.Hour)
			assert.Equal(t, day+1, strings.Count(w.logged(), "level=WARN"), "it is told once a day: %s", w.logged())
		}
		w.shut()
	})
}

func TestDiskThatFailsIsSatOut(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open(w.config())
		w.wants("a.example", wanted("tls@a.example"))
		moved := w.dir + "-moved"
		require.NoError(t, os.Rename(w.dir, moved), "somebody moves the directory")
		w.observe(good("a.example"))
		pass(time.Hour)
		assert.Equal(t, 1, strings.Count(w.logged(), "level=WARN"), "it is told once: %s", w.logged())
		pass(24 * time.Hour)
		require.NoError(t, os.RemoveAll(moved), "it is gone")
		require.NoError(t, os.Mkdir(w.dir, 0o700), "and made again")
		pass(15 * time.Hour)
		assert.Contains(t, w.logged(), "saved again", "then counts are saved")
		assert.Len(t, w.reports(), 1, "the report is written")
		assert.Len(t, w.mailed(), 1, "and it is mailed once")
		w.shut()
	})
}

func TestSweepTakesOurFilesOnly(t *testing.T) {
	dir := t.TempDir()
	d, err := openDisk(dir)
	require.NoError(t, err, "the directory is opened")
	defer d.close()
	old, young := fileName("mx.sender.test", "a.example", 100, "0123456789ab"), fileName("mx.sender.test", "a.example", 200, "0123456789ab")
	for _, name := range []string{old, young, "notes.json", "old!but!not!ours!x.json", stateName} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600), "%s is there", name)
	}
	folder := fileName("mx.sender.test", "b.example", 100, "0123456789ab")
	require.NoError(t, os.Mkdir(filepath.Join(dir, folder), 0o700), "and a directory with such a name")
	require.NoError(t, d.sweep(date(150).begin()), "it is swept")
	assert.NoFileExists(t, filepath.Join(dir, old), "an old report is removed")
	left, err := os.ReadDir(dir)
	require.NoError(t, err, "the rest is there")
	assert.Len(t, left, 6, "all else is left: %v", left)
}

// Whoever may write into the directory can put a link there; it must not lead us out of it.
func TestLinksAreNotFollowed(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "precious")
	require.NoError(t, os.WriteFile(outside, []byte("precious"), 0o600), "there is a file elsewhere")
	d, err := openDisk(dir)
	require.NoError(t, err, "the directory is opened")
	defer d.close()
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, stateName)), "and a link to it")
	k := &keeper{disk: d, today: newDay(0, someBounds()), dirty: true, Reporter: &Reporter{c: Config{Directory: dir}.withDefaults()}}
	k.save()
	text, err := os.ReadFile(outside)
	require.NoError(t, err, "it is read")
	assert.Equal(t, "precious", string(text), "it is as it was")
	nothing := func(io.Writer) error { return nil }
	assert.Error(t, d.write("../escaped", stateMode, nothing), "nor does a name lead out")
}

func TestManyCallers(t *testing.T) {
	w := newWorld(t)
	w.open(w.config())
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			for n := range 50 {
				w.ObserveTLS([]feed.TLSResult{good(fmt.Sprintf("d%d.example", n)), bad("a.example", "dane-required", fmt.Sprint(i))})
				_ = w.Stats()
			}
		})
	}
	callers.Wait()
	w.shut()
	s := w.Stats()
	assert.Equal(t, []uint64{400, 400}, []uint64{s.Results["success"], s.Results["dane-required"]}, "all is counted")
	assert.Equal(t, 51, s.Domains, "for all domains, by the time that Close returns")
}

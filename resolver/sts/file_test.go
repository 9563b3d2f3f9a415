package sts

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parsed is a policy as ParsePolicy makes it.
func parsed(t testing.TB, domain string) *Policy {
	p, err := ParsePolicy(domain, "20261122", []byte(policyOf(Enforce, "mx."+domain, "604800")+"note: \"a\\b\" <c>\n"), noon)
	require.NoError(t, err, "it is a policy")
	return p
}

func sealed(json string) string {
	return fmt.Sprintf("%08x %s\n", crc32.ChecksumIEEE([]byte(json)), json)
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policies")
	want := []loaded{{parsed(t, "a.test"), noon}, {parsed(t, "b.test"), noon.Add(-time.Hour)}}
	require.NoError(t, os.WriteFile(path+".tmp", []byte("left by a crash"), 0o644), "a crash may leave a file")
	for range 2 {
		require.NoError(t, writeFile(path, want), "the file is written, also over an older one")
	}
	info, err := os.Stat(path)
	require.NoError(t, err, "the file is there")
	assert.Equal(t, os.FileMode(0o600), info.Mode(), "nobody else reads whom we write to")
	assert.NoFileExists(t, path+".tmp", "nothing is left beside it")

	got, err := readFile(path, 1<<20, noon)
	require.NoError(t, err, "it can be read")
	require.Len(t, got.policies, 2, "whole")
	assert.Equal(t, want, got.policies, "and is what was written")
}

// TestFileDamage: what is damaged costs itself and nothing else.
func TestFileDamage(t *testing.T) {
	var lines []string
	for _, d := range []string{"a.test", "b.test", "c.test"} {
		line, err := appendRecord(nil, parsed(t, d), noon)
		require.NoError(t, err, "a policy can be written")
		lines = append(lines, string(line))
	}
	a, b, c := lines[0], lines[1], lines[2]
	rec := func(domain, id, text string) string {
		return sealed(`{"domain":"` + domain + `","id":"` + id + `","fetched":1795348000,"asked":1,"text":[` + text + `]}`)
	}
	const policy = `"version: STSv1","mode: none","max_age: 31557600"`
	cases := []struct {
		rule, body string
		want       string // domains
		damaged    int
	}{
		{"nothing damaged", a + b + c, "a.test b.test c.test", 0},
		{"no policies", "", "", 0},
		{"the end is missing", a + b + c[:len(c)-20], "a.test b.test", 1},
		{"only the last end of line is missing", a + b + c[:len(c)-1], "a.test b.test c.test", 0},
		{"an octet is wrong", a + strings.Replace(b, "mx.b", "mx.x", 1) + c, "a.test c.test", 1},
		{"a checksum is wrong", a + "1" + b + c, "a.test c.test", 1},
		{"a line is empty", a + "\n" + c, "a.test c.test", 1},
		{"a line is endless", a + strings.Repeat("x", 2*maxLine) + "\n" + c, "a.test c.test", 1},
		{"zeros, as after a crash", a + strings.Repeat("\x00", 5000), "a.test", 1},
		{"not JSON", a + sealed("x") + c, "a.test c.test", 1},
		{"a policy as it should be", rec("d.test", "1", policy), "d.test", 0},
		{"a domain that is none", rec("../d", "1", policy), "", 1},
		{"a domain in upper case", rec("D.test", "1", policy), "", 1},
		{"an id that is none", rec("d.test", "-", policy), "", 1},
		{"a policy that is none", rec("d.test", "1", `"version: STSv1","mode: enforce","max_age: 31557600"`), "", 1},
		{"a policy that has expired", rec("d.test", "1", strings.Replace(policy, "31557600", "60", 1)), "", 0},
		{"lines in a line", rec("d.test", "1", `"version: STSv1\nmode: none\nmax_age: 31557600"`), "d.test", 0},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			var got contents
			require.NoError(t, got.read(strings.NewReader(header+"\n"+c.body), noon), "the file as a whole is readable")
			var domains []string
			for _, l := range got.policies {
				domains = append(domains, l.p.Domain)
			}
			assert.Equal(t, c.want, strings.Join(domains, " "), "these are read")
			assert.Equal(t, c.damaged, got.damaged, "so many are not")
		})
	}
}

// TestFileFuture: a clock that was wrong makes no policy live longer than its max_age from now.
func TestFileFuture(t *testing.T) {
	line := sealed(`{"domain":"a.test","id":"1","fetched":4000000000,"asked":-5,"text":["version: STSv1","mode: none","max_age: 60"]}`)
	p, asked, err := parseRecord([]byte(strings.TrimSpace(line)), noon)
	require.NoError(t, err, "it is a policy")
	assert.Equal(t, noon.Add(time.Minute), p.Expires, "as if it was fetched now")
	assert.Equal(t, noon, asked, "and asked for now")
}

// TestUnusableFiles: nothing that lies at the path hinders the start, or makes it wait.
func TestUnusableFiles(t *testing.T) {
	cases := []struct {
		rule string
		make func(path string) error
		told string
	}{
		{"no file", func(string) error { return nil }, ""},
		{"an empty file", func(p string) error { return os.WriteFile(p, nil, 0o600) }, "cannot be used"},
		{"another version", func(p string) error { return os.WriteFile(p, []byte("smtpfeed MTA-STS policies 2\n"), 0o600) }, "not a file of this version"},
		{"a binary file", func(p string) error { return os.WriteFile(p, make([]byte, 2*maxLine), 0o600) }, "not a file of this version"},
		{"a directory", func(p string) error { return os.Mkdir(p, 0o700) }, "not a regular file"},
		{"a FIFO", func(p string) error { return syscall.Mkfifo(p, 0o600) }, "not a regular file"},
		{"a device", func(p string) error { return os.Symlink("/dev/zero", p) }, "not a regular file"},
		{"a loop of links", func(p string) error { return os.Symlink(p, p) }, "too many levels"},
		{"a huge file", func(p string) error {
			if err := os.WriteFile(p, []byte(header+"\n"), 0o600); err != nil {
				return err
			}
			return os.Truncate(p, 1<<40)
		}, "is damaged"},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			var log logbook
			path := filepath.Join(t.TempDir(), "policies")
			require.NoError(t, c.make(path), "it can be made")
			s, err := Open(Config{Path: path, Policies: 1, Log: log.logger()})
			require.NoError(t, err, "the store opens")
			assert.Empty(t, s.Policies(), "with nothing")
			require.NoError(t, s.Close(), "and closes")
			if c.told == "" {
				assert.Empty(t, log.String(), "a first start is nothing to tell")
				return
			}
			assert.Contains(t, log.String(), c.told, "it is told what is wrong")
			assert.Equal(t, 1, log.count("level=WARN"), "once")
		})
	}
}

func FuzzFile(f *testing.F) {
	line, err := appendRecord(nil, parsed(f, "a.test"), noon)
	require.NoError(f, err, "a policy can be written")
	f.Add([]byte(header+"\n"+string(line)), `{"domain":"a.test"}`)
	f.Add([]byte(header+"\n\n\x00"), string(line[9:len(line)-1]))
	f.Fuzz(func(t *testing.T, file []byte, json string) {
		var c contents
		_ = c.read(bytes.NewReader(file), noon)
		_ = c.read(strings.NewReader(header+"\n"+sealed(json)), noon)
		for _, l := range c.policies {
			line, err := appendRecord(nil, l.p, l.asked)
			require.NoError(t, err, "what was read can be written")
			p, asked, err := parseRecord(line[:len(line)-1], noon)
			require.NoError(t, err, "and read again: %s", line)
			assert.Equal(t, l.p, p, "as the same policy")
			assert.Equal(t, l.asked.Unix(), asked.Unix(), "of the same use")
			assert.False(t, p.Expires.After(noon.Add(maxAge)), "that lives a year at most")
		}
	})
}

// TestRestart: policies outlive the process, with what is known of their use.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.conf.Path = filepath.Join(t.TempDir(), "policies")
		s := w.open()
		for _, d := range []string{"a.test", "b.test", "c.test"} {
			w.site(d, plain(policyOf(Enforce, "mx."+d, map[bool]string{true: "60", false: "604800"}[d == "b.test"])))
			good(t, s, d, "1")
		}
		time.Sleep(time.Hour)
		was := s.Cached(time.Now(), "a.test")
		require.NoError(t, s.Close(), "the store closes")

		time.Sleep(time.Hour)
		s = w.open()
		p := s.Cached(time.Now(), "a.test")
		require.NotNil(t, p, "the policy is back")
		assert.WithinDuration(t, was.Expires, p.Expires, time.Second, "and expires when it would have")
		assert.Equal(t, was.MX, p.MX, "and says the same")
		assert.Same(t, p, good(t, s, "a.test", "1"), "its id is known")
		assert.Nil(t, s.Cached(time.Now(), "b.test"), "what expired meanwhile is not back")
		assert.Len(t, s.Policies(), 2, "and takes no room")
		require.NoError(t, s.Close(), "the store closes")

		time.Sleep(3 * 24 * time.Hour)
		s = w.open()
		defer s.Close()
		time.Sleep(2 * time.Hour)
		assert.Equal(t, 2, w.requests("a.test"), "what was due while nothing ran is refreshed soon: it was asked for before")
		assert.Equal(t, 1, w.requests("c.test"), "and what has half of its life before it and was not asked for is not")
	})
}

// TestSavesGather: a long list makes one file, not one per policy.
func TestSavesGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.conf.Path = filepath.Join(t.TempDir(), "policies")
		s := w.open()
		var seen []os.FileInfo
		look := func() {
			if info, err := os.Stat(w.conf.Path); err == nil && (len(seen) == 0 || !os.SameFile(info, seen[len(seen)-1])) {
				seen = append(seen, info)
			}
		}
		for i := range 300 {
			domain := fmt.Sprintf("d%d.test", i)
			w.site(domain, plain(policyOf(Enforce, "mx.test", "604800")))
			good(t, s, domain, "1")
			time.Sleep(200 * time.Millisecond)
			synctest.Wait()
			look()
		}
		assert.LessOrEqual(t, len(seen), 3, "300 policies in a minute are few files")
		assert.NotEmpty(t, seen, "and not none: a crash must not cost all")
		time.Sleep(time.Hour)
		synctest.Wait()
		got, err := readFile(w.conf.Path, 1<<20, time.Now())
		require.NoError(t, err, "the file can be read before the end")
		assert.Len(t, got.policies, 300, "and has everything")
		assert.Equal(t, "d0.test", got.policies[0].p.Domain, "what was asked for longest ago comes first")
		require.NoError(t, s.Close(), "the store closes")
		look()
		assert.LessOrEqual(t, len(seen), 4, "what did not change is not written")
	})
}

// TestUnwritable: without a file fetches go on. The outage is told once, and its end is used.
func TestUnwritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dir := filepath.Join(t.TempDir(), "later")
		w.conf.Path = filepath.Join(dir, "policies")
		s := w.open()
		assert.Equal(t, 1, w.log.count("level=WARN msg=\"sts: the file of policies cannot be written"), "it is told at the start")
		w.site("a.test", plain(policyOf(Enforce, "mx.a.test", "604800")))
		good(t, s, "a.test", "1")
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Equal(t, 1, w.log.count("level=WARN"), "and not again")
		require.NoError(t, os.Mkdir(dir, 0o700), "the directory is made")
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.FileExists(t, w.conf.Path, "now it is written")
		require.NoError(t, os.RemoveAll(dir), "the directory goes again")
		s.Cached(time.Now(), "a.test")
		assert.Error(t, s.Close(), "Close says that it could not save")
		assert.Equal(t, 2, w.log.count("level=WARN"), "and so does the log")
	})
}

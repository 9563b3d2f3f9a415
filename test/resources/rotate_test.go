package resources

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
)

// shipped is the logrotate file that operators get, for another path and process.
func shipped(t *testing.T, path string, pid int) string {
	t.Helper()
	text, err := os.ReadFile("../../cmd/smtpfeed/dist/smtpfeed.logrotate")
	require.NoError(t, err, "a logrotate file ships")
	conf := string(text)
	for _, change := range [][2]string{
		{"/var/log/smtpfeed/deliveries.jsonl", path},
		{"su smtpfeed smtpfeed", "su root root"},
		{"systemctl reload smtpfeed.service 2>/dev/null || true", fmt.Sprintf("kill -HUP %d", pid)},
	} {
		require.Equal(t, 1, strings.Count(conf, change[0]), "%q stands in it once", change[0])
		conf = strings.Replace(conf, change[0], change[1], 1)
	}
	return conf
}

func TestLogrotate(t *testing.T) {
	mail := startList(t)
	p := start(t, setup{dns: mail.DNSAddr(), port: mail.Port()})
	path, conf := p.path("deliveries.jsonl"), p.path("logrotate.conf")
	require.NoError(t, os.WriteFile(conf, []byte(shipped(t, path, p.cmd.Process.Pid)), 0o600), "logrotate is configured")
	rotated := make(chan error, 1) // sent once by the goroutine
	go func() { rotated <- rotate(conf, path, p.path("state")) }()
	for ended := false; !ended; {
		select {
		case err := <-rotated:
			require.NoError(t, err, "logrotate works")
			ended = true
		default:
			mail.deliver(t, p, 100)
		}
	}
	require.Eventually(t, func() bool { _, err := os.Stat(path); return err == nil }, feedd.Patience, 10*time.Millisecond, "smtpfeed obeys the last SIGHUP too")
	files, err := filepath.Glob(path + "*")
	require.NoError(t, err, "the files can be listed")
	assert.Len(t, files, rotations+1, "each rotation made a file: %v", files)
	seen := map[string]int{}
	for _, f := range files {
		for _, line := range wholeLines(t, unpacked(t, f)) {
			_, to, _ := strings.Cut(line, `"to":"`)
			to, _, _ = strings.Cut(to, `"`)
			seen[to]++
		}
	}
	assert.Len(t, seen, mail.sent, "every recipient has its record, in one of the files")
	for to, n := range seen {
		require.Equal(t, 1, n, "%s has one", to)
	}
	t.Logf("%d records over %d files, none lost", len(seen), len(files))
}

// rotations is how often the file is rotated: the oldest is compressed then.
const rotations = 3

// rotate rotates the file, each time as soon as smtpfeed has obeyed the last SIGHUP and writes the new one.
func rotate(conf, path, state string) error {
	for range rotations {
		for began := time.Now(); ; time.Sleep(time.Millisecond) { // logrotate is a process of the machine: there is nothing else to wait on
			if info, err := os.Stat(path); err == nil && info.Size() > 0 {
				break
			}
			if time.Since(began) > feedd.Patience {
				return errors.New("smtpfeed writes no new file")
			}
		}
		if out, err := exec.Command("/usr/sbin/logrotate", "-f", "-s", state, conf).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	return nil
}

// unpacked is the text of a file that may be compressed.
func unpacked(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err, "the file is there")
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		r, err = gzip.NewReader(f)
		require.NoError(t, err, "it is compressed")
	}
	text, err := io.ReadAll(r)
	require.NoError(t, err, "it is whole")
	return string(text)
}

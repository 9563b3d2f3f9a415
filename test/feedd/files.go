package feedd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// NewDir makes a directory that Postfix's processes can reach: those of t.TempDir are closed to other users, and their
// names too long for the sockets below them (sun_path has 108 octets).
func NewDir(t *testing.T, prefix string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", prefix)
	require.NoError(t, err, "there is room for files")
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755), "the directory is opened to others")
	return dir
}

// ShowOnFailure prints what is worth reading of a log when the test has failed.
func ShowOnFailure(t *testing.T, path string) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(path), gist(ReadLog(t, path)))
		}
	})
}

func ReadLog(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Logf("no log: %v", err)
	}
	return string(text)
}

// LinesWith are the lines of a log in which one of these words stands. Regular expressions would take seconds under -race.
func LinesWith(log string, words ...string) (found []string) {
	for line := range strings.Lines(log) {
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) }) {
			found = append(found, strings.TrimSuffix(line, "\n"))
		}
	}
	return found
}

// gist is a log's first lines that say more than that a recipient was delivered, and its end.
func gist(log string) string {
	const most = 40
	trouble := LinesWith(log, "warning", "error", "fatal", "panic", "level=WARN", "level=ERROR", "BUG", "DATA RACE",
		"status=deferred", "status=bounced", "lost connection", "refused", "suspended")
	lines := strings.Split(strings.TrimSpace(log), "\n")
	shown := slices.Concat(trouble[:min(most, len(trouble))], []string{"[...]"}, lines[max(0, len(lines)-most):])
	return "\t" + strings.Join(shown, "\n\t")
}

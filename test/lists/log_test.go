package lists

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// newDir makes a directory that other users' processes can reach, with a name short enough for sockets below it.
func newDir(t *testing.T, prefix string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", prefix)
	require.NoError(t, err, "there is room for files")
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755), "the directory is opened to others")
	return dir
}

// showOnFailure prints the end of a log when the test has failed.
func showOnFailure(t *testing.T, path string) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		const most = 20
		lines := strings.Split(strings.TrimSpace(readLog(t, path)), "\n")
		t.Logf("%s:\n\t%s", filepath.Base(path), strings.Join(lines[max(0, len(lines)-most):], "\n\t"))
	})
}

func readLog(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Logf("no log: %v", err)
	}
	return string(text)
}

// linesWith are the lines of a log in which one of these words stands.
func linesWith(log string, words ...string) (found []string) {
	for line := range strings.Lines(log) {
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) }) {
			found = append(found, strings.TrimSuffix(line, "\n"))
		}
	}
	return found
}

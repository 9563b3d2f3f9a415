package patches

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
)

func TestMain(m *testing.M) { os.Exit(feedd.Run(m)) }

// patchesFile is the absolute path of a file below patches.
func patchesFile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../patches", name))
	require.NoError(t, err, "there is a working directory")
	return path
}

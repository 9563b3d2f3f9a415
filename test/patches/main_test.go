package patches

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// binaryVariable names the smtpfeed that is tested. TestMain sets it when nobody did, also for the tests in namespaces.
const binaryVariable = "SMTPFEED_E2E_BINARY"

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds smtpfeed once for all tests. Postfix's commands are where only root's PATH looks.
func run(m *testing.M) int {
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	if os.Getenv(binaryVariable) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "smtpfeed-patches-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "patches:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "smtpfeed")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/smtpfeed/smtpfeed/cmd/smtpfeed").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "patches: smtpfeed could not be built: %v\n%s", err, out)
		return 1
	}
	os.Setenv(binaryVariable, binary)
	return m.Run()
}

// needPostfix fails loudly where the test cannot run.
func needPostfix(t *testing.T) {
	t.Helper()
	if os.Getenv("SMTPFEED_E2E") == "skip" {
		t.Skip("SMTPFEED_E2E=skip")
	}
	if _, err := exec.LookPath("postconf"); err != nil {
		t.Fatal("Postfix is not installed. Run\n\n" +
			"\tDEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postfix\n\n" +
			"or set SMTPFEED_E2E=skip")
	}
}

// patchesFile is the absolute path of a file below patches.
func patchesFile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../patches", name))
	require.NoError(t, err, "there is a working directory")
	return path
}

package lists

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binaryVariable names the smtpfeed that is tested. TestMain sets it when nobody did.
const binaryVariable = "SMTPFEED_E2E_BINARY"

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

// runAll builds smtpfeed once for all tests. Postfix's commands are where only root's PATH looks.
func runAll(m *testing.M) int {
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin")
	if os.Getenv(binaryVariable) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "smtpfeed-lists-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "lists:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "smtpfeed")
	args := []string{"build", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/smtpfeed/smtpfeed/cmd/smtpfeed")...).CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "lists: smtpfeed could not be built: %v\n%s; or give a binary by %s\n", err, out, binaryVariable)
		return 1
	}
	os.Setenv(binaryVariable, binary)
	return m.Run()
}

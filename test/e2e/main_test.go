package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binaryVariable names the smtpfeed that is tested. TestMain sets it when nobody did: the environment is the one place that all
// tests share.
const binaryVariable = "SMTPFEED_E2E_BINARY"

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds smtpfeed once for all tests. Postfix's commands are where only root's PATH looks.
func run(m *testing.M) int {
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin")
	if os.Getenv(binaryVariable) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "smtpfeed-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "smtpfeed")
	if err := build(binary); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: %v; or give a binary by %s\n", err, binaryVariable)
		return 1
	}
	os.Setenv(binaryVariable, binary)
	return m.Run()
}

// build makes smtpfeed, with the race detector if the test has it: then its reports are failures too (see daemon.wait).
func build(binary string) error {
	args := []string{"build", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/smtpfeed/smtpfeed/cmd/smtpfeed")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("smtpfeed could not be built: %w\n%s", err, out)
	}
	return nil
}

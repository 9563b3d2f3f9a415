package feedd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BinaryVariable names the smtpfeed that is tested. TestMain sets it when nobody did: the environment is the one place that all
// tests share.
const BinaryVariable = "SMTPFEED_E2E_BINARY"

// Run builds smtpfeed once for all tests. Postfix's commands are where only root's PATH looks.
func Run(m *testing.M) int {
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	if os.Getenv(BinaryVariable) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "smtpfeed-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "feedd:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "smtpfeed")
	if err := build(binary); err != nil {
		fmt.Fprintf(os.Stderr, "feedd: %v; or give a binary by %s\n", err, BinaryVariable)
		return 1
	}
	os.Setenv(BinaryVariable, binary)
	return m.Run()
}

// build makes smtpfeed, with the race detector if the test has it: then its reports are failures too (see Daemon.Wait).
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

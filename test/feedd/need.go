package feedd

import (
	"os"
	"os/exec"
	"testing"
)

// NeedPostfix fails loudly where the test cannot run: an end-to-end test that skips silently proves nothing.
func NeedPostfix(t *testing.T) {
	t.Helper()
	if os.Getenv("SMTPFEED_E2E") == "skip" {
		t.Skip("SMTPFEED_E2E=skip")
	}
	if _, err := exec.LookPath("postfix"); err != nil {
		t.Fatal("Postfix is not installed. Run\n\n" +
			"\tDEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postfix\n\n" +
			"or set SMTPFEED_E2E=skip")
	}
	if os.Geteuid() != 0 {
		t.Fatal("Postfix's master runs as root only: run the tests as root, or set SMTPFEED_E2E=skip")
	}
}

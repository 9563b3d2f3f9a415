package killloop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/smtpfeed/smtpfeed/test/feedd"
)

// recorderVariable names the recorder's binary, which TestMain builds: the environment is the one place that all tests share.
const recorderVariable = "SMTPFEED_KILLLOOP_RECORDER"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "smtpfeed-recorder-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "killloop:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "recorder")
	// Without the race detector: what it does must not cost what smtpfeed needs.
	build := exec.Command("go", "build", "-o", binary, "github.com/smtpfeed/smtpfeed/test/killloop/recorder")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "killloop: the recorder could not be built: %v\n%s", err, out)
		return 1
	}
	os.Setenv(recorderVariable, binary)
	return feedd.Run(m)
}

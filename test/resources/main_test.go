package resources

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/smtpfeed/smtpfeed/test/feedd"
)

// insideVariable says that the process is in its namespaces already.
const insideVariable = "SMTPFEED_RESOURCES_INSIDE"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv("SMTPFEED_RESOURCES") == "skip":
		fmt.Println("SMTPFEED_RESOURCES=skip")
	case os.Getenv(insideVariable) == "":
		os.Exit(again())
	default:
		if err := raiseLoopback(); err != nil {
			fmt.Fprintln(os.Stderr, "resources: loopback:", err)
			os.Exit(1)
		}
		os.Exit(run(m))
	}
}

// run runs the tests, with a directory for what they build.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "smtpfeed-plain-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "resources:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Setenv(plainVariable, dir)
	return feedd.Run(m)
}

// large says that the loads are those of make soak.
func large() bool { return os.Getenv("SMTPFEED_RESOURCES") == "large" }

// again runs the tests once more in namespaces of their own, which end with it. A goroutine cannot enter one.
func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ended):
		return max(ended.ExitCode(), 1)
	}
	fmt.Fprintf(os.Stderr, "resources: no network and mount namespace of one's own: %v; run the tests as root, or set SMTPFEED_RESOURCES=skip\n", err)
	return 1
}

// raiseLoopback makes 127.0.0.0/8 work in a new network namespace.
func raiseLoopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}

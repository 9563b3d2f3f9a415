package dnssec

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

const (
	kzonesign = "/usr/bin/kzonesign"
	keymgr    = "/usr/sbin/keymgr"
)

// A daemon is a server program, and what it says when it serves.
type daemon struct {
	path, ready string
	args        []string // before the configuration file
}

var (
	knotd   = daemon{path: "/usr/sbin/knotd", ready: "server started", args: []string{"-c"}}
	unbound = daemon{path: "/usr/sbin/unbound", ready: "start of service", args: []string{"-d", "-c"}}
)

// Missing returns Debian's packages that are needed and not installed.
func Missing() (packages []string) {
	for _, p := range []struct{ path, name string }{{knotd.path, "knot"}, {kzonesign, "knot-dnssecutils"}, {unbound.path, "unbound"}} {
		if _, err := os.Stat(p.path); err != nil {
			packages = append(packages, p.name)
		}
	}
	return packages
}

// knotConf serves the zones' files as they are, whatever their signatures.
func knotConf(dir, addr string, zones []Zone) string {
	var b strings.Builder
	fmt.Fprintf(&b, `server:
    rundir: %q
    listen: %s
    background-workers: 1
    udp-workers: 1
    tcp-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: %q
template:
  - id: default
    storage: %q
    zonefile-sync: -1
    journal-content: none
    semantic-checks: off
zone:
`, dir, at(addr), filepath.Join(dir, "serve"), dir)
	for _, z := range zones {
		fmt.Fprintf(&b, "  - domain: %q\n    file: %q\n", z.Name, z.Name+"zone")
	}
	return b.String()
}

// unboundConf validates from the anchors down. It knows no root servers: each zone is a stub.
func unboundConf(dir, addr, authoritative string, zones []Zone, anchors []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `server:
	interface: %s
	username: ""
	chroot: ""
	directory: %q
	pidfile: ""
	use-syslog: no
	verbosity: 1
	num-threads: 1
	do-daemonize: no
	do-ip6: no
	do-not-query-localhost: no
	module-config: "validator iterator"
`, at(addr), dir)
	for _, ds := range anchors {
		fmt.Fprintf(&b, "\ttrust-anchor: %q\n", ds)
	}
	for _, z := range zones {
		fmt.Fprintf(&b, "stub-zone:\n\tname: %q\n\tstub-addr: %s\n", z.Name, at(authoritative))
	}
	b.WriteString("remote-control:\n\tcontrol-enable: no\n")
	return b.String()
}

// at writes "HOST:PORT" as both servers do.
func at(addr string) string { return strings.Replace(addr, ":", "@", 1) }

// freeAddr is an address of 127.0.0.1 that nobody listens on, for UDP and TCP.
func freeAddr() (string, error) {
	s, err := dnssim.Listen("127.0.0.1:0", nil)
	if err != nil {
		return "", err
	}
	return s.Addr(), s.Close()
}

// A program is a server that runs.
type program struct {
	command *exec.Cmd
	ended   chan struct{} // closed by the reader of the log, at its end
}

// startProgram runs a server until stop, and returns when it serves.
func startProgram(dir string, d daemon, conf string) (*program, error) {
	// A copy: Debian's AppArmor profiles go by the path, and confine programs to the machine's own directories.
	binary, err := os.ReadFile(d.path)
	if err != nil {
		return nil, err
	}
	mine := filepath.Join(dir, filepath.Base(d.path))
	if err := os.WriteFile(mine, binary, 0o700); err != nil {
		return nil, err
	}
	c := exec.Command(mine, append(d.args, conf)...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it must not outlive the test
	logs, err := c.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	p := &program{command: c, ended: make(chan struct{})}
	ready := make(chan error, 1) // from the reader of the log, once
	go func() {
		defer close(p.ended)
		ready <- await(logs, d.ready)
		_, _ = io.Copy(io.Discard, logs)
	}()
	if err := <-ready; err != nil {
		p.stop()
		return nil, fmt.Errorf("%s does not serve: %w", d.path, err)
	}
	return p, nil
}

// await reads lines until one has the text; its error is all of them.
func await(logs io.Reader, text string) error {
	var lines []string
	for in := bufio.NewScanner(logs); in.Scan(); {
		if lines = append(lines, in.Text()); strings.Contains(in.Text(), text) {
			return nil
		}
	}
	return fmt.Errorf("it said: %s", strings.Join(lines, "\n"))
}

func (p *program) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	<-p.ended
	_ = p.command.Wait()
}

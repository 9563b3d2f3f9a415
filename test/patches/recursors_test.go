package patches

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// A recursor is a real recursive server as Debian configures it, in front of our zone "example". What is added to the shipped
// configuration lets it run beside the machine's own one and reach the zone.
type recursor struct {
	program string // path
	pkg     string // Debian's
	ready   string // what it says when it serves
	snippet string // below patches/recursors
	// configure writes the configuration below dir, with the snippet's file unless it is "", and returns the arguments.
	configure func(t *testing.T, dir, addr, upstream, snippet string) []string
}

var recursors = map[string]recursor{
	"unbound":  {"/usr/sbin/unbound", "unbound", "start of service", "unbound.conf", unboundConf},
	"BIND":     {"/usr/sbin/named", "bind9", "running", "named.options", namedConf},
	"PowerDNS": {powerDNS(), "pdns-recursor", "Enabled multiplexer", "recursor.conf", powerDNSConf},
}

// powerDNS is where its program is.
func powerDNS() string {
	if path := os.Getenv("PDNS_RECURSOR"); path != "" {
		return path
	}
	return "/usr/sbin/pdns_recursor"
}

func needRecursor(t *testing.T, r recursor) {
	t.Helper()
	if _, err := os.Stat(r.program); err != nil {
		t.Skipf("NOT CHECKED: %s is not installed (apt-get install %s), so nothing is known about the snippet for it", r.program, r.pkg)
	}
}

// run runs the server until the test ends.
func (r recursor) run(t *testing.T, upstream, snippet string) (addr string, p *os.Process) {
	t.Helper()
	addr, dir := freeAddr(t), t.TempDir()
	// A copy: Debian's AppArmor profile goes by the path, and confines the program to the machine's own directories.
	program, err := os.ReadFile(r.program)
	require.NoError(t, err, "the program is read")
	mine := filepath.Join(dir, filepath.Base(r.program))
	require.NoError(t, os.WriteFile(mine, program, 0o755), "and copied")
	c := exec.Command(mine, r.configure(t, dir, addr, upstream, snippet)...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it must not outlive the test
	logs, err := c.StderrPipe()
	require.NoError(t, err, "its log is a pipe")
	require.NoError(t, c.Start(), "the server starts")
	ended := make(chan struct{}) // closed by the reader of the log, at its end
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		<-ended
		_ = c.Wait()
	})
	ready := make(chan bool, 1) // from the reader of the log, once: does it serve
	go func() {
		defer close(ended)
		ready <- readUntil(t, logs, r.ready)
		_, _ = io.Copy(io.Discard, logs)
	}()
	require.True(t, <-ready, "%s serves", r.program)
	return addr, c.Process
}

// readUntil reads lines until one has the text, or writes them all to the test's log.
func readUntil(t *testing.T, logs io.Reader, text string) bool {
	var lines []string
	for in := bufio.NewScanner(logs); in.Scan(); {
		if lines = append(lines, in.Text()); strings.Contains(in.Text(), text) {
			return true
		}
	}
	t.Log(strings.Join(lines, "\n"))
	return false
}

// freeAddr is an address of 127.0.0.1 that nobody listens on, for UDP and TCP.
func freeAddr(t *testing.T) string {
	t.Helper()
	s, err := dnssim.Listen("127.0.0.1:0", nil)
	require.NoError(t, err, "a port is found")
	defer s.Close()
	return s.Addr()
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644), "the configuration is written")
	return file
}

// unboundConf is what Debian ships, which is only a control socket and the root's trust anchor; our zone is not signed.
func unboundConf(t *testing.T, dir, addr, upstream, snippet string) []string {
	t.Helper()
	conf := fmt.Sprintf(`server:
	interface: %s
	username: ""
	chroot: ""
	directory: %q
	pidfile: %q
	use-syslog: no
	verbosity: 1
	do-not-query-localhost: no
forward-zone:
	name: "example"
	forward-addr: %s
`, at(addr), dir, filepath.Join(dir, "pid"), at(upstream))
	if snippet != "" {
		conf += fmt.Sprintf("include: %q\n", snippet)
	}
	return []string{"-d", "-c", write(t, dir, "unbound.conf", conf)}
}

// at writes "HOST:PORT" as unbound does.
func at(addr string) string { return strings.Replace(addr, ":", "@", 1) }

var (
	namedDirectory = regexp.MustCompile(`(?m)^\s*directory .*;`)
	namedListenV6  = regexp.MustCompile(`(?m)^\s*listen-on-v6 .*;`)
)

// namedConf is what Debian ships, with directory and addresses changed: BIND takes each option only once.
func namedConf(t *testing.T, dir, addr, upstream, snippet string) []string {
	t.Helper()
	options, err := os.ReadFile("/etc/bind/named.conf.options")
	require.NoError(t, err, "the shipped configuration is read")
	host, port, _ := net.SplitHostPort(addr)
	upHost, upPort, _ := net.SplitHostPort(upstream)
	own := fmt.Sprintf("directory %q; pid-file none; session-keyfile none; listen-on port %s { %s; }; validate-except { \"example\"; };", dir, port, host)
	if snippet != "" {
		own += fmt.Sprintf("\ninclude %q;\n", snippet)
	}
	conf := namedDirectory.ReplaceAllLiteralString(string(options), own)
	conf = namedListenV6.ReplaceAllLiteralString(conf, "listen-on-v6 { none; };")
	conf += fmt.Sprintf(`
controls { };
zone "example" { type forward; forward only; forwarders { %s port %s; }; };
`, upHost, upPort)
	return []string{"-g", "-c", write(t, dir, "named.conf", conf)}
}

// powerDNSConf is what Debian ships but for its Lua file, which names trust anchors; our zone is not signed.
func powerDNSConf(t *testing.T, dir, addr, upstream, snippet string) []string {
	t.Helper()
	included := filepath.Join(dir, "recursor.d")
	require.NoError(t, os.Mkdir(included, 0o755), "there is a directory for snippets")
	if snippet != "" {
		text, err := os.ReadFile(snippet)
		require.NoError(t, err, "the snippet is read")
		write(t, included, "smtpfeed.conf", string(text))
	}
	host, port, _ := net.SplitHostPort(addr)
	write(t, dir, "recursor.conf", fmt.Sprintf(`local-address=%s
local-port=%s
socket-dir=%s
include-dir=%s
quiet=yes
security-poll-suffix=
daemon=no
dont-query=
forward-zones=example=%s
`, host, port, dir, included, upstream))
	return []string{"--config-dir=" + dir}
}

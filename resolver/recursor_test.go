package resolver_test

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
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// A recursor is a real recursive server, as Debian configures it, in front of our zone "example". What is added to the shipped
// configuration is what lets it run beside the machine's own one, without privileges, and reach the zone.
type recursor struct {
	program string // path
	ready   string // what it says when it serves
	// configure writes the configuration below dir and returns the command's arguments.
	configure func(t *testing.T, dir, addr, upstream string) []string
}

// patient is a timeout for tests on a machine that has much else to do.
const patient = 30 * time.Second

// needRecursor skips, loudly, where the server is not installed.
func needRecursor(t *testing.T, program, pkg string) {
	t.Helper()
	if _, err := os.Stat(program); err != nil {
		t.Skipf("NOT CHECKED: %s is not installed (apt-get install %s), so nothing is known about how the resolver bears with it", program, pkg)
	}
}

// startRecursor runs the server until the test ends and returns its address.
func startRecursor(t *testing.T, r recursor, upstream string) string {
	t.Helper()
	addr, dir := freeAddr(t), t.TempDir()
	// A copy: Debian's AppArmor profile goes by the path, and confines the program to the machine's own directories.
	program, err := os.ReadFile(r.program)
	require.NoError(t, err, "the program should be read")
	mine := filepath.Join(dir, filepath.Base(r.program))
	require.NoError(t, os.WriteFile(mine, program, 0o755), "and copied")
	c := exec.Command(mine, r.configure(t, dir, addr, upstream)...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it must not outlive the test
	logs, err := c.StderrPipe()
	require.NoError(t, err, "its log should be a pipe")
	require.NoError(t, c.Start(), "the server should start")
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
	require.True(t, <-ready, "%s should serve", r.program)
	return addr
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
	require.NoError(t, err, "a port should be found")
	defer s.Close()
	return s.Addr()
}

func unbound() recursor {
	return recursor{program: "/usr/sbin/unbound", ready: "start of service", configure: unboundConf}
}

// unboundConf includes what Debian ships, but for two files: the control socket would be the machine's, and the trust anchor
// needs a file that only the service's start makes. Our zone is not signed, so it would not be used.
func unboundConf(t *testing.T, dir, addr, upstream string) []string {
	t.Helper()
	shipped, err := filepath.Glob("/etc/unbound/unbound.conf.d/*.conf")
	require.NoError(t, err, "the shipped configuration should be found")
	var conf strings.Builder
	for _, file := range shipped {
		if base := filepath.Base(file); base != "remote-control.conf" && base != "root-auto-trust-anchor-file.conf" {
			fmt.Fprintf(&conf, "include: %q\n", file)
		}
	}
	fmt.Fprintf(&conf, `
server:
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
	file := filepath.Join(dir, "unbound.conf")
	require.NoError(t, os.WriteFile(file, []byte(conf.String()), 0o644), "the configuration should be written")
	return []string{"-d", "-c", file}
}

// at writes "HOST:PORT" as unbound does.
func at(addr string) string { return strings.Replace(addr, ":", "@", 1) }

func named() recursor {
	return recursor{program: "/usr/sbin/named", ready: "running", configure: namedConf}
}

var (
	namedDirectory = regexp.MustCompile(`(?m)^\s*directory .*;`)
	namedListenV6  = regexp.MustCompile(`(?m)^\s*listen-on-v6 .*;`)
)

// namedConf is what Debian ships, with directory and addresses changed: BIND takes each option only once.
func namedConf(t *testing.T, dir, addr, upstream string) []string {
	t.Helper()
	options, err := os.ReadFile("/etc/bind/named.conf.options")
	require.NoError(t, err, "the shipped configuration should be read")
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err, "the address should be one")
	upHost, upPort, err := net.SplitHostPort(upstream)
	require.NoError(t, err, "the address should be one")
	conf := namedDirectory.ReplaceAllString(string(options), fmt.Sprintf(
		"directory %q; pid-file none; session-keyfile none; listen-on port %s { %s; }; validate-except { \"example\"; };", dir, port, host))
	conf = namedListenV6.ReplaceAllString(conf, "listen-on-v6 { none; };")
	conf += fmt.Sprintf(`
controls { };
zone "example" { type forward; forward only; forwarders { %s port %s; }; };
include "/etc/bind/named.conf.local";
include "/etc/bind/named.conf.default-zones";
`, upHost, upPort)
	file := filepath.Join(dir, "named.conf")
	require.NoError(t, os.WriteFile(file, []byte(conf), 0o644), "the configuration should be written")
	return []string{"-g", "-c", file}
}

func TestUnboundAsShipped(t *testing.T) {
	needRecursor(t, unbound().program, "unbound")
	testRecursor(t, unbound())
}

func TestBINDAsShipped(t *testing.T) {
	needRecursor(t, named().program, "bind9")
	testRecursor(t, named())
}

// testRecursor asks about 8,000 distinct domains at once: far more than the server works on at a time.
func testRecursor(t *testing.T, r recursor) {
	const domains, hosts = 8000, 200
	world := start(t, dnssim.Config{Handler: list{hosts: hosts}.answer, Delay: 30 * time.Millisecond})
	res := open(t, resolver.Config{Servers: []string{startRecursor(t, r, world.Addr())}, Timeout: patient})
	begin := time.Now()
	results := collect(res, domainNames(domains))
	s := res.Stats()
	t.Logf("%d domains in %v: %d questions, sent again %d, window %d", domains, time.Since(begin).Round(time.Millisecond), s.Questions, s.Retries, s.Window)
	require.Len(t, results, domains, "every domain should have a result")
	for i, name := range domainNames(domains) {
		result := results[name]
		require.NoError(t, result.Err, "no answer should be lost for good and no SERVFAIL taken for a fact")
		require.Len(t, result.Route.MX, 1, "every domain should have its exchanger")
		assert.Equal(t, fmt.Sprintf("mx%d.example", i%hosts), result.Route.MX[0].Name, "the right one")
		assert.ElementsMatch(t, hostAddrs(i%hosts), result.Route.MX[0].Addrs, "with both addresses")
		assert.NoError(t, result.Route.MX[0].Err, "and nothing that could not be resolved")
	}
	assert.Equal(t, uint64(domains), s.MXQuestions, "each domain should be asked about once")
}

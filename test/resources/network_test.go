package resources

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A farland is another network behind a link: a DNS server and as many mail hosts as one likes, each with an address of its own. The
// hosts are one server that listens on all addresses of 10.77.0.0/16.
type farland struct {
	name string // of its network namespace
	mail *mxsim.Server
	dns  string // "ADDRESS:PORT"
	port int
}

const (
	farHosts = "10.77.0.0/16"
	farEnd   = "10.76.0.2"
	nearEnd  = "10.76.0.1"
)

// startFarland makes the network, the link and what stands behind it.
func startFarland(t *testing.T, c mxsim.Config, hosts int) *farland {
	t.Helper()
	f := &farland{name: "far" + strconv.Itoa(os.Getpid()), mail: mxsim.New(c)}
	const names = "/run/netns" // as ip has it; in this mount namespace, so that a test that is killed leaves none
	require.NoError(t, os.MkdirAll(names, 0o755), "networks can have names")
	require.NoError(t, unix.Mount("tmpfs", names, "tmpfs", 0, "mode=755"), "of the test's own")
	t.Cleanup(func() { _ = unix.Unmount(names, unix.MNT_DETACH) })
	ip(t, "netns", "add", f.name)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", f.name).Run() })
	ip(t, "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", f.name)
	ip(t, "addr", "add", nearEnd+"/24", "dev", "near")
	ip(t, "link", "set", "near", "up")
	f.ip(t, "addr", "add", farEnd+"/24", "dev", "far")
	f.ip(t, "link", "set", "lo", "up")
	f.ip(t, "link", "set", "far", "up")
	f.ip(t, "route", "add", "local", farHosts, "dev", "lo") // every address there is its own
	ip(t, "route", "add", farHosts, "via", farEnd)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "near").Run() })

	f.inside(t, func() {
		l, err := net.Listen("tcp4", "0.0.0.0:0")
		require.NoError(t, err, "the mail hosts listen")
		f.port = l.Addr().(*net.TCPAddr).Port
		f.mail.Start(l)
		s, err := dnssim.Start(dnssim.Config{Addr: farEnd + ":0", Handler: farZone(hosts)})
		require.NoError(t, err, "there is a DNS server")
		t.Cleanup(func() { s.Close() })
		f.dns = s.Addr()
	})
	t.Cleanup(f.mail.Close)
	return f
}

// farZone is the DNS of domains d<i>.far.example, whose exchanger is host i modulo hosts.
func farZone(hosts int) dnssim.Handler {
	return func(q dns.Question, _ bool) dnssim.Answer {
		var i int
		if n, _ := fmt.Sscanf(q.Name, "d%d.far.example.", &i); n == 1 && q.Qtype == dns.TypeMX {
			return dnssim.Answer{MX: []dnssim.MX{{Preference: 10, Name: fmt.Sprintf("mx%d.far.example.", i%hosts)}}}
		}
		if n, _ := fmt.Sscanf(q.Name, "mx%d.far.example.", &i); n == 1 && q.Qtype == dns.TypeA {
			return dnssim.Answer{Answer: []dns.RR{&dns.A{
				Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300},
				A:   net.IPv4(10, 77, byte(i/250), byte(1+i%250)),
			}}}
		}
		return dnssim.Answer{}
	}
}

// inside does something in the far network: what is opened there stays there.
func (f *farland) inside(t *testing.T, do func()) {
	t.Helper()
	far, err := os.Open(filepath.Join("/run/netns", f.name))
	require.NoError(t, err, "the far network is there")
	defer far.Close()
	runtime.LockOSThread()
	near, err := os.Open("/proc/thread-self/ns/net")
	require.NoError(t, err, "so is ours")
	defer near.Close()
	require.NoError(t, unix.Setns(int(far.Fd()), unix.CLONE_NEWNET), "it can be entered")
	defer func() {
		if unix.Setns(int(near.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread() // else the thread ends with its goroutine
		}
	}()
	do()
}

// ip configures our network.
func ip(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	require.NoError(t, err, "ip %s: %s", strings.Join(args, " "), out)
}

// ip configures the far network.
func (f *farland) ip(t *testing.T, args ...string) {
	t.Helper()
	ip(t, append([]string{"-n", f.name}, args...)...)
}

// swallow makes the far network a black hole: what is sent there arrives, and nobody says a word.
func (f *farland) swallow(t *testing.T) {
	t.Helper()
	f.ip(t, "route", "del", "local", farHosts, "dev", "lo")
	f.ip(t, "route", "add", "blackhole", farHosts)
	f.ip(t, "addr", "del", farEnd+"/24", "dev", "far")
	// Our side goes on sending to where it last knew the neighbour.
	mac, err := f.hardwareAddress()
	require.NoError(t, err, "the far end has an address")
	ip(t, "neigh", "replace", farEnd, "lladdr", mac, "dev", "near", "nud", "permanent")
}

func (f *farland) hardwareAddress() (string, error) {
	out, err := exec.Command("ip", "-n", f.name, "-o", "link", "show", "far").Output()
	_, rest, _ := strings.Cut(string(out), "link/ether ")
	mac, _, _ := strings.Cut(rest, " ")
	return mac, err
}

// unplug cuts the link: our end has no carrier.
func (f *farland) unplug(t *testing.T) {
	t.Helper()
	f.ip(t, "link", "set", "far", "down")
}

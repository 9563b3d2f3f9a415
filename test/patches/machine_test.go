package patches

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// insideVariable says that this process is in namespaces of its own.
const insideVariable = "SMTPFEED_PATCHES_INSIDE"

// layers puts a layer that is thrown away above what the test changes, and brings the loopback up. /run begins empty, as after a boot.
const layers = `set -e
mount -t tmpfs tmpfs /mnt
for d in etc usr var; do
	mkdir -p /mnt/$d/upper /mnt/$d/work
	mount -t overlay overlay -o lowerdir=/$d,upperdir=/mnt/$d/upper,workdir=/mnt/$d/work /$d
done
mount -t tmpfs tmpfs /run
mkdir -m 1777 /run/lock
ip link set lo up
hostname lists.example.org
echo '127.0.0.1 localhost lists.example.org' >/etc/hosts
`

// onMachine runs the test again on a machine of its own: this machine as it is, on which nothing it does is seen from outside or
// lasts. Its processes die with it.
func onMachine(t *testing.T, test func(t *testing.T, m *machine)) {
	t.Helper()
	feedd.NeedPostfix(t)
	if os.Getenv(insideVariable) != "" {
		test(t, newMachine(t))
		return
	}
	if os.Geteuid() != 0 {
		t.Fatal("Namespaces and Postfix need root: run the tests as root, or set SMTPFEED_E2E=skip")
	}
	self, err := os.Executable()
	require.NoError(t, err, "the test knows its own program")
	cmd := exec.Command("unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc",
		self, "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), insideVariable+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || testing.Verbose() {
		t.Logf("%s", out)
	}
	require.NoError(t, err, "it goes well on a machine of its own")
	require.Contains(t, string(out), "--- PASS: "+t.Name(), "and was done")
}

// A machine has Debian's Postfix as just installed, a simulated Internet, and this project's directory as built.
type machine struct {
	project string // where the commands run
	world   *internet.World
	config  internet.Config
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	out, err := exec.Command("sh", "-c", layers).CombinedOutput()
	require.NoError(t, err, "the machine's layers are there: %s", out)
	ship(t, "/etc/postfix")
	m := &machine{project: t.TempDir(), config: internet.Config{Domains: 1000, Hosts: 40, Additional: true}}
	m.world, err = internet.Start(m.config)
	require.NoError(t, err, "there is an Internet")
	t.Cleanup(m.world.Close)
	for _, dir := range []string{"patches", "cmd"} {
		path, err := filepath.Abs("../../" + dir)
		require.NoError(t, err, "there is a working directory")
		require.NoError(t, os.Symlink(path, filepath.Join(m.project, dir)), "the project is there")
	}
	require.NoError(t, os.Mkdir(filepath.Join(m.project, "bin"), 0o755), "and its programs")
	m.run(t, "cp "+os.Getenv(feedd.BinaryVariable)+" bin/smtpfeed")
	// What the simulated Internet needs instead of the real one: another port, a DNS server, addresses of the loopback, and a
	// host name that has an address there.
	m.run(t, "mkdir -p /etc/smtpfeed")
	toml := fmt.Sprintf("hostname = %q\n[dns]\nservers = [%q]\ntimeout = \"60s\"\n[smtp]\nport = %d\nprohibited = []\n", internet.HostName(0), m.world.DNSAddr(), m.world.Port())
	require.NoError(t, os.WriteFile("/etc/smtpfeed/smtpfeed.toml", []byte(toml), 0o644), "smtpfeed is configured")
	// There is no syslog here.
	file, err := os.OpenFile("/etc/postfix/main.cf", os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err, "Postfix is configured")
	_, err = file.WriteString("maillog_file = /var/log/mail.log\nnotify_classes =\n")
	require.NoError(t, err, "to log into a file")
	require.NoError(t, file.Close(), "which is written")
	m.run(t, "newaliases")
	return m
}

// run runs one line of shell and returns what it printed to standard output.
func (m *machine) run(t *testing.T, line string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir, cmd.Stdout, cmd.Stderr = m.project, &out, &errs
	require.NoError(t, cmd.Run(), "%s works: %s%s", line, &out, &errs)
	return out.String()
}

// startPostfix starts it as the administrator does.
func (m *machine) startPostfix(t *testing.T) {
	t.Helper()
	m.run(t, "postfix start 2>&1")
	t.Cleanup(func() {
		m.run(t, "postfix stop 2>&1")
		if t.Failed() {
			log, _ := os.ReadFile("/var/log/mail.log")
			t.Logf("Postfix's log ends:\n%s", log[max(0, len(log)-4000):])
		}
	})
}

// startSmtpfeed does what systemd does with the installed units and their drop-ins: it makes the socket with its owner, group and
// mode, and starts the service with it as its user.
func (m *machine) startSmtpfeed(t *testing.T, path string) *os.Process {
	t.Helper()
	socket := m.unit(t, "smtpfeed.socket")
	service := m.unit(t, "smtpfeed.service")
	m.run(t, "install -d -m "+socket["DirectoryMode"]+" "+filepath.Dir(path))
	m.run(t, "install -d -o "+service["User"]+" -g "+service["Group"]+" /run/smtpfeed /var/log/smtpfeed /var/lib/smtpfeed")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err, "there is a socket")
	t.Cleanup(func() { l.Close() })
	m.run(t, fmt.Sprintf("chown %s:%s %s && chmod %s %s", socket["SocketUser"], socket["SocketGroup"], path, socket["SocketMode"], path))
	file, err := l.File()
	require.NoError(t, err, "which can be passed on")
	defer file.Close()
	const as = `LISTEN_PID=$$ LISTEN_FDS=1 exec setpriv --reuid "$0" --regid "$1" --clear-groups --inh-caps=-all $2`
	cmd := exec.Command("sh", "-c", as, service["User"], service["Group"], service["ExecStart"])
	cmd.ExtraFiles = []*os.File{file}
	log, err := os.Create("/var/log/smtpfeed.log")
	require.NoError(t, err, "there is a log")
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start(), "smtpfeed starts")
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		text, _ := os.ReadFile(log.Name())
		assert.NoError(t, err, "smtpfeed ends well: %s", text)
	})
	require.Eventually(t, func() bool {
		return exec.Command("/usr/sbin/smtpfeed", "status").Run() == nil
	}, patience, tick, "smtpfeed answers")
	return cmd.Process
}

// unit reads an installed unit; what comes later counts, the drop-ins last.
func (m *machine) unit(t *testing.T, name string) map[string]string {
	t.Helper()
	settings := map[string]string{}
	dropins, err := filepath.Glob("/etc/systemd/system/" + name + ".d/*.conf")
	require.NoError(t, err, "the pattern is one")
	for _, path := range append([]string{"/etc/systemd/system/" + name}, dropins...) {
		text, err := os.ReadFile(path)
		require.NoError(t, err, "the unit is installed")
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
				settings[key] = value
			}
		}
	}
	return settings
}

// What tests wait for, and how often they look.
const (
	patience = 2 * time.Minute // ends tests that hang, however slow the machine is
	tick     = 20 * time.Millisecond
)

// arrived waits until the world has all of the first n recipients that it does not refuse.
func (m *machine) arrived(t *testing.T, n int) internet.Report {
	t.Helper()
	require.Eventually(t, func() bool { return m.world.Missing(n).Count == 0 }, 4*time.Minute, tick, "all of %d recipients arrive", n)
	r := m.world.Report()
	assert.Zero(t, r.Duplicates.Count, "each once")
	assert.Zero(t, r.Misrouted.Count, "at its own exchanger")
	return r
}

// lmtpStats is what smtpfeed counted at its LMTP side.
func (m *machine) lmtpStats(t *testing.T) map[string]any {
	t.Helper()
	var status struct{ LMTP map[string]any }
	require.NoError(t, json.Unmarshal([]byte(m.run(t, "smtpfeed status --json")), &status), "the status is JSON")
	return status.LMTP
}

package feedd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/lmtp"
	"github.com/smtpfeed/smtpfeed/resolver"
)

// A Daemon is the smtpfeed process. It can be stopped and started again; its LMTP socket, which the test holds as systemd
// would, stays.
type Daemon struct {
	dir        string
	socket     *os.File
	socketPath string    // of a Unix socket
	cmd        *exec.Cmd // nil: not running
	ending     bool      // it was told to end
	pardoned   []string  // see Pardon
}

// A Config is what of smtpfeed's configuration differs between tests.
type Config struct {
	World  World
	Routes map[string][]string // static: domain to hosts
	SMTP   string              // more lines of [smtp]
	LMTP   string              // more lines of [lmtp]
	DNS    string              // more lines of [dns]
	TLS    string              // more lines of [tls]
	Log    string              // more lines of [log]
	Tables string              // more tables
	Listen []string            // where it listens beside the socket that the test holds
	Ledger Ledger
}

// A Ledger says whether smtpfeed keeps one, in its directory.
type Ledger uint8

const (
	KeepLedger Ledger = iota // as by default
	NoLedger
)

// A World is where smtpfeed delivers: *internet.World, or a test's own.
type World interface {
	DNSAddr() string // "IP:PORT" of the DNS server
	Port() int       // of every mail host
}

// Start configures smtpfeed and starts it.
func Start(t *testing.T, c Config) *Daemon {
	t.Helper()
	dir := NewDir(t, "smtpfeed-")
	path := filepath.Join(dir, "lmtp.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err, "there is a socket for LMTP")
	require.NoError(t, os.Chmod(path, 0o666), "Postfix may connect")
	d := StartAt(t, c, l)
	d.socketPath = path
	return d
}

// A Socket is one that can be passed on to another process.
type Socket interface {
	net.Listener
	File() (*os.File, error)
}

// StartAt starts smtpfeed on a socket that the test holds, as systemd would.
func StartAt(t *testing.T, c Config, l Socket) *Daemon {
	t.Helper()
	d := &Daemon{dir: NewDir(t, "smtpfeed-")}
	require.NoError(t, os.WriteFile(d.Path("smtpfeed.toml"), []byte(c.Text(d.dir)), 0o600), "smtpfeed is configured")
	t.Cleanup(func() { l.Close() })
	var err error
	d.socket, err = l.File()
	require.NoError(t, err, "the socket can be passed on")
	t.Cleanup(func() { d.socket.Close() })
	ShowOnFailure(t, d.Path("log"))
	d.Start(t)
	t.Cleanup(func() {
		if d.cmd != nil && !d.ending {
			d.Terminate(t)
		}
		if d.cmd != nil {
			d.Wait(t)
		}
	})
	return d
}

func (d *Daemon) Path(name string) string { return filepath.Join(d.dir, name) }

// Socket is the socket's path.
func (d *Daemon) Socket() string { return d.socketPath }

// Text is a configuration file for files in a directory.
func (c Config) Text(dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "hostname = \"feed.e2e.test\"\n[lmtp]\nlisten = %s\n%s\n[dns]\nservers = [%q]\n", list(c.Listen), c.LMTP, c.World.DNSAddr())
	fmt.Fprintf(&b, "timeout = \"60s\"\n%s\n", c.DNS) // the world's server is in the test's process, which may be busy
	fmt.Fprintf(&b, "[smtp]\nport = %d\nprohibited = []\n%s\n", c.World.Port(), c.SMTP)
	fmt.Fprintf(&b, "[log]\ndeliveries = %q\n%s\n[admin]\nlisten = %q\n", filepath.Join(dir, "deliveries.jsonl"), c.Log, "unix:"+filepath.Join(dir, "admin.sock"))
	fmt.Fprintf(&b, "[ledger]\npath = %q\n", c.ledger(dir))
	fmt.Fprintf(&b, "[tls]\npolicies = %q\n%s\n", filepath.Join(dir, "policies"), c.TLS)
	for domain, hosts := range c.Routes {
		fmt.Fprintf(&b, "[[route]]\ndomain = %q\nhosts = %s\n", domain, list(hosts))
	}
	b.WriteString(c.Tables)
	return b.String()
}

// ledger is the ledger's path. It is always told: the default one is the machine's.
func (c Config) ledger(dir string) string {
	if c.Ledger == NoLedger {
		return ""
	}
	return filepath.Join(dir, "ledger.db")
}

// list is a list of strings as TOML has it, which is as JSON has it.
func list(all []string) string {
	text, _ := json.Marshal(append([]string{}, all...)) // strings can be told
	return string(text)
}

// Start starts the process and waits until it answers. sd_listen_fds(3) wants LISTEN_PID to be the number of the process
// itself, which only the process knows before it begins: hence the shell.
func (d *Daemon) Start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(d.Path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err, "smtpfeed has a log")
	defer log.Close()
	const listen = `LISTEN_PID=$$; export LISTEN_PID; exec "$@"`
	d.cmd = exec.Command("/bin/sh", "-c", listen, "sh", os.Getenv(BinaryVariable), "serve", "-c", d.Path("smtpfeed.toml"))
	d.cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "GORACE=atexit_sleep_ms=50") // its default is a second at every end
	d.cmd.ExtraFiles = []*os.File{d.socket}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, d.cmd.Start(), "smtpfeed starts")
	require.EventuallyWithT(t, func(c *assert.CollectT) { d.Status(c) }, Patience, polling, "smtpfeed answers")
}

// Terminate tells the process to end and does not wait.
func (d *Daemon) Terminate(t *testing.T) {
	t.Helper()
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGTERM), "smtpfeed runs")
	d.ending = true
}

// Kill ends the process as kill -9 does. When it returns the process is gone, and Start may follow.
func (d *Daemon) Kill(t *testing.T) {
	t.Helper()
	require.NoError(t, d.cmd.Process.Kill(), "smtpfeed runs")
	var end *exec.ExitError
	require.ErrorAs(t, d.cmd.Wait(), &end, "smtpfeed was killed")
	require.Equal(t, syscall.SIGKILL, end.Sys().(syscall.WaitStatus).Signal(), "and had not ended by itself: %v", end)
	d.cmd = nil
}

// Patience is how long a process may take that has nothing to wait for but its peers. It ends tests that hang: who passes does not wait for
// it, however slow the machine is.
const Patience = 2 * time.Minute

// polling is how often something is looked at that is waited for.
const polling = 10 * time.Millisecond

// Wait waits for the end of the process, which must be a good one.
func (d *Daemon) Wait(t *testing.T) {
	t.Helper()
	hung := time.AfterFunc(Patience, func() { d.cmd.Process.Signal(syscall.SIGABRT) }) // prints all goroutines to the log
	err := d.cmd.Wait()
	assert.True(t, hung.Stop(), "smtpfeed ends when told to")
	d.cmd, d.ending = nil, false
	assert.NoError(t, err, "smtpfeed ends well")
	// Races make the exit code 66; the log says where.
	bad := LinesWith(ReadLog(t, d.Path("log")), "DATA RACE", "BUG", "panic", "level=ERROR")
	bad = slices.DeleteFunc(bad, func(line string) bool { return len(LinesWith(line, d.pardoned...)) > 0 })
	assert.Empty(t, bad, "smtpfeed finds no fault of its own")
}

// Pardon says that lines of the log with one of these words are no fault: the test gives smtpfeed a reason to complain.
func (d *Daemon) Pardon(words ...string) { d.pardoned = append(d.pardoned, words...) }

// A Status is the part of smtpfeed's status.json that tests look at.
type Status struct {
	Draining bool           `json:"draining"`
	Answers  bool           `json:"answers"`
	Feed     feed.Snapshot  `json:"feed"`
	DNS      resolver.Stats `json:"dns"`
	LMTP     lmtp.Stats     `json:"lmtp"`
	Records  struct {
		Written, Lost uint64
	} `json:"records"`
}

// Status asks the admin socket.
func (d *Daemon) Status(t assert.TestingT) (s Status) {
	text := d.Ask(t, "/status.json")
	if text == "" {
		return s
	}
	assert.NoError(t, json.Unmarshal([]byte(text), &s), "the status is JSON")
	assert.True(t, s.Answers, "smtpfeed's loop answers")
	return s
}

// Ask gets something of the admin socket; "" when it does not answer.
func (d *Daemon) Ask(t assert.TestingT, path string) string {
	client := http.Client{Timeout: Patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", d.Path("admin.sock"))
		},
	}}
	r, err := client.Get("http://smtpfeed" + path)
	if !assert.NoError(t, err, "smtpfeed is asked for %s", path) {
		return ""
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	assert.NoError(t, err, "smtpfeed answers whole")
	return string(text)
}

// Metric is one of smtpfeed's metrics, as a monitor reads it.
func (d *Daemon) Metric(t *testing.T, name string) (value float64) {
	t.Helper()
	lines := LinesWith("\n"+d.Ask(t, "/metrics"), name+" ")
	require.NotEmpty(t, lines, "there is a metric %s", name)
	_, err := fmt.Sscanf(lines[len(lines)-1], name+" %g", &value) // comments come first
	require.NoError(t, err, "%q is a metric", lines[len(lines)-1])
	return value
}

// Idle waits until smtpfeed holds nothing of any host MTA's.
func (d *Daemon) Idle(t *testing.T) (s Status) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		s = d.Status(c)
		assert.Zero(c, s.Feed.Envelopes+s.Feed.Messages+s.Feed.Recipients, "every recipient is settled")
		assert.Zero(c, s.LMTP.Transactions+s.LMTP.Waiting+s.LMTP.Bodies, "every transaction has ended")
		assert.Zero(c, s.LMTP.Bytes, "no content is held")
	}, Patience, 20*time.Millisecond, "smtpfeed forgets what it has done")
	return s
}

// Memory is the most memory the process has had so far, as the kernel says it ("VmHWM: 12345 kB").
func (d *Daemon) Memory(t *testing.T) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	require.NoError(t, err, "smtpfeed runs")
	m := regexp.MustCompile(`VmHWM:\s*(.*)`).FindSubmatch(text)
	require.NotNil(t, m, "the kernel tells the resident set's peak")
	return string(m[1])
}

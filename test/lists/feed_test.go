package lists

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/lmtp"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// patience is how long anything may take that has only this machine to wait for.
const patience = 60 * time.Second

// A daemon is the smtpfeed process.
type daemon struct {
	dir string
	cmd *exec.Cmd
}

// A daemonConfig is what of smtpfeed's configuration differs between tests.
type daemonConfig struct {
	world  *internet.World
	routes map[string]string // static: domain to host
	smtp   string            // more lines of [smtp]
	tables string            // more tables
}

// startDaemon configures smtpfeed and starts it; it ends with the test.
func startDaemon(t *testing.T, c daemonConfig) *daemon {
	t.Helper()
	d := &daemon{dir: newDir(t, "smtpfeed-")}
	require.NoError(t, os.WriteFile(d.path("smtpfeed.toml"), []byte(d.config(c)), 0o600), "smtpfeed is configured")
	log, err := os.OpenFile(d.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err, "smtpfeed has a log")
	defer log.Close()
	showOnFailure(t, d.path("log"))
	d.cmd = exec.Command(os.Getenv(binaryVariable), "serve", "-c", d.path("smtpfeed.toml"))
	d.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=50")
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, d.cmd.Start(), "smtpfeed starts")
	t.Cleanup(func() { d.end(t) })
	require.EventuallyWithT(t, func(c *assert.CollectT) { d.status(c) }, patience, 10*time.Millisecond, "smtpfeed answers")
	require.NoError(t, os.Chmod(d.lmtp(), 0o666), "Postfix may connect")
	return d
}

func (d *daemon) path(name string) string { return filepath.Join(d.dir, name) }

// lmtp is the socket's path.
func (d *daemon) lmtp() string { return d.path("lmtp.sock") }

func (d *daemon) config(c daemonConfig) string {
	var b strings.Builder
	fmt.Fprintf(&b, "hostname = \"feed.lists.test\"\n[lmtp]\nlisten = [%q]\n", "unix:"+d.lmtp())
	fmt.Fprintf(&b, "[dns]\nservers = [%q]\n[smtp]\nport = %d\nprohibited = []\n%s\n", c.world.DNSAddr(), c.world.Port(), c.smtp)
	fmt.Fprintf(&b, "[log]\ndeliveries = \"\"\n[admin]\nlisten = %q\n", "unix:"+d.path("admin.sock"))
	for domain, host := range c.routes {
		fmt.Fprintf(&b, "[[route]]\ndomain = %q\nhosts = [%q]\n", domain, host)
	}
	b.WriteString(c.tables)
	return b.String()
}

// end ends the process, which must not have found any fault of its own.
func (d *daemon) end(t *testing.T) {
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGTERM), "smtpfeed runs")
	hung := time.AfterFunc(patience, func() { d.cmd.Process.Signal(syscall.SIGABRT) }) // prints all goroutines to the log
	err := d.cmd.Wait()
	assert.True(t, hung.Stop(), "smtpfeed ends when told to")
	assert.NoError(t, err, "smtpfeed ends well")
	bad := linesWith(readLog(t, d.path("log")), "DATA RACE", "BUG", "panic", "level=ERROR")
	assert.Empty(t, bad, "smtpfeed finds no fault of its own")
}

// A status is the part of smtpfeed's status.json that tests look at.
type status struct {
	Answers bool          `json:"answers"`
	Feed    feed.Snapshot `json:"feed"`
	LMTP    lmtp.Stats    `json:"lmtp"`
}

// status asks the admin socket.
func (d *daemon) status(t assert.TestingT) (s status) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", d.path("admin.sock"))
		},
	}}
	r, err := client.Get("http://smtpfeed/status.json")
	if !assert.NoError(t, err, "smtpfeed is asked") {
		return s
	}
	defer r.Body.Close()
	assert.NoError(t, json.NewDecoder(r.Body).Decode(&s), "the status is JSON")
	assert.True(t, s.Answers, "smtpfeed's loop answers")
	return s
}

// idle waits until smtpfeed holds nothing of any host MTA's.
func (d *daemon) idle(t *testing.T) (s status) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		s = d.status(c)
		assert.Zero(c, s.Feed.Envelopes+s.Feed.Messages+s.Feed.Recipients, "every recipient is settled")
		assert.Zero(c, s.LMTP.Transactions+s.LMTP.Bodies, "every transaction has ended")
	}, patience, 20*time.Millisecond, "smtpfeed forgets what it has done")
	return s
}

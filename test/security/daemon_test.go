package security

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
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

	"github.com/smtpfeed/smtpfeed/test/dnssim"
	"github.com/smtpfeed/smtpfeed/test/feedd"
)

// A daemon is the real program, on sockets of its own.
type daemon struct {
	dir string
	cmd *exec.Cmd
	as  *syscall.Credential // whose process it is; nil is ours

	passed *os.File // a socket that it is given, as systemd does; nil is none
}

// A setting is a configuration, section by section.
type setting struct {
	dns    string   // master file text of everything that exists
	server string   // a name server to ask instead
	routes []string // "DOMAIN HOST"; static
	lmtp   string   // lines of [lmtp]
	smtp   string   // lines of [smtp]; without any, every address may be dialled
	tables string   // more tables
	ledger string   // its path
}

// glance is how often a condition is looked at.
const glance = 10 * time.Millisecond

// start starts a daemon, which ends with the test. In the end it must end well and have found no fault of its own.
func start(t *testing.T, s setting) *daemon {
	t.Helper()
	d := &daemon{dir: feedd.NewDir(t, "security-")}
	d.serve(t, s)
	return d
}

// serve configures smtpfeed and starts it.
func (d *daemon) serve(t *testing.T, s setting) {
	t.Helper()
	if s.server == "" {
		s.server = serveDNS(t, s.dns)
	}
	require.NoError(t, os.WriteFile(d.path("smtpfeed.toml"), []byte(s.text(d)), 0o600), "smtpfeed is configured")
	feedd.ShowOnFailure(t, d.path("log"))
	d.run(t, os.Getenv(feedd.BinaryVariable), "serve", "-c", d.path("smtpfeed.toml"))
	require.Eventually(t, d.answers, feedd.Patience, glance, "smtpfeed answers")
	t.Cleanup(func() { d.stop(t) })
}

// text is the configuration file as it is.
func (d *daemon) text(t *testing.T) string { return feedd.ReadLog(t, d.path("smtpfeed.toml")) }

// restart ends smtpfeed and starts it with another configuration.
func (d *daemon) restart(t *testing.T, text string) {
	t.Helper()
	d.stop(t)
	require.NoError(t, os.WriteFile(d.path("smtpfeed.toml"), []byte(text), 0o600), "smtpfeed is configured anew")
	d.run(t, os.Getenv(feedd.BinaryVariable), "serve", "-c", d.path("smtpfeed.toml"))
	require.Eventually(t, d.answers, feedd.Patience, glance, "smtpfeed answers")
}

// serveDNS starts a name server that knows a master file and nothing else.
func serveDNS(t *testing.T, text string) (addr string) {
	t.Helper()
	zone, err := dnssim.Zone(text)
	require.NoError(t, err, "the zone can be read")
	s, err := dnssim.Listen("127.0.0.1:0", zone)
	require.NoError(t, err, "there is a name server")
	t.Cleanup(func() { s.Close() })
	return s.Addr()
}

// text is the configuration file.
func (s setting) text(d *daemon) string {
	smtp := s.smtp
	if smtp == "" {
		smtp = "prohibited = []\n"
	}
	text := fmt.Sprintf("hostname = \"feed.security.test\"\n[lmtp]\n%s\n[dns]\nservers = [%q]\n[smtp]\n%s\n",
		s.listens(d), s.server, smtp)
	text += fmt.Sprintf("[tls]\nmode = \"off\"\npolicies = \"\"\n[log]\nlevel = \"debug\"\ndeliveries = %q\n[ledger]\npath = %q\n[admin]\nlisten = %q\n",
		d.path("deliveries.jsonl"), s.ledger, "unix:"+d.path("admin.sock"))
	for _, r := range s.routes {
		var domain, host string
		fmt.Sscan(r, &domain, &host)
		text += fmt.Sprintf("[[route]]\ndomain = %q\nhosts = [%q]\n", domain, host)
	}
	return text + s.tables
}

// listens is the section of LMTP.
func (s setting) listens(d *daemon) string {
	text := "socket_mode = \"0666\"\nbudget = \"120s\"\n" + s.lmtp
	if strings.Contains(s.lmtp, "listen = ") {
		return text
	}
	return text + fmt.Sprintf("\nlisten = [%q]", "unix:"+d.socket())
}

// run starts a program with the daemon's log. It ends with the test.
func (d *daemon) run(t *testing.T, program string, args ...string) {
	t.Helper()
	log, err := os.OpenFile(d.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err, "there is a log")
	defer log.Close()
	d.cmd = exec.Command(program, args...)
	d.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=50")
	if d.passed != nil { // LISTEN_PID is the number of the process itself, which only it knows before it begins: hence the shell
		const pass = `LISTEN_PID=$$; export LISTEN_PID; exec "$@"`
		d.cmd = exec.Command("/bin/sh", append([]string{"-c", pass, "sh", program}, args...)...)
		d.cmd.Env = append(os.Environ(), "LISTEN_FDS=1")
		d.cmd.ExtraFiles = []*os.File{d.passed}
	}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: d.as}
	require.NoError(t, d.cmd.Start(), "smtpfeed starts")
}

// faults are lines that smtpfeed, or Go's runtime for it, begins so. In the middle of a line a peer may have said it.
var faults = regexp.MustCompile(`(?m)^(?:time=\S+ level=ERROR|panic: |fatal error: |WARNING: DATA RACE).*$`)

// stop ends the daemon as systemd does.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	assert.NoError(t, d.cmd.Process.Signal(syscall.SIGTERM), "smtpfeed runs")
	hung := time.AfterFunc(feedd.Patience, func() { d.cmd.Process.Signal(syscall.SIGABRT) })
	assert.NoError(t, d.cmd.Wait(), "smtpfeed ends well")
	assert.True(t, hung.Stop(), "and when it is told to")
	assert.Empty(t, faults.FindAllString(d.log(t), 10), "it finds no fault of its own")
}

func (d *daemon) path(name string) string { return filepath.Join(d.dir, name) }
func (d *daemon) socket() string          { return d.path("lmtp.sock") }

// answers says that the LMTP socket greets.
func (d *daemon) answers() bool {
	c, err := net.Dial("unix", d.socket())
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	greeting := make([]byte, 3)
	_, err = io.ReadFull(c, greeting)
	return err == nil
}

// ask gets a page of the admin socket.
func (d *daemon) ask(t *testing.T, page string) string {
	t.Helper()
	client := http.Client{Timeout: feedd.Patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", d.path("admin.sock"))
		},
	}}
	r, err := client.Get("http://smtpfeed" + page)
	require.NoError(t, err, "%s is answered", page)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err, "%s is answered whole", page)
	return string(text)
}

// log is everything that the daemon has written to standard output and standard error.
func (d *daemon) log(t *testing.T) string { return feedd.ReadLog(t, d.path("log")) }

// records are the delivery records so far.
func (d *daemon) records(t *testing.T) string { return feedd.ReadLog(t, d.path("deliveries.jsonl")) }

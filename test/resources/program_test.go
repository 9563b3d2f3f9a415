package resources

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/lmtp"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/feedd"
)

// A setup is what differs between smtpfeed processes.
type setup struct {
	binary  string   // "" is the one that all tests share
	limits  []string // a command in front, as {"prlimit", "--nofile=256"}
	env     []string
	out     *os.File // standard output; nil is the log
	dns     string   // "ADDRESS:PORT"
	resolve string   // lines of [dns]; "" is a patience that no machine exhausts that is only busy
	port    int      // of the mail hosts
	lmtp    string   // lines of [lmtp]
	smtp    string   // lines of [smtp]
	log     string   // lines of [log]; "" is a file in its directory
	keepLog bool     // errors in the log are what the test is about
}

// A program is a running smtpfeed.
type program struct {
	dir     string
	cmd     *exec.Cmd
	keepLog bool
}

// start starts smtpfeed, and ends it with the test.
func start(t *testing.T, s setup) *program {
	t.Helper()
	p := &program{dir: feedd.NewDir(t, "smtpfeed-resources-"), keepLog: s.keepLog}
	require.NoError(t, os.WriteFile(p.path("smtpfeed.toml"), []byte(s.text(p.dir)), 0o600), "smtpfeed is configured")
	log, err := os.Create(p.path("log"))
	require.NoError(t, err, "smtpfeed has a log")
	defer log.Close()
	if s.binary == "" {
		s.binary = os.Getenv(feedd.BinaryVariable)
	}
	args := append(s.limits, s.binary, "serve", "-c", p.path("smtpfeed.toml"))
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=50"), s.env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if s.out != nil {
		p.cmd.Stdout = s.out
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	feedd.ShowOnFailure(t, p.path("log"))
	require.NoError(t, p.cmd.Start(), "smtpfeed starts")
	t.Cleanup(func() {
		if p.cmd != nil {
			p.end(t)
		}
	})
	require.EventuallyWithT(t, func(c *assert.CollectT) { p.status(c) }, feedd.Patience, 10*time.Millisecond, "smtpfeed answers")
	return p
}

// text is a configuration file.
func (s setup) text(dir string) string {
	if s.log == "" {
		s.log = fmt.Sprintf("deliveries = %q", filepath.Join(dir, "deliveries.jsonl"))
	}
	if s.dns == "" {
		s.dns = "127.0.0.1:53"
	}
	s.resolve = cmp.Or(s.resolve, `timeout = "60s"`)
	return fmt.Sprintf("hostname = \"feed.test\"\n[lmtp]\nlisten = [%q]\n%s\n[dns]\nservers = [%q]\n%s\n[smtp]\nport = %d\nprohibited = []\n%s\n"+
		"[log]\n%s\n[ledger]\npath = \"\"\n[tls]\npolicies = \"\"\n[admin]\nlisten = %q\n",
		"unix:"+filepath.Join(dir, "lmtp.sock"), s.lmtp, s.dns, s.resolve, max(s.port, 1), s.smtp, s.log, "unix:"+filepath.Join(dir, "admin.sock"))
}

func (p *program) path(name string) string { return filepath.Join(p.dir, name) }

// signal sends a signal.
func (p *program) signal(t *testing.T, s os.Signal) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(s), "smtpfeed runs")
}

// end ends smtpfeed, which must find no fault of its own.
func (p *program) end(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	process := p.cmd.Process
	hung := time.AfterFunc(feedd.Patience, func() { process.Signal(syscall.SIGABRT) }) // prints all goroutines to the log
	err := p.cmd.Wait()
	p.cmd = nil
	assert.True(t, hung.Stop(), "smtpfeed ends when told to")
	assert.NoError(t, err, "smtpfeed ends well")
	words := []string{"DATA RACE", "BUG", "panic", "fatal error"}
	if !p.keepLog {
		words = append(words, "level=ERROR")
	}
	assert.Empty(t, feedd.LinesWith(feedd.ReadLog(t, p.path("log")), words...), "smtpfeed finds no fault of its own")
}

// A status is the part of status.json that tests look at.
type status struct {
	Answers bool           `json:"answers"`
	Feed    feed.Snapshot  `json:"feed"`
	DNS     resolver.Stats `json:"dns"`
	LMTP    lmtp.Stats     `json:"lmtp"`
	Records struct {
		Written, Lost, Late uint64
	} `json:"records"`
}

// status asks the admin socket.
func (p *program) status(t assert.TestingT) (s status) {
	text := p.ask(t, "/status.json")
	if text == "" {
		return s
	}
	assert.NoError(t, json.Unmarshal([]byte(text), &s), "the status is JSON")
	assert.True(t, s.Answers, "smtpfeed's loop answers")
	return s
}

// ask gets a page of the admin socket; "" when it does not answer.
func (p *program) ask(t assert.TestingT, page string) string {
	client := http.Client{Timeout: feedd.Patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", p.path("admin.sock"))
		},
	}}
	r, err := client.Get("http://smtpfeed" + page)
	if !assert.NoError(t, err, "smtpfeed is asked for %s", page) {
		return ""
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	assert.NoError(t, err, "smtpfeed answers whole")
	return string(text)
}

// A footprint is what a process holds of the machine.
type footprint struct {
	rss, peak   int64 // octets of resident memory
	descriptors int
	goroutines  int
}

// String is the footprint for the log of a test.
func (f footprint) String() string {
	return fmt.Sprintf("%d MiB resident (peak %d MiB), %d descriptors, %d goroutines", f.rss>>20, f.peak>>20, f.descriptors, f.goroutines)
}

// footprint measures the process.
func (p *program) footprint(t assert.TestingT) (f footprint) {
	proc := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	text, err := os.ReadFile(proc + "status")
	assert.NoError(t, err, "smtpfeed runs")
	f.rss, f.peak = kilobytes(string(text), "VmRSS:"), kilobytes(string(text), "VmHWM:")
	open, err := os.ReadDir(proc + "fd")
	assert.NoError(t, err, "its descriptors can be counted")
	f.descriptors = len(open)
	first, _, _ := strings.Cut(p.ask(t, "/debug/pprof/goroutine?debug=1"), "\n")
	_, err = fmt.Sscanf(first, "goroutine profile: total %d", &f.goroutines)
	assert.NoError(t, err, "its goroutines can be counted")
	return f
}

// kilobytes is a line "NAME 123 kB" of /proc/PID/status, in octets.
func kilobytes(text, name string) int64 {
	_, rest, _ := strings.Cut(text, name)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[0], 10, 64)
	return n << 10
}

// records are the delivery records in a file, each of which must be a whole line.
func records(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err, "there are delivery records")
	return wholeLines(t, string(text))
}

// wholeLines are the lines of a text, each of them valid JSON.
func wholeLines(t *testing.T, text string) []string {
	t.Helper()
	if text == "" {
		return nil
	}
	require.True(t, strings.HasSuffix(text, "\n"), "the last record is whole")
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for _, line := range lines {
		require.True(t, json.Valid([]byte(line)), "%q is a record", line)
	}
	return lines
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A lockedBuffer takes what several goroutines log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestServeDelivers(t *testing.T) {
	w := newWorld(t, mxsim.Config{KeepContent: true})
	file := w.config(t, "")
	d := w.start(t, file)
	h := w.host(t)
	h.envelope("a@example.test", "b@example.com", "c@example.test")
	d.looksUp(2)
	h.send(".\r\n")
	for _, r := range []string{"a", "b", "c"} {
		assert.Contains(t, h.expect("250"), "mx.example.test", "the reply for %s names the exchanger", r)
	}
	require.Len(t, w.mx.Messages(), 1, "both domains share one transaction")
	assert.ElementsMatch(t, []string{"a@example.test", "b@example.com", "c@example.test"}, w.mx.Messages()[0].To, "with all recipients")
	assert.Equal(t, "Subject: hello\r\n\r\nhello\r\n", string(w.mx.Messages()[0].Content), "and every octet")

	status := w.get(t, "status")
	assert.Contains(t, status, "serving", "status says that the daemon serves")
	assert.Contains(t, status, "3 recipients of 1 message: 3 delivered, 0 deferred (0 uncertain), 0 failed", "and what became of the mail")
	var s Status
	require.NoError(t, json.Unmarshal([]byte(w.get(t, "status", "--json")), &s), "the JSON form is JSON")
	assert.EqualValues(t, 3, s.Feed.Delivered, "and says the same")
	assert.EqualValues(t, 3, s.Records.Written, "and that records were written")

	metrics := w.page(t, "/metrics")
	for _, line := range []string{"smtpfeed_up 1", "smtpfeed_delivered_total 3", "smtpfeed_transactions_total 1", "smtpfeed_records_written_total 3", "smtpfeed_lmtp_connections 1"} {
		assert.Contains(t, metrics, "\n"+line+"\n", "a metric is there")
	}
	assert.Contains(t, metrics, "process_open_fds", "the process's own are too")
	assert.Contains(t, w.page(t, "/debug/pprof/"), "goroutine", "and profiles")

	records := readLines(t, w.path("deliveries.jsonl"))
	require.Len(t, records, 3, "a record for each recipient")
	assert.Contains(t, strings.Join(records, ""), `"to":"b@example.com","domain":"example.com","outcome":"delivered","uncertain":false,"code":250`, "that tells its fate")

	d.signals <- syscall.SIGTERM
	require.NoError(t, <-d.ended, "a drained daemon ends well")
	assert.NoFileExists(t, w.path("lmtp.sock"), "its socket is gone")
	assert.Contains(t, d.log.String(), "smtpfeed drains", "the log says what happened:\n%s", d.log)
	d.ended <- nil
}

// get runs the status command.
func (w *world) get(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(append(args, "-c", w.path("smtpfeed.toml")), streams{strings.NewReader(""), &out, &errs})
	require.Zero(t, code, "the command succeeds: %s", &errs)
	return out.String()
}

// page reads a page of the admin socket.
func (w *world) page(t *testing.T, page string) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, ask(Listen{"unix:" + w.path("admin.sock")}, page, &out), "the admin socket answers")
	return out.String()
}

func TestDrainLetsTheDotFinish(t *testing.T) {
	dot, hold := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	w := newWorld(t, mxsim.Config{Final: func(*mxsim.Message) string {
		close(dot)
		<-hold
		return "250 2.0.0 taken"
	}})
	t.Cleanup(release)
	d := w.start(t, w.config(t, ""))
	h, late := w.host(t), w.host(t)
	h.envelope("a@example.test")
	late.say("MAIL FROM:<x@example.net>", "250")
	late.say("RCPT TO:<b@example.test>", "250")
	h.send(".\r\n")
	<-dot
	d.signals <- syscall.SIGTERM
	// The daemon obeys a signal in its own time; until then transactions begin.
	for begins := true; begins; {
		next := w.host(t)
		begins = strings.HasPrefix(next.say("MAIL FROM:<y@example.net>", ""), "250")
		next.conn.Close()
	}
	assert.Contains(t, w.host(t).say("MAIL FROM:<y@example.net>", "451"), "4.3.2", "no transaction begins any more")
	assert.Contains(t, w.page(t, "/status"), ": draining, ", "status says so")
	late.say("DATA", "354")
	late.send("x\r\n.\r\n")
	assert.Contains(t, late.expect("451"), "4.3.2", "what has not begun is left to the host MTA")
	release()
	h.expect("250")
	require.NoError(t, <-d.ended, "the daemon ends when the last reply was given")
	d.ended <- nil
	assert.Len(t, w.mx.Messages(), 1, "nothing was sent twice or too late")
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	dot, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	w := newWorld(t, mxsim.Config{Final: func(*mxsim.Message) string {
		close(dot)
		<-release
		return "250 2.0.0 taken"
	}})
	d := w.start(t, w.config(t, ""))
	h := w.host(t)
	h.envelope("a@example.test")
	h.send(".\r\n")
	<-dot
	d.signals <- syscall.SIGTERM
	d.signals <- syscall.SIGTERM
	err := <-d.ended
	d.ended <- nil
	var f *failure
	require.ErrorAs(t, err, &f, "the end is told by an exit code")
	assert.Equal(t, exitTemporary, f.code, "that says to try again")
	rest, _ := io.ReadAll(h.in)
	assert.NotContains(t, string(rest), "250", "nothing is called delivered whose reply was not read: %q", rest)
	assert.True(t, strings.HasPrefix(string(rest), "451 4.4.2 "), "and the host MTA is told, not left: %q", rest)
}

func TestReloadOfABrokenFileChangesNothing(t *testing.T) {
	w := newWorld(t, mxsim.Config{})
	d := w.start(t, w.config(t, ""))
	require.NoError(t, os.Rename(w.path("deliveries.jsonl"), w.path("old.jsonl")), "logrotate moves the file")
	require.NoError(t, writeFile(w.path("smtpfeed.toml"), "hostname = \"other\nlevel"), "the configuration is broken")
	d.signals <- syscall.SIGHUP
	d.signals <- syscall.SIGHUP // taken when the first was obeyed
	assert.Contains(t, d.log.String(), "the configuration was not reloaded", "the operator is told")
	assert.NotContains(t, d.log.String(), "msg=reloaded", "and not the opposite behind it")
	assert.Equal(t, "feed.example.test", d.config.Hostname, "the old one stays in force")
	assert.FileExists(t, w.path("deliveries.jsonl"), "and the record file is opened anew, for logrotate")
}

func TestReloadAppliesWhatItCan(t *testing.T) {
	w := newWorld(t, mxsim.Config{})
	d := w.start(t, w.config(t, ""))
	deliver := func(to string) {
		h := w.host(t)
		h.envelope(to)
		h.send(".\r\n")
		h.expect("250")
	}
	deliver("a@example.test")
	require.NoError(t, os.Rename(w.path("deliveries.jsonl"), w.path("old.jsonl")), "logrotate moves the file")
	text, err := os.ReadFile(w.path("smtpfeed.toml"))
	require.NoError(t, err, "the configuration is there")
	changed := strings.NewReplacer("sessions = 100", "sessions = 101", `hostname = "feed`, `hostname = "food`).Replace(string(text)) + "level = \"debug\"\n"
	require.NoError(t, writeFile(w.path("smtpfeed.toml"), changed), "the configuration is changed")
	d.signals <- syscall.SIGHUP
	d.signals <- syscall.SIGHUP // taken when the first was obeyed
	deliver("b@example.test")
	assert.Len(t, readLines(t, w.path("old.jsonl")), 1, "the old file has what came before")
	assert.Len(t, readLines(t, w.path("deliveries.jsonl")), 1, "the new file what came after")
	assert.Equal(t, "DEBUG", d.level.Level().String(), "the level is in force")
	assert.Contains(t, d.log.String(), "key=smtp.sessions", "what needs a restart is named")
	assert.Contains(t, d.log.String(), "key=hostname", "each key")
	assert.NotContains(t, d.log.String(), "key=log.level", "but not what was applied")

	require.NoError(t, writeFile(w.path("smtpfeed.toml"), "[smtp]\nsesions = 1\n"), "the configuration is broken")
	d.signals <- syscall.SIGHUP
	d.signals <- syscall.SIGHUP
	assert.Contains(t, d.log.String(), "did you mean sessions?", "a broken file is told")
	deliver("c@example.test")
	assert.Len(t, readLines(t, w.path("deliveries.jsonl")), 2, "and changes nothing")
}

func TestServeRefusesToStart(t *testing.T) {
	for _, c := range []struct {
		rule, old, new string
		before         func(t *testing.T, w *world)
		code           int
		says           string
	}{
		{rule: "the LMTP socket in use", code: exitUnavailable, says: "in use", before: func(t *testing.T, w *world) { w.occupy(t, "lmtp.sock") }},
		{rule: "the admin socket in use", code: exitUnavailable, says: "admin.listen: ", before: func(t *testing.T, w *world) { w.occupy(t, "admin.sock") }},
		{rule: "a directory that is not there", old: "/lmtp.sock", new: "/none/lmtp.sock", code: exitUnavailable, says: "none"},
		{rule: "records in a directory that is not there", old: "/deliveries", new: "/none/deliveries", code: exitCantCreate, says: "set log.deliveries"},
		{rule: "nothing to listen on", old: `listen = ["`, new: `listen = [] # ["`, code: exitConfig, says: "nothing to listen on"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			w := newWorld(t, mxsim.Config{})
			file := w.config(t, "")
			text, err := os.ReadFile(file)
			require.NoError(t, err, "the configuration is there")
			require.NoError(t, writeFile(file, strings.Replace(string(text), c.old, c.new, 1)), "it is changed")
			if c.before != nil {
				c.before(t, w)
			}
			_, err = newDaemon(file, streams{err: io.Discard}, nil)
			var f *failure
			require.ErrorAs(t, err, &f, "the daemon does not start")
			assert.Equal(t, c.code, f.code, "the exit code says why: %v", err)
			assert.ErrorContains(t, err, c.says, "so does the error")
		})
	}
}

func (w *world) occupy(t *testing.T, name string) {
	l, err := net.Listen("unix", w.path(name))
	require.NoError(t, err, "somebody else listens")
	t.Cleanup(func() { l.Close() })
}

func TestServeTakesSocketsFromSystemd(t *testing.T) {
	w := newWorld(t, mxsim.Config{})
	file := w.config(t, "")
	l, err := net.Listen("unix", w.path("lmtp.sock"))
	require.NoError(t, err, "systemd listens")
	d, err := newDaemon(file, streams{err: io.Discard}, []net.Listener{l})
	require.NoError(t, err, "the socket systemd holds is not opened a second time")
	signals, ended := make(chan os.Signal), make(chan error)
	go func() { ended <- d.run(signals) }()
	h := w.host(t)
	h.envelope("a@example.test")
	h.send(".\r\n")
	h.expect("250")
	signals <- syscall.SIGTERM
	require.NoError(t, <-ended, "the daemon drains")
}

func TestListenFailure(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		says string
	}{
		{syscall.EADDRINUSE, exitUnavailable, "another smtpfeed runs"},
		{syscall.EACCES, exitPermission, "make its directory writable"},
		{syscall.ENOENT, exitCantCreate, "create its directory"},
		{syscall.EADDRNOTAVAIL, exitConfig, "no such address"},
		{errors.New("whatever"), exitUnavailable, "whatever; or change lmtp.listen"},
	} {
		err := listenFailure("lmtp.listen", fmt.Errorf("listen: %w", c.err))
		var f *failure
		require.ErrorAs(t, err, &f, "a failure has an exit code")
		assert.Equal(t, c.code, f.code, "the code of %v", c.err)
		assert.ErrorContains(t, err, c.says, "and what to do about it")
	}
}

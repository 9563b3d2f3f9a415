package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A postfix is an instance of its own: what it reads and writes is in one directory.
type postfix struct {
	dir  string
	addr string // of its SMTP server
}

// needPostfix fails loudly where the test cannot run: an end-to-end test that skips silently proves nothing.
func needPostfix(t *testing.T) {
	t.Helper()
	if os.Getenv("SMTPFEED_E2E") == "skip" {
		t.Skip("SMTPFEED_E2E=skip")
	}
	if _, err := exec.LookPath("postfix"); err != nil {
		t.Fatal("Postfix is not installed. Run\n\n" +
			"\tDEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postfix\n\n" +
			"or set SMTPFEED_E2E=skip")
	}
	if os.Geteuid() != 0 {
		t.Fatal("Postfix's master runs as root only: run the tests as root, or set SMTPFEED_E2E=skip")
	}
}

// startPostfix makes and starts an instance that delivers through smtpfeed's socket; settings are added to its main.cf, where the
// last one of a name counts.
func startPostfix(t *testing.T, socket string, settings ...string) *postfix {
	t.Helper()
	p := &postfix{dir: newDir(t, "postfix-"), addr: unusedAddr(t)}
	p.write(t, "main.cf", mainCF(append(p.settings(socket), settings...)))
	p.write(t, "master.cf", p.masterCF())
	for _, d := range []string{"queue", "data"} {
		require.NoError(t, os.Mkdir(filepath.Join(p.dir, d), 0o755), "Postfix has its directories")
	}
	p.own(t, "data")
	p.run(t, "postfix", "check") // makes what is below the queue directory
	showOnFailure(t, p.log())
	p.start(t)
	return p
}

// mainCF is a main.cf of these settings. The last one of a name counts; Postfix would warn at every command.
func mainCF(settings []string) string {
	var b strings.Builder
	for i, s := range settings {
		name, _, _ := strings.Cut(s, "=")
		again := func(later string) bool { return strings.HasPrefix(later, name+"=") }
		if !slices.ContainsFunc(settings[i+1:], again) {
			b.WriteString(s + "\n")
		}
	}
	return b.String()
}

// settings are those an operator makes for lists through smtpfeed, and apart from them what keeps Postfix quick and quiet.
func (p *postfix) settings(socket string) []string {
	return []string{
		"compatibility_level = 3.6",
		"queue_directory = " + p.dir + "/queue",
		"data_directory = " + p.dir + "/data",
		"maillog_file = " + p.log(),
		"maillog_file_prefixes = " + p.dir,
		"myhostname = host.e2e.test",
		"mydestination =",
		"inet_interfaces = 127.0.0.1",
		"inet_protocols = ipv4",
		"mynetworks = 127.0.0.0/8",
		"smtpd_relay_restrictions = permit_mynetworks, reject",
		"smtpd_recipient_restrictions =",
		"smtpd_peername_lookup = no",
		"smtp_dns_support_level = disabled",
		"smtp_tls_security_level = none",
		"lmtp_tls_security_level = none",
		"local_header_rewrite_clients =", // what was submitted stays as it is
		"in_flow_delay = 0",
		"alias_maps =",
		"notify_classes =",

		"default_transport = smtpfeed:unix:" + socket,
		"relay_transport = smtpfeed:unix:" + socket,
		"smtpfeed_destination_recipient_limit = 2000",
		"smtpfeed_initial_destination_concurrency = 200",
		"smtpfeed_destination_concurrency_limit = 200",
		"smtpfeed_destination_concurrency_failed_cohort_limit = 0",
		"qmgr_message_recipient_limit = 200000",
		"smtpfeed_recipient_limit = 200000",
		"duplicate_filter_limit = 0",
		"smtpd_recipient_limit = 200000",
	}
}

// masterCF has the services that mail needs, none of them in a chroot.
func (p *postfix) masterCF() string {
	services := []string{
		p.addr + " inet n - n - - smtpd",
		"smtpfeed unix - - n - 200 lmtp -o lmtp_data_done_timeout=3600s -o daemon_timeout=86400s",
		"postlog unix-dgram n - n - 1 postlogd",
		"qmgr unix n - n 300 1 qmgr",
		"pickup unix n - n 60 1 pickup",
		"cleanup unix n - n - 0 cleanup",
		"showq unix n - n - - showq",
		"flush unix n - n 1000? 0 flush",
		"rewrite unix - - n - - trivial-rewrite",
	}
	for _, s := range []string{"bounce", "defer", "trace"} {
		services = append(services, s+" unix - - n - 0 bounce")
	}
	for _, s := range []string{"anvil", "scache"} { // each knows about all others: there must be one
		services = append(services, s+" unix - - n - 1 "+s)
	}
	for _, s := range []string{"error", "retry"} {
		services = append(services, s+" unix - - n - - error")
	}
	services = append(services, "proxymap unix - - n - - proxymap", "smtp unix - - n - - smtp")
	return strings.Join(services, "\n") + "\n"
}

func (p *postfix) log() string { return filepath.Join(p.dir, "maillog") }

func (p *postfix) write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644), "Postfix is configured")
}

// own gives a directory to the user Postfix runs as, and nobody else.
func (p *postfix) own(t *testing.T, name string) {
	t.Helper()
	out, err := exec.Command("chown", "postfix", filepath.Join(p.dir, name)).CombinedOutput()
	require.NoError(t, err, "the user postfix exists: %s", out)
}

// run runs one of Postfix's commands on this instance and returns what it printed.
func (p *postfix) run(t assert.TestingT, command string, args ...string) []byte {
	var out, errs bytes.Buffer
	c := exec.Command(command, append([]string{"-c", p.dir}, args...)...)
	c.Stdout, c.Stderr = &out, &errs
	assert.NoError(t, c.Run(), "%s %v works: %s", command, args, &errs)
	return out.Bytes()
}

// keeper runs a command, and ends it and what is left of its process group when our end of the pipe closes: even if we are
// killed. The kernel's own signal to orphans (PR_SET_PDEATHSIG) is lost when a process changes its user, as the master does.
const keeper = `"$@" & read -r _; kill $!; wait $!; kill -9 -$!; exit 0`

// start starts the master as a descendant of ours, not as a daemon: nothing has to be found by its number in a file.
func (p *postfix) start(t *testing.T) {
	t.Helper()
	daemons, err := exec.Command("postconf", "-d", "-h", "daemon_directory").Output()
	require.NoError(t, err, "Postfix knows where its daemons are")
	master := filepath.Join(strings.TrimSpace(string(daemons)), "master")
	c := exec.Command("/bin/sh", "-c", keeper, "sh", master, "-c", p.dir, "-s")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what a terminal sends to us must not end the keeper first
	hold, err := c.StdinPipe()
	require.NoError(t, err, "there is a pipe")
	require.NoError(t, c.Start(), "Postfix starts")
	t.Cleanup(func() {
		hold.Close()
		assert.NoError(t, c.Wait(), "Postfix ends") // the master kills itself when its children take longer than 5 s
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", p.addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, patience, 20*time.Millisecond, "Postfix takes connections on %s", p.addr)
}

// A queued is a recipient in Postfix's queue.
type queued struct {
	queue   string // "active", "deferred" ...
	id      string
	address string
	reason  string // why it was not delivered yet
}

// queue lists all recipients that Postfix holds.
func (p *postfix) queue(t assert.TestingT) []queued {
	var all []queued
	d := json.NewDecoder(bytes.NewReader(p.run(t, "postqueue", "-j")))
	for d.More() {
		var m struct {
			Queue      string `json:"queue_name"`
			ID         string `json:"queue_id"`
			Recipients []struct {
				Address string `json:"address"`
				Reason  string `json:"delay_reason"`
			} `json:"recipients"`
		}
		if !assert.NoError(t, d.Decode(&m), "postqueue prints JSON") {
			return nil
		}
		for _, r := range m.Recipients {
			all = append(all, queued{m.Queue, m.ID, r.Address, r.Reason})
		}
	}
	return all
}

// settled waits until Postfix has done with everything for now, and returns what it keeps for later.
func (p *postfix) settled(t *testing.T, within time.Duration) []queued {
	t.Helper()
	var all []queued
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		all = p.queue(c)
		for _, q := range all {
			if q.queue != "deferred" {
				assert.Fail(c, fmt.Sprintf("%s of %s is still in the %s queue", q.address, q.id, q.queue))
				return
			}
		}
	}, within, 100*time.Millisecond, "Postfix tries every recipient")
	return all
}

// flush makes Postfix try everything again now.
func (p *postfix) flush(t assert.TestingT) { p.run(t, "postqueue", "-f") }

// unusedAddr is an address nobody listens on. Postfix cannot be given an open socket.
func unusedAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err, "there is a free port")
	defer l.Close()
	return l.Addr().String()
}

package security

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
)

// needRoot fails loudly where a test cannot be several users.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getenv("SMTPFEED_E2E") == "skip" {
		t.Skip("SMTPFEED_E2E=skip")
	}
	if os.Geteuid() != 0 {
		t.Fatal("only root can connect as several users: run the tests as root, or set SMTPFEED_E2E=skip")
	}
}

// greetingAs connects as a user, and returns the first line that is said to him.
func greetingAs(t *testing.T, d *daemon, uid int) (line string) {
	t.Helper()
	as(t, uid, func() {
		c, err := net.Dial("unix", d.socket())
		require.NoError(t, err, "user %d may connect", uid)
		defer c.Close()
		c.SetDeadline(time.Now().Add(feedd.Patience))
		line, err = bufio.NewReader(c).ReadString('\n')
		require.NoError(t, err, "user %d is greeted", uid)
	})
	return line
}

// as runs a function on a thread whose effective user is another one, which is what SO_PEERCRED tells. Only that thread changes: the
// system call is made for it alone. It comes back, for a thread that ends takes with it the processes that it started (Pdeathsig).
func as(t *testing.T, uid int, f func()) {
	t.Helper()
	become := func(uid int) {
		const same = ^uintptr(0)
		_, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, same, uintptr(uid), same)
		require.Zero(t, errno, "a thread can be user %d", uid)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	become(uid)
	defer become(0)
	f()
}

// The socket's mode lets everybody connect here; the list decides.
func TestOnlyListedUsersMayHandOverMail(t *testing.T) {
	needRoot(t)
	d := start(t, setting{lmtp: `peers = ["4242", "daemon"]`})
	for _, uid := range []int{0, 4242, 1} { // root always may, and daemon is 1
		assert.Regexp(t, "^220 ", greetingAs(t, d, uid), "user %d is served", uid)
	}
	for _, uid := range []int{4243, 2, 65534, 1<<31 - 1} {
		assert.Equal(t, fmt.Sprintf("421 4.7.1 user %d is not in lmtp.peers\r\n", uid), greetingAs(t, d, uid), "user %d is not", uid)
	}
	assert.Contains(t, d.log(t), "lmtp.peers", "the log says so")
	assert.Contains(t, d.ask(t, "/metrics"), "\nsmtpfeed_lmtp_connections_refused_total 4\n", "and the metrics count them")
	assert.Contains(t, d.ask(t, "/status"), "4 not in lmtp.peers", "as the status does")
}

// A socket that systemd opened and passes on (sd_listen_fds(3)) is guarded like one of smtpfeed's own.
func TestOnlyListedUsersOnAPassedSocket(t *testing.T) {
	needRoot(t)
	d := &daemon{dir: feedd.NewDir(t, "security-")}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: d.socket(), Net: "unix"})
	require.NoError(t, err, "there is a socket")
	defer l.Close()
	require.NoError(t, os.Chmod(d.socket(), 0o666), "everybody may connect")
	d.passed, err = l.File()
	require.NoError(t, err, "that can be passed on")
	defer d.passed.Close()
	d.serve(t, setting{lmtp: `peers = ["4242"]`})
	assert.Regexp(t, "^220 ", greetingAs(t, d, 4242), "who is listed is served")
	assert.Regexp(t, "^421 4.7.1 ", greetingAs(t, d, 4243), "nobody else is")
}

// Without a list the mode decides.
func TestEverybodyWithoutAList(t *testing.T) {
	needRoot(t)
	d := start(t, setting{})
	assert.Regexp(t, "^220 ", greetingAs(t, d, 4243), "the socket's mode lets him")
}

// failsToStart runs smtpfeed with a configuration that it must not take, and returns what it says.
func failsToStart(t *testing.T, s setting) string {
	t.Helper()
	d := &daemon{dir: feedd.NewDir(t, "security-")}
	s.server = "127.0.0.1:53"
	require.NoError(t, os.WriteFile(d.path("smtpfeed.toml"), []byte(s.text(d)), 0o600), "smtpfeed is configured")
	d.run(t, os.Getenv(feedd.BinaryVariable), "serve", "-c", d.path("smtpfeed.toml"))
	require.Error(t, d.cmd.Wait(), "smtpfeed does not start")
	assert.Contains(t, []int{69, 78}, d.cmd.ProcessState.ExitCode(), "because of its configuration, or an address that cannot be had")
	return d.log(t)
}

func TestListsAndAddressesThatCannotBeMeant(t *testing.T) {
	for _, row := range []struct{ name, lmtp, says string }{
		{"a user nobody knows", `peers = ["no-such-user"]`, `no user "no-such-user"`},
		{"the user who stands for many", `peers = ["65534"]`, "stands for everybody"},
		{"every address", `open_tcp = true` + "\n" + `listen = ["tcp::0"]`, "0.0.0.0"},
		{"an address of others", `listen = ["tcp:0.0.0.0:0"]`, "open_tcp = true"},
	} {
		t.Run(row.name, func(t *testing.T) {
			said := failsToStart(t, setting{lmtp: row.lmtp})
			assert.Contains(t, said, row.says, "it says what is wrong")
			assert.Contains(t, said, "lmtp.", "and with which key")
		})
	}
}

// What host MTAs do when their user is not listed: the mail stays in the queue, and goes when he is. None bounces it.
func TestHostsKeepMailWhenTheyAreNotListed(t *testing.T) {
	needRoot(t)
	feedd.NeedPostfix(t)
	for _, row := range []struct {
		name string
		make func(hosts.Setup) (hosts.Host, error)
		user string // who connects
	}{
		{"Postfix", func(s hosts.Setup) (hosts.Host, error) { return hosts.NewPostfix(s) }, "postfix"},
		{"Exim", func(s hosts.Setup) (hosts.Host, error) { s.Variant = "lmtp"; return hosts.NewExim(s) }, "9125"}, // of its own user
	} {
		t.Run(row.name, func(t *testing.T) {
			next := receive(t, leniencies()[0], false)
			d := start(t, setting{lmtp: `peers = ["4242"]`, routes: []string{"victim.test " + next.at()}})
			h, err := row.make(hosts.Setup{Dir: feedd.NewDir(t, "unlisted-"), Feed: "unix:" + d.socket()})
			require.NoError(t, err, "there is an instance of %s", row.name)
			feedd.ShowOnFailure(t, h.Log())
			require.NoError(t, h.Start(), "it starts")
			t.Cleanup(func() { assert.NoError(t, h.Stop(), "it ends") })
			_, err = hosts.Submit(h.Addr(), hosts.Mail{From: sender, To: []string{"a@victim.test"}, Content: "Subject: x\r\n\r\nx\r\n"})
			require.NoError(t, err, "it takes a mail")
			require.Eventually(t, func() bool { return refusedOnce(t, d) && keeps(t, h) }, feedd.Patience, 50*time.Millisecond, "and keeps it")
			tells := func() bool { return strings.Contains(feedd.ReadLog(t, h.Log()), "lmtp.peers") }
			require.Eventually(t, tells, feedd.Patience, 50*time.Millisecond, "its log, which another process writes, has what smtpfeed said")

			d.restart(t, strings.Replace(d.text(t), `["4242"]`, `["`+row.user+`"]`, 1))
			require.NoError(t, h.Flush(), "the administrator has corrected the list")
			require.Eventually(t, func() bool { return len(next.taken()) == 1 }, feedd.Patience, 50*time.Millisecond, "and the mail goes")
		})
	}
}

// refusedOnce says that smtpfeed has turned somebody away.
func refusedOnce(t *testing.T, d *daemon) bool {
	return !strings.Contains(d.ask(t, "/metrics"), "\nsmtpfeed_lmtp_connections_refused_total 0\n")
}

// keeps says that a host MTA has one recipient left, and tries it later.
func keeps(t *testing.T, h hosts.Host) bool {
	t.Helper()
	all, err := h.Queue()
	require.NoError(t, err, "the queue can be listed")
	return len(all) == 1 && !all[0].Active && all[0].Address == "a@victim.test"
}

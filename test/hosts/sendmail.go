package hosts

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// A Sendmail is an instance of Debian's sendmail, unpacked below Root. Beside the recommended variant, which uses smtpfeed's
// socket, it has "program", which runs Setup.Program for each message, "via", the same with a Program that has --via, and
// "queuegroup", which splits lists. A line of Setup.Settings is one of sendmail.mc.
type Sendmail struct {
	setup   Setup
	addr    string
	version string
	syslog  *syslog // while it runs
	binds   []bind
	*process
}

// NewSendmail makes an instance, its configuration and its queue. The user must be root.
func NewSendmail(s Setup) (*Sendmail, error) {
	if err := checkSendmail(s); err != nil {
		return nil, err
	}
	m := &Sendmail{setup: s}
	var err error
	if m.addr, err = unusedAddr(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(sendmailBinary()); err != nil {
		return nil, fmt.Errorf("sendmail is not below %s (test/hosts/need gets it): %w", Root(), err)
	}
	if m.binds, err = m.surroundings(); err != nil {
		return nil, err
	}
	if err := m.configure(); err != nil {
		return nil, err
	}
	for _, d := range []string{"queue", "queue/smtpfeed", "client"} {
		if err := os.Mkdir(s.path(d), 0o700); err != nil {
			return nil, err
		}
	}
	return m, errors.Join(os.Chown(s.path("client"), smmspUser.id, smmspUser.id), m.find())
}

// checkSendmail says what is wrong with a Setup, which in a .mc file nobody would see.
func checkSendmail(s Setup) error {
	if program := s.Variant == "program" || s.Variant == "via"; program != (len(s.Program) > 0) {
		return fmt.Errorf("sendmail: variant %q with the program %q", s.Variant, s.Program)
	}
	if s.Feed == "" || strings.HasPrefix(s.Feed, "unix:") {
		return nil
	}
	_, _, err := tcp(s.Feed)
	return err
}

// Accounts that Debian's packages make, and the one that smtpfeed's own guide does.
var (
	smmtaUser = account{"smmta", 9128}
	smmspUser = account{"smmsp", 9129}
	feedUser  = account{"smtpfeed", 9130}
)

// surroundings are what the instance sees of the machine that is not the machine's. Its /dev is our directory, whose devices are
// links to where the machine's /dev is to be found: a node of our own would not work where /tmp is mounted with nodev.
func (m *Sendmail) surroundings() ([]bind, error) {
	binds, err := m.setup.accounts(smmtaUser, smmspUser, feedUser)
	if err != nil {
		return nil, err
	}
	resolv, err := m.setup.resolvConf()
	if resolv != "" {
		binds = append(binds, bind{resolv, "/etc/resolv.conf"})
	}
	return append(binds, bind{m.setup.path("hosts"), "/etc/hosts"},
		bind{"/dev", m.setup.path("devices")}, bind{m.setup.path("dev"), "/dev"}), err
}

// sendmailHost is the name of the instance's machine.
const sendmailHost = "host.e2e.test"

// sendmailBinary is the program.
func sendmailBinary() string {
	return filepath.Join(Root(), "sendmail-bin/usr/libexec/sendmail/sendmail")
}

// find asks sendmail about itself, which also makes it read its configuration.
func (m *Sendmail) find() error {
	line := m.command("sendmail.cf", "-d0.1", "-bt")
	out, err := exec.Command(line[0], line[1:]...).CombinedOutput()
	v := regexp.MustCompile(`Version (\S+)`).FindSubmatch(out)
	if v == nil || err != nil {
		return fmt.Errorf("sendmail does not run: %v: %s", err, out)
	}
	m.version = string(v[1])
	return nil
}

// Name is "sendmail" and its version.
func (m *Sendmail) Name() string { return "sendmail " + m.version }

// Addr is where its daemon listens.
func (m *Sendmail) Addr() string { return m.addr }

// Log is what it tells syslog(3).
func (m *Sendmail) Log() string { return m.setup.path("maillog") }

// command is a command line of sendmail with one of the instance's configurations. It sees /dev/log as a socket of ours, since
// syslog(3) has no other way to say where it logs; Debian's accounts; and a qualified name of the machine, as sendmail otherwise
// waits a minute for one before it reads its configuration.
func (m *Sendmail) command(config string, args ...string) []string {
	const named = `hostname "$0" && exec "$@"`
	line := []string{"unshare", "--uts", "sh", "-c", named, sendmailHost, sendmailBinary(), "-C", m.setup.path(config)}
	return within(m.binds, append(line, args...)...)
}

// Sendmail is its sendmail(1), which gives mail to the daemon by SMTP, as Debian sets it up.
func (m *Sendmail) Sendmail(args ...string) *exec.Cmd {
	line := m.command("submit.cf", append([]string{"-Ac"}, args...)...)
	return exec.Command(line[0], line[1:]...)
}

// Verify is what "sendmail -bv" says of addresses.
func (m *Sendmail) Verify(addresses ...string) (string, error) {
	line := m.command("sendmail.cf", append([]string{"-bv"}, addresses...)...)
	out, err := exec.Command(line[0], line[1:]...).CombinedOutput()
	return string(out), err
}

// Start starts the daemon, which also runs the queue at once and then as often as Debian's does.
func (m *Sendmail) Start() error {
	var err error
	if m.syslog, err = listenSyslog(m.setup.path("dev/log"), m.Log()); err != nil {
		return err
	}
	m.process, err = launch("", m.setup.path("output"), m.command("sendmail.cf", "-bD", "-q10m")...)
	if err != nil {
		return errors.Join(err, m.syslog.close())
	}
	if err := listening(m.addr); err != nil {
		return errors.Join(fmt.Errorf("sendmail does not take connections: %w", err), m.Stop())
	}
	return nil
}

// Stop ends the daemon, and waits for the deliveries and queue runs, which are sessions of their own (setsid) and go on until
// they are done: as after "service sendmail stop".
func (m *Sendmail) Stop() error {
	err := m.end()
	for end := time.Now().Add(ending); ; time.Sleep(20 * time.Millisecond) {
		left := m.processes()
		if len(left) == 0 {
			return errors.Join(err, m.syslog.close())
		}
		if time.Now().After(end) {
			for _, pid := range left {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			err = errors.Join(err, fmt.Errorf("sendmail: processes %v did not end within %v", left, ending))
		}
	}
}

// processes are those of the instance: sendmail's work in its queue's directory.
func (m *Sendmail) processes() (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range all {
		var pid int
		cwd, err := os.Readlink(link) // a process may have ended since
		if err == nil && (cwd == m.setup.Dir || strings.HasPrefix(cwd, m.setup.Dir+"/")) {
			fmt.Sscanf(link, "/proc/%d/cwd", &pid)
			pids = append(pids, pid)
		}
	}
	return pids
}

// Reload makes the daemon start itself again by SIGHUP, as Debian's "service sendmail reload" does, and waits until it takes
// connections again: in between it refuses them. Deliveries go on.
func (m *Sendmail) Reload() error {
	pid, err := m.daemon()
	if err != nil {
		return err
	}
	before, err := os.Stat(m.setup.path("pid"))
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return err
	}
	for end := time.Now().Add(starting); ; time.Sleep(10 * time.Millisecond) {
		after, err := os.Stat(m.setup.path("pid"))
		if err == nil && after.ModTime() != before.ModTime() { // written when it listens
			return listening(m.addr)
		}
		if time.Now().After(end) {
			return fmt.Errorf("sendmail did not start itself again within %v", starting)
		}
	}
}

// Flush runs the queues once, that of sendmail(1) first, as "sendmail -Ac -q" and "sendmail -q" do: in processes that are not
// below Pid.
func (m *Sendmail) Flush() error {
	return errors.Join(run(m.command("submit.cf", "-Ac", "-q")...), run(m.command("sendmail.cf", "-q")...))
}

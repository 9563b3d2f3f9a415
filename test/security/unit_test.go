package security

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
)

// The unit that ships, and how much of the machine it may leave open: "systemd-analyze security" says 10 for everything, and below 2
// it says OK.
const (
	unit        = "../../cmd/smtpfeed/dist/smtpfeed.service"
	maxExposure = 1.5
)

// tool finds a program, or says loudly what is not tested without it.
func tool(t *testing.T, name, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("NOT TESTED: %s is missing. Run\n\n\tapt-get install -y --no-install-recommends %s\n", name, pkg)
	}
}

func TestExposure(t *testing.T) {
	tool(t, "systemd-analyze", "systemd")
	// It looks at its own copy: what it is called, and nothing else, decides what is read beside it.
	text, err := os.ReadFile(unit)
	require.NoError(t, err, "the unit can be read")
	path := filepath.Join(t.TempDir(), "smtpfeed.service")
	require.NoError(t, os.WriteFile(path, text, 0o644), "and copied")
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", path).CombinedOutput()
	require.NoError(t, err, "systemd reads the unit:\n%s", out)
	m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
	require.NotNil(t, m, "it says how exposed the unit is:\n%s", out)
	exposure, err := strconv.ParseFloat(string(m[1]), 64)
	require.NoError(t, err, "in a number")
	open := strings.Join(feedd.LinesWith(string(out), "\u2717"), "\n")
	assert.LessOrEqual(t, exposure, maxExposure, "little of the machine is open to smtpfeed:\n%s", open)
}

// settings are the values of a setting in the unit, in their order.
func settings(t *testing.T, name string) (values []string) {
	t.Helper()
	text, err := os.ReadFile(unit)
	require.NoError(t, err, "the unit can be read")
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			values = append(values, value)
		}
	}
	return values
}

// What the configuration says by itself and what the unit opens have to fit.
func TestDefaultsLieWhereTheUnitLets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "smtpfeed.toml")
	require.NoError(t, os.WriteFile(file, []byte("[dns]\nservers = [\"127.0.0.1:9\"]\n"), 0o600), "nobody's name servers are asked")
	out, err := exec.Command(os.Getenv(feedd.BinaryVariable), "check", "-c", file).CombinedOutput()
	require.NotEmpty(t, out, "the effective configuration is printed: %v", err)
	text := string(out)
	for _, setting := range []string{"RuntimeDirectory", "LogsDirectory", "StateDirectory", "ConfigurationDirectory"} {
		assert.Equal(t, []string{"smtpfeed"}, settings(t, setting), "%s= makes one of smtpfeed's own", setting)
	}
	for _, path := range regexp.MustCompile(`'(?:unix:)?(/[^']*)'`).FindAllStringSubmatch(text, -1) {
		assert.Regexp(t, `^/(?:run|var/log|var/lib)/smtpfeed/[a-z.]+$`, path[1], "a path of the default configuration is in a directory of the unit's")
	}
	assert.Empty(t, settings(t, "PrivateUsers"), "with it all users but two look the same, and lmtp.peers knows nobody")
}

// allowedCalls are the system calls that the unit lets through: those of the first list, less those of the lists behind a tilde.
func allowedCalls(t *testing.T) map[string]bool {
	t.Helper()
	allowed := map[string]bool{}
	for _, list := range settings(t, "SystemCallFilter") {
		without := strings.HasPrefix(list, "~")
		for _, name := range strings.Fields(strings.TrimPrefix(list, "~")) {
			for _, call := range calls(t, name) {
				allowed[call] = !without
			}
		}
	}
	return allowed
}

// calls are those of a group, with all groups in it.
func calls(t *testing.T, name string) (all []string) {
	t.Helper()
	if !strings.HasPrefix(name, "@") {
		return []string{name}
	}
	out, err := exec.Command("systemd-analyze", "syscall-filter", "--no-pager", name).Output()
	require.NoError(t, err, "systemd knows the group %s", name)
	for line := range strings.Lines(string(out)) {
		word := strings.TrimSpace(line)
		if strings.HasPrefix(line, " ") && !strings.HasPrefix(word, "#") && word != "" {
			all = append(all, calls(t, word)...)
		}
	}
	return all
}

// nobodys is a user who owns nothing and may nothing, as smtpfeed's is.
const nobodys = 61234

// traced runs smtpfeed as such a user under strace, through all that it does, and returns what it asked of the kernel.
func traced(t *testing.T) (trace, dir string) {
	t.Helper()
	next := receive(t, leniencies()[0], true)
	d := &daemon{dir: feedd.NewDir(t, "security-")}
	require.NoError(t, os.Chown(d.dir, nobodys, nobodys), "smtpfeed's user has a directory of its own")
	s := setting{
		server: serveDNS(t, "known.test. A 127.0.0.1\n"), routes: []string{"victim.test " + next.at()},
		smtp: "prohibited = []\nport = " + strings.Split(next.at(), "]:")[1], ledger: d.path("ledger.db"),
	}
	require.NoError(t, os.WriteFile(d.path("smtpfeed.toml"), []byte(s.text(d)), 0o644), "smtpfeed is configured")
	feedd.ShowOnFailure(t, d.path("log"))
	d.as = &syscall.Credential{Uid: nobodys, Gid: nobodys}
	d.run(t, "strace", "-D", "-f", "-q", "-s", "200", "-o", d.path("trace"), shipped(t), "serve", "-c", d.path("smtpfeed.toml"))
	require.Eventually(t, d.answers, feedd.Patience, glance, "smtpfeed answers")
	h := lhlo(t, d)
	for _, octets := range []string{"short\r\n", padding(1 << 20)} { // by DATA and by BDAT
		delivered(t, h.transaction(sender, []string{"a@victim.test", "b@known.test"}, wire(complete(octets))))
	}
	h.quit()
	d.ask(t, "/status")
	d.ask(t, "/metrics")
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGHUP), "smtpfeed reloads")
	require.Eventually(t, func() bool { return strings.Contains(d.log(t), "reloaded") }, feedd.Patience, glance, "and says so")
	d.stop(t)
	ended := func() bool { return strings.Contains(feedd.ReadLog(t, d.path("trace")), "+++ exited with 0 +++") }
	require.Eventually(t, ended, feedd.Patience, glance, "strace ends")
	return feedd.ReadLog(t, d.path("trace")), d.dir
}

// shipped builds smtpfeed as it ships: the race detector asks the kernel for things of its own.
func shipped(t *testing.T) (binary string) {
	t.Helper()
	binary = filepath.Join(feedd.NewDir(t, "security-"), "smtpfeed")
	out, err := exec.Command("go", "build", "-o", binary, "github.com/smtpfeed/smtpfeed/cmd/smtpfeed").CombinedOutput()
	require.NoError(t, err, "smtpfeed is built:\n%s", out)
	return binary
}

func TestTheUnitLetsItDoWhatItDoes(t *testing.T) {
	tool(t, "systemd-analyze", "systemd")
	tool(t, "strace", "strace")
	needRoot(t)
	trace, dir := traced(t)
	require.Contains(t, trace, "/ledger.db", "the ledger was at work")
	allowed := allowedCalls(t)
	require.True(t, allowed["read"] && allowed["mmap"] && !allowed["mount"] && !allowed["setuid"], "the unit's filter is understood")
	forbidden := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\d+ +([a-z0-9_]+)\(.*$`).FindAllStringSubmatch(trace, -1) {
		if !allowed[m[1]] {
			forbidden[m[1]] = m[0]
		}
	}
	assert.Empty(t, forbidden, "SystemCallFilter= lets through every system call")
	executable := regexp.MustCompile(`(?m)^.*PROT_WRITE\|PROT_EXEC.*$`).FindAllString(trace, -1)
	assert.Empty(t, executable, "MemoryDenyWriteExecute= denies nothing: not to the ledger's memory, nor to Go's")
	families := strings.Fields(strings.Join(settings(t, "RestrictAddressFamilies"), " "))
	for _, m := range regexp.MustCompile(`(?m)^\d+ +socket\((AF_[A-Z0-9]+)`).FindAllStringSubmatch(trace, -1) {
		assert.Contains(t, families, m[1], "RestrictAddressFamilies= lets through every socket")
	}
	for _, m := range regexp.MustCompile(`(?m)^\d+ +openat\(AT_FDCWD, "([^"]*)", [A-Z_|]*(?:O_WRONLY|O_RDWR|O_CREAT).*$`).FindAllStringSubmatch(trace, -1) {
		assert.True(t, strings.HasPrefix(m[1], dir+"/") || m[1] == os.DevNull, "ProtectSystem=strict: it writes to its own directories: %s", m[0])
	}
	denied := slices.DeleteFunc(regexp.MustCompile(`(?m)^.* = -1 E(?:PERM|ACCES).*$`).FindAllString(trace, -1), func(line string) bool {
		return strings.Contains(line, "epoll_ctl") // says so of plain files, whoever asks
	})
	assert.Empty(t, denied, "and nothing that it asks for is denied to a user without any rights")
}

// A second opinion: the same list, and the kernel's own words for what has no place in a program that only talks.
func TestTheUnitForbidsWhatItNeverDoes(t *testing.T) {
	tool(t, "systemd-analyze", "systemd")
	allowed := allowedCalls(t)
	for _, call := range strings.Fields("ptrace mount umount2 pivot_root chroot setuid setgid setresuid chown fchown bpf perf_event_open init_module " +
		"kexec_load reboot swapon settimeofday clock_settime acct quotactl keyctl io_uring_setup open_by_handle_at process_vm_writev setrlimit sched_setscheduler mbind setpriority") {
		assert.False(t, allowed[call], fmt.Sprintf("%s is not let through", call))
	}
}

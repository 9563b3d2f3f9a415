package resources

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hostsim"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// plainVariable names the directory for plainBinary.
const plainVariable = "SMTPFEED_RESOURCES_PLAIN"

// plainBinary is smtpfeed without the race detector, which takes several times the memory: what is measured must be what operators get.
var plainBinary = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(os.Getenv(plainVariable), "smtpfeed")
	out, err := exec.Command("go", "build", "-o", binary, "github.com/smtpfeed/smtpfeed/cmd/smtpfeed").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
})

// A crowd is many host MTAs, each with a message of its own.
type crowd struct {
	hosts, size int
	world       internet.Config
	// full is opened when the first host MTA was answered, for lack of memory, or when each message has reached its mail host. Mail hosts do
	// not answer before: on a machine that is busy the first messages would else be gone before the last ones come.
	full  *feedd.Gate
	taken *atomic.Int64
}

// newCrowd is one whose world is still to be started.
func newCrowd(t *testing.T, hosts, size int, world internet.Config) crowd {
	c := crowd{hosts: hosts, size: size, world: world, full: feedd.NewGate(t), taken: new(atomic.Int64)}
	c.world.MX.Final = func(*mxsim.Message) string {
		if c.taken.Add(1) == int64(hosts) {
			c.full.Open()
		}
		c.full.Wait()
		return ""
	}
	return c
}

// A verdict is what a host MTA was told of its message.
type verdict struct {
	number int
	full   bool // 452 4.3.1, at MAIL or at the end
	reply  string
}

// deliver lets these hosts connect and send at once, and returns what each was told.
func (c crowd) deliver(p *program, numbers []int) []verdict {
	verdicts := make([]verdict, len(numbers))
	var hosts sync.WaitGroup
	for i, n := range numbers {
		hosts.Go(func() {
			m := hostsim.Message{From: "list@sender.test", To: []string{internet.Recipient(n, c.world)}, Body: content(n, c.size)}
			outcomes, _, err := p.deliver(m)
			v := verdict{number: n}
			if err != nil {
				v.reply = err.Error()
			} else {
				v.reply = fmt.Sprintf("%d %s", outcomes[0].Code, outcomes[0].Text)
			}
			v.full = strings.Contains(v.reply, "452 4.3.1")
			c.full.Open()
			verdicts[i] = v
		})
	}
	hosts.Wait()
	return verdicts
}

// deliverAll lets all hosts try until each has got its message off: how many were refused at first, and how often it took.
func (c crowd) deliverAll(t *testing.T, p *program) (first, rounds int) {
	t.Helper()
	waiting := make([]int, c.hosts)
	for i := range waiting {
		waiting[i] = i
	}
	for ; len(waiting) > 0; rounds++ {
		require.Less(t, rounds, 100, "the host MTAs come to an end with their mail")
		var again []int
		for _, v := range c.deliver(p, waiting) {
			if v.full {
				again = append(again, v.number)
				continue
			}
			require.True(t, strings.HasPrefix(v.reply, "250 "), "a message is taken or refused for lack of memory, and nothing else: %q", v.reply)
		}
		if rounds == 0 {
			first = len(again)
		}
		waiting = again
	}
	return first, rounds
}

func TestMemoryBudget(t *testing.T) {
	binary, err := plainBinary()
	require.NoError(t, err, "smtpfeed is built")
	memory, size := int64(32<<20), 256<<10
	if large() {
		memory, size = 4*memory, 4*size
	}
	c := newCrowd(t, 500, size, internet.Config{Domains: 100, Hosts: 100, Additional: true, Processing: 200 * time.Millisecond})
	w := startWorld(t, c.world)
	p := start(t, setup{binary: binary, dns: w.DNSAddr(), port: w.Port(), lmtp: fmt.Sprintf("max_message_size = \"1MiB\"\nmemory = \"%dMiB\"", memory>>20), smtp: "idle_timeout = \"1s\""})
	p.warm(t)
	before := p.footprint(t)

	refused, rounds := c.deliverAll(t, p)
	after := p.footprint(t)
	t.Logf("%d hosts with %d MiB together, %d MiB allowed: %d refused at first; all delivered in %d rounds", c.hosts, c.hosts*c.size>>20, memory>>20, refused, rounds)
	t.Logf("before: %v", before)
	t.Logf("after:  %v", after)
	assert.Positive(t, refused, "what would not fit is refused")
	r := w.Report()
	assert.Equal(t, c.hosts, r.Recipients, "nothing is lost")
	assert.Zero(t, r.Duplicates.Count, "nothing comes twice")
	// What is promised: the contents, 256 MiB for all else, garbage too, and the program itself.
	const overhead = 288 << 20
	assert.LessOrEqual(t, after.peak, memory+overhead, "memory stays within lmtp.memory and the stated overhead")
	p.settle(t, before)
}

// TestMemoryLimit runs smtpfeed in a cgroup that gives it less memory than lmtp.memory allows: it must find that out by itself, and say
// 452 before the kernel kills it. The cgroup is one that smtpfeed sees and the kernel does not, so that the test needs no right to make one;
// what it would have counted is measured.
func TestMemoryLimit(t *testing.T) {
	binary, err := plainBinary()
	require.NoError(t, err, "smtpfeed is built")
	const limit = 320 << 20
	pretendLimit(t, limit)
	hosts := 500
	if large() {
		hosts *= 4
	}
	c := newCrowd(t, hosts, 512<<10, internet.Config{Domains: 100, Hosts: 100, Additional: true, Processing: time.Second})
	w := startWorld(t, c.world)
	p := start(t, setup{binary: binary, dns: w.DNSAddr(), port: w.Port(), lmtp: "memory = \"1GiB\"", smtp: "idle_timeout = \"1s\""})
	p.warm(t)
	before := p.footprint(t)
	first, rounds := c.deliverAll(t, p)
	assert.Positive(t, first, "what does not fit is refused")
	assert.Equal(t, c.hosts, w.Report().Recipients, "nothing is lost")
	after := p.footprint(t)
	t.Logf("%d hosts with %d MiB together, in %d MiB: %d refused at first, all delivered in %d rounds; %v", c.hosts, c.hosts*c.size>>20, limit>>20, first, rounds, after)
	assert.Less(t, after.peak, int64(limit), "the kernel has no reason to kill it")
	p.settle(t, before)
}

// pretendLimit shows a file system of cgroups to processes in this mount namespace, in which each has that limit of memory.
func pretendLimit(t *testing.T, limit int) {
	t.Helper()
	const root = "/sys/fs/cgroup"
	membership, err := os.ReadFile("/proc/self/cgroup")
	require.NoError(t, err, "this process is in cgroups")
	require.NoError(t, unix.Mount("tmpfs", root, "tmpfs", 0, "mode=755"), "there is room for others")
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	for line := range strings.Lines(string(membership)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number:controllers:path, see cgroups(7)
		dir, file := filepath.Join(root, fields[2]), "memory.max"
		if fields[1] != "" {
			dir, file = filepath.Join(root, fields[1], fields[2]), "memory.limit_in_bytes"
		}
		require.NoError(t, os.MkdirAll(dir, 0o755), "there is a cgroup")
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), fmt.Appendln(nil, limit), 0o644), "with a limit")
	}
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

// postfix is the host MTA alone, delivering with its own smtp(8). It has been warmed up, so that its processes are there, and the
// clock starts when messages that are complete in its queue are shown to the queue manager: intake, which every other way has too, is
// left out.
type postfix struct{ tuned bool }

// What the table calls the two of them.
const (
	postfixName = "Postfix"
	tunedName   = "Postfix, tuned"
)

func (postfix) remembers() bool { return false }

func (p postfix) name() string {
	if p.tuned {
		return tunedName
	}
	return postfixName
}

// dnsForPostfix is where the world's DNS server must be for Postfix to find it: resolv.conf has no ports.
const dnsForPostfix = "127.0.53.53:53"

// Where Postfix takes mail. On 127.0.0.1 any port may be some client's, which here are thousands, and Postfix cannot be given an
// open socket.
const (
	heldAddr = "127.0.53.53:10025" // what comes in here is held
	openAddr = "127.0.53.53:10026" // what comes in here is delivered
)

// noPostfix says why Postfix cannot run here; nil: it can.
func noPostfix() error {
	if os.Geteuid() != 0 {
		return errors.New("bench: Postfix's master, and a private resolv.conf, need root")
	}
	for _, command := range []string{"postfix", "unshare", "mount"} {
		if _, err := exec.LookPath(command); err != nil {
			return err
		}
	}
	return nil
}

// begin starts Postfix, warms it up and puts the work into its queue, where it is held.
func (p postfix) begin(s shape, w *world) (job, error) {
	m, err := startMaster(p, s, w)
	if err != nil {
		return nil, err
	}
	if err := m.warm(); err != nil {
		return nil, errors.Join(fmt.Errorf("warming up: %w", err), m.end())
	}
	if err := m.inject(); err != nil {
		return nil, errors.Join(fmt.Errorf("injection: %w", err), m.end())
	}
	return m, nil
}

func (m *master) deliver() (f figures, err error) {
	before, err := treeCPU(m.cmd.Process.Pid)
	if err != nil {
		return f, err
	}
	f.began = time.Now()
	if err := m.release(); err != nil {
		return f, err
	}
	if err := m.w.waitFor(m.s.recipients, patience); err != nil {
		return f, m.failure(err.Error())
	}
	if err := m.emptied(); err != nil {
		return f, err
	}
	return m.measure(f, before)
}

// patience is how long a run may take: by default Postfix waits 30 s for each of 1,000 silent hosts, 100 at a time.
const patience = 15 * time.Minute

// A master is one running instance with a shape to do. Its files are all in one directory.
type master struct {
	postfix
	s   shape
	w   *world
	dir string
	cmd *exec.Cmd
}

func startMaster(p postfix, s shape, w *world) (*master, error) {
	dir, err := os.MkdirTemp("", "postfix-bench-")
	if err != nil {
		return nil, err
	}
	m := &master{postfix: p, s: s, w: w, dir: dir}
	if err := m.prepare(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := m.start(); err != nil {
		return nil, errors.Join(err, m.end())
	}
	return m, nil
}

// start runs the master as our child, in a mount namespace where resolv.conf is the world's, and waits for its SMTP server.
func (m *master) start() error {
	daemons, err := exec.Command("postconf", "-d", "-h", "daemon_directory").Output()
	if err != nil {
		return err
	}
	const private = `mount --bind "$0" /etc/resolv.conf && exec "$@"`
	m.cmd = exec.Command("unshare", "--mount", "sh", "-c", private, m.path("resolv.conf"),
		filepath.Join(strings.TrimSpace(string(daemons)), "master"), "-c", m.dir, "-s")
	m.cmd.Stderr = os.Stderr
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	if err := m.cmd.Start(); err != nil {
		return err
	}
	for range 500 {
		if p, err := dial(openAddr); err == nil {
			p.quit()
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return m.failure("it does not take connections")
}

func (m *master) path(name ...string) string {
	return filepath.Join(append([]string{m.dir}, name...)...)
}

// failure has the end of Postfix's log in it.
func (m *master) failure(what string) error {
	log, _ := os.ReadFile(m.path("maillog")) // none is as good as an empty one
	return fmt.Errorf("bench: Postfix: %s\n%s", what, log[max(0, len(log)-4000):])
}

// warm has as many recipients delivered as there may be processes, each in a domain of its own as far as there are. Connections stay open
// for 2 s at most (smtp_connection_cache_time_limit), which the injection outlasts or the world counts as they are used again.
func (m *master) warm() error {
	n := min(m.s.world.Domains, m.processes())
	if err := submit(openAddr, []submission{{transaction{From: sender, To: internet.List(m.s.world, n)}, letter()}}); err != nil {
		return err
	}
	if err := m.w.waitFor(n, patience); err != nil {
		return m.failure(err.Error())
	}
	return m.emptied()
}

// injectors is how many connections bring the messages of a personal shape: enough to keep two cores busy.
const injectors = 8

// xverp asks for an envelope sender of its own for each recipient, as verpSender (Postfix's VERP_README).
const xverp = " XVERP=+="

// inject puts the work of a shape into the queue, where it is held.
func (m *master) inject() error {
	s := m.s
	if !s.personal() {
		t := transaction{From: sender, To: internet.List(s.world, s.recipients)}
		if s.verp {
			t.Params = xverp
		}
		return submit(heldAddr, []submission{{t, letter()}})
	}
	shares := make([][]submission, injectors)
	for i := range s.recipients {
		to := internet.Recipient(i, s.world)
		shares[i%injectors] = append(shares[i%injectors], submission{transaction{From: sender, To: []string{to}}, letterTo(to)})
	}
	var all sync.WaitGroup
	errs := make([]error, injectors)
	for k, share := range shares {
		all.Go(func() { errs[k] = submit(heldAddr, share) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// A submission is one message for the queue.
type submission struct {
	transaction
	body []byte
}

func submit(addr string, messages []submission) error {
	p, err := dial(addr)
	if err != nil {
		return err
	}
	defer p.quit()
	for _, s := range messages {
		if err := p.deliver(append(s.body, ".\r\n"...), []transaction{s.transaction}); err != nil {
			return err
		}
	}
	return nil
}

// release moves what was held to where new mail comes in, and tells the queue manager as cleanup(8) does. Mail released with postsuper
// would go through the deferred queue, as if it had been tried before.
func (m *master) release() error {
	held, err := os.ReadDir(m.path("queue", "hold"))
	if err != nil {
		return err
	}
	for _, e := range held {
		if err := os.Rename(m.path("queue", "hold", e.Name()), m.path("queue", "incoming", e.Name())); err != nil {
			return err
		}
	}
	c, err := net.Dial("unix", m.path("queue", "public", "qmgr"))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte("I")) // QMGR_REQ_SCAN_INCOMING
	return err
}

// emptied waits until the queue manager has nothing left: then what a delivery costs has been spent.
func (m *master) emptied() error {
	for range 500 {
		left := 0
		for _, queue := range []string{"incoming", "active", "deferred"} {
			left += files(m.path("queue", queue))
		}
		if left == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return m.failure("recipients have arrived and are still in the queue")
}

// files counts those below a directory.
func files(dir string) (n int) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return nil // what disappears meanwhile is none
	})
	return n
}

// measure adds up Postfix's processes. Those that deliver stay idle for 100 s (max_idle), and one that ends after 100 mails (max_use)
// is replaced: so memory at the end is memory at the peak, and asking at the end disturbs nothing.
func (m *master) measure(f figures, before time.Duration) (figures, error) {
	after, err := treeCPU(m.cmd.Process.Pid)
	if err != nil {
		return f, err
	}
	f.CPU = (after - before).Seconds()
	memory, err := treeMemory(m.cmd.Process.Pid)
	f.Memory = float64(memory)
	return f, err
}

// end ends the master, which ends its children, and whatever is left of its process group.
func (m *master) end() error {
	defer os.RemoveAll(m.dir)
	hung := time.AfterFunc(10*time.Second, func() { m.cmd.Process.Kill() })
	defer hung.Stop()
	m.cmd.Process.Signal(syscall.SIGTERM)
	m.cmd.Wait() // it ends by the signal, which is no failure
	err := syscall.Kill(-m.cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

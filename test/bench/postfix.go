package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/test/hosts"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// postfix is the host MTA alone, delivering with its own smtp(8). It has been warmed up, so that its processes are there, and the
// clock starts when messages that are complete in its queue are shown to the queue manager: intake, which every other way has too, is
// left out.
type postfix struct {
	tuned bool
	guard guard
}

// What the table calls the two of them.
const (
	postfixName = "Postfix"
	tunedName   = "Postfix, tuned"
)

// remembers is about sessions of TLS, which the second list resumes.
func (p postfix) remembers() bool { return p.guard != asShipped }

func (p postfix) name() string {
	if p.tuned {
		return p.guard.named(tunedName)
	}
	return p.guard.named(postfixName)
}

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

// patience is how long a run may take: by default Postfix waits 30 s for each of 1,000 silent hosts, 100 at a time.
const patience = 15 * time.Minute

// A master is one running instance with a shape to do.
type master struct {
	postfix
	*instance
	s shape
	w *world
}

func startMaster(p postfix, s shape, w *world) (*master, error) {
	setup, err := w.setup()
	if err != nil {
		return nil, err
	}
	setup.Tuned, setup.Settings = p.tuned, p.settings(s)
	i, err := startInstance(postfixKind(), setup)
	if err != nil {
		return nil, err
	}
	return &master{p, i, s, w}, nil
}

// settings are those of the bench: everything of the work's sender is held, so that intake is not measured, and Postfix has the processes
// that the shape asks for.
func (p postfix) settings(s shape) []string {
	return append([]string{
		"smtpd_sender_restrictions = check_sender_access inline:{" + sender + "=HOLD}",
		"default_process_limit = " + strconv.Itoa(p.processes(s)),
	}, p.guard.settings()...)
}

// processes is default_process_limit: how many messages are in flight. Tuned for personal mail it is as many as smtpfeed is given.
func (p postfix) processes(s shape) int {
	switch {
	case !p.tuned:
		return 100
	case s.personal():
		return s.callers
	}
	return 1000
}

func (m *master) deliver() (f figures, err error) {
	before, err := treeCPU(m.host.Pid())
	if err != nil {
		return f, err
	}
	f.began = time.Now()
	if err := m.release(); err != nil {
		return f, err
	}
	if err := m.w.waitFor(m.s.recipients, patience); err != nil {
		return f, m.failure(err)
	}
	if err := m.emptied(); err != nil {
		return f, err
	}
	return m.measure(f, before)
}

// warm has as many recipients delivered as there may be processes, each in a domain of its own as far as there are. Connections stay open
// for 2 s at most (smtp_connection_cache_time_limit), which the injection outlasts or the world counts as they are used again.
func (m *master) warm() error { return m.instance.warm(m.s, m.w, m.processes(m.s)) }

// reload puts the same work into the queue again.
func (m *master) reload() error { return m.inject() }

// injectors is how many connections bring the messages of a personal shape: enough to keep two cores busy.
const injectors = 8

// xverp asks for an envelope sender of its own for each recipient, as verpSender (Postfix's VERP_README).
const xverp = " XVERP=+="

// inject puts the work of a shape into the queue, where it is held.
func (m *master) inject() error {
	s := m.s
	if !s.personal() {
		mail := hosts.Mail{From: sender, To: internet.List(s.world, s.recipients), Content: string(letter())}
		if s.verp {
			mail.Params = xverp
		}
		_, err := hosts.Submit(m.host.Addr(), mail)
		return err
	}
	shares := make([][]hosts.Mail, injectors)
	for i := range s.recipients {
		to := internet.Recipient(i, s.world)
		shares[i%injectors] = append(shares[i%injectors], hosts.Mail{From: sender, To: []string{to}, Content: string(letterTo(to))})
	}
	var all sync.WaitGroup
	errs := make([]error, injectors)
	for k, share := range shares {
		all.Go(func() { _, errs[k] = hosts.Submit(m.host.Addr(), share...) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// release moves what was held to where new mail comes in, and tells the queue manager as cleanup(8) does. Mail released with postsuper
// would go through the deferred queue, as if it had been tried before.
func (m *master) release() error {
	queue := filepath.Join(m.dir, "queue")
	held, err := os.ReadDir(filepath.Join(queue, "hold"))
	if err != nil {
		return err
	}
	for _, e := range held {
		if err := os.Rename(filepath.Join(queue, "hold", e.Name()), filepath.Join(queue, "incoming", e.Name())); err != nil {
			return err
		}
	}
	c, err := net.Dial("unix", filepath.Join(queue, "public", "qmgr"))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte("I")) // QMGR_REQ_SCAN_INCOMING
	return err
}

// measure adds up Postfix's processes. Those that deliver stay idle for 100 s (max_idle), and one that ends after 100 mails (max_use)
// is replaced: so memory at the end is memory at the peak, and asking at the end disturbs nothing.
func (m *master) measure(f figures, before time.Duration) (figures, error) {
	after, err := treeCPU(m.host.Pid())
	if err != nil {
		return f, err
	}
	f.CPU = (after - before).Seconds()
	memory, err := treeMemory(m.host.Pid())
	f.Memory = float64(memory)
	return f, err
}

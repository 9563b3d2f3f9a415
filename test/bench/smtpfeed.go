package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/smtpfeed/smtpfeed/test/hostsim"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// feeder is smtpfeed with its defaults, delivery records included, handed its mail by LMTP. Each run has a process of its own: it
// knows no host and no domain.
type feeder struct {
	program string
	profile string // where profiles go; "" is nowhere
}

func (feeder) name() string { return "smtpfeed" }

func (f feeder) deliver(s shape, w *world) (figures, error) {
	d, err := startDaemon(f.program, w)
	if err != nil {
		return figures{}, err
	}
	defer d.stop()
	if s.personal {
		if err := warm(s, w, d); err != nil {
			return figures{}, err
		}
	}
	profiled := d.profile(f.profile, s.key)
	g, err := d.handOver(s)
	<-profiled
	if err != nil {
		return g, fmt.Errorf("%w\n%s", err, d.log.String())
	}
	return g, nil
}

// handOver gives the work to smtpfeed and measures it.
func (d *daemon) handOver(s shape) (f figures, err error) {
	before, err := cpu(d.cmd.Process.Pid)
	if err != nil {
		return f, err
	}
	do := d.list
	if s.personal {
		do = d.letters
	}
	if f, err = do(s); err != nil {
		return f, err
	}
	return f.measure(d.cmd.Process.Pid, before)
}

// list hands one message over in one LMTP transaction.
func (d *daemon) list(s shape) (f figures, err error) {
	c, err := hostsim.Dial("unix", d.socket)
	if err != nil {
		return f, err
	}
	defer c.Close()
	m := hostsim.Message{From: sender, To: internet.List(s.world, s.recipients), Body: letter()}
	f.began = time.Now()
	r, err := c.Deliver(m, nil)
	if err != nil {
		return f, err
	}
	f.Dot = r.Dot.Seconds()
	return f, delivered(r)
}

// delivered finds the first recipient who was not.
func delivered(r hostsim.Result) error {
	for _, o := range r.Outcomes() {
		if o.Code != 250 {
			return fmt.Errorf("smtpfeed answered %d %s", o.Code, o.Text)
		}
	}
	return nil
}

// callers is how many LMTP connections a personal shape uses: as many as Postfix is told to in our documentation.
const callers = 200

// letters hands over one message for each recipient, and says how long a message was with smtpfeed in the mean: from its dot to its
// final reply.
func (d *daemon) letters(s shape) (f figures, err error) {
	var all sync.WaitGroup
	errs := make([]error, callers)
	spent := make([]time.Duration, callers)
	f.began = time.Now()
	for k := range callers {
		all.Go(func() { spent[k], errs[k] = d.caller(s, k) })
	}
	all.Wait()
	var sum time.Duration
	for _, t := range spent {
		sum += t
	}
	f.Mean = sum.Seconds() / float64(s.recipients)
	return f, errors.Join(errs...)
}

// caller is LMTP connection k, with every message whose number is k modulo callers.
func (d *daemon) caller(s shape, k int) (spent time.Duration, err error) {
	c, err := hostsim.Dial("unix", d.socket)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	for i := k; i < s.recipients; i += callers {
		to := internet.Recipient(i, s.world)
		r, err := c.Deliver(hostsim.Message{From: sender, To: []string{to}, Body: letterTo(to)}, nil)
		if err != nil {
			return spent, err
		}
		if err := delivered(r); err != nil {
			return spent, err
		}
		spent += r.Final[0].At - r.Dot
	}
	return spent, nil
}

// warm does the work of a personal shape's first seconds, so that every host has its sessions, and makes the world forget it.
func warm(s shape, w *world, d *daemon) error {
	s.recipients = min(s.recipients, 5*callers)
	if _, err := d.letters(s); err != nil {
		return err
	}
	return w.reset()
}

// A daemon is the process.
type daemon struct {
	cmd         *exec.Cmd
	dir, socket string
	log         bytes.Buffer
}

func startDaemon(program string, w *world) (*daemon, error) {
	dir, err := os.MkdirTemp("", "smtpfeed-bench-")
	if err != nil {
		return nil, err
	}
	d := &daemon{dir: dir, socket: filepath.Join(dir, "lmtp.sock")}
	file := filepath.Join(dir, "smtpfeed.toml")
	if err := os.WriteFile(file, []byte(d.config(w)), 0o600); err != nil {
		return nil, err
	}
	d.cmd = exec.Command(program, "serve", "-c", file)
	d.cmd.Stderr, d.cmd.Stdout = &d.log, &d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (make bench builds it)", err)
	}
	for range 500 {
		if c, err := hostsim.Dial("unix", d.socket); err == nil {
			return d, c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.stop()
	return nil, errors.New("smtpfeed did not start:\n" + d.log.String())
}

// config is the defaults but for where things are.
func (d *daemon) config(w *world) string {
	return fmt.Sprintf(`hostname = "lists.example.org"
[lmtp]
listen = ["unix:%s"]
[dns]
servers = [%q]
[smtp]
port = %s
prohibited = []   # the simulated internet is on loopback
[log]
deliveries = %q
[admin]
listen = "unix:%s"
`, d.socket, w.dns, w.port, filepath.Join(d.dir, "deliveries.jsonl"), filepath.Join(d.dir, "admin.sock"))
}

func (d *daemon) stop() {
	d.cmd.Process.Signal(syscall.SIGTERM)
	d.cmd.Wait()
	os.RemoveAll(d.dir)
}

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/smtpfeed/smtpfeed/test/hostsim"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// feeder is smtpfeed with its defaults, delivery records included, handed its mail by LMTP. Each round has a process of its own: it
// knows no host and no domain.
type feeder struct {
	program string
	profile string // where profiles go; "" is nowhere
	ledger  ledgerWay
	guard   guard
	doors   []string // "unix:PATH" or "tcp:IP:PORT" where it listens beside its socket
}

// A ledgerWay is how deliveries are kept.
type ledgerWay string

const (
	ledgerProcess ledgerWay = "" // as by default
	ledgerOff     ledgerWay = "off"
	ledgerPower   ledgerWay = "power"
)

func (f feeder) name() string {
	switch f.ledger {
	case ledgerOff:
		return "smtpfeed, no ledger"
	case ledgerPower:
		return "smtpfeed, ledger sync = power"
	default:
		return f.guard.named("smtpfeed")
	}
}

// config is the [ledger] table.
func (l ledgerWay) config(dir string) string {
	switch path := filepath.Join(dir, "ledger.db"); l {
	case ledgerOff:
		return "[ledger]\npath = \"\"\n"
	case ledgerPower:
		return fmt.Sprintf("[ledger]\npath = %q\nsync = \"power\"\n", path)
	default:
		return fmt.Sprintf("[ledger]\npath = %q\n", path)
	}
}

func (feeder) remembers() bool { return true }

// A feederJob is the process. For a personal shape it has its sessions.
type feederJob struct {
	*daemon
	feeder
	s shape
}

func (f feeder) begin(s shape, w *world) (job, error) {
	d, err := startDaemon(f, s, w)
	if err != nil {
		return nil, err
	}
	if s.personal() {
		if err := d.warm(s); err != nil {
			return nil, errors.Join(fmt.Errorf("warming up: %w\n%s", err, d.said()), d.stop())
		}
	}
	return feederJob{d, f, s}, nil
}

// deliver gives the work to smtpfeed and measures it.
func (j feederJob) deliver() (f figures, err error) {
	before, err := cpu(j.cmd.Process.Pid)
	if err != nil {
		return f, err
	}
	do := j.list
	if j.s.personal() {
		do = j.letters
	}
	end := j.daemon.profile(j.feeder.profile, j.s.key)
	f, err = do(j.s)
	end()
	if err != nil {
		return f, fmt.Errorf("%w\n%s", err, j.said())
	}
	return f.measure(j.cmd.Process.Pid, before)
}

func (j feederJob) end() error { return j.stop() }

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

// letters hands over one message for each recipient, and says how long a message was with smtpfeed in the mean: from its dot to its
// final reply.
func (d *daemon) letters(s shape) (f figures, err error) {
	var all sync.WaitGroup
	errs := make([]error, s.callers)
	spent := make([]time.Duration, s.callers)
	f.began = time.Now()
	for k := range s.callers {
		all.Go(func() {
			time.Sleep(s.spread() * time.Duration(k) / time.Duration(s.callers))
			spent[k], errs[k] = d.caller(s, k)
		})
	}
	all.Wait()
	var sum time.Duration
	for _, t := range spent {
		sum += t
	}
	f.Mean = sum.Seconds() / float64(s.recipients)
	return f, errors.Join(errs...)
}

// caller is LMTP connection k, with every message whose number is k modulo s.callers.
func (d *daemon) caller(s shape, k int) (spent time.Duration, err error) {
	c, err := hostsim.Dial("unix", d.socket)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	for i := k; i < s.recipients; i += s.callers {
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

// warm does the work of a personal shape's first second, so that every host has its sessions.
func (d *daemon) warm(s shape) error {
	s.recipients = min(s.recipients, 5*s.callers)
	_, err := d.letters(s)
	return err
}

// A daemon is the process.
type daemon struct {
	cmd         *exec.Cmd
	dir, socket string
	doors       []string   // see feeder
	ended       chan error // from the process's waiter, once
}

func startDaemon(f feeder, s shape, w *world) (*daemon, error) {
	dir, err := sharedDir("smtpfeed-bench-")
	if err != nil {
		return nil, err
	}
	d := &daemon{dir: dir, socket: filepath.Join(dir, "lmtp.sock"), doors: f.doors, ended: make(chan error, 1)}
	if err := d.start(f, d.config(s, w)+f.ledger.config(dir)+f.guard.config(dir)); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := d.ready(); err != nil {
		err = fmt.Errorf("smtpfeed did not start: %w\n%s", err, d.said())
		d.stop()
		return nil, err
	}
	return d, nil
}

// start runs the process and waits for it in the background.
func (d *daemon) start(f feeder, config string) error {
	file := filepath.Join(d.dir, "smtpfeed.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(d.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	d.cmd = exec.Command(f.program, "serve", "-c", file)
	d.cmd.Stderr, d.cmd.Stdout = log, log
	if f.profile != "" {
		d.cmd.Env = append(os.Environ(), contention)
	}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		return fmt.Errorf("%w (make bench builds it)", err)
	}
	go func() { d.ended <- d.cmd.Wait() }()
	return nil
}

// ready waits until smtpfeed takes connections, or has ended: it says what it does not understand in its configuration.
func (d *daemon) ready() error {
	for range 500 {
		select {
		case err := <-d.ended:
			d.ended <- err
			return fmt.Errorf("it ended: %w", err)
		default:
		}
		if c, err := hostsim.Dial("unix", d.socket); err == nil {
			return c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("it takes no connections")
}

// config is the defaults but for where things are, who may come, and what the shape is about.
func (d *daemon) config(s shape, w *world) string {
	listen := strconv.Quote("unix:" + d.socket)
	for _, door := range d.doors {
		listen += ", " + strconv.Quote(door)
	}
	text := fmt.Sprintf(`hostname = "lists.example.org"
[lmtp]
listen = [%s]
socket_mode = "0666"   # host MTAs have users of their own
[dns]
servers = [%q]
[smtp]
port = %s
prohibited = []   # the simulated internet is on loopback
%s[log]
deliveries = %q
[admin]
listen = "unix:%s"
`, listen, w.dns, w.port, s.idle(), filepath.Join(d.dir, "deliveries.jsonl"), filepath.Join(d.dir, "admin.sock"))
	if s.verp {
		text += fmt.Sprintf("[[verp]]\nsender = %q\ntemplate = %q\n", sender, verpSender)
	}
	return text
}

// idle is how long smtpfeed keeps sessions: as by default, unless somebody waits for their end.
func (s shape) idle() string {
	if !s.parted {
		return ""
	}
	return "idle_timeout = \"1s\"\n"
}

// said is the end of what smtpfeed wrote to its log.
func (d *daemon) said() []byte {
	log, _ := os.ReadFile(filepath.Join(d.dir, "log")) // none is as good as an empty one
	return log[max(0, len(log)-4000):]
}

// stop ends smtpfeed in its own time: sessions at rest say QUIT.
func (d *daemon) stop() error {
	defer os.RemoveAll(d.dir)
	d.cmd.Process.Signal(syscall.SIGTERM)
	return <-d.ended
}

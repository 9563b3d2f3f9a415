package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
	"github.com/smtpfeed/smtpfeed/test/feedd"
)

// A tuning is a mailer of a row's own, for what a setup cannot say.
type tuning struct {
	engine  func(*resolver.Config, *feed.Config)
	program []string // what stands in the configuration, and what shall stand there instead, by turns
	alarm   string   // what the program must complain of in its log; "": nothing
}

// tuned plays with a mailer of the row's own.
func tuned(t tuning, then func(*play)) func(*play) {
	return func(p *play) {
		if w, inMemory := p.world.(*memory); inMemory {
			e := tunedEngine(p.mailer.(*engine), w, t)
			p.mailer = e
			then(p)
			e.end()
			return
		}
		own, err := newProcess(p.world.(*sockets), p.row.setup, t.program...)
		if err != nil {
			p.fail("no process of its own: %v", err)
			return
		}
		p.mailer, own.alarm = own.program, t.alarm
		then(p)
		if err := own.end(); err != nil {
			p.fail("the end of the process: %v", err)
		}
	}
}

// tunedEngine is another engine in the same world.
func tunedEngine(from *engine, w *memory, t tuning) *engine {
	network := &dnssim.Network{}
	network.Add(nameServer, w.dns)
	asks := resolver.Config{Servers: []string{nameServer}, Dial: network.Dial}
	sends := feed.Config{Hostname: "feed.conformance.test", Seed: 1,
		Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) { return w.net.Dial(ctx, to) }}
	if t.engine != nil {
		t.engine(&asks, &sends)
	}
	r, err := resolver.New(asks)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	sends.Resolver = r
	e := &engine{t: from.t, feeder: feed.New(sends), resolver: r, over: make(chan struct{})}
	ctx, halt := context.WithCancel(context.Background())
	e.halt = halt
	go func() {
		defer close(e.over)
		e.feeder.Run(ctx)
	}()
	return e
}

// A process is smtpfeed run for one row, which may end it, kill it and start it again.
type process struct {
	*program
	log   string
	alarm string // what it must complain of
}

// newProcess starts smtpfeed with the configuration of shared ones, but for some words.
func newProcess(w *sockets, s setup, words ...string) (*process, error) {
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return nil, err
	}
	p := &process{program: &program{dir: dir}, log: filepath.Join(dir, "log")}
	text := p.config(w, s)
	for i := 0; i < len(words); i += 2 {
		if !strings.Contains(text, words[i]) {
			return nil, fmt.Errorf("%q does not stand in the configuration", words[i])
		}
		text = strings.Replace(text, words[i], strings.ReplaceAll(words[i+1], "DIR", dir), 1)
	}
	if err := p.configure(text); err != nil {
		return nil, err
	}
	return p, p.start()
}

// start runs the process, and returns when it answers.
func (p *process) start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command(os.Getenv(feedd.BinaryVariable), "serve", "-c", p.path("smtpfeed.toml"))
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=50")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(feedd.Patience); time.Now().Before(end); <-time.After(10 * time.Millisecond) {
		h, connected := p.connect()
		if connected == nil {
			h.conn.Close()
			return nil
		}
		err = connected
	}
	return errors.Join(err, p.kill())
}

// kill ends the process as kill -9 does.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	p.cmd.Wait() // says that it was killed
	return nil
}

// end ends the process in good order, and its files.
func (p *process) end() error {
	defer os.RemoveAll(p.dir)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.ended()
}

// ended waits for the end of a process that was told to, and says what went wrong with it.
func (p *process) ended() error {
	hung := time.AfterFunc(feedd.Patience, func() { p.cmd.Process.Signal(syscall.SIGABRT) })
	err := p.cmd.Wait()
	if !hung.Stop() {
		err = errors.Join(err, errors.New("it did not end when told to"))
	}
	text, unread := os.ReadFile(p.log)
	meant := func(line string) bool { return p.alarm != "" && strings.Contains(line, p.alarm) }
	if bad := slices.DeleteFunc(feedd.LinesWith(string(text), "DATA RACE", "BUG", "panic", "level=ERROR"), meant); len(bad) > 0 {
		err = errors.Join(err, fmt.Errorf("it found faults of its own: %s", strings.Join(bad, "\n")))
	}
	if !strings.Contains(string(text), p.alarm) {
		err = errors.Join(err, fmt.Errorf("it does not complain of %q", p.alarm))
	}
	return errors.Join(err, unread)
}

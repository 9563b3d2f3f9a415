package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/smtpfeed/smtpfeed/lmtp"
)

type serveCommand struct{ configFlag }

// Run serves until a signal ends it.
func (c serveCommand) Run(s streams) error {
	signals := make(chan os.Signal, 8) // sent by the runtime, which drops what does not fit: eight unhandled ones say enough
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	// A journal or a log reader that goes away must not take the mail with it: writes fail with EPIPE instead.
	// So do those past a limit of the file's size (RLIMIT_FSIZE), with EFBIG.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	passed, err := passedListeners()
	if err != nil {
		return &failure{exitSystem, err}
	}
	d, err := newDaemon(c.Config, s, passed)
	if err != nil {
		return err
	}
	return d.run(signals)
}

// A daemon is the running program.
type daemon struct {
	file     string // of the configuration, for reloading; "" is the default one
	config   Config // as in force; changed by run's goroutine alone
	hostname string
	log      *slog.Logger
	level    *slog.LevelVar
	delivery *delivery

	listeners []net.Listener // for LMTP
	peers     *lmtp.Peers    // who may connect to them
	admin     net.Listener   // nil is none
	started   time.Time
	draining  atomic.Bool // written by run, read by status

	ending  chan struct{}  // closed by run when everything must end
	serving sync.WaitGroup // the goroutines that serve starts
}

// drainGrace is how long, past the budget in which every transaction ends, a drain may take.
const drainGrace = 30 * time.Second

// newDaemon reads the configuration and opens every file and socket. Nothing is served yet.
func newDaemon(file string, s streams, passed []net.Listener) (*daemon, error) {
	c, err := loadConfig(file)
	if err != nil {
		return nil, err
	}
	d := &daemon{file: file, config: c, hostname: c.Hostname, level: new(slog.LevelVar), started: time.Now(), ending: make(chan struct{})}
	d.level.Set(c.Log.Level.Level)
	d.log = newLogger(s.err, d.level)
	fitSessions(&d.config, raiseFileLimit(), d.log)
	fitMemory(&d.config, machineMemory(), d.log)
	for _, trouble := range examineSource(d.config.source()) {
		d.log.Error(trouble) // and no reason to end: the address may come
	}
	rec, err := openRecords(c.Log.Deliveries, d.log)
	if err != nil {
		return nil, &failure{exitCantCreate, err}
	}
	rec.setWait(c.Log.Wait.Duration)
	if d.delivery, err = newDelivery(d.config, rec, d.log); err != nil {
		rec.close()
		return nil, err
	}
	if err := d.listen(passed); err != nil {
		d.closeListeners()
		d.delivery.close()
		return nil, err
	}
	return d, nil
}

// loadConfig is Load with the exit code of a configuration that cannot be read.
func loadConfig(file string) (Config, error) {
	c, err := Load(file)
	if err != nil {
		return c, &failure{exitConfig, err}
	}
	return c, nil
}

// listen opens the sockets that are configured.
func (d *daemon) listen(passed []net.Listener) error {
	d.listeners = slices.Clone(passed)
	if err := d.listenLMTP(passed); err != nil {
		return err
	}
	if d.config.Admin.Listen.spec == "" {
		return nil
	}
	// Whoever can ask for status can profile the process: the group, as for the log files, and nobody else.
	var err error
	d.admin, err = listen("admin.listen", lmtp.Socket{Spec: d.config.Admin.Listen.spec, Mode: 0o660})
	return err
}

// listenLMTP opens those for LMTP but the ones that systemd has opened for us, and lets in whom it may.
func (d *daemon) listenLMTP(passed []net.Listener) (err error) {
	c := d.config.LMTP
	if d.peers, err = lmtp.NewPeers(c.Peers, d.log); err != nil {
		return &failure{exitConfig, err}
	}
	for _, l := range passed {
		if err := c.reach().Admits(l); err != nil {
			return &failure{exitConfig, err}
		}
	}
	for _, l := range c.Listen {
		if isPassed(l, passed) {
			continue
		}
		nl, err := listen("lmtp.listen", lmtp.Socket{Spec: l.spec, Mode: c.SocketMode.Perm(), Reach: c.reach()})
		if err != nil {
			return err
		}
		d.listeners = append(d.listeners, nl)
	}
	if len(d.listeners) == 0 {
		return &failure{exitConfig, errors.New(`nothing to listen on: lmtp.listen is empty and systemd passed no socket; set lmtp.listen = ["unix:/run/smtpfeed/lmtp.sock"]`)}
	}
	for i, l := range d.listeners {
		if len(c.Peers) > 0 && l.Addr().Network() != "unix" {
			d.log.Warn("lmtp.peers is for unix sockets: whoever reaches this address may hand in mail", "listen", l.Addr().String())
		}
		d.listeners[i] = d.peers.Guard(l)
	}
	return nil
}

// reach is from where TCP sockets may be reached.
func (l LMTPSection) reach() lmtp.Reach {
	if l.OpenTCP {
		return lmtp.Network
	}
	return lmtp.Loopback
}

// isPassed says that l is the address of a socket systemd passed.
func isPassed(l Listen, passed []net.Listener) bool {
	network, address := l.split()
	for _, p := range passed {
		if p.Addr().Network() == network && p.Addr().String() == address {
			return true
		}
	}
	return false
}

// listen opens one socket; the error names the key and says what to do.
func listen(key string, s lmtp.Socket) (net.Listener, error) {
	nl, err := s.Listen()
	if err == nil {
		return nl, nil
	}
	return nil, listenFailure(key, err)
}

// run serves until a signal or a broken socket ends it.
func (d *daemon) run(signals <-chan os.Signal) error {
	failed := d.serve()
	notify(stateReady)
	d.log.Info("smtpfeed serves", "version", version(), "hostname", d.config.Hostname, "listen", addresses(d.listeners))
	err := d.wait(signals, failed)
	d.delivery.close()
	close(d.ending)
	d.closeListeners()
	d.serving.Wait()
	d.log.Info("smtpfeed has ended")
	return err
}

// serve starts the listeners, the admin server and the watchdog. The channel gets the error of each listener that broke.
func (d *daemon) serve() <-chan error {
	failed := make(chan error, len(d.listeners)+1) // sent by each goroutine at most once: no sender ever waits
	for _, l := range d.listeners {
		d.serving.Go(func() {
			if err := d.delivery.lmtp.Serve(l); err != nil {
				failed <- err
			}
		})
	}
	if d.admin != nil {
		server := d.adminServer()
		d.serving.Go(func() {
			if err := server.Serve(d.admin); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				failed <- err
			}
		})
	}
	d.serving.Go(d.watchdog)
	return failed
}

// wait obeys signals until the daemon has drained. A second signal to end does not wait for that.
func (d *daemon) wait(signals <-chan os.Signal, failed <-chan error) error {
	var drained <-chan struct{}
	var cause error
	ended := d.delivery.done
	for {
		select {
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP:
				d.reload()
			case drained != nil:
				d.log.Warn("smtpfeed stops at once: the host MTA tries again what was not answered")
				return &failure{exitTemporary, errors.New("stopped before every transaction had ended")}
			default:
				drained = d.drain(s.String())
			}
		case err := <-failed:
			d.log.Error("a socket broke", "error", err)
			cause = &failure{exitSystem, err}
			if drained == nil {
				drained = d.drain("broken socket")
			}
		case <-ended:
			if drained == nil {
				return &failure{exitSoftware, errors.New("BUG: the feeder ended on its own")}
			}
			ended = nil // the LMTP side may still have replies to write
		case <-drained:
			return cause
		}
	}
}

// drain begins to end gently; the channel is closed when that is done.
func (d *daemon) drain(why string) <-chan struct{} {
	d.draining.Store(true)
	notify(stateStopping)
	d.log.Info("smtpfeed drains: no transaction begins, those in flight finish", "reason", why)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		ctx, cancel := context.WithTimeout(context.Background(), d.config.LMTP.Budget.Duration+drainGrace)
		defer cancel()
		d.delivery.drain(ctx)
	}()
	return drained
}

// closeListeners closes what was opened; closing twice does no harm.
func (d *daemon) closeListeners() {
	for _, l := range d.listeners {
		l.Close()
	}
	if d.admin != nil {
		d.admin.Close()
	}
}

// addresses are the listeners' own, for the log.
func addresses(listeners []net.Listener) []string {
	var all []string
	for _, l := range listeners {
		all = append(all, l.Addr().Network()+":"+l.Addr().String())
	}
	return all
}

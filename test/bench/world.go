package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

// A world is the simulated internet, a process of its own so that it does not share a candidate's figures.
type world struct {
	cmd                *exec.Cmd
	dns, control, port string
	zero               time.Time // when its clock began: at the last reset
}

// startWorld starts the world of a shape, its DNS server at an address of our own choice.
func startWorld(program, dns string, c internet.Config) (*world, error) {
	w := &world{cmd: exec.Command(program, "-dns", dns, "-control", "127.0.0.1:0", "-port", strconv.Itoa(c.Port),
		"-domains", strconv.Itoa(c.Domains), "-hosts", strconv.Itoa(c.Hosts), "-dead", strconv.Itoa(c.DeadHosts), "-silent="+strconv.FormatBool(c.Silent),
		"-big", strconv.Itoa(c.Big), "-big-hosts", strconv.Itoa(c.BigHosts), "-additional="+strconv.FormatBool(c.Additional),
		"-rtt", c.RTT.String(), "-processing", c.Processing.String(), "-dns-delay", c.DNSDelay.String(),
		"-sender", c.Sender, "-tls", string(c.TLS), "-key-exchange", c.KeyExchange,
		"-ad="+strconv.FormatBool(c.AD), "-tlsa="+strconv.FormatBool(c.TLSA), "-sts="+strconv.FormatBool(c.STS))}
	w.cmd.Stderr = os.Stderr
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (make bench builds it)", err)
	}
	var ready struct {
		Port         int
		DNS, Control string
	}
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&ready); err != nil {
		w.stop()
		return nil, fmt.Errorf("the simulated internet did not start: %w", err)
	}
	w.dns, w.control, w.port = ready.DNS, "http://"+ready.Control, strconv.Itoa(ready.Port)
	return w, nil
}

func (w *world) stop() {
	w.cmd.Process.Signal(syscall.SIGTERM)
	w.cmd.Wait()
}

// reset makes the world forget.
func (w *world) reset() error {
	before := time.Now()
	r, err := http.Post(w.control+"/reset", "", nil)
	if err != nil {
		return err
	}
	r.Body.Close()
	// The world took its time somewhere in between; the middle is wrong by less than a millisecond.
	w.zero = before.Add(time.Since(before) / 2)
	return nil
}

func (w *world) progress() (p internet.Progress, err error) { return p, w.get("/progress", &p) }

// waitFor waits until n recipients have arrived. It asks rarely: asking costs the world time.
func (w *world) waitFor(n int, patience time.Duration) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		p, err := w.progress()
		if err != nil || p.Recipients >= n {
			return err
		}
	}
	return fmt.Errorf("not all of %d recipients arrived within %v", n, patience)
}

// closed waits until no session is open.
func (w *world) closed() error {
	for range 500 {
		var r internet.Report
		if err := w.get("/report", &r); err != nil || r.Open == 0 {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.New("sessions stay open when their client has gone")
}

// account is the report of a run without fault, and an error otherwise.
func (w *world) account(s shape) (r internet.Report, err error) {
	if err := w.get("/report", &r); err != nil {
		return r, err
	}
	var missing internet.Addresses
	if err := w.get("/missing?n="+strconv.Itoa(s.recipients), &missing); err != nil {
		return r, err
	}
	return r, exactlyOnce(s, r, missing)
}

func (w *world) get(path string, into any) error {
	r, err := http.Get(w.control + path)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	return json.NewDecoder(r.Body).Decode(into)
}

// exactlyOnce finds what a candidate did wrong.
func exactlyOnce(s shape, r internet.Report, missing internet.Addresses) error {
	contents := s.contents()
	wrong := missing.Count + r.Duplicates.Count + r.Misrouted.Count + r.Unknown.Count + r.Missent.Count + r.Violations + r.Refused
	if r.Recipients == s.recipients && r.Contents == contents && wrong == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d recipients arrived; %d missing, %d twice, %d at a wrong host, %d unknown, %d refused; %d of %d contents; "+
		"%d wrong senders: %q; %d violations: %q", r.Recipients, s.recipients, missing.Count, r.Duplicates.Count, r.Misrouted.Count, r.Unknown.Count,
		r.Refused, r.Contents, contents, r.Missent.Count, r.Missent.First[:min(3, len(r.Missent.First))], r.Violations, r.Broken)
}

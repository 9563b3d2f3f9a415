package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

// A world is the simulated internet, a process of its own so that it does not share smtpfeed's figures.
type world struct {
	cmd                *exec.Cmd
	dns, control, port string
}

func startWorld(o options) (*world, error) {
	c := o.world
	w := &world{cmd: exec.Command(o.internetd, "-dns", "127.0.0.1:0", "-control", "127.0.0.1:0", "-port", "0",
		"-domains", strconv.Itoa(c.Domains), "-hosts", strconv.Itoa(c.Hosts), "-dead", strconv.Itoa(c.DeadHosts),
		"-rtt", c.RTT.String(), "-processing", c.Processing.String(), "-dns-delay", c.DNSDelay.String(),
		"-refused", strconv.Itoa(c.Refused))}
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (run make demo, which builds it)", err)
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

func (w *world) progress() (p internet.Progress, err error) { return p, w.get("/progress", &p) }
func (w *world) report() (r internet.Report, err error)     { return r, w.get("/report", &r) }

func (w *world) get(path string, into any) error {
	r, err := http.Get(w.control + path)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	return json.NewDecoder(r.Body).Decode(into)
}

// A daemon is smtpfeed.
type daemon struct {
	cmd    *exec.Cmd
	config string
	socket string
	log    bytes.Buffer
}

func startDaemon(o options, w *world, dir string) (*daemon, error) {
	d := &daemon{config: filepath.Join(dir, "smtpfeed.toml"), socket: filepath.Join(dir, "lmtp.sock")}
	config := fmt.Sprintf(`hostname = "lists.example.org"
[lmtp]
listen = ["unix:%s"]
[dns]
servers = [%q]
[smtp]
port = %s
prohibited = []   # the simulated internet is on loopback
[log]
deliveries = ""
[admin]
listen = "unix:%s"
`, d.socket, w.dns, w.port, filepath.Join(dir, "admin.sock"))
	if err := os.WriteFile(d.config, []byte(config), 0o600); err != nil {
		return nil, err
	}
	d.cmd = exec.Command(o.smtpfeed, "serve", "-c", d.config)
	d.cmd.Stderr, d.cmd.Stdout = &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (run make demo, which builds it)", err)
	}
	for range 200 {
		if _, err := os.Stat(d.socket); err == nil {
			return d, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	d.stop()
	return nil, errors.New("smtpfeed did not start:\n" + d.log.String())
}

func (d *daemon) stop() {
	if d.cmd.ProcessState == nil {
		d.cmd.Process.Signal(syscall.SIGTERM)
		d.cmd.Wait()
	}
}

// A status is the part of smtpfeed's own status that the summary tells.
type status struct {
	Feed struct{ SessionsTotal, Transactions, Piggybacked, DialsFailed, Regrouped uint64 }
	DNS  struct{ Questions, MXQuestions uint64 }
}

func (d *daemon) status() (s status, err error) {
	out, err := exec.Command(d.cmd.Path, "status", "-c", d.config, "--json").Output()
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(out, &s)
}

// peakMemory is the most memory smtpfeed ever held, in octets (VmHWM of proc(5)).
func (d *daemon) peakMemory() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.Fields(kb)[0], 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("no VmHWM in /proc")
}

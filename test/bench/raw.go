package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// raw is the physical limit: a client that knows every host beforehand, asks no DNS, keeps no books and answers nobody.
type raw struct {
	program string
	profile string // a directory for its CPU profiles; "" is nowhere
	guard   guard
}

func (r raw) name() string { return r.guard.named("raw client") }

// remembers is about sessions of TLS, which the second list resumes.
func (r raw) remembers() bool { return r.guard != asShipped }

// A rawJob is the process, which has read its plan.
type rawJob struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// A rawResult is what the raw process tells when it has done as planned.
type rawResult struct {
	Mean float64 // seconds of a message of a personal shape
}

// begin starts the raw client as a process of its own.
func (r raw) begin(s shape, w *world) (job, error) {
	file, err := profileFile(r.profile, s.key+"-raw-cpu")
	if err != nil {
		return nil, err
	}
	j := &rawJob{cmd: exec.Command(r.program, "raw", file)}
	j.cmd.Stderr = os.Stderr
	j.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if j.in, err = j.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := j.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	j.out = bufio.NewReader(out)
	if err := j.cmd.Start(); err != nil {
		return nil, err
	}
	p := makePlan(s, w.port)
	p.TLS = r.guard.encrypts()
	if err := j.learn(p); err != nil {
		return nil, errors.Join(err, j.end())
	}
	return j, nil
}

// learn tells the process its plan.
func (j *rawJob) learn(p plan) error {
	if err := json.NewEncoder(j.in).Encode(p); err != nil {
		return err
	}
	if line, err := j.out.ReadString('\n'); err != nil {
		return fmt.Errorf("the raw client did not start: %q, %w", line, err)
	}
	return nil
}

func (j *rawJob) deliver() (f figures, err error) {
	before, err := cpu(j.cmd.Process.Pid)
	if err != nil {
		return f, err
	}
	f.began = time.Now()
	if _, err := io.WriteString(j.in, "go\n"); err != nil {
		return f, err
	}
	var r rawResult
	if err := json.NewDecoder(j.out).Decode(&r); err != nil {
		return f, fmt.Errorf("the raw client failed: %w", err)
	}
	f.Mean = r.Mean
	return f.measure(j.cmd.Process.Pid, before)
}

func (j *rawJob) end() error {
	j.in.Close()
	return j.cmd.Wait()
}

// measure adds what a process that is still there has used.
func (f figures) measure(pid int, before time.Duration) (figures, error) {
	after, err := cpu(pid)
	if err != nil {
		return f, err
	}
	f.CPU = (after - before).Seconds()
	memory, err := peakMemory(pid)
	f.Memory = float64(memory)
	return f, err
}

// rawMain is `bench raw [PROFILE]`: it reads a plan, says that it is ready, and for each further line does as planned and tells the
// result. It ends with its input.
func rawMain(profile string, in io.Reader, out io.Writer) error {
	r := bufio.NewReader(in)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return err
	}
	var p plan
	if err := json.Unmarshal(line, &p); err != nil {
		return err
	}
	// The plan's text is garbage: collecting it later would be no part of the work.
	runtime.GC()
	debug.SetGCPercent(400)
	fmt.Fprintln(out, "ready")
	written, err := profileSelf(profile)
	if err != nil {
		return err
	}
	return errors.Join(p.whenAsked(r, out), written())
}

// whenAsked carries the plan out for each line that comes in. What it learns of hosts is their sessions of TLS.
func (p plan) whenAsked(in *bufio.Reader, out io.Writer) error {
	p.secrets = p.tlsConfig()
	for {
		if _, err := in.ReadString('\n'); err != nil {
			return nil // nobody asks any more
		}
		result, err := p.carryOut()
		if err != nil {
			return err
		}
		if err := json.NewEncoder(out).Encode(result); err != nil {
			return err
		}
	}
}

// tlsConfig is what all connections share; nil: there is no TLS. Nothing is verified, as in opportunistic TLS.
func (p plan) tlsConfig() *tls.Config {
	if !p.TLS {
		return nil
	}
	return &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(len(p.Connections))}
}

// carryOut runs all connections at once.
func (p plan) carryOut() (rawResult, error) {
	var all sync.WaitGroup
	errs := make([]error, len(p.Connections))
	spent := make([]time.Duration, len(p.Connections))
	for i, c := range p.Connections {
		all.Go(func() {
			time.Sleep(p.Spread * time.Duration(i) / time.Duration(len(p.Connections)))
			spent[i], errs[i] = p.connect(c)
		})
	}
	all.Wait()
	var r rawResult
	if p.Personal {
		var sum time.Duration
		for _, d := range spent {
			sum += d
		}
		r.Mean = sum.Seconds() / float64(p.transactions())
	}
	return r, errors.Join(errs...)
}

// connect is one connection from dial to QUIT; it returns how long its transactions took together.
func (p plan) connect(c connection) (spent time.Duration, err error) {
	to, err := dial(c.Addr)
	if err != nil {
		return 0, err
	}
	defer to.quit()
	if p.secrets != nil {
		if err := to.secure(p.secrets); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	if !p.Personal {
		return 0, to.deliver(p.Body, c.Transactions)
	}
	for _, t := range c.Transactions {
		if err := to.deliver(append(letterTo(t.To[0]), ".\r\n"...), []transaction{t}); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

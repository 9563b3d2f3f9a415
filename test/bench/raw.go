package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// raw is the physical limit: a client that knows every host beforehand, asks no DNS, keeps no books and answers nobody.
type raw struct{ program string }

func (raw) name() string { return "raw client" }

// A rawResult is what the raw process tells when it has ended.
type rawResult struct {
	Mean float64 // seconds of a message of a personal shape
}

// deliver runs the raw client in a process of its own. The clock starts when it has read its plan.
func (r raw) deliver(s shape, w *world) (figures, error) {
	cmd := exec.Command(r.program, "raw")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	in, err := cmd.StdinPipe()
	if err != nil {
		return figures{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return figures{}, err
	}
	if err := cmd.Start(); err != nil {
		return figures{}, err
	}
	f, err := converse(makePlan(s, w.port), in, bufio.NewReader(out), cmd.Process.Pid)
	in.Close()
	if waited := cmd.Wait(); err == nil {
		err = waited
	}
	return f, err
}

// converse is the parent's side of rawMain.
func converse(p plan, in io.Writer, out *bufio.Reader, pid int) (f figures, err error) {
	if err := json.NewEncoder(in).Encode(p); err != nil {
		return f, err
	}
	if line, err := out.ReadString('\n'); err != nil {
		return f, fmt.Errorf("the raw client did not start: %q, %w", line, err)
	}
	before, err := cpu(pid)
	if err != nil {
		return f, err
	}
	f.began = time.Now()
	if _, err := io.WriteString(in, "go\n"); err != nil {
		return f, err
	}
	var r rawResult
	if err := json.NewDecoder(out).Decode(&r); err != nil {
		return f, fmt.Errorf("the raw client failed: %w", err)
	}
	f.Mean = r.Mean
	return f.measure(pid, before)
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

// rawMain is `bench raw`: it reads a plan, says that it is ready, waits for a line, does as planned, tells the result and ends with
// its input.
func rawMain(in io.Reader, out io.Writer) error {
	r := bufio.NewReader(in)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return err
	}
	var p plan
	if err := json.Unmarshal(line, &p); err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	if _, err := r.ReadString('\n'); err != nil {
		return err
	}
	result, err := p.carryOut()
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(result); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return err
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
	began := time.Now()
	if !p.Personal {
		return 0, to.deliver(p.From, p.Body, c.Transactions)
	}
	for _, t := range c.Transactions {
		if err := to.deliver(p.From, append(letterTo(t[0]), ".\r\n"...), [][]string{t}); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

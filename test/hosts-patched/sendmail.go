package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// config is the m4 source of sendmail.cf; @CACHE@ and @DIR@ are replaced.
//
//go:embed sendmail.mc
var config string

// An instance is one sendmail with a directory of its own.
type instance struct {
	dir    string
	binary string
}

// A result is all of a submission that must not depend on the patch.
type result struct {
	replies   string
	queue     string // after the submission
	run       string // what the queue run said
	delivered string // what the sink got, in order
	left      string // the queue after the delivery
	cpu, wall time.Duration
}

// fresh makes an instance with an empty queue.
func (r *runner) fresh(which, aliases string) (*instance, error) {
	s := &instance{dir: filepath.Join(r.work, which), binary: filepath.Join(r.cache, "sendmail-"+which, "sendmail.built")}
	if err := os.RemoveAll(s.dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "mq"), 0o755); err != nil {
		return nil, err
	}
	replace := strings.NewReplacer("@CACHE@", r.cache, "@DIR@", s.dir)
	m4 := exec.Command(filepath.Join(r.cache, "sys/usr/bin/m4"), "-D_CF_DIR_="+r.cache+"/sys/usr/share/sendmail/cf/", "-")
	if libs, _ := filepath.Glob(filepath.Join(r.cache, "sys/usr/lib/*/libsigsegv.so.2")); len(libs) > 0 {
		m4.Env = []string{"LD_LIBRARY_PATH=" + filepath.Dir(libs[0])}
	}
	m4.Stdin = strings.NewReader(replace.Replace(config))
	cf, err := m4.Output()
	if err != nil {
		return nil, fmt.Errorf("m4: %w", err)
	}
	for name, text := range map[string]string{
		"sendmail.cf": string(cf),
		"names":       "host.hosts.test\n",
		"switch":      "hosts\tfiles\naliases\tfiles\n", // no DNS: the machine's resolver is not measured
		"aliases":     replace.Replace(aliases),
		"include":     includes,
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return s, s.command("-bi").Run()
}

// command runs sendmail with a host name that has a dot, without which it waits a minute for one; and without a network.
func (s *instance) command(args ...string) *exec.Cmd {
	shell := []string{"--uts", "--net", "sh", "-c", `hostname host.hosts.test; exec "$@"`, "sh"}
	all := append(append(shell, s.binary, "-C", s.dir+"/sendmail.cf"), args...)
	return exec.Command("unshare", all...)
}

// take submits, and when deliver is not nil runs the queue with these arguments and the sink there.
func (s *instance) take(m mode, to []string) (result, error) {
	var res result
	sink, err := listen(filepath.Join(s.dir, "lmtp.sock"))
	if err != nil {
		return res, err
	}
	defer sink.close()
	start := time.Now()
	if m.program {
		res.replies, res.cpu, err = s.program(m.args, to)
	} else {
		res.replies, res.cpu, err = s.session(m.args, to)
	}
	res.wall = time.Since(start)
	if err != nil {
		return res, fmt.Errorf("submission: %w (after %q)", err, res.replies[max(0, len(res.replies)-200):])
	}
	if res.queue, err = queued(s.dir); err != nil {
		return res, err
	}
	if m.run != nil {
		run := s.command(m.run...)
		out, _ := run.CombinedOutput() // its exit status is that of the last recipient
		res.run = normal(string(out), s.dir) + run.ProcessState.String()
	}
	if res.left, err = queued(s.dir); err != nil {
		return res, err
	}
	for _, t := range sink.seen() {
		res.delivered += strconv.Itoa(len(t)) + "\n" + strings.Join(t, "\n") + "\n"
	}
	return res, nil
}

// session submits over SMTP on sendmail's standard input.
func (s *instance) session(args, to []string) (string, time.Duration, error) {
	c := s.command(append([]string{"-bs"}, args...)...)
	in, err := c.StdinPipe()
	if err != nil {
		return "", 0, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return "", 0, err
	}
	if err := c.Start(); err != nil {
		return "", 0, err
	}
	replies, err := submit(in, out, to)
	in.Close()
	c.Wait() // its exit status is that of the last refused recipient
	return normal(replies, s.dir), c.ProcessState.UserTime() + c.ProcessState.SystemTime(), err
}

// program submits with the recipients in the header (-t), one Bcc: field each, because one of them may be no address at all.
func (s *instance) program(args, to []string) (string, time.Duration, error) {
	c := s.command(append([]string{"-t", "-f", "list@hosts.test"}, args...)...)
	var in, out bytes.Buffer
	for _, a := range to {
		fmt.Fprintf(&in, "Bcc: %s\n", a)
	}
	in.WriteString(strings.ReplaceAll(message, "\r\n", "\n"))
	c.Stdin, c.Stdout, c.Stderr = &in, &out, &out
	c.Run() // as above
	return normal(out.String(), s.dir), c.ProcessState.UserTime() + c.ProcessState.SystemTime(), nil
}

// sendmail compares stock and patched, then measures.
func (r *runner) sendmail() error {
	for _, m := range modes {
		for seed := range r.seeds {
			if err := r.compare(m, aliases, mixture(uint64(seed))); err != nil {
				return fmt.Errorf("sendmail, %s, seed %d: %w", m.name, seed, err)
			}
		}
		fmt.Printf("sendmail, %s: %d mixed lists give the same replies, queue files and deliveries\n", m.name, r.seeds)
	}
	fmt.Printf("\n%-26s %10s %10s %12s %12s\n", "sendmail intake", "recipients", "domains", "CPU seconds", "seconds")
	for _, n := range r.sizes {
		for _, domains := range []int{1000, n} {
			if err := r.measure(n, domains); err != nil {
				return fmt.Errorf("sendmail, %d recipients in %d domains: %w", n, domains, err)
			}
		}
	}
	return nil
}

// compare submits to both and looks for any difference.
func (r *runner) compare(m mode, aliases string, to []string) error {
	var res [2]result
	for i, which := range []string{"stock", "patched"} {
		s, err := r.fresh(which, aliases)
		if err == nil {
			res[i], err = s.take(m, to)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", which, err)
		}
	}
	return res[0].differs(res[1])
}

func (stock result) differs(patched result) error {
	for _, p := range []struct{ what, stock, patched string }{
		{"a reply", stock.replies, patched.replies},
		{"the queue", stock.queue, patched.queue},
		{"the queue run", stock.run, patched.run},
		{"the delivery", stock.delivered, patched.delivered},
		{"the queue afterwards", stock.left, patched.left},
	} {
		if err := same(p.what, p.stock, p.patched); err != nil {
			return err
		}
	}
	return nil
}

// measure times the intake of a plain list, compares, and delivers it.
func (r *runner) measure(n, domains int) error {
	to := addresses(n, domains)
	var stock *result
	for _, which := range []string{"stock", "patched"} {
		if which == "stock" && n > r.stock {
			continue
		}
		s, err := r.fresh(which, "")
		if err != nil {
			return err
		}
		res, err := s.take(mode{args: []string{"-odq"}, run: []string{"-qf"}}, to)
		if err != nil {
			return err
		}
		fmt.Printf("%-26s %10d %10d %12.1f %12.1f\n", which, n, domains, res.cpu.Seconds(), res.wall.Seconds())
		lines := strings.Split(strings.TrimSpace(res.delivered), "\n")
		if err := once([][]string{lines[1:]}, to); err != nil {
			return fmt.Errorf("%s: %w", which, err)
		}
		if stock == nil && which == "stock" {
			stock = &res
		} else if stock != nil {
			if err := stock.differs(res); err != nil {
				return err
			}
		}
	}
	return nil
}

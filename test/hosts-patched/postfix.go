package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// daemons is where Debian has them.
const daemons = "/usr/lib/postfix/sbin"

// A postfix is an instance with a directory of its own and one of the two queue managers.
type postfix struct {
	dir  string
	addr string
	end  func()
}

// settings are those of a list host. GATHER stands where only the patched one differs.
const settings = `compatibility_level = 3.6
queue_directory = DIR/queue
data_directory = DIR/data
daemon_directory = DIR/daemons
maillog_file = DIR/maillog
maillog_file_prefixes = DIR
myhostname = host.hosts.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
lmtp_tls_security_level = none
in_flow_delay = 0
alias_maps =
default_transport = smtpfeed:unix:DIR/lmtp.sock
relay_transport = smtpfeed:unix:DIR/lmtp.sock
smtpfeed_destination_recipient_limit = 0
smtpfeed_recipient_limit = 400000
qmgr_message_recipient_limit = 400000
smtpd_recipient_limit = 400000
duplicate_filter_limit = 0
`

const services = `ADDR inet n - n - - smtpd
smtpfeed unix - - n - 20 lmtp -o lmtp_data_done_timeout=3600s
postlog unix-dgram n - n - 1 postlogd
qmgr unix n - n 300 1 qmgr
cleanup unix n - n - 0 cleanup
showq unix n - n - - showq
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
`

// postfix hands lists over with both queue managers.
func (r *runner) postfix() error {
	fmt.Printf("\n%-26s %10s %12s %10s %12s %14s %12s\n", "Postfix", "recipients", "transactions", "largest", "seconds", "qmgr CPU s", "other mail s")
	for _, n := range r.sizes {
		for _, which := range []string{"stock", "patched"} {
			if err := r.handOver(which, n); err != nil {
				return fmt.Errorf("%s queue manager, %d recipients: %w", which, n, err)
			}
		}
	}
	return r.limits()
}

// limits are the promises at the edges of the parameter.
func (r *runner) limits() error {
	for _, c := range []struct {
		name string
		more string
		n    int
		want func(sizes []int) bool
	}{
		{"the default is the stock behaviour", "", 20000, func(s []int) bool { return len(s) > 1 }},
		{"a full request does not wait", "smtpfeed_recipient_gather_limit = 400000\nsmtpfeed_destination_recipient_limit = 6000\n", 20000,
			func(s []int) bool { return len(s) == 4 && largest(s) == 6000 }},
		{"no more is gathered than slots allow", "smtpfeed_recipient_gather_limit = 400000\nsmtpfeed_recipient_limit = 7000\n", 20000,
			func(s []int) bool { return len(s) > 1 && largest(s) < 12100 }},
		{"the gather limit itself is enough", "smtpfeed_recipient_gather_limit = 5500\n", 20000,
			func(s []int) bool { return len(s) == 2 && largest(s) == 10000 }},
	} {
		p, s, err := r.startPostfix("patched", c.more)
		if err != nil {
			return err
		}
		to := addresses(c.n, 100)
		err = p.submit(to)
		if err == nil {
			err = arrive(s, c.n)
		}
		p.end()
		s.close()
		sizes := lengths(s.seen())
		if err == nil {
			err = once(s.seen(), to)
		}
		if err == nil && !c.want(sizes) {
			err = errors.New("transactions have other sizes")
		}
		if err != nil {
			return fmt.Errorf("queue manager: %s: %w: %v", c.name, err, sizes)
		}
		fmt.Printf("Postfix: %s: %v\n", c.name, sizes)
	}
	return nil
}

// handOver sends one list, and one other mail while the list is being read, and prints what it took.
func (r *runner) handOver(which string, n int) error {
	gather := ""
	if which == "patched" {
		gather = "smtpfeed_recipient_gather_limit = 400000\n"
	}
	p, s, err := r.startPostfix(which, gather)
	if err != nil {
		return err
	}
	defer s.close()
	defer p.end()
	to := addresses(n, 100)
	if err := p.submit(to); err != nil {
		return err
	}
	start := time.Now()
	if err := p.submit([]string{"other@single.test"}); err != nil {
		return err
	}
	var other time.Duration
	for s.recipients() < n+1 {
		if other == 0 && alone(s.seen()) {
			other = time.Since(start)
		}
		if time.Since(start) > patience {
			return fmt.Errorf("%d of %d recipients arrived", s.recipients(), n+1)
		}
		time.Sleep(10 * time.Millisecond)
	}
	took := time.Since(start)
	if other == 0 {
		other = took
	}
	sizes := lengths(s.seen())
	fmt.Printf("%-26s %10d %12d %10d %12.1f %14.1f %12.1f\n", which, n, len(sizes)-1, largest(sizes), took.Seconds(), p.cpu(), other.Seconds())
	if which == "patched" && len(sizes) != 2 {
		return fmt.Errorf("transactions of %v recipients", sizes)
	}
	return once(s.seen(), append(to, "other@single.test"))
}

// patience is how long anything may take on a busy machine.
const patience = 10 * time.Minute

// arrive waits for n recipients.
func arrive(s *sink, n int) error {
	for start := time.Now(); s.recipients() < n; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > patience {
			return fmt.Errorf("%d of %d recipients arrived", s.recipients(), n)
		}
	}
	return nil
}

// alone says if the other mail came.
func alone(transactions [][]string) bool {
	for _, t := range transactions {
		if len(t) == 1 && t[0] == "<other@single.test>" {
			return true
		}
	}
	return false
}

func lengths(transactions [][]string) []int {
	var all []int
	for _, t := range transactions {
		all = append(all, len(t))
	}
	return all
}

func largest(sizes []int) int {
	n := 0
	for _, s := range sizes {
		n = max(n, s)
	}
	return n
}

// startPostfix starts an instance whose daemons are links to Debian's, but for the queue manager.
func (r *runner) startPostfix(which, more string) (*postfix, *sink, error) {
	p := &postfix{dir: filepath.Join(r.work, "postfix-"+which)}
	if err := os.RemoveAll(p.dir); err != nil {
		return nil, nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	p.addr = l.Addr().String()
	l.Close()
	if err := p.files(filepath.Join(r.cache, "postfix-"+which, "libexec/qmgr"), more); err != nil {
		return nil, nil, err
	}
	s, err := listen(filepath.Join(p.dir, "lmtp.sock"))
	if err != nil {
		return nil, nil, err
	}
	if err := p.start(); err != nil {
		s.close()
		return nil, nil, err
	}
	return p, s, nil
}

func (p *postfix) files(qmgr, more string) error {
	for _, d := range []string{"", "queue", "data", "daemons"} {
		if err := os.Mkdir(filepath.Join(p.dir, d), 0o755); err != nil {
			return err
		}
	}
	all, err := filepath.Glob(daemons + "/*")
	if err != nil || len(all) == 0 {
		return errors.New("no Postfix of Debian here: apt-get install --no-install-recommends postfix")
	}
	for _, d := range all {
		if filepath.Base(d) == "qmgr" {
			d = qmgr
		}
		if err := os.Symlink(d, filepath.Join(p.dir, "daemons", filepath.Base(d))); err != nil {
			return err
		}
	}
	// The last one of a name counts.
	config := strings.ReplaceAll(settings, "DIR", p.dir) + more
	if err := os.WriteFile(filepath.Join(p.dir, "main.cf"), []byte(config), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(p.dir, "master.cf"), []byte(strings.ReplaceAll(services, "ADDR", p.addr)), 0o644); err != nil {
		return err
	}
	if out, err := exec.Command("chown", "postfix", p.dir+"/data").CombinedOutput(); err != nil {
		return fmt.Errorf("chown: %s", out)
	}
	if out, err := exec.Command("postfix", "-c", p.dir, "check").CombinedOutput(); err != nil {
		return fmt.Errorf("postfix check: %s", out)
	}
	return nil
}

// start runs the master as a child whose group ends with it.
func (p *postfix) start() error {
	c := exec.Command(daemons+"/master", "-c", p.dir, "-s")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	if err := c.Start(); err != nil {
		return err
	}
	p.end = func() {
		c.Process.Signal(syscall.SIGTERM)
		c.Wait()
		syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
	}
	for start := time.Now(); time.Since(start) < patience; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", p.addr); err == nil {
			return conn.Close()
		}
	}
	p.end()
	return errors.New("no connection to Postfix, see " + p.dir + "/maillog")
}

func (p *postfix) submit(to []string) error {
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	replies, err := submit(conn, conn, to)
	if err == nil && strings.Count(replies, "\n250 2.1.5") != len(to) {
		err = errors.New("recipients were refused")
	}
	return err
}

// cpu is what the queue manager used so far, in seconds: utime and stime of proc_pid_stat(5).
func (p *postfix) cpu() float64 {
	names, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range names {
		text, _ := os.ReadFile(name)
		env, _ := os.ReadFile(filepath.Dir(name) + "/environ")
		if !strings.Contains(string(text), "(qmgr)") || !strings.Contains(string(env), "MAIL_CONFIG="+p.dir+"\x00") {
			continue
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		return float64(user+system) / 100
	}
	return 0
}

package hosts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// keeper runs a command, and ends it when our end of the pipe closes: even if we are killed. The kernel's own signal to orphans
// (PR_SET_PDEATHSIG) is lost when a process changes its user, as MTAs do.
const keeper = `"$@" & read -r _; kill $! 2>/dev/null; wait $!; exit 0`

// A process is a host's main process under its keeper.
type process struct {
	cmd  *exec.Cmd
	hold io.Closer // ends it
}

// launch starts a program that stays in the foreground. What it prints goes to the file output. resolv is what it and its children
// see as /etc/resolv.conf; "" leaves them the machine's.
func launch(resolv, output string, argv ...string) (*process, error) {
	if resolv != "" {
		const private = `mount --bind "$0" /etc/resolv.conf && exec "$@"`
		argv = append([]string{"unshare", "--mount", "sh", "-c", private, resolv}, argv...)
	}
	out, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	c := exec.Command("/bin/sh", append([]string{"-c", keeper, "sh"}, argv...)...)
	c.Stdout, c.Stderr = out, out
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what a terminal sends to us must not end the keeper first
	hold, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	return &process{c, hold}, nil
}

// Pid is that of the keeper, below which all others are.
func (p *process) Pid() int { return p.cmd.Process.Pid }

// ending is how long a host may take to end in good order, on a machine that is busy too. Postfix's master kills its children after 5 s.
const ending = 2 * time.Minute

// end ends the process, and then whatever is left of its session.
func (p *process) end() error {
	defer func() {
		for _, pid := range p.others() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}()
	p.hold.Close()
	hung := time.AfterFunc(ending, func() { syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
	err := p.cmd.Wait()
	if !hung.Stop() {
		return errors.Join(fmt.Errorf("it did not end within %v", ending), err)
	}
	return err
}

// others are the processes of the keeper's session but itself: the daemon and deliveries, also those whose parents have ended.
func (p *process) others() (pids []int) {
	for pid, s := range running() {
		if s.session == p.Pid() && pid != p.Pid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// below are the processes below the keeper, whatever their sessions.
func (p *process) below() (pids []int) {
	all := running()
	for pid := range all {
		for up := all[pid].parent; up != 0; up = all[up].parent {
			if up == p.Pid() {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// A status is what the kernel tells of a process.
type status struct{ parent, session int }

// running are all of the machine's processes but those that have ended and were not waited for.
func running() map[int]status {
	all := make(map[int]status)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		// "pid (command) state parent group session ...", see proc(5)
		f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		parent, _ := strconv.Atoi(f[1])
		session, _ := strconv.Atoi(f[3])
		if f[0] != "Z" {
			all[pid] = status{parent, session}
		}
	}
	return all
}

// starting is how long a host may take until it takes connections.
const starting = 2 * time.Minute

// listening waits until somebody takes connections.
func listening(addr string) error {
	for end := time.Now().Add(starting); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return err
		}
	}
}

// loopback is where hosts listen. On 127.0.0.1 any port may be some client's, which in a bench are thousands, and a host cannot be
// given an open socket.
const loopback = "127.0.53.25"

// unusedAddr is an address nobody listens on.
func unusedAddr() (string, error) {
	l, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// run runs a command to its end, and has what it printed in the error.
func run(argv ...string) error {
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", argv, err, out)
	}
	return nil
}

// A file is one that an instance needs, and its text.
type file struct{ name, text string }

// write makes an instance's files.
func (s *Setup) write(files ...file) error {
	for _, f := range files {
		if err := os.WriteFile(s.path(f.name), []byte(f.text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// resolvConf makes the host see the world's DNS server, and returns the file's name; "" when it does not deliver itself.
func (s *Setup) resolvConf() (string, error) {
	if s.World.DNS == "" {
		return "", nil
	}
	return s.path("resolv.conf"), s.write(file{"resolv.conf", "nameserver " + s.World.DNS + "\n"})
}

func (s *Setup) path(name ...string) string {
	return filepath.Join(append([]string{s.Dir}, name...)...)
}

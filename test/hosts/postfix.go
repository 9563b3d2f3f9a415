package hosts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A Postfix is an instance of Debian's installed Postfix. It has one variant beside the recommended one, "oqmgr".
type Postfix struct {
	setup   Setup
	addr    string
	version string
	daemons string // where its programs are
	*process
}

// NewPostfix makes an instance and its queue. The user must be root.
func NewPostfix(s Setup) (*Postfix, error) {
	p := &Postfix{setup: s}
	var err error
	if p.addr, err = unusedAddr(); err != nil {
		return nil, err
	}
	if err := p.find(); err != nil {
		return nil, err
	}
	files := []file{{"main.cf", p.mainCF()}, {"master.cf", p.masterCF()}}
	if err := errors.Join(s.write(files...), p.age()); err != nil {
		return nil, err
	}
	for _, d := range []string{"queue", "data"} {
		if err := os.Mkdir(s.path(d), 0o755); err != nil {
			return nil, err
		}
	}
	if err := run("chown", "postfix", s.path("data")); err != nil {
		return nil, err
	}
	if s.Feed != "" {
		if err := p.apply(); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(p.settle(), p.age()); err != nil {
		return nil, err
	}
	return p, run(command("postfix"), "-c", s.Dir, "check") // makes what is below the queue directory
}

// age makes the configuration look old: Postfix's programs wait up to 2 s for a file that has just changed (dict_load_file).
func (p *Postfix) age() error {
	before := time.Now().Add(-time.Minute)
	return errors.Join(os.Chtimes(p.setup.path("main.cf"), before, before), os.Chtimes(p.setup.path("master.cf"), before, before))
}

// command is one of Postfix's, which are where only root's PATH looks.
func command(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return "/usr/sbin/" + name
}

// find asks Postfix about itself.
func (p *Postfix) find() error {
	out, err := exec.Command(command("postconf"), "-d", "-h", "daemon_directory", "mail_version").Output()
	if err != nil {
		return fmt.Errorf("Postfix is not installed (apt-get install --no-install-recommends postfix): %w", err)
	}
	words := strings.Fields(string(out))
	if len(words) != 2 {
		return fmt.Errorf("postconf says %q", out)
	}
	p.daemons, p.version = words[0], words[1]
	return nil
}

// Name is "Postfix" and its version.
func (p *Postfix) Name() string { return "Postfix " + p.version }

// Addr is where its smtpd(8) listens.
func (p *Postfix) Addr() string { return p.addr }

// Log is what its postlogd(8) writes.
func (p *Postfix) Log() string { return p.setup.path("maillog") }

// Sendmail is its sendmail(1).
func (p *Postfix) Sendmail(args ...string) *exec.Cmd {
	return exec.Command(command("sendmail"), append([]string{"-C", p.setup.Dir}, args...)...)
}

// Start starts the master as a descendant of ours, not as a daemon: nothing has to be found by its number in a file.
func (p *Postfix) Start() error {
	resolv, err := p.setup.resolvConf()
	if err != nil {
		return err
	}
	p.process, err = launch(resolv, p.setup.path("output"), filepath.Join(p.daemons, "master"), "-c", p.setup.Dir, "-s")
	if err != nil {
		return err
	}
	if err := listening(p.addr); err != nil {
		return errors.Join(fmt.Errorf("Postfix does not take connections: %w", err), p.end())
	}
	return nil
}

// Stop ends the master, which ends the others.
func (p *Postfix) Stop() error { return p.end() }

// Reload is postfix(1)'s, which leaves the work to the master and does not wait. So it waits until the master says that it has begun: then
// it does nothing else, and starts no process, before it has read everything.
func (p *Postfix) Reload() error {
	before := p.reloads()
	if err := run(command("postfix"), "-c", p.setup.Dir, "reload"); err != nil {
		return err
	}
	for end := time.Now().Add(starting); p.reloads() == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("the master of Postfix did not read its configuration again within %v", starting)
		}
	}
	return nil
}

// reloads is how often the master has said that it reads its configuration again.
func (p *Postfix) reloads() int {
	log, _ := os.ReadFile(p.Log()) // without a log it has said nothing
	return bytes.Count(log, []byte(": reload -- version "))
}

// Flush makes the queue manager try everything now.
func (p *Postfix) Flush() error { return run(command("postqueue"), "-c", p.setup.Dir, "-f") }

// Queue asks postqueue(1), which misses mail that moves while it reads one directory after the other. So what was seen on its way a moment
// earlier is in the list too, without an address.
func (p *Postfix) Queue() (all []Queued, err error) {
	moving, err := p.moving()
	if err != nil {
		return nil, err
	}
	all, err = p.listed()
	for _, q := range all {
		delete(moving, q.ID)
	}
	for id := range moving {
		all = append(all, Queued{ID: id, Active: true})
	}
	return all, err
}

// moving names what is in the directories that mail goes through, read in that order: what moves on is met again. Twice, because a
// notification appears in the first when its cause leaves the last.
func (p *Postfix) moving() (map[string]bool, error) {
	ids := map[string]bool{}
	for _, queue := range []string{"maildrop", "incoming", "active", "incoming", "active"} {
		files, err := os.ReadDir(filepath.Join(p.setup.path("queue"), queue))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			ids[f.Name()] = true
		}
	}
	return ids, nil
}

func (p *Postfix) listed() (all []Queued, err error) {
	c := exec.Command(command("postqueue"), "-c", p.setup.Dir, "-j")
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("postqueue: %w: %s", err, &errs)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var m struct {
			Queue      string `json:"queue_name"`
			ID         string `json:"queue_id"`
			Recipients []struct {
				Address string `json:"address"`
				Reason  string `json:"delay_reason"`
			} `json:"recipients"`
		}
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return all, err
		}
		for _, r := range m.Recipients {
			all = append(all, Queued{m.ID, r.Address, r.Reason, m.Queue != "deferred"})
		}
	}
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/smtpfeed/smtpfeed/test/hosts"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// dnsForHosts is where the world's DNS server must be for host MTAs to find it: resolv.conf has no ports.
const dnsForHosts = "127.0.53.53:53"

// setup is what a host MTA is told of the world. Also with smtpfeed it asks the world's DNS server, where its questions are counted.
func (w *world) setup() (s hosts.Setup, err error) {
	s.World.Port = w.port
	s.World.DNS, _, err = net.SplitHostPort(w.dns)
	return s, err
}

// An instance is a host MTA that runs. All of its files are in one directory.
type instance struct {
	kind kind
	host hosts.Host
	dir  string
}

// startInstance makes one and starts it, in a directory of its own.
func startInstance(k kind, s hosts.Setup) (*instance, error) {
	dir, err := sharedDir("bench-host-")
	if err != nil {
		return nil, err
	}
	s.Dir = dir
	host, err := k.make(s)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	i := &instance{k, host, dir}
	if err := host.Start(); err != nil {
		err = i.failure(err)
		os.RemoveAll(dir)
		return nil, err
	}
	return i, nil
}

// sharedDir makes a directory that everybody may look into, as a host's processes have several users.
func sharedDir(prefix string) (string, error) {
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// settle does what an address probe does, which leaves no trace: Exim takes two seconds to its first greeting, Postfix starts programs.
func (i *instance) settle() error {
	p, err := dial(i.host.Addr())
	if err != nil {
		return i.failure(err)
	}
	defer p.quit()
	for _, command := range []string{"MAIL FROM:<" + warmSender + ">", "RCPT TO:<probe@d0.0.example>", "RSET"} {
		if err := p.say([]byte(command+"\r\n"), "250"); err != nil {
			return i.failure(err)
		}
	}
	return nil
}

// warmSender sends what is no work.
const warmSender = "warm@lists.example.org"

// warm has n recipients delivered, each in a domain of its own as far as there are.
func (i *instance) warm(s shape, w *world, n int) error {
	n = min(s.world.Domains, n)
	m := hosts.Mail{From: warmSender, To: internet.List(s.world, n), Content: string(letter())}
	if _, err := hosts.Submit(i.host.Addr(), m); err != nil {
		return i.failure(err)
	}
	if err := w.waitFor(n, patience); err != nil {
		return i.failure(err)
	}
	return i.emptied()
}

// failure has the end of the host's log in it.
func (i *instance) failure(err error) error {
	log, _ := os.ReadFile(i.host.Log()) // none is as good as an empty one
	return fmt.Errorf("%s: %w\n%s", i.kind.name, err, log[max(0, len(log)-4000):])
}

// emptying is how long a host may take until it has noted that everybody was delivered to.
const emptying = 2 * time.Minute

// emptied waits until the host has nothing left: then what a delivery costs has been spent.
func (i *instance) emptied() error {
	for end := time.Now().Add(emptying); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if !i.holds() {
			return nil
		}
	}
	return i.failure(errors.New("recipients have arrived and are still in the queue"))
}

// holds says that there is a file in the queue. What is held (Postfix) does not count.
func (i *instance) holds() bool {
	for _, queue := range i.kind.queue {
		if anyFile(filepath.Join(i.dir, queue)) {
			return true
		}
	}
	return false
}

// anyFile says that there is one below a directory.
func anyFile(dir string) (found bool) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			found = true
			return fs.SkipAll
		}
		return nil // what disappears meanwhile is none
	})
	return found
}

// end stops the host and removes its files.
func (i *instance) end() error {
	defer os.RemoveAll(i.dir)
	return i.host.Stop()
}

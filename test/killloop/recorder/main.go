// Command recorder is some mail hosts in a process of its own that keeps what it takes in a file, so that kill -9 is a real one:
// what was written has been taken, and what was not has not. It ends with SIGTERM, in good order, or with its standard input.
//
//	recorder -name a1 -file FILE -processing 20ms 127.0.0.2:2525 127.0.0.3:2525 ...
//
// Each message is one write(2) of a line (killloop.Entry) before its 250 is on its way, and another after that was written. On
// standard output stands "ready" once, and then a word for each killloop.Event, for whoever wants to kill something just then.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/smtpfeed/smtpfeed/test/killloop"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A config is the command line.
type config struct {
	name       string // of this process, in the names of its messages
	file       string
	rtt        time.Duration
	processing time.Duration
	hosts      []string // "IP:PORT"
}

func main() {
	if err := run(parse(os.Args[1:])); err != nil {
		fmt.Fprintln(os.Stderr, "recorder:", err)
		os.Exit(1)
	}
}

func parse(args []string) (c config) {
	f := flag.NewFlagSet("recorder", flag.ExitOnError)
	f.StringVar(&c.name, "name", "r", "of this process, in the names of its messages")
	f.StringVar(&c.file, "file", "", "that is appended to")
	f.DurationVar(&c.rtt, "rtt", 0, "round trip to each host")
	f.DurationVar(&c.processing, "processing", 0, "of the first host's final replies; those of the n-th take n times as long")
	f.Parse(args) // ExitOnError: it returns no error
	c.hosts = f.Args()
	return c
}

func run(c config) error {
	j, err := openJournal(c.file, os.Stdout)
	if err != nil {
		return err
	}
	var servers []*mxsim.Server
	for i, addr := range c.hosts {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		h := &host{listener: l, name: c.name, journal: j}
		s := mxsim.New(h.config(c, i))
		s.Start(h)
		servers = append(servers, s)
	}
	if err := j.signal("ready"); err != nil {
		return err
	}
	wait()
	for _, s := range servers {
		s.Close()
		for _, v := range s.Violations() {
			j.write(killloop.Entry{Kind: killloop.Broken, What: fmt.Sprintf("%s: %q", v.What, v.Octets)})
		}
	}
	return j.close()
}

// wait returns when the process is to end.
func wait() {
	end := make(chan os.Signal, 1) // from the runtime; one is enough
	signal.Notify(end, syscall.SIGTERM)
	orphaned := make(chan struct{}) // from the goroutine below, which ends with the process
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(orphaned)
	}()
	select {
	case <-end:
	case <-orphaned:
	}
}

package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/smtpfeed/smtpfeed/test/hostsim"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// options are the demo's flags: its programs, and its world.
type options struct {
	smtpfeed, internetd string // paths of the binaries
	recipients          int
	world               internet.Config
}

func main() {
	var o options
	flag.StringVar(&o.smtpfeed, "smtpfeed", "bin/smtpfeed", "the smtpfeed binary")
	flag.StringVar(&o.internetd, "internetd", "bin/internetd", "the simulated internet's binary")
	flag.IntVar(&o.recipients, "recipients", 10000, "recipients of the list")
	flag.IntVar(&o.world.Domains, "domains", 3000, "domains of the list")
	flag.IntVar(&o.world.Hosts, "hosts", 200, "mail hosts the domains share")
	flag.IntVar(&o.world.DeadHosts, "dead", 4, "of the hosts, refuse connections")
	flag.IntVar(&o.world.Refused, "refused", 2, "of every 1000 recipients, unknown to their host")
	flag.DurationVar(&o.world.RTT, "rtt", 50*time.Millisecond, "round trip to every mail host")
	flag.DurationVar(&o.world.Processing, "processing", 100*time.Millisecond, "what a host takes to accept a message")
	flag.DurationVar(&o.world.DNSDelay, "dns-delay", 30*time.Millisecond, "what a DNS answer takes")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	o.world.Additional = true
	dir, err := os.MkdirTemp("", "smtpfeed-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w, err := startWorld(o)
	if err != nil {
		return err
	}
	defer w.stop()
	d, err := startDaemon(o, w, dir)
	if err != nil {
		return err
	}
	defer d.stop()
	introduce(o)
	result, err := deliver(o, w, d)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, d.log.String())
	}
	return summarise(o, w, d, result)
}

func introduce(o options) {
	c := o.world
	fmt.Printf("A list of %s recipients in %s domains, whose mail goes to %d hosts; %d of the hosts are dead.\n",
		thousands(o.recipients), thousands(c.Domains), c.Hosts, c.DeadHosts)
	fmt.Printf("Every host is %v away and takes %v to accept a message; every DNS answer takes %v.\n\n", c.RTT, c.Processing, c.DNSDelay)
}

// deliver hands the list over as one LMTP transaction.
func deliver(o options, w *world, d *daemon) (hostsim.Result, error) {
	c, err := hostsim.Dial("unix", d.socket)
	if err != nil {
		return hostsim.Result{}, err
	}
	defer c.Close()
	p := watch(o, w)
	defer p.stop()
	return c.Deliver(hostsim.Message{From: "list-bounces@lists.example.org", To: internet.List(o.world, o.recipients), Body: letter()},
		func(n int) { p.answered.Store(int64(n)) })
}

// letter is the mail of the list: an ordinary one of about 4 kB.
func letter() []byte {
	var b bytes.Buffer
	b.WriteString("From: The list <list@lists.example.org>\r\nTo: list@lists.example.org\r\nSubject: News\r\n" +
		"Message-ID: <demo@lists.example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n")
	for b.Len() < 4000 {
		b.WriteString(strings.Repeat("All the news that is fit to send. ", 2) + "\r\n")
	}
	return b.Bytes()
}

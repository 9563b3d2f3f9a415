package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

// A shape is one kind of work, done by every candidate.
type shape struct {
	key, title string
	world      internet.Config
	recipients int
	callers    int  // LMTP connections that bring a message for each recipient; 0: one message for all, over one connection
	verp       bool // each recipient has an envelope sender of its own
	again      bool // who remembers hosts does the work a second time
	parted     bool // all sessions are closed between the two
	slow       bool // Debian's Postfix takes many minutes, and does it in the first round only
	messages   int  // submissions of the one message; 0 is one
}

// contents is how many different ones arrive: a host's Received header tells submissions of the same message apart.
func (s shape) contents() int {
	if s.personal() {
		return s.recipients
	}
	return max(1, s.messages)
}

// personal says that each recipient has a message of its own.
func (s shape) personal() bool { return s.callers > 0 }

// spread is over how long the callers of a personal shape begin: a message's time. In step they would wait for each other's octets.
func (s shape) spread() time.Duration {
	if !s.personal() {
		return 0
	}
	return 2*s.world.RTT + s.world.Processing
}

// withSenders makes the world look at envelope senders.
func (s shape) withSenders() shape {
	s.world.Sender = sender
	if s.verp {
		s.world.Sender = verpSender
	}
	return s
}

// The distances of all shapes that are not near: those of the paper that smtpfeed goes back to would be 1998's.
const (
	roundTrip  = 50 * time.Millisecond
	processing = 100 * time.Millisecond
	dnsDelay   = 30 * time.Millisecond
)

// far puts the world at a distance.
func far(c internet.Config) internet.Config {
	c.RTT, c.Processing, c.DNSDelay, c.Additional = roundTrip, processing, dnsDelay, true
	return c
}

// near leaves out every delay: what remains is the cost of the work itself.
func near(c internet.Config) internet.Config {
	c.Additional = true
	return c
}

// callers is how many LMTP connections a personal shape uses, and how many messages are in flight: as many as Postfix is told to in
// our documentation.
const callers = 200

// shapes are all there are, in the table's order.
func shapes() []shape {
	all := work()
	for i, s := range all {
		all[i] = s.withSenders()
	}
	return all
}

// work is what the shapes are.
func work() []shape {
	shared := internet.Config{Domains: 10000, Hosts: 200}
	own := internet.Config{Domains: 10000, Hosts: 10000}
	// Each domain's first exchanger is a dead host of its own; the second ones are 200 that live.
	dead := internet.Config{Domains: 1000, Hosts: 1200, DeadHosts: 1000}
	silent := dead
	silent.Silent = true
	big := internet.Config{Domains: 10000, Hosts: 200, Big: 500, BigHosts: 4}
	few := internet.Config{Domains: 200, Hosts: 200}
	return []shape{
		{key: "a", title: "10,000 recipients, 10,000 domains on 200 hosts", world: far(shared), recipients: 10000},
		{key: "a0", title: "as a, without distances", world: near(shared), recipients: 10000},
		{key: "b", title: "10,000 recipients, 10,000 domains, each its own host", world: far(own), recipients: 10000},
		{key: "b0", title: "as b, without distances", world: near(own), recipients: 10000},
		{key: "c", title: "100,000 recipients, half of them in one domain with 4 equal exchangers", world: far(big), recipients: 100000, slow: true},
		{key: "d", title: "10,000 messages with one recipient each, 200 at a time, to 200 hosts", world: far(few), recipients: 10000, callers: callers},
		{key: "v", title: "10,000 recipients of one message on 200 hosts, each with an envelope sender of its own", world: far(shared), recipients: 10000, verp: true},
		{key: "e", title: "1,000 domains whose first exchanger drops everything", world: far(silent), recipients: 1000, again: true, slow: true},
		{key: "f", title: "1,000 domains whose first exchanger refuses", world: far(dead), recipients: 1000},
		{key: "g", title: "30 recipients in 30 domains", world: far(internet.Config{Domains: 30, Hosts: 30}), recipients: 30},
		{key: "h", title: "10,000 recipients, 3,000 domains on 200 hosts", world: far(internet.Config{Domains: 3000, Hosts: 200}), recipients: 10000},
	}
}

// choose picks shapes by their keys; small makes each a tenth, for a quick look.
func choose(keys string, small bool) ([]shape, error) {
	all := shapes()
	var chosen []shape
	for key := range strings.SplitSeq(keys, ",") {
		i := index(all, key)
		if i < 0 {
			return nil, fmt.Errorf("there is no shape %q", key)
		}
		s := all[i]
		if small {
			s = s.tenth()
		}
		chosen = append(chosen, s)
	}
	return chosen, nil
}

func index(all []shape, key string) int {
	for i, s := range all {
		if s.key == key {
			return i
		}
	}
	return -1
}

// tenth is the shape with a tenth of everything but its distances.
func (s shape) tenth() shape {
	less := func(n int) int { return (n + 9) / 10 }
	s.title += " (a tenth)"
	s.recipients, s.callers = less(s.recipients), less(s.callers)
	s.world.Domains, s.world.Hosts, s.world.DeadHosts = less(s.world.Domains), less(s.world.Hosts), less(s.world.DeadHosts)
	return s
}

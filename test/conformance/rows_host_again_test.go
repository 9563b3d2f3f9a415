package conformance

import (
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"
)

// A sequel is what happens to smtpfeed, which keeps a ledger, between a message and the same message again.
type sequel func(*play, *process, *hostMTA)

// againRows are messages that come again since a reply was not read, and what must not: a second copy.
func againRows() []row {
	gone := func(_ *play, _ *process, h *hostMTA) { h.conn.Close() }
	orderly := func(p *play, _ *process, h *hostMTA) {
		p.talk(h, append(script{"< 250 2.0.0", "< 250 2.0.0"}, bye()...))
		h.conn.Close()
	}
	first := []string{"a@one.test", "c@two.test"}
	earlier := "250 2.0.0 mx1.test"
	kept := func(between sequel, again script, copies map[string]int) func(*play) {
		return keeps(news(first), len(first), between, again, copies)
	}
	plain := func(rule string, between sequel, again []string, copies map[string]int, replies ...string) row {
		return spoken("HST-16", rule, kept(between, news(again, replies...), copies))
	}
	queued := slices.Concat(envelope(first...), script{"> Received: from list by host with SMTP id 4QsXyZ0abc for <a@one.test>;", "> ", "> hello", "> ."})
	partly := plain("one was delivered and one deferred: only that one is sent", gone, first, map[string]int{"a": 1, "c": 1}, earlier, earlier)
	partly.faults = []fault{{at: atRcpt, of: "c@", do: do(say("450 4.2.0 later"))}}
	other := slices.Concat(envelope(first...), script{"> Subject: other", "> ", "> hello", "> .", "< 250", "< 250"})
	sender := slices.Concat(script{"> MAIL FROM:<other@example.org>", "< 250"}, news(first, "250", "250")[2:])
	return []row{
		plain("the host left with its replies unread: no second copy, and who is new gets his", gone, append(first, "b@one.test"),
			map[string]int{"a": 1, "b": 1, "c": 1}, earlier, earlier, "250 2.0.0"),
		plain("the same in another order, and a recipient twice", gone, []string{"c@two.test", "a@one.test", "c@two.test"}, map[string]int{"a": 1, "c": 1}, earlier, earlier, earlier),
		plain("smtpfeed was killed with its replies unread", restarted, first, map[string]int{"a": 1, "c": 1}, earlier, earlier),
		plain("the host has read its replies: the same message is another one", orderly, first, map[string]int{"a": 2, "c": 2}, "250 2.0.0", "250 2.0.0"),
		partly,
		spoken("HST-16", "a message with a queue's name in it: sent again, it is the same one, also when the host has read its replies", keeps(queued, len(first), orderly,
			slices.Concat(queued, script{"< " + earlier, "< " + earlier}), map[string]int{"a": 1, "c": 1})),
		spoken("HST-16", "another content is another message", kept(gone, other, map[string]int{"a": 2, "c": 2})),
		spoken("HST-16", "another sender is another message", kept(gone, sender, map[string]int{"a": 2, "c": 2})),
	}
}

// killedRows are processes that are killed at a known moment.
func killedRows() []row {
	first := []string{"a@one.test", "c@two.test"}
	killed := func(rule string, at stage, most int) row {
		reached := make(chan struct{})
		tells := act{name: "tells", run: func(*server) bool { close(reached); return true }}
		r := spoken("OPS-01", rule, playKilled(first, reached, most))
		r.faults = []fault{{at: at, do: do(tells, leaves)}}
		return r
	}
	return []row{
		killed("kill -9 before anything was said: sent again, one copy", atGreeting, 1),
		killed("kill -9 behind the envelope: sent again, one copy", atData, 1),
		killed("kill -9 with the end of data on its way: sent again, and two copies at most", atDot, 2),
	}
}

// keeping is the program with a ledger.
func keeping() []string {
	return []string{"[ledger]\npath = \"\"", "[ledger]\npath = \"DIR/ledger.db\""}
}

// keeps plays a message until its replies wait to be read, what happens then, and a script. In the end these have so many copies.
func keeps(first script, replies int, between sequel, again script, copies map[string]int) func(*play) {
	return func(p *play) {
		own, err := newProcess(p.world.(*sockets), p.row.setup, keeping()...)
		if err != nil {
			p.fail("no process: %v", err)
			return
		}
		p.mailer = own.program
		h := p.connected()
		if h == nil {
			return
		}
		p.talk(h, first)
		p.until("all replies wait to be read", func() bool { return strings.Count(unread(h), "\n") == replies })
		between(p, own, h)
		if h = p.connected(); h != nil {
			p.talk(h, append(again, bye()...))
			h.conn.Close()
		}
		if err := own.end(); err != nil {
			p.fail("the end of the process: %v", err)
		}
		p.checkCounts(copies)
	}
}

// unread is what has come, and stays unread: what was read, smtpfeed takes for read.
func unread(h *hostMTA) string {
	raw, err := h.conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err.Error()
	}
	b, n := make([]byte, 64<<10), 0
	raw.Control(func(fd uintptr) {
		n, _, _ = syscall.Recvfrom(int(fd), b, syscall.MSG_PEEK|syscall.MSG_DONTWAIT) // nothing is nothing yet
	})
	return string(b[:max(n, 0)])
}

// restarted kills the program and starts it again; the host sees its connection end.
func restarted(p *play, own *process, h *hostMTA) {
	if err := own.kill(); err != nil {
		p.fail("it cannot be killed: %v", err)
	}
	h.conn.Close()
	if err := own.start(); err != nil {
		p.fail("it does not start again: %v", err)
	}
}

// playKilled kills the program when an exchanger says so, starts it again, and sends the message again.
func playKilled(to []string, reached <-chan struct{}, most int) func(*play) {
	return func(p *play) {
		own, err := newProcess(p.world.(*sockets), p.row.setup, keeping()...)
		if err != nil {
			p.fail("no process: %v", err)
			return
		}
		p.mailer = own.program
		h := p.connected()
		if h == nil {
			return
		}
		p.talk(h, news(to))
		<-reached
		restarted(p, own, h)
		if h = p.connected(); h != nil {
			p.talk(h, append(news(to, "250 2.0.0", "250 2.0.0"), bye()...))
			h.conn.Close()
		}
		if err := own.end(); err != nil {
			p.fail("the end of the process: %v", err)
		}
		for who, n := range p.copies() {
			if n < 1 || n > most {
				p.fail("%s has %d copies, wanted at most %d", who, n, most)
			}
		}
	}
}

// copies are how many each local part has.
func (p *play) copies() map[string]int {
	n := map[string]int{}
	for _, h := range p.hosts {
		for _, who := range p.arrivedAt(h) {
			n[who]++
		}
	}
	return n
}

func (p *play) checkCounts(want map[string]int) {
	if got := p.copies(); !maps.Equal(got, want) {
		p.fail("copies: %v, wanted %v", got, want)
	}
}

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/smtpfeed/smtpfeed/test/hostsim"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// A progress shows, ten times a second, how far the delivery has come.
type progress struct {
	answered atomic.Int64 // final LMTP replies read
	end      chan struct{}
	ended    chan struct{}
}

func watch(o options, w *world) *progress {
	p := &progress{end: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		start, tick := time.Now(), time.NewTicker(50*time.Millisecond)
		defer tick.Stop()
		for {
			p.line(o, w, time.Since(start))
			select {
			case <-tick.C:
			case <-p.end:
				p.line(o, w, time.Since(start))
				fmt.Print("\n\n")
				return
			}
		}
	}()
	return p
}

func (p *progress) line(o options, w *world, since time.Duration) {
	arrived := 0
	if r, err := w.progress(); err == nil {
		arrived = r.Recipients
	}
	const width = 40
	done := min(width, width*arrived/o.recipients)
	fmt.Printf("\r%5.2f s  [%s%s]  %6s arrived, %6s answered", since.Seconds(), strings.Repeat("#", done), strings.Repeat(".", width-done),
		thousands(arrived), thousands(int(p.answered.Load())))
}

func (p *progress) stop() {
	close(p.end)
	<-p.ended
}

// summarise tells what happened, from three sides: the host MTA's replies, smtpfeed's counters, and what arrived.
func summarise(o options, w *world, d *daemon, result hostsim.Result) error {
	arrived, err := w.report()
	if err != nil {
		return err
	}
	own, err := d.status()
	if err != nil {
		return err
	}
	memory, err := d.peakMemory()
	if err != nil {
		return err
	}
	d.stop()
	cpu := d.cmd.ProcessState.UserTime() + d.cmd.ProcessState.SystemTime()
	outcomes := result.Outcomes()
	last := outcomes[0].At
	for _, r := range outcomes {
		last = max(last, r.At)
	}
	row := func(name, format string, args ...any) {
		fmt.Printf("  %-22s "+format+"\n", append([]any{name}, args...)...)
	}
	row("recipients", "%s: %s", thousands(len(outcomes)), classes(outcomes))
	row("arrived", "%s, %d twice, %d at a wrong host", thousands(arrived.Recipients), arrived.Duplicates.Count, arrived.Misrouted.Count)
	row("domains", "%s on %d hosts; %d of the hosts dead (%s recipients moved to their second exchanger)",
		thousands(o.world.Domains), o.world.Hosts, own.Feed.DialsFailed, thousands(int(own.Feed.Regrouped)))
	row("SMTP sessions", "%d, at most %d at a host", own.Feed.SessionsTotal, arrived.MaxSessionsPerHost)
	row("SMTP transactions", "%d, %d of them with recipients of several domains", own.Feed.Transactions, own.Feed.Piggybacked)
	row("DNS questions", "%s, %s of them for MX", thousands(int(own.DNS.Questions)), thousands(int(own.DNS.MXQuestions)))
	row("time", "%.2f s from the first RCPT to the last reply, %.2f s of it behind the final dot", last.Seconds(), (last - result.Dot).Seconds())
	row("smtpfeed itself", "%.2f s of CPU, %d MB of memory at most", cpu.Seconds(), memory>>20)
	one := oneAtATime(o.world)
	row("one at a time", "%s (%.2f s each, one connection and one recipient after the other)",
		(one * time.Duration(o.recipients)).Round(time.Minute), one.Seconds())
	refused(o, outcomes)
	return nil
}

// oneAtATime is what one recipient costs alone: MX and address question, then a round trip each for connection, EHLO, MAIL,
// RCPT, DATA and body, and the host's processing.
func oneAtATime(c internet.Config) time.Duration {
	return 2*c.DNSDelay + 6*c.RTT + c.Processing
}

// classes counts outcomes in words.
func classes(outcomes []hostsim.Reply) string {
	var delivered, deferred, failed int
	for _, r := range outcomes {
		switch r.Code / 100 {
		case 2:
			delivered++
		case 4:
			deferred++
		default:
			failed++
		}
	}
	return fmt.Sprintf("%s delivered, %d refused for good, %d to be tried again", thousands(delivered), failed, deferred)
}

// refused shows who was refused and why, a few of each reason.
func refused(o options, outcomes []hostsim.Reply) {
	list := internet.List(o.world, o.recipients)
	byCode := map[int][]int{}
	for i, r := range outcomes {
		if r.Code/100 != 2 {
			byCode[r.Code] = append(byCode[r.Code], i)
		}
	}
	const shown = 5
	var codes []int
	for code := range byCode {
		codes = append(codes, code)
	}
	slices.SortFunc(codes, func(a, b int) int { return cmp.Compare(b, a) })
	for _, code := range codes {
		who := byCode[code]
		fmt.Printf("\nNot delivered with %d, %d recipients:\n", code, len(who))
		for _, i := range who[:min(shown, len(who))] {
			fmt.Printf("  %-28s %s\n", list[i], outcomes[i].Text)
		}
		if len(who) > shown {
			fmt.Printf("  ... and %d more\n", len(who)-shown)
		}
	}
}

// thousands writes 10000 as "10,000".
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

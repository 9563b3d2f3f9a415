package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// machineRows are what the machine and the network do wrong, as far as it needs no machine of its own.
func machineRows() []row {
	disk := func(rule, alarm string, words ...string) row {
		return row{id: "OPS-03", rule: rule, where: onSockets, want: all("OK"), then: same, play: tuned(tuning{program: words, alarm: alarm}, (*play).exchange)}
	}
	return []row{
		disk("no room for delivery records: mail goes on without them", "delivery records cannot be written", `deliveries = "`, `deliveries = "/dev/full" # "`),
		disk("the ledger cannot be opened: mail goes on without it", "ledger", "[ledger]\npath = \"\"", "[ledger]\npath = \"/dev/full\""),
		disk("the ledger's directory is not there: mail goes on without it", "make the directory", "[ledger]\npath = \"\"", "[ledger]\npath = \"DIR/none/ledger.db\""),
		spoken("OPS-08", "a second process on the same socket does not start, and the first one goes on", playTwoProcesses),
		partition("DNS does not answer", "T 4.4.3", unheardAll),
		partition("no exchanger answers", "T 4.4.1", nil),
	}
}

// partition is a list of many domains while the network is away.
func partition(rule, outcome string, o oddity) row {
	if o == nil {
		o = func(_ names, _ string, _ bool, a dnssim.Answer) dnssim.Answer { return a }
	}
	var zone strings.Builder
	to := recipientsAt(300)
	for i := range to {
		fmt.Fprintf(&zone, "d%03d.test. MX 10 mx%d.test.\nmx%d.test. A 198.51.%d.%d\n", i, i, i, i/250, i%250+1)
	}
	return row{id: "OPS-06", rule: "300 domains, and " + rule + ": everybody is told in time", where: inMemory, want: all(outcome), conns: none, to: to, within: ordinary + time.Second,
		dns: odd(zoneOf(strings.TrimSpace(zone.String())), o), play: func(p *play) {
			p.world.(*memory).net.Default(netsim.Link{BlackHole: true})
			p.exchange()
		}}
}

// unheardAll answers nothing.
func unheardAll(_ names, _ string, _ bool, _ dnssim.Answer) dnssim.Answer {
	return dnssim.Answer{Drop: true}
}

// playTwoProcesses starts the program a second time with the same configuration.
func playTwoProcesses(p *play) {
	own, err := newProcess(p.world.(*sockets), p.row.setup, keeping()...)
	if err != nil {
		p.fail("no process: %v", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), feedd.Patience)
	defer cancel()
	second := exec.CommandContext(ctx, os.Getenv(feedd.BinaryVariable), "serve", "-c", own.path("smtpfeed.toml"))
	says, err := second.CombinedOutput()
	if err == nil || ctx.Err() != nil {
		p.fail("the second process runs: %v", ctx.Err())
	}
	if !strings.Contains(string(says), "lmtp.sock") {
		p.fail("it does not say why: %s", says)
	}
	p.mailer = own.program
	saying(map[string]string{"192.0.2.1": "a"}, append(news([]string{"a@one.test"}, "250 2.0.0"), bye()...))(p)
	if err := own.end(); err != nil {
		p.fail("the end of the first process: %v", err)
	}
}

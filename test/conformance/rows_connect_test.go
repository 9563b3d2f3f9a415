package conformance

import (
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// crowd is a message that a second connection is of use for: more recipients than three, each a transaction.
func crowd(r row) row {
	for i := range 30 {
		r.to = append(r.to, fmt.Sprintf("u%d@one.test", i))
	}
	r.to = append(r.to, "c@two.test")
	r.setup = setup{sessionsPerHost: 4, perTransaction: 1}
	r.want, r.play = all("OK"), playCrowd
	return r
}

// playCrowd sends it with another exchanger at hand. How many connections are tried is the mailer's to choose: more than one, and
// few. Nobody may go to the other exchanger for our own many connections.
func playCrowd(p *play) {
	p.got = p.send(p.message(p.content(), p.row.to...))
	p.checkOutcomes()
	if n := len(p.best.connections()); n < 2 || n > 4 {
		p.fail("%d connections were tried, wanted 2 to 4", n)
	}
	if n := len(p.hosts[1].connections()); n > 0 {
		p.fail("the other exchanger got %d connections", n)
	}
	p.checkCopies()
}

// connectRows are about connections before anything is said.
func connectRows() (rows []row) {
	for _, beyond := range []struct {
		id, rule string
		fault
	}{
		{"CON-05", "RST beyond a limit: the work goes over the first connection (31 recipients)", fault{at: atConnect, do: do(rst)}},
		{"CON-05", "FIN beyond a limit", fault{at: atConnect, do: do(fin)}},
		{"CON-06", "no greeting beyond a limit: the work goes on meanwhile", fault{at: atConnect, do: do(leaves)}},
		{"GRT-01", "421 beyond a limit: the other sessions go on", fault{at: atGreeting, do: do(say("421 4.7.0 too many connections"), fin)}},
	} {
		beyond.beyond, beyond.times = 1, always
		rows = append(rows, crowd(row{id: beyond.id, rule: beyond.rule, faults: []fault{beyond.fault}, zone: bothExchangers,
			others: []host{{addr: "192.0.2.2"}}}))
	}
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS} {
		rows = append(rows, row{id: "CON-07", rule: errno.Error() + ": waited for, and charged to no host", where: inMemory, want: all("OK"),
			play: func(p *play) { playWant(p, errno) }, zone: bothExchangers, others: []host{{addr: "192.0.2.2"}}})
	}
	noSource := &os.SyscallError{Syscall: "bind", Err: syscall.EADDRNOTAVAIL}
	return append(rows,
		row{id: "CON-08", rule: "this machine does not have the source address: mail waits, and goes from no other one nor elsewhere", where: inMemory, want: all("T 4.4.0"),
			link: netsim.Link{DialError: noSource}, stays: true, conns: none, zone: bothExchangers, others: []host{{addr: "192.0.2.2"}}},
		row{id: "CON-08", rule: "neither does a relay on this machine wait for it", where: onSockets, want: all("OK"), then: same,
			play: tuned(tuning{program: []string{"[smtp]\n", "[smtp]\nsource = [\"192.0.2.10\"]\n"}, alarm: "smtp.source: mail waits"}, (*play).exchange)},
		row{id: "CON-08", rule: "the source address is there, and mail comes from it", where: onSockets, want: all("OK"),
			play: tuned(tuning{program: []string{"[smtp]\n", "[smtp]\nsource = [\"127.0.0.99\"]\n"}}, func(p *play) {
				p.exchange()
				p.checkSource("127.0.0.99")
			})},
		row{id: "CON-07", rule: "for longer than the budget: deferred for what this machine lacks", where: inMemory, long: true, want: all("T 4.3.2"),
			link: netsim.Link{DialError: syscall.EMFILE}, stays: true, conns: none},
		row{id: "X-CON-01", rule: "connection refused", dead: true, want: all("T 4.4.1"), conns: none, then: down},
		row{id: "X-CON-02", rule: "a connection is never answered", where: inMemory, long: true, link: netsim.Link{Latency: 10 * time.Millisecond, BlackHole: true},
			want: all("T 4.4.1|4.4.2"), conns: none, then: down, within: 31 * time.Second},
		row{id: "X-CON-03", rule: "FIN instead of a greeting", want: all("T 4.4.2"), then: down, faults: []fault{{at: atConnect, do: do(fin)}}},
		row{id: "X-CON-03", rule: "RST instead of a greeting", want: all("T 4.4.1|4.4.2"), then: down, faults: []fault{{at: atConnect, do: do(rst)}}},
		row{id: "X-CON-03", rule: "FIN instead of a greeting, and it goes on reading", want: all("T 4.4.2"), then: down,
			faults: []fault{{at: atConnect, do: do(half)}}},
	)
}

// checkSource wants every connection to have come from an address.
func (p *play) checkSource(want string) {
	for _, c := range p.best.connections() {
		if c.from != want {
			p.fail("a connection came from %s, wanted %s", c.from, want)
		}
	}
}

// bothExchangers is the zone of a row that always has the other exchanger.
const bothExchangers = "one.test. MX 10 mx1.test.\none.test. MX 20 mx2.test.\ntwo.test. MX 10 mx1.test.\ntwo.test. MX 20 mx2.test.\n" +
	"mx1.test. A 192.0.2.1\nmx2.test. A 192.0.2.2\ntest. SOA ns.test. host.test. 1 2 3 4 300\n"

// playWant makes this machine lack something for ten seconds.
func playWant(p *play, errno syscall.Errno) {
	net := p.world.(*memory).net
	net.Default(netsim.Link{DialError: errno})
	over := time.AfterFunc(10*time.Second, func() { net.Default(netsim.Link{Latency: 10 * time.Millisecond}) })
	defer over.Stop()
	p.got = p.send(p.message(p.content(), p.row.recipients()...))
	p.checkOutcomes()
	p.checkConnections()
	if n := net.Dials()[netip.MustParseAddrPort("192.0.2.1:25")]; n > 52 {
		p.fail("it was dialled %d times meanwhile", n)
	}
	if n := len(p.hosts[1].connections()); n > 0 {
		p.fail("the other exchanger got %d connections", n)
	}
	p.checkCopies()
}

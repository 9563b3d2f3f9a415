package main

import (
	"crypto/tls"
	"net"
	"slices"
	"time"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

// What smtpfeed may do to a host at most, by default (smtp.recipients_per_transaction, smtp.sessions_per_host); so may the raw
// client and the tuned Postfix.
const (
	perTransaction = 100
	perHost        = 10
)

// A plan is what the raw client does: everything that a mailer has to find out is in it.
type plan struct {
	Body        []byte        // with the final dot
	Personal    bool          // each transaction has its own content
	Spread      time.Duration // over which the connections begin
	TLS         bool
	Connections []connection

	secrets *tls.Config // of all connections; nil until the plan is carried out, and without TLS
}

// A connection is one of a plan's, with all that it carries, in order.
type connection struct {
	Addr         string // "IP:PORT"
	Transactions []transaction
}

type transaction struct {
	From   string
	To     []string
	Params string `json:",omitempty"` // of MAIL, each with the blank before it
}

// makePlan groups recipients by host, cuts transactions, and spreads those of a host over as many connections as it takes to have
// each its own, up to perHost.
func makePlan(s shape, port string) plan {
	p := plan{Body: append(letter(), ".\r\n"...), Personal: s.personal()}
	hosts, order := byHost(s)
	size, most := perTransaction, perHost
	if s.verp {
		size = 1
	}
	if s.personal() {
		// One message after the other for each of many callers.
		size, most = 1, 1
		p.Spread = s.spread()
	}
	for _, j := range order {
		var cut []transaction
		for to := range slices.Chunk(hosts[j], size) {
			cut = append(cut, transaction{From: internet.Sender(s.world.Sender, to[0]), To: to})
		}
		addr := net.JoinHostPort(internet.HostAddr(j).String(), port)
		for _, part := range deal(cut, most) {
			p.Connections = append(p.Connections, connection{addr, part})
		}
	}
	return p
}

// byHost gives each recipient to a host that takes its domain, in turn where several do. order is the hosts, as they first come.
func byHost(s shape) (hosts map[int][]string, order []int) {
	hosts = make(map[int][]string)
	turn := 0
	for i := range s.recipients {
		a := internet.Recipient(i, s.world)
		takers := internet.Takers(a, s.world)
		j := takers[0]
		if len(takers) > 1 {
			j = takers[turn%len(takers)]
			turn++
		}
		if hosts[j] == nil {
			order = append(order, j)
		}
		hosts[j] = append(hosts[j], a)
	}
	return hosts, order
}

// deal gives out transactions to at most n connections, as evenly as can be.
func deal(all []transaction, n int) [][]transaction {
	hands := make([][]transaction, min(n, len(all)))
	for i, t := range all {
		hands[i%len(hands)] = append(hands[i%len(hands)], t)
	}
	return hands
}

// transactions is how many there are on all connections.
func (p plan) transactions() (n int) {
	for _, c := range p.Connections {
		n += len(c.Transactions)
	}
	return n
}

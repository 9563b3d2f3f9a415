package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// zoneOf is a zone with a SOA record, as zones have one.
func zoneOf(records ...string) string {
	return strings.Join(records, "\n") + "\ntest. SOA ns.test. host.test. 1 2 3 4 300\n"
}

// Records that many rows have: an exchanger for two.test, which nothing is wrong with, and one for both domains.
const (
	twoIsWell = "two.test. MX 10 mx1.test.\nmx1.test. A 192.0.2.1"
	bothAreAt = "one.test. MX 10 mx1.test.\ntwo.test. MX 10 mx1.test."
)

// An oddity changes the answer to a question, which is written as "MX one.test".
type oddity func(n names, question string, tcp bool, a dnssim.Answer) dnssim.Answer

// odd is a zone whose answers an oddity changes.
func odd(zone string, o oddity) func(names) dnssim.Handler {
	return oddWith(zone, dnssim.WithAddresses, o)
}

// oddWith is odd with a choice of additional records.
func oddWith(zone string, additional dnssim.Additional, o oddity) func(names) dnssim.Handler {
	return func(n names) dnssim.Handler {
		h, err := dnssim.ZoneWith(n.text(zone), additional)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return func(q dns.Question, tcp bool) dnssim.Answer { return o(n, n.question(q), tcp, h(q, tcp)) }
	}
}

// anew makes the handler of each play, for oddities that remember something: a row is played in memory and over sockets at once.
func anew(handler func() func(names) dnssim.Handler) func(names) dnssim.Handler {
	return func(n names) dnssim.Handler { return handler()(n) }
}

// question is a question as rows write it, whoever plays them: the opposite of text.
func (n names) question(q dns.Question) string {
	name := questionDomain(q)
	if n.label != "" {
		name = strings.Replace(name, "."+n.label+".test", ".test", 1)
	}
	return dns.TypeToString[q.Qtype] + " " + name
}

// minimal is a zone whose MX answers carry no addresses.
func minimal(zone string) func(names) dnssim.Handler {
	return oddWith(zone, dnssim.WithoutAddresses, func(_ names, _ string, _ bool, a dnssim.Answer) dnssim.Answer { return a })
}

// failing answers some questions with a code and nothing else.
func failing(rcode int, questions ...string) oddity {
	return func(_ names, question string, _ bool, a dnssim.Answer) dnssim.Answer {
		if slices.Contains(questions, question) {
			return dnssim.Answer{RCode: rcode}
		}
		return a
	}
}

// unheard leaves some questions without an answer.
func unheard(questions ...string) oddity {
	return func(_ names, question string, _ bool, a dnssim.Answer) dnssim.Answer {
		a.Drop = slices.Contains(questions, question)
		return a
	}
}

// record is a record of a row's.
func (n names) record(text string) dns.RR {
	rr, err := dns.NewRR(n.text(text))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return rr
}

// timesAsked is how often a question, written as "MX one.test", came to the row's DNS server.
func (p *play) timesAsked(question string) int {
	qtype, name, _ := strings.Cut(p.names.text(question), " ")
	switch w := p.world.(type) {
	case *memory:
		return w.dns.Asked(name, dns.StringToType[qtype])
	case *sockets:
		return w.dns.Asked(name, dns.StringToType[qtype])
	}
	panic(fmt.Sprintf("BUG: %T has no DNS server", p.world))
}

// neverAsked is the usual play, in which some questions must not be asked.
func neverAsked(questions ...string) func(*play) {
	return func(p *play) {
		p.exchange()
		for _, q := range questions {
			if n := p.timesAsked(q); n > 0 {
				p.fail("%s was asked %d times", q, n)
			}
		}
	}
}

// askedOnce is the usual play, in which some questions must be asked exactly once. Over sockets they may come again: on a busy machine an
// answer takes longer than the resolver waits before it asks anew.
func askedOnce(questions ...string) func(*play) {
	return func(p *play) {
		p.exchange()
		for _, q := range questions {
			_, memory := p.world.(*memory)
			if n := p.timesAsked(q); n == 0 || memory && n > 1 {
				p.fail("%s was asked %d times, wanted once", q, n)
			}
		}
	}
}

// at is the usual play, in which each exchanger must get these recipients and no others: by address, their local parts in order.
func at(want map[string]string) func(*play) {
	return func(p *play) {
		p.exchange()
		p.checkPlaces(want)
	}
}

// checkPlaces compares who got whom. An exchanger that is not named must not even be dialled.
func (p *play) checkPlaces(want map[string]string) {
	for _, h := range p.hosts {
		got := p.arrivedAt(h)
		if strings.Join(got, " ") != want[h.addr] {
			p.fail("%s got %v, wanted [%s]", h.addr, got, want[h.addr])
		}
		if _, named := want[h.addr]; !named && len(h.connections()) > 0 {
			p.fail("%s was dialled", h.addr)
		}
	}
}

// arrivedAt are the local parts of those whose copy arrived at an exchanger, in order.
func (p *play) arrivedAt(h *exchanger) (to []string) {
	h.locked(func() {
		for _, c := range h.seen {
			for _, t := range c.transactions {
				for _, r := range t.reached() {
					to = append(to, r[:strings.LastIndexByte(r, '@')])
				}
			}
		}
	})
	slices.Sort(to)
	return to
}

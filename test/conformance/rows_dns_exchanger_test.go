package conformance

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// aliasRows are CNAMEs, where they may stand and where not.
func aliasRows() []row {
	const real = "real.test. MX 10 mx1.test.\nmx1.test. A 192.0.2.1"
	circle := "a.test. CNAME b.test.\nb.test. CNAME a.test."
	lone := func(_ names, _ string, _ bool, a dnssim.Answer) dnssim.Answer { // a server that does not follow its own CNAMEs
		if len(a.Answer) > 1 && a.Answer[0].Header().Rrtype == dns.TypeCNAME {
			a.Answer, a.Extra = a.Answer[:1], nil
		}
		return a
	}
	backwards := func(_ names, _ string, _ bool, a dnssim.Answer) dnssim.Answer {
		for i, j := 0, len(a.Answer)-1; i < j; i, j = i+1, j-1 {
			a.Answer[i], a.Answer[j] = a.Answer[j], a.Answer[i]
		}
		return a
	}
	chain := zoneOf("one.test. CNAME x.test.", "x.test. CNAME y.test.", "y.test. CNAME real.test.", "two.test. CNAME real.test.", real)
	return []row{
		{id: "DNS-14", rule: "a domain that is an alias: its target's MX, and the address as given", want: all("OK"), then: same,
			zone: zoneOf("one.test. CNAME real.test.", "two.test. CNAME real.test.", real)},
		{id: "DNS-14", rule: "a chain of aliases", want: all("OK"), zone: chain},
		{id: "DNS-14", rule: "a chain of aliases, its records in whatever order", want: all("OK"), dns: odd(chain, backwards)},
		{id: "DNS-14", rule: "a chain of aliases that the server does not follow", want: all("OK"), dns: odd(chain, lone)},
		{id: "DNS-14", rule: "an alias of a name with an address and no MX", want: all("OK"), zone: zoneOf("one.test. CNAME web.test.", "two.test. CNAME web.test.", "web.test. A 192.0.2.1")},
		{id: "DNS-14", rule: "an alias of a name that does not exist", want: []string{"P 5.1.2", "P 5.1.2", "OK"}, zone: zoneOf("one.test. CNAME gone.test.", twoIsWell)},
		{id: "DNS-14", rule: "an alias of a domain without mail", want: []string{"P 5.1.10", "P 5.1.10", "OK"}, zone: zoneOf("one.test. CNAME none.test.", "none.test. MX 0 .", twoIsWell)},
		{id: "DNS-14", rule: "aliases in a circle", want: []string{"T 4.4.3", "T 4.4.3", "OK"}, setup: troubled(), zone: zoneOf("one.test. CNAME a.test.", circle, twoIsWell)},
		{id: "DNS-15", rule: "an exchanger that is an alias", want: all("OK"), then: same,
			zone: zoneOf("one.test. MX 10 alias.test.", "two.test. MX 10 alias.test.", "alias.test. CNAME mx1.test.", "mx1.test. A 192.0.2.1")},
		{id: "DNS-15", rule: "an alias and its target are the same exchanger", want: all("OK"),
			zone: zoneOf("one.test. MX 10 alias.test.", "two.test. MX 10 mx1.test.", "alias.test. CNAME mx1.test.", "mx1.test. A 192.0.2.1")},
		{id: "DNS-15", rule: "exchangers that are aliases in a circle", want: []string{"T 4.4.3", "T 4.4.3", "OK"}, setup: troubled(),
			zone: zoneOf("one.test. MX 10 a.test.", circle, twoIsWell)},
	}
}

// exchangerRows are exchangers that are none, or too many.
func exchangerRows() []row {
	gone := zoneOf("one.test. MX 10 gone.test.", "one.test. MX 20 empty.test.", "one.test. A 192.0.2.1", "empty.test. TXT nothing", twoIsWell)
	return []row{
		{id: "DNS-17", rule: "an exchanger that is an IPv4 address", want: all("OK"), then: same, zone: zoneOf("one.test. MX 10 192.0.2.1.", "two.test. MX 10 192.0.2.1.")},
		{id: "DNS-24", rule: "no exchanger has an address: not the domain's own", want: []string{"P 5.4.4", "P 5.4.4", "OK"}, zone: gone, play: neverAsked("A one.test")},
		{id: "DNS-24", rule: "exchangers that are no host names", want: []string{"P 5.4.4", "P 5.4.4", "OK"},
			zone: zoneOf(`one.test. MX 10 a\032b.test.`, `one.test. MX 20 -.test.`, "one.test. A 192.0.2.1", twoIsWell)},
		{id: "DNS-24", rule: "an exchanger without an address does not count", want: all("OK"),
			zone: zoneOf("one.test. MX 5 gone.test.", "two.test. MX 5 empty.test.", "empty.test. TXT nothing", bothAreAt, "mx1.test. A 192.0.2.1")},
		{id: "DNS-25", rule: "one exchanger cannot be resolved, the other does not exist", want: []string{"T 4.4.3", "T 4.4.3", "OK"}, setup: troubled(),
			dns: odd(zoneOf("one.test. MX 10 bad.test.", "one.test. MX 20 gone.test.", twoIsWell), failing(dns.RcodeServerFailure, "A bad.test", "AAAA bad.test"))},
		{id: "DNS-25", rule: "the better exchanger cannot be resolved: the other one takes the mail", want: all("OK"), setup: troubled(),
			dns: odd(zoneOf("one.test. MX 5 bad.test.", "two.test. MX 5 bad.test.", bothAreAt, "mx1.test. A 192.0.2.1"), failing(dns.RcodeServerFailure, "A bad.test", "AAAA bad.test"))},
		{id: "DNS-23", rule: "equal exchangers are taken in an order of chance, and another preference never", want: all("OK"), to: recipientsAt(24), conns: none, dns: equalPairs(24), others: pairHosts(24), play: playEqual},
		{id: "DNS-22", rule: "100 exchangers with 10 addresses each, which all refuse: not all are tried", where: inMemory, want: all("T 4.4.1"), conns: none,
			dns: multitude(100, 10), play: playMultitude(16*10, 1)},
		{id: "DNS-22", rule: "100 exchangers with 10 addresses each, which never answer: told in time", where: inMemory, want: all("T"), conns: none, within: ordinary + time.Second,
			dns: multitude(100, 10), play: unanswered(playMultitude(16*10, 2))},
		{id: "DNS-22", rule: "100 exchangers, the best of which is well", want: all("OK"), then: same, zone: manyExchangers(100)},
		{id: "DNS-22", rule: "100 exchangers that refuse all mail: two are visited", want: all("T 4.7.1"), dns: multitude(100, 1), others: grumpyMultitude(100), play: playVisitsOf(2),
			faults: []fault{{at: atMail, times: always, do: do(say("451 4.7.1 not now"))}}},
	}
}

// recipientsAt are recipients at n domains.
func recipientsAt(n int) (to []string) {
	for i := range n {
		to = append(to, fmt.Sprintf("r%03d@d%03d.test", i, i))
	}
	return to
}

// equalPairs is a zone of n domains, each of which has two equal exchangers of its own, and a worse one that all share.
func equalPairs(n int) func(names) dnssim.Handler {
	var records []string
	for i := range n {
		records = append(records, fmt.Sprintf("d%03d.test. MX 10 a%d.test.\nd%03d.test. MX 10 b%d.test.\nd%03d.test. MX 11 mx1.test.", i, i, i, i, i),
			fmt.Sprintf("a%d.test. A 192.0.2.%d\nb%d.test. A 192.0.2.%d", i, 10+2*i, i, 11+2*i))
	}
	return minimal(zoneOf(append(records, "mx1.test. A 192.0.2.1")...))
}

func pairHosts(n int) (hosts []host) {
	for i := range 2 * n {
		hosts = append(hosts, host{addr: fmt.Sprintf("192.0.2.%d", 10+i)})
	}
	return hosts
}

// playEqual sees which of each pair was taken. That all took the same would happen once in millions of plays.
func playEqual(p *play) {
	p.exchange()
	first, second := 0, 0
	for i := 1; i+1 < len(p.hosts); i += 2 {
		a, b := len(p.hosts[i].connections()), len(p.hosts[i+1].connections())
		if a > 0 == (b > 0) {
			p.fail("%s and %s got %d and %d connections, wanted one at one of them", p.hosts[i].addr, p.hosts[i+1].addr, a, b)
		}
		first, second = first+min(a, 1), second+min(b, 1)
	}
	if first == 0 || second == 0 {
		p.fail("of equal exchangers the first was taken %d times and the second %d times", first, second)
	}
}

// multitude is a zone in which both domains have the same n exchangers with so many addresses each. With one each, the first one's is the
// best exchanger's.
func multitude(n, addrs int) func(names) dnssim.Handler {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "one.test. MX %d h%d.test.\ntwo.test. MX %d h%d.test.\n", 10+i, i, 10+i, i)
		for k := range addrs {
			if addrs == 1 {
				fmt.Fprintf(&b, "h%d.test. A 192.0.2.%d\n", i, 1+i)
			} else {
				fmt.Fprintf(&b, "h%d.test. A 198.51.%d.%d\n", i, i, 1+k)
			}
		}
	}
	return minimal(zoneOf(b.String()))
}

func grumpyMultitude(n int) []host {
	var addrs []string
	for i := 1; i < n; i++ {
		addrs = append(addrs, fmt.Sprintf("192.0.2.%d", 1+i))
	}
	return grumpy(addrs...)
}

// playVisitsOf is the usual play, in which so many exchangers are visited.
func playVisitsOf(n int) func(*play) {
	return func(p *play) {
		p.exchange()
		visited := 0
		for _, h := range p.hosts {
			visited += min(len(h.connections()), 1)
		}
		if visited != n {
			p.fail("%d exchangers were visited, wanted %d", visited, n)
		}
	}
}

// unanswered plays where no packet comes back.
func unanswered(then func(*play)) func(*play) {
	return func(p *play) {
		p.world.(*memory).net.Default(netsim.Link{BlackHole: true})
		then(p)
	}
}

// playMultitude counts what is dialled: how many addresses, and how often each.
func playMultitude(most, each int) func(*play) {
	var mu sync.Mutex
	dialled := map[netip.AddrPort]int{}
	count := tuning{engine: func(_ *resolver.Config, c *feed.Config) {
		dial := c.Dial
		c.Dial = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			mu.Lock()
			dialled[to]++
			mu.Unlock()
			return dial(ctx, to)
		}
	}}
	return tuned(count, func(p *play) {
		p.exchange()
		mu.Lock()
		defer mu.Unlock()
		if len(dialled) == 0 || len(dialled) > most {
			p.fail("%d addresses were dialled, wanted at most %d", len(dialled), most)
		}
		for a, n := range dialled {
			if n > each {
				p.fail("%v was dialled %d times", a, n)
			}
		}
	})
}

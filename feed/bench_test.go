package feed

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
)

// BenchmarkEngine drives the engine alone through whole lists, with hosts that accept everything at once: what a recipient costs
// in decisions, without any octet sent.
func BenchmarkEngine(b *testing.B) {
	for _, list := range []struct {
		name                       string
		recipients, domains, hosts int
	}{
		{"10k recipients on 200 hosts", 10_000, 10_000, 200},
		{"10k recipients on 10k hosts", 10_000, 10_000, 10_000},
		{"100k recipients on 4 hosts", 100_000, 4, 4},
		{"200k recipients on 200 hosts", 200_000, 10_000, 200},
	} {
		b.Run(list.name, func(b *testing.B) {
			b.ReportAllocs()
			transactions := 0
			for range b.N {
				b.StopTimer()
				o := &oracle{now: epoch, engine: newEngine(Config{Seed: 1}.withDefaults()), groups: map[*host]*Group{}, lost: map[string]*Unroutable{}}
				env := listFor(list.recipients, list.domains)
				answers := routesFor(list.domains, list.hosts)
				b.StartTimer()
				o.engine.step(epoch, sent{envelope: env})
				o.round()
				for _, ev := range answers {
					o.engine.step(epoch, ev)
				}
				for o.round() {
				}
				transactions = o.total.Transactions
			}
			b.ReportMetric(float64(transactions), "transactions")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*list.recipients), "ns/recipient")
		})
	}
}

// listFor is an envelope for recipients spread over domains.
func listFor(recipients, domains int) *Envelope {
	env := &Envelope{ID: "list", Body: new(wire.BodyWriter).Body(), Deadline: epoch.Add(time.Hour), Sink: nobody{}}
	for i := range recipients {
		domain := fmt.Sprintf("d%d.test", i%domains)
		to, err := wire.ParseAddress(fmt.Sprintf("u%d@%s", i, domain))
		if err != nil {
			panic(err)
		}
		env.Recipients = append(env.Recipients, to)
		env.Routes = append(env.Routes, domain)
	}
	return env
}

// routesFor are the answers to the lookups of all the domains.
func routesFor(domains, hosts int) []resolved {
	answers := make([]resolved, domains)
	for i := range answers {
		h := i % hosts
		addr := netip.AddrFrom4([4]byte{192, 0, byte(h >> 8), byte(h)})
		answers[i] = resolved{domain: fmt.Sprintf("d%d.test", i), route: resolver.Route{Expires: epoch.Add(time.Hour),
			MX: []resolver.MX{{Preference: 10, Name: fmt.Sprintf("mx%d.test", h), Addrs: []netip.Addr{addr}}}}}
	}
	return answers
}

// nobody takes outcomes and forgets them.
type nobody struct{}

func (nobody) Settle([]Settlement) {}

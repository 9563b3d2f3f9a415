package crash

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/resolver"
)

// names is the DNS, and each process's resolver.
type names struct {
	w  *world
	mu sync.Mutex // guards what follows
	// asked counts the questions about a domain, over all processes.
	asked map[string]int
	known map[string]error // what a process that lives has learnt: domains that do not exist
}

// A lookups is a process's Resolver. It asks about each domain apart, for the batches in which a process wants to know them are
// of no concern to anybody.
type lookups struct {
	names   *names
	process *process
}

func (l *lookups) Start(domains []string, done func([]resolver.Result)) []resolver.Result {
	for _, d := range domains {
		go l.ask(d, done)
	}
	return nil
}

func (l *lookups) Verify(domains []string, done func([]resolver.Result)) []resolver.Result {
	return l.Start(domains, done)
}

func (l *lookups) ask(domain string, done func([]resolver.Result)) {
	if l.process.act(asking, domain, nil).dead {
		done([]resolver.Result{failedLookup(domain, resolver.Temporary)}) // a process that is shut down waits for it
		return
	}
	d, result := l.names.answer(domain)
	time.AfterFunc(d.latency, func() { done([]resolver.Result{result}) })
}

func (l *lookups) Cached(domain string) (resolver.Route, bool, error) {
	l.names.mu.Lock()
	defer l.names.mu.Unlock()
	err, known := l.names.known[domain]
	return resolver.Route{}, known, err
}

// answer is what is known of a domain now.
func (n *names) answer(domain string) (domainPlan, resolver.Result) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var d domainPlan
	for _, p := range n.w.plan.domains {
		if p.name == domain {
			d = p
		}
	}
	n.asked[domain]++
	switch {
	case n.asked[domain] <= d.fails:
		return d, failedLookup(domain, resolver.Temporary)
	case d.nowhere:
		r := failedLookup(domain, resolver.NoSuchDomain)
		n.known[domain] = r.Err
		return d, r
	}
	route := resolver.Route{Domain: domain, Expires: time.Now().Add(time.Hour)}
	for i, m := range d.mx {
		route.MX = append(route.MX, resolver.MX{Preference: 10 * (i + 1), Name: fmt.Sprintf("mx%d.test", m),
			Addrs: []netip.Addr{n.w.plan.remotes[m].addr.Addr()}})
	}
	return d, resolver.Result{Domain: domain, Route: route}
}

func failedLookup(domain string, k resolver.Kind) resolver.Result {
	err := &resolver.Error{Kind: k, Domain: domain, Question: "MX " + domain, Reason: "as planned"}
	return resolver.Result{Domain: domain, Err: err}
}

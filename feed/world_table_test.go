package feed

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/resolver"
)

// A table is a Resolver with fixed answers. The n-th domain of the table is answered after n milliseconds: several lookups at
// once end in the table's order, and all of them before a session is open.
type table struct {
	slow    string           // this domain is never answered
	refused map[string]error // what Cached knows

	mu     sync.Mutex
	order  []string
	routes map[string]resolver.Route
}

// set says where a domain's mail goes: "10 mx.test 192.0.2.1 192.0.2.2".
func (r *table) set(domain string, exchangers ...string) {
	rt := resolver.Route{Domain: domain, Expires: time.Now().Add(time.Hour)}
	for _, x := range exchangers {
		var mx resolver.MX
		words := strings.Fields(x)
		fmt.Sscan(words[0], &mx.Preference)
		mx.Name = words[1]
		for _, a := range words[2:] {
			addr, port, _ := strings.Cut(a, "/")
			fmt.Sscan(port, &mx.Port)
			mx.Addrs = append(mx.Addrs, netip.MustParseAddr(addr))
		}
		rt.MX = append(rt.MX, mx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.routes == nil {
		r.routes = map[string]resolver.Route{}
	}
	r.order = append(r.order, domain)
	r.routes[domain] = rt
}

func (r *table) Start(domains []string, done func([]resolver.Result)) (known []resolver.Result) {
	for _, domain := range domains {
		rt, delay, ok := r.look(domain)
		switch {
		case !ok:
			known = append(known, noSuchDomain(domain))
		case domain != r.slow:
			time.AfterFunc(delay, func() { done([]resolver.Result{{Domain: domain, Route: rt}}) })
		}
	}
	return known
}

func (r *table) Verify(domains []string, done func([]resolver.Result)) []resolver.Result {
	return r.Start(domains, done)
}

// noSuchDomain is the answer about a domain that does not exist.
func noSuchDomain(domain string) resolver.Result {
	return resolver.Result{Domain: domain, Err: &resolver.Error{Kind: resolver.NoSuchDomain, Domain: domain, Question: "MX " + domain, Reason: "NXDOMAIN"}}
}

func (r *table) Cached(domain string) (resolver.Route, bool, error) {
	err, known := r.refused[domain]
	return resolver.Route{}, known, err
}

func (r *table) look(domain string) (rt resolver.Route, delay time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rt, ok = r.routes[domain]
	for i, d := range r.order {
		if d == domain {
			delay = time.Duration(i) * time.Millisecond
		}
	}
	return rt, delay, ok
}

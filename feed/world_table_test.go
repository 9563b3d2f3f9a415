package feed

import (
	"context"
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
	slow    string           // this domain is not answered until the asker gives up
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

func (r *table) Resolve(ctx context.Context, domain string) (resolver.Route, error) {
	rt, delay, ok := r.look(domain)
	if !ok {
		return rt, &resolver.Error{Kind: resolver.NoSuchDomain, Domain: domain, Question: "MX " + domain, Reason: "NXDOMAIN"}
	}
	if domain == r.slow {
		<-ctx.Done()
		return rt, ctx.Err()
	}
	select {
	case <-time.After(delay):
		return rt, nil
	case <-ctx.Done():
		return rt, ctx.Err()
	}
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

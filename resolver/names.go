package resolver

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Texts returns the TXT records of any name, folded as by Fold, each with its strings joined; nil when the name has none or does
// not exist. The error is an *Error, or the context's. Cache and servers are those of routes.
func (r *Resolver) Texts(ctx context.Context, name string) ([]string, error) {
	if reason := checkName(name); reason != "" {
		return nil, malformed(name, reason)
	}
	k := key{name, dns.TypeTXT}
	known, err := r.facts(ctx, []key{k})
	if err != nil {
		return nil, err
	}
	f := known[0]
	if f.status == failed {
		return nil, unanswered(k, f)
	}
	if f.status != found {
		return nil, nil
	}
	return slices.Clone(f.rare.texts), nil
}

// addresses returns the addresses of a host that need not be a mail domain: IPv6 and IPv4, as far as Config.Families has them.
func (r *Resolver) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	host, err := Fold(host)
	if err == nil && strings.HasPrefix(host, "[") {
		err = malformed(host, "not a host name")
	}
	if err != nil {
		return nil, err
	}
	var keys []key
	if r.planner.families != OnlyIPv4 {
		keys = append(keys, key{host, dns.TypeAAAA})
	}
	if r.planner.families != OnlyIPv6 {
		keys = append(keys, key{host, dns.TypeA})
	}
	known, err := r.facts(ctx, keys)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for i, f := range known {
		addrs = append(addrs, f.addrs...)
		if f.status == failed {
			err = unanswered(keys[i], f)
		}
	}
	switch {
	case len(addrs) > 0:
		return addrs, nil // one family that failed does not spoil the other
	case err != nil:
		return nil, err
	}
	return nil, &Error{Kind: NoAddress, Domain: host, Question: "A " + host, Reason: "no address"}
}

func unanswered(k key, f *facts) error {
	return &Error{Kind: Temporary, Domain: k.name, Question: dns.TypeToString[k.qtype] + " " + k.name, Server: f.server, Reason: f.reason}
}

// An inquiry is questions about names, and their answers, CNAMEs followed, in the same order.
type inquiry struct {
	keys  []key
	facts []*facts
}

// facts answers questions through the cache, the flights and the servers, CNAMEs followed.
func (r *Resolver) facts(ctx context.Context, keys []key) ([]*facts, error) {
	// From whoever ends the lookup, once, to this call. Capacity 1: it does not wait for us.
	ended := make(chan struct{}, 1)
	i := &inquiry{keys: keys}
	l := &lookup{goal: names, inquiry: i, asker: &asker{done: func([]Result) { ended <- struct{}{} }}}
	if e := r.advance([]*lookup{l}); len(e.results) > 0 {
		return i.facts, nil
	}
	select {
	case <-ended:
		return i.facts, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// planNames is the plan of a lookup for what names have.
func (d *draft) planNames(i *inquiry) {
	i.facts = i.facts[:0]
	for _, k := range i.keys {
		i.facts = append(i.facts, d.chase(k, &d.ask).facts)
	}
}

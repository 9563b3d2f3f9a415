package feed

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
)

// A Prediction is how a list would be delivered, were every host up and polite.
type Prediction struct {
	Groups       []Group // by number of recipients, the largest first
	Unroutable   []Unroutable
	Sessions     int
	Transactions int
}

// A Group is one host and what would be sent to it.
type Group struct {
	Host         string   // name of the exchanger
	Addrs        []string // "192.0.2.1:25"
	Policy       string   // what its sessions keep to: "opportunistic", "dane", "mta-sts mx.example.net" ...
	Domains      []string // sorted
	Recipients   int
	Sessions     int
	Transactions int
}

// An Unroutable is a domain without a route.
type Unroutable struct {
	Domain     string
	Recipients int
	Outcome    *Outcome
}

// Predict resolves the domains (folded, one per recipient) and drives the real engine with hosts that accept everything at
// once. No connection is opened and no mail is sent.
func Predict(ctx context.Context, c Config, domains []string) (Prediction, error) {
	c = c.withDefaults()
	now := time.Now()
	env := &Envelope{ID: "predict", Routes: domains, Body: new(wire.BodyWriter).Body(), Deadline: now.Add(time.Hour)}
	for i, d := range domains {
		to, err := wire.ParseAddress(fmt.Sprintf("recipient%d@%s", i, d))
		if err != nil {
			return Prediction{}, err
		}
		env.Recipients = append(env.Recipients, to)
	}
	o := &oracle{now: now, engine: newEngine(c), groups: map[*host]*Group{}, lost: map[string]*Unroutable{}}
	o.engine.step(now, sent{envelope: env})
	for _, ev := range resolveAll(ctx, c.Resolver, domains) {
		o.engine.step(now, ev)
	}
	for o.round() {
	}
	return o.prediction(), ctx.Err()
}

// resolveAll asks for each domain once, all together. When ctx ends first, what is missing is told to have failed.
func resolveAll(ctx context.Context, r Resolver, domains []string) []resolved {
	unique := slices.Clone(domains)
	slices.Sort(unique)
	unique = slices.Compact(unique)
	batches := make(chan []resolver.Result, 2*len(unique)) // from the resolver, to us; room for all, so that it never waits
	answers := make(map[string]resolved, len(unique))
	take := func(results []resolver.Result) {
		for _, r := range results {
			if r.Grown {
				continue
			}
			answers[r.Domain] = resolved{domain: r.Domain, route: r.Route, err: r.Err}
		}
	}
	take(r.Start(unique, func(results []resolver.Result) { batches <- results }))
	for len(answers) < len(unique) && ctx.Err() == nil {
		select {
		case results := <-batches:
			take(results)
		case <-ctx.Done():
		}
	}
	events := make([]resolved, len(unique))
	for i, d := range unique {
		ev, ok := answers[d]
		if !ok {
			ev = resolved{domain: d, err: ctx.Err()}
		}
		events[i] = ev
	}
	return events
}

// An oracle is a world of perfect hosts around an engine.
type oracle struct {
	now    time.Time
	engine *engine
	groups map[*host]*Group
	lost   map[string]*Unroutable
	total  Prediction
}

// round carries out what the engine orders, with nothing but success; false when there was nothing.
func (o *oracle) round() bool {
	acts := slices.Clone(o.engine.take())
	for _, a := range acts {
		switch a := a.(type) {
		case dial:
			o.group(a.session).Sessions++
			o.total.Sessions++
			o.engine.step(o.now, opened{session: a.session, caps: wire.Caps{Pipelining: true}})
		case transmit:
			o.transmitted(a)
		case hangup:
			o.engine.step(o.now, ended{session: a.session})
		case settle:
			o.settled(a)
		}
	}
	return len(acts) > 0
}

func (o *oracle) group(id sessionID) *Group {
	h := o.engine.sessions[id].host
	g := o.groups[h]
	if g == nil {
		g = &Group{Host: h.name, Policy: h.policy.String()}
		for _, a := range h.addrs {
			g.Addrs = append(g.Addrs, a.String())
		}
		o.groups[h] = g
	}
	return g
}

func (o *oracle) transmitted(a transmit) {
	g := o.group(a.session)
	g.Transactions++
	o.total.Transactions++
	rep := &report{transaction: a.order.transaction, mail: wire.Reply{Code: 250}, data: wire.Reply{Code: 354},
		final: wire.Reply{Code: 250}, dotted: true}
	for _, to := range a.order.to {
		g.Recipients++
		g.Domains = append(g.Domains, to.Domain())
		rep.rcpts = append(rep.rcpts, wire.Reply{Code: 250})
	}
	o.engine.step(o.now, finished{session: a.session, report: rep})
}

func (o *oracle) settled(a settle) {
	for _, s := range a.settlements {
		if s.Outcome.Class == Delivered {
			continue
		}
		d := a.envelope.Routes[s.Recipient]
		if o.lost[d] == nil {
			o.lost[d] = &Unroutable{Domain: d, Outcome: s.Outcome}
		}
		o.lost[d].Recipients++
	}
}

func (o *oracle) prediction() Prediction {
	p := o.total
	for _, g := range o.groups {
		slices.Sort(g.Domains)
		g.Domains = slices.Compact(g.Domains)
		p.Groups = append(p.Groups, *g)
	}
	slices.SortFunc(p.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Recipients, a.Recipients), cmp.Compare(a.Host, b.Host), slices.Compare(a.Addrs, b.Addrs))
	})
	for _, d := range sorted(o.lost) {
		p.Unroutable = append(p.Unroutable, *d)
	}
	return p
}

var _ Resolver = (*resolver.Resolver)(nil)

package resolver

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A planner turns what is known into a route, or into the questions still to ask. It is pure: the same facts give the same
// plan, so Resolve calls it again after each round of answers, and Cached calls it with the cache alone.
type planner struct {
	families Families
	static   routes
	fallback []relay
	self     func(netip.Addr) bool
	dane     bool     // hosts that the configuration names are asked about too
	port     uint16   // of exchangers that name none
	policies policies // nil: MTA-STS is not looked for
}

// A plan is the questions to ask next, all together; with none, the route or why there is none. What later holds is worth asking and
// not worth waiting for.
type plan struct {
	ask   []key
	later []key
	route Route
	err   error
}

// A draft is one domain's route in the making.
type draft struct {
	*planner
	now        time.Time
	known      func(key) *facts // nil: not known
	ask        []key
	later      []key
	route      Route
	verify     bool  // additional sections do not count
	configured bool  // by the operator, whose word stands: no search for loops
	from       trail // of the MX question; without facts when it was not asked
}

// plan follows RFC 5321 section 5.1 as far as the known facts lead.
func (p *planner) plan(now time.Time, domain string, verify bool, known func(key) *facts) plan {
	d := &draft{planner: p, now: now, verify: verify, known: known}
	d.route = Route{Domain: domain, Expires: now.Add(maxTTL)}
	err := d.build()
	switch {
	case len(d.ask) > 0:
		return plan{ask: d.ask}
	case err != nil:
		return plan{err: err}
	}
	d.atLeast(minTTL)
	return plan{route: d.route, later: d.later}
}

// atLeast keeps a route for the work that waited for it: a slow question may outlive the answers before it.
func (d *draft) atLeast(life time.Duration) {
	if least := d.now.Add(life); d.route.Expires.Before(least) {
		d.route.Expires = least
	}
}

// build gathers the exchangers and applies the rules to them. With something left to ask its error does not count.
func (d *draft) build() error {
	if strings.HasPrefix(d.route.Domain, "[") {
		return d.literal()
	}
	if hosts, ok := Match(d.static, d.route.Domain); ok {
		return d.relays(hosts)
	}
	d.from = d.chase(key{d.route.Domain, dns.TypeMX}, &d.ask)
	f := d.from.facts
	if f == nil {
		return nil
	}
	d.until(d.from.expires)
	xs := f.mx
	switch f.status {
	case failed:
		// RFC 5321 section 5.1: "If a temporary error is returned, the message MUST be queued and retried later". The
		// domain's own address must not be tried instead: it is often a web server, and would bounce the mail.
		return d.refused(Temporary, f, f.reason)
	case noName:
		return d.refused(NoSuchDomain, f, "NXDOMAIN")
	case nullMX:
		return d.refused(NullMX, f, "null MX: the domain takes no mail")
	case noData:
		// RFC 5321 section 5.1: "If an empty list of MXs is returned, the address is treated as if it was associated
		// with an implicit MX RR, with a preference of 0, pointing to that host."
		d.route.Implicit = true
		xs = []exchange{{host: d.route.Domain}}
	}
	d.exchanges(xs)
	return d.finish()
}

// literal is the route of an address literal: nothing is asked.
func (d *draft) literal() error {
	addr, ok := literalAddr(d.route.Domain)
	if !ok {
		return malformed(d.route.Domain, "not an address literal")
	}
	d.route.MX = []MX{d.direct(MX{Name: literal(addr)}, addr)}
	return d.finish()
}

// relays is the route of the static map, in place of MX records.
func (d *draft) relays(hosts []relay) error {
	d.configured = true
	for i, h := range hosts {
		d.relay(h, i)
	}
	return d.finish()
}

// exchanges adds the MX records' hosts. They are all asked about at once: mostly one round trip, and mostly none because
// another domain named the host already.
func (d *draft) exchanges(xs []exchange) {
	for _, x := range xs {
		mx := MX{Preference: int(x.preference), Name: x.host}
		switch {
		case x.addr.IsValid():
			mx = d.direct(mx, x.addr)
		case x.invalid != "":
			mx.Err = &Error{Kind: NoAddress, Domain: d.route.Domain, Question: "MX " + d.route.Domain,
				Reason: "exchanger is no host name: " + x.invalid}
		default:
			mx = d.resolved(mx, d.from.facts, d.from.secure)
		}
		d.route.MX = append(d.route.MX, mx)
	}
}

// relay adds a configured host.
func (d *draft) relay(h relay, preference int) {
	mx := MX{Preference: preference, Name: h.name, Port: h.port, Configured: true}
	if h.addr.IsValid() {
		mx = d.direct(mx, h.addr)
	} else {
		mx = d.resolved(mx, nil, d.dane)
	}
	d.route.MX = append(d.route.MX, mx)
}

// direct gives an exchanger the address that stands in place of its name.
func (d *draft) direct(mx MX, addr netip.Addr) MX {
	if addr.Is4() && d.families == OnlyIPv6 || addr.Is6() && d.families == OnlyIPv4 {
		mx.Err = &Error{Kind: NoAddress, Domain: d.route.Domain, Question: mx.Name, Reason: "address family is switched off"}
		return mx
	}
	mx.Addrs = []netip.Addr{addr}
	return mx
}

// resolved gives an exchanger its addresses: IPv6 and IPv4. A family that failed does not spoil the other (RFC 3974): many
// servers of IPv4-only hosts answer SERVFAIL for AAAA. The failure is remembered in Err.
//
// Nobody waits for IPv6 addresses where IPv4 ones are known: they came with the MX record, and a round trip more for each of
// thousands of hosts, most of which have none, would be the larger part of the time. The result comes again when there are any.
//
// A host that was named securely is asked about really: nobody signs the additional section (RFC 4035 section 3.2.3).
func (d *draft) resolved(mx MX, hints *facts, secure bool) MX {
	if secure || d.verify {
		hints = nil
	}
	var a, aaaa trail
	if d.families != OnlyIPv6 {
		mx.Addrs, a = d.addresses(key{mx.Name, dns.TypeA}, hints, &d.ask)
		mx.Additional = len(mx.Addrs) > 0 && a.facts == nil
	}
	if d.families != OnlyIPv4 {
		ask := &d.ask
		if len(mx.Addrs) > 0 {
			ask = &d.later
		}
		var v6 []netip.Addr
		v6, aaaa = d.addresses(key{mx.Name, dns.TypeAAAA}, hints, ask)
		if len(v6) > 0 {
			mx.Addrs = slices.Concat(v6, mx.Addrs)
			mx.Hinted6 = aaaa.facts == nil
			mx.Additional = mx.Additional || mx.Hinted6
		}
	}
	mx.Addrs = slices.Clip(mx.Addrs) // shared with the facts, as immutable as they are
	mx.Err = d.hostError(mx, a.facts, aaaa.facts)
	if secure {
		d.authenticate(&mx, a, aaaa)
	}
	return mx
}

// addresses returns one family's addresses of a host, and the facts that say so, or why there are none (nil: hints, or not yet known
// and asked).
func (d *draft) addresses(k key, hints *facts, ask *[]key) ([]netip.Addr, trail) {
	if f := d.known(k); hints != nil && (f == nil || f.status == failed) {
		if h := hints.hint(d.now, k); h != nil {
			d.until(h.expires)
			return h.addrs, trail{}
		}
	}
	t := d.chase(k, ask)
	if t.facts == nil {
		return nil, t
	}
	d.until(t.expires)
	return t.facts.addrs, t
}

// A trail is what a question came to at the end of its CNAMEs.
type trail struct {
	facts   *facts    // nil: not known yet
	name    string    // the last one
	secure  bool      // all of it was validated; of a failure, all that led to it
	expires time.Time // the first to end of what it rests on
}

// chase follows a question through CNAME chains that leave an answer. RFC 5321 section 5.1: "the resulting name is processed
// as if it were the initial name". RFC 2181 section 10.3 forbids them for exchangers, and yet they are common.
func (d *draft) chase(k key, ask *[]key) trail {
	t := trail{name: k.name, secure: true, expires: d.route.Expires}
	for hops := 0; ; {
		k.name = t.name
		f := d.known(k)
		if f == nil {
			if !slices.Contains(*ask, k) {
				*ask = append(*ask, k)
			}
			return t
		}
		t.add(f)
		if f.status != alias {
			t.facts = f
			return t
		}
		if hops += int(f.hops); hops > maxHops {
			t.facts = failure(d.now, "too many CNAMEs", f.server)
			return t
		}
	}
}

// add is one answer more.
func (t *trail) add(f *facts) {
	t.secure = t.secure && (f.secure || f.status == failed)
	if f.follow != "" {
		t.name = f.follow
	}
	if f.expires.Before(t.expires) {
		t.expires = f.expires
	}
}

// until shortens the route's life to that of a fact it rests on.
func (d *draft) until(expires time.Time) {
	if expires.Before(d.route.Expires) {
		d.route.Expires = expires
	}
}

// finish applies the rules that need all addresses: loops, at least one usable exchanger, fallback hosts, order.
func (d *draft) finish() error {
	if len(d.ask) > 0 {
		// The fallback hosts are asked about together with the rest.
		d.appendFallback()
		return nil
	}
	if !d.configured {
		if err := d.withoutSelf(); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(d.route.MX, hasAddress) {
		return d.noAddress()
	}
	d.appendFallback()
	slices.SortStableFunc(d.route.MX, func(a, b MX) int {
		return cmp.Or(a.Preference-b.Preference, strings.Compare(a.Name, b.Name))
	})
	return nil
}

func (d *draft) appendFallback() {
	for _, h := range d.fallback {
		d.relay(h, FallbackPreference)
	}
}

func hasAddress(mx MX) bool { return len(mx.Addrs) > 0 }

// withoutSelf obeys RFC 5321 section 5.1 on the names or addresses of this system: "If a matching record is found, all records
// at that preference level and higher-numbered ones MUST be discarded from consideration. If there are no records left at that
// point, it is an error condition, and the message MUST be returned as undeliverable." What is left without any address is
// not that error: the better exchanger, which could not be resolved, may be the one that mail should take.
func (d *draft) withoutSelf() error {
	own := slices.IndexFunc(d.route.MX, func(mx MX) bool { return slices.ContainsFunc(mx.Addrs, d.self) })
	if own < 0 {
		return nil
	}
	level := d.route.MX[own].Preference
	better := slices.DeleteFunc(d.route.MX, func(mx MX) bool { return mx.Preference >= level })
	d.route.MX = better
	switch {
	case len(better) == 0:
		return d.failed(Loop, "the best mail exchanger is this machine")
	case !slices.ContainsFunc(better, hasAddress):
		return d.failed(LoopUnsure, "this machine is the best mail exchanger that could be resolved")
	}
	return nil
}

package feed

import (
	"net/netip"
	"slices"
	"time"

	"github.com/smtpfeed/smtpfeed/resolver"
)

// maxAddrs bounds the addresses of a host.
const maxAddrs = 32

// passedOver is how many recipients of a lane a cut passes over, looking for such as the session may carry.
const passedOver = 256

// A host is a mail exchanger we may connect to, under one policy. Exchangers of different names are one host when their address sets and
// policies are equal, so the domains of a provider meet here whatever its exchangers are called. A policy that looks at names has them in
// its key, so there they are several.
type host struct {
	keys  []string // in engine.hosts; the first one is the canonical one
	name  string   // the first exchanger's name
	addrs []netip.AddrPort
	rank  uint64

	policy *policy // that its sessions keep to

	configured bool // some route of the configuration names it: its addresses may be prohibited

	lanes   []*lane // round robin: the first one is cut next, then goes to the end
	laneOf  map[*message]*lane
	waiting int // wanted recipients in all lanes
	flying  int // recipients in transactions
	alone   int // of both, those whose message gives each recipient a transaction of its own

	sessions []*session // that have not ended
	ready    []*session // of those, open without a transaction; the last used is last
	clear    []*session // of those, with one transaction whose body is on its way, and clean: one more may ride behind
	dialing  int        // of those, not opened yet

	named    int // routes in the table that name this host
	interest int // of those, with an unsettled recipient
	server   *server
	alias    string // a key of the server, by this host's name; "" is none
	limit    *limit // of the server
	tls      tlsLimit
	short    bool // it wanted a session when it was pumped last, and its server had no room

	downUntil   time.Time
	downOutcome *Outcome    // why; set whenever downUntil is
	downCount   int         // falls in a row
	failures    int         // sessions in a row that ended badly
	bad         []time.Time // per address: until when it is not dialled
	spoilt      []time.Time // per address: until when others are preferred, since TLS failed there
	equals      []*host     // that stand beside it in some route, equally preferred; perhaps forgotten ones too
	silent      bool        // in engine.silent: no address answers a dial under way
	torn        bool        // of a silent host: somebody waits who has another choice

	unbound  time.Time // until when its sessions at work serve alone: there was no address for another one to come from
	cutAt    time.Time // of the last transaction
	patience timer     // ends what gather.go lets wait

	dirty  bool // in engine.dirty: to be pumped at the next take
	hungry bool // in engine.hungry: waits for the process's session budget
	forget timer
}

// A lane is the part of a host's queue that belongs to one message.
type lane struct {
	message *message
	since   time.Time // its first recipient came, or the last transaction was cut
	routed  int       // of the message's recipients, until then
	flow    uint32    // of the message, in whose list of held hosts this one stands
	list    recipientList
	waiting int // wanted recipients in list; the others left it in spirit and are passed over by a cut
}

// hostOf finds or makes the host with an exchanger's addresses.
func (e *engine) hostOf(now time.Time, mx *resolver.MX, addrs []netip.AddrPort, p *policy) *host {
	if h := e.knownHost(now, mx, addrs, p); h != nil {
		return h
	}
	key, key4 := keysOf(mx.Name, addrs, p)
	h := e.newHost(mx.Name, key, addrs, p)
	if e.hosts[key4] == nil && key4 != "" {
		e.name(h, key4)
	}
	return h
}

// knownHost finds the host with an exchanger's addresses, or nil. One whose IPv6 addresses become known later is the same host: what is
// known of it first is often only what came in the additional section. But what comes there is one domain's word, and gives the mail of
// others no more addresses.
func (e *engine) knownHost(now time.Time, mx *resolver.MX, addrs []netip.AddrPort, p *policy) *host {
	key, key4 := keysOf(mx.Name, addrs, p)
	if h := e.hosts[key]; h != nil {
		return h
	}
	h := e.hosts[key4]
	switch {
	case h != nil && mx.Hinted6 && adds(h.addrs, addrs):
		return h
	case h == nil || len(h.addrs)+len(addrs) > maxAddrs: // where it has too many, it is another host
		return nil
	}
	e.extend(now, h, addrs)
	e.name(h, key)
	all, _ := keysOf(mx.Name, addrs, &policy{})
	e.nameServer(h.server, all)
	return h
}

// adds says that not all of more are known.
func adds(known, more []netip.AddrPort) bool {
	return slices.ContainsFunc(more, func(a netip.AddrPort) bool { return !slices.Contains(known, a) })
}

// keysOf names a set of addresses under a policy; and, with the exchanger's name, those of them that are IPv4. The name must be there: anybody can
// publish somebody else's IPv4 address beside an IPv6 address of his own, and must not get the other's mail for it.
func keysOf(name string, addrs []netip.AddrPort, p *policy) (all, v4 string) {
	b, end := make([]byte, 0, 64), 0
	if p.key != "" {
		b = append(append(b, p.key...), '|')
	}
	for _, a := range addrs { // IPv4 stands first
		b = append(a.AppendTo(b), ' ')
		if a.Addr().Is4() {
			end = len(b)
		}
	}
	all = string(b)
	if end > 0 {
		v4 = name + " " + all[:end]
	}
	return all, v4
}

func (e *engine) newHost(name, key string, addrs []netip.AddrPort, p *policy) *host {
	h := &host{name: name, policy: p, addrs: addrs, rank: rankOf(e.config.Seed, key), bad: make([]time.Time, len(addrs)), spoilt: make([]time.Time, len(addrs))}
	h.laneOf = make(map[*message]*lane)
	h.tls.life = e.config.LimitsTTL
	e.serve(h, name, addrs)
	h.forget.due = func(now time.Time) { e.tidy(now, h) }
	h.patience.due = func(time.Time) { e.wake(h) }
	e.name(h, key)
	return h
}

// name makes the host known under one more key.
func (e *engine) name(h *host, key string) {
	h.keys = append(h.keys, key)
	e.hosts[key] = h
}

// extend adds the addresses that the host does not have yet. Those it has keep their places: sessions know them by these. A host that
// was down or does not answer may do so there.
func (e *engine) extend(now time.Time, h *host, addrs []netip.AddrPort) {
	had := len(h.addrs)
	h.addrs = slices.Clip(h.addrs) // it may be a route's
	for _, a := range addrs {
		if !slices.Contains(h.addrs, a) {
			h.addrs = append(h.addrs, a)
			h.bad = append(h.bad, time.Time{})
			h.spoilt = append(h.spoilt, time.Time{})
		}
	}
	if len(h.addrs) == had {
		return
	}
	for i := range had {
		h.bad[i] = h.downUntil // while the host was down, or the moment is past
	}
	h.downUntil = time.Time{}
	for _, s := range h.sessions {
		if s.state == sessionDialing && s.mute {
			e.timers.set(&s.hedge, now)
		}
	}
	e.wake(h)
}

// doubtful says that the host had better not be given more than it has: it does not answer the dials under way, or it was down
// and is being probed. So of 10,000 recipients one waits for a host that may still be dead, and the others go elsewhere at once.
func (h *host) doubtful() bool {
	return h.silent || h.downCount > 0 && (h.waiting > 0 || len(h.sessions) > 0)
}

// down says that the host was unreachable a short while ago and is not to be tried.
func (h *host) down(now time.Time) bool { return now.Before(h.downUntil) }

// load is how many full transactions wait for or are at work on the host: the measure by which equal exchangers share. What
// does not fill a transaction counts as nothing, so that small domains with the same exchangers meet on one of them.
func (h *host) load() int { return (h.waiting+h.flying-h.alone)/h.limit.recipients + h.alone }

// enqueue puts a recipient at the end of its message's lane.
func (e *engine) enqueue(h *host, r *recipient) {
	r.place = placeHost
	e.laneFor(h, r.envelope.message).list.push(r)
	h.count(r, 1)
	e.wake(h)
}

// requeue puts recipients of one message that were cut already back before all others: they waited longest.
func (e *engine) requeue(h *host, m *message, list *recipientList) {
	l := e.laneFor(h, m)
	l.since = time.Time{} // and gather no more
	for r := list.head; r != nil; r = r.next {
		r.place = placeHost
		h.count(r, 1)
	}
	l.list.prepend(list)
	e.wake(h)
}

func (e *engine) laneFor(h *host, m *message) *lane {
	l := h.laneOf[m]
	if l == nil {
		l = &lane{message: m, since: e.now, routed: m.tide.routed}
		h.laneOf[m] = l
		h.lanes = append(h.lanes, l)
	}
	return l
}

// count changes how many wanted recipients r's lane holds. A lane without any is gone, with those that nobody wants.
func (h *host) count(r *recipient, n int) {
	l := h.laneOf[r.envelope.message]
	l.waiting += n
	h.waiting += n
	if l.message.verp != nil {
		h.alone += n
	}
	if l.waiting == 0 {
		h.drop(l)
	}
}

// drop empties a lane. It keeps its place among the lanes until the turn comes to it: taking one of thousands out of the
// middle, for each of thousands of messages, would cost seconds.
func (h *host) drop(l *lane) {
	for !l.list.empty() {
		l.list.pop().place = placeDone
	}
	delete(h.laneOf, l.message)
	if len(h.lanes) > 2*len(h.laneOf)+16 {
		h.lanes = slices.DeleteFunc(h.lanes, func(l *lane) bool { return l.waiting == 0 })
	}
}

// wake notes that the host's queue or sessions changed: it is pumped at the next take, when all that happened at once is in.
func (e *engine) wake(h *host) {
	if !h.dirty {
		h.dirty = true
		e.dirty = append(e.dirty, h)
	}
}

// cut takes the recipients of the next transaction out of the queue, all of one message and all such as the session may carry.
// Their lane goes to the end. It is nil when the session can carry none of what it looked at.
func (h *host) cut(s *session, oneDomain bool) []*recipient {
	for range len(h.lanes) {
		l := h.lanes[0]
		h.lanes[0] = nil
		h.lanes = h.lanes[1:]
		if l.waiting == 0 {
			continue
		}
		cut := l.take(h.sizeOf(l.message), func(r *recipient, cut []*recipient) bool {
			return (!oneDomain || len(cut) == 0 || r.route == cut[0].route) && s.admits(r.route)
		})
		h.waiting -= len(cut) // those that travel alone go on counting while they fly
		if l.waiting == 0 {
			h.drop(l)
		} else {
			h.lanes = append(h.lanes, l)
		}
		if len(cut) > 0 {
			return cut
		}
	}
	return nil
}

// sizeOf is how many recipients of a message a transaction takes.
func (h *host) sizeOf(m *message) int {
	if m.verp != nil {
		return 1
	}
	return h.limit.recipients
}

// take takes up to n wanted recipients that fit out of the lane. Those that do not are passed over, as long as they are not too
// many: looking through all of a long lane for every transaction would cost a list its square.
func (l *lane) take(n int, fits func(r *recipient, cut []*recipient) bool) []*recipient {
	n = min(n, l.waiting)
	cut := make([]*recipient, 0, n)
	var passed recipientList
	for skipped := 0; len(cut) < n && skipped < passedOver && !l.list.empty(); {
		switch r := l.list.pop(); {
		case !r.wanted():
			r.place = placeDone
		case fits(r, cut):
			cut = append(cut, r)
		default:
			passed.push(r)
			skipped++
		}
	}
	l.list.prepend(&passed)
	l.waiting -= len(cut)
	return cut
}

// admits says that a recipient of this domain may go by the session. RFC 9422 section 4.3: "RCPTDOMAINMAX specifies the maximum
// number of different domains that can appear in a recipient (RCPT) address within a single session". Whoever is admitted counts.
func (s *session) admits(rt *route) bool {
	if s.caps.RcptDomainMax == 0 || slices.Contains(s.domains, rt) {
		return true
	}
	if len(s.domains) >= s.caps.RcptDomainMax {
		return false
	}
	s.domains = append(s.domains, rt)
	return true
}

// fall marks the host unreachable and sends all that waits to the next host of each route. Sessions that are open are left to end by themselves.
func (e *engine) fall(now time.Time, h *host, o *Outcome) {
	h.downCount++
	h.downUntil = now.Add(downTime(e.config.DownTime, h.downCount))
	h.downOutcome = o
	h.failures = 0
	if len(h.server.sessions) == 0 {
		h.limit.reset()
	}
	e.answered(h)
	e.regroup(now, h)
}

// downTime grows with every fall in a row, up to sixteen times the first: a host that stays dead is asked less and less.
func downTime(first time.Duration, falls int) time.Duration {
	return first << min(falls-1, 4)
}

// rise forgets that the host was down: a session was opened.
func (h *host) rise() {
	h.downUntil, h.downOutcome, h.downCount = time.Time{}, nil, 0
}

// interest counts routes with unsettled recipients that name the host. While there is one, idle sessions are kept. Without one a session
// that is still being opened may stay as long: a host that says no greeting would keep it for minutes, for nobody.
func (e *engine) interest(h *host, n int) {
	h.interest += n
	if h.interest == 0 || h.interest == n { // it fell to none, or rose from none
		for _, s := range h.ready {
			e.armIdle(s)
		}
		for _, s := range h.sessions {
			if s.state == sessionDialing {
				e.armIdle(s)
			}
		}
	}
}

// tidy drops a host that nothing is known of any more, or sets the moment to look again.
func (e *engine) tidy(now time.Time, h *host) {
	if e.hosts[h.keys[0]] != h {
		return // gone already: its last session outlived it
	}
	if h.named > 0 || h.waiting > 0 || len(h.sessions) > 0 {
		return
	}
	if until := h.memory(e.config.DownTime); now.Before(until) {
		e.timers.set(&h.forget, until)
		return
	}
	e.timers.stop(&h.forget)
	e.timers.stop(&h.patience)
	for _, key := range h.keys {
		delete(e.hosts, key)
	}
	e.unserve(h)
}

// memory is until when something about the host is worth remembering: how often it fell outlives the fall itself.
func (h *host) memory(first time.Duration) time.Time {
	until := time.Time{}
	if len(h.server.hosts) == 1 {
		until = h.limit.until // the last one remembers for the server
	}
	for _, t := range []time.Time{h.tls.until, h.tls.kept} {
		if t.After(until) {
			until = t
		}
	}
	if fallen := h.downUntil.Add(downTime(first, h.downCount+1)); h.downCount > 0 && fallen.After(until) {
		until = fallen
	}
	return until
}

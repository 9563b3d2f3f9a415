package crash

import (
	"cmp"
	"fmt"
	"net"
	"slices"
)

// A reason says why a recipient may have got a message once more.
type reason string

const (
	unread   reason = "no complete reply was read: the exchanger broke off, or the dot was in flight when a process died"
	unkept   reason = "the reply was read, and the process died before the ledger had it"
	unsaved  reason = "the ledger's disk had failed, or lost with the power what was not synced"
	unledger reason = "there is no ledger, and the host MTA did not take the reply"
	unnoted  reason = "the host MTA died between reading a reply and noting it"
	none     reason = ""
)

// A tally is what runs came to.
type tally struct {
	runs, actions, deaths, copies int
	extra                         map[reason]int
	inFlight                      int // recipients in doubt at deaths
}

// judge looks at what is left when all is over.
func (w *world) judge() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, q := range w.host.queue {
		for _, r := range q.to {
			if !r.done {
				w.fault("%v was never answered for good", r.person)
			}
			if r.code/100 == 2 && len(w.copies[r.person]) == 0 {
				w.fault("%v is lost: no exchanger has it", r.person)
			}
			w.judgeCopies(r.person)
		}
	}
	for who := range w.copies {
		if !slices.Contains(w.plan.messages[who.message].to, who.to) {
			w.fault("%s has got message %d, which is not for it", who.to, who.message)
		}
	}
	for _, r := range w.remotes {
		for _, v := range r.server.Violations() {
			w.fault("%v is spoken to as no client may: %s: %q", r.plan.addr, v.What, v.Octets)
		}
	}
	if n := w.net.Open(); n != 0 {
		w.fault("%d ends of connections are open when all is over", n)
	}
}

// judgeCopies looks for a copy that was made although the one before it was safe.
func (w *world) judgeCopies(who person) {
	copies := w.copies[who]
	slices.SortStableFunc(copies, func(a, b copied) int { return cmp.Compare(a.at, b.at) })
	for i := range len(copies) - 1 {
		why, what := w.excuse(copies[i])
		if why == none {
			w.fault("%v has got copy %d, and %s", who, i+2, what)
			continue
		}
		w.extra[why]++
		w.log.note("%v has got copy %d: %s", who, i+2, why)
	}
}

// excuse is why a further copy may follow this one; without one what says why not.
func (w *world) excuse(c copied) (why reason, what string) {
	o := w.outwards[c.session]
	if o == nil {
		return none, "nobody knows the connection"
	}
	f, p := o.find(c.transaction), o.process
	died := w.deaths[p]
	switch {
	case f == nil:
		return none, "nobody knows the transaction"
	case f.code == 0:
		return unread, ""
	case c.remote.lies(c.session):
		return unread, "" // what it said before was read as the reply
	case f.code/100 != 2:
		return none, fmt.Sprintf("the one before was answered %d", f.code)
	case w.apart[c.who] > 0:
		return unnoted, ""
	case w.shelf == nil && (died || w.unheard[c.who] > 0):
		return unledger, ""
	case w.shelf == nil:
		return none, "process and host MTA were well"
	case died && !p.kept[c.who]:
		return unkept, ""
	case died && w.records[c.who] != "":
		return unsaved, ""
	}
	return none, fmt.Sprintf("process %d had read the reply to it (it died: %v; its ledger had it: %v)", p.n, died, p.kept[c.who])
}

// answered checks a final reply to the host MTA.
func (w *world) answered(who person, code int) {
	w.log.note("the host MTA notes %d for %v", code, who)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains([]int{250, 450, 451, 452, 550, 554}, code) {
		w.fault("%v is answered %d", who, code)
	}
	if code/100 == 2 && len(w.copies[who]) == 0 {
		w.fault("%v is answered %d, and no exchanger has a complete copy", who, code)
	}
	if code/100 == 2 && w.shelf != nil && w.plan.ledger.late == 0 && !w.recorded[who] {
		w.fault("%v is answered %d before the ledger has it", who, code)
	}
	if code/100 == 5 && !w.bounces[""] && !w.bounces[who.to] && !w.nowhere(who.to) {
		w.fault("%v is answered %d, and nobody has refused it", who, code)
	}
}

// nowhere says that an address is in a domain that does not exist.
func (w *world) nowhere(to string) bool {
	return slices.ContainsFunc(w.plan.domains, func(d domainPlan) bool { return d.nowhere && inDomain(to, d.name) })
}

// unmarked notes a reply that the host MTA had read, and not noted, when it died.
func (w *world) unmarked(who person) {
	w.log.note("the host MTA dies before it has noted the reply for %v", who)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.apart[who]++
}

// handed notes that the host MTA hands recipients over; heard is false for those that got no reply.
func (w *world) handed(to []*rcpt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range to {
		w.attempt[r.person]++
	}
}

// leftWithout notes that a connection has ended without a reply.
func (w *world) leftWithout(who person) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unheard[who]++
}

// compare looks for a recipient whose fate is in doubt elsewhere while an end of data leaves for it: "uncertain ... never goes to
// another host in this attempt", and not to the same one either.
func (w *world) compare(o *outward, f *flight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := f.people()
	for _, who := range now {
		w.flown[seat{f, who}] = w.attempt[who]
	}
	for _, other := range w.outwards {
		if other.process != o.process {
			continue
		}
		for _, g := range other.inDoubt() {
			if g == f || g.message != f.message {
				continue
			}
			for _, who := range g.people() {
				if slices.Contains(now, who) && (!other.gone() || w.flown[seat{g, who}] == w.attempt[who]) {
					w.fault("%v goes out a second time while the first is in doubt", who)
				}
			}
		}
	}
}

// A seat is a recipient's place in a transaction.
type seat struct {
	flight *flight
	who    person
}

// people are the recipients that were accepted.
func (f *flight) people() (all []person) {
	n := -1
	fmt.Sscanf(f.message, "X-Number: %d", &n)
	for _, to := range f.to {
		all = append(all, person{n, to})
	}
	return all
}

// gone says that the process has given the connection up.
func (o *outward) gone() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

func portOf(a net.Addr) uint16 { return a.(*net.TCPAddr).AddrPort().Port() }

// inDomain says that an address is in a domain.
func inDomain(to, domain string) bool {
	return len(to) > len(domain) && to[len(to)-len(domain)-1:] == "@"+domain
}

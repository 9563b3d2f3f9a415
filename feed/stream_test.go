package feed

import (
	"container/heap"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
)

// A due is an event of a simulated host MTA, resolver or host.
type due struct {
	at    time.Time
	order int // of equal times
	event event
}

type dues []due

func (d dues) Len() int { return len(d) }
func (d dues) Less(i, j int) bool {
	return d[i].at.Before(d[j].at) || d[i].at.Equal(d[j].at) && d[i].order < d[j].order
}
func (d dues) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *dues) Push(x any)   { *d = append(*d, x.(due)) }
func (d *dues) Pop() any     { old := *d; last := old[len(old)-1]; *d = old[:len(old)-1]; return last }

// A handover is a host MTA that hands one message over in parts of 15 recipients at 3 hosts, over few connections: the next part comes
// when one is answered.
type handover struct {
	t           *testing.T
	e           *engine
	now         time.Time
	dues        dues
	count       int
	parts, next int
	left        map[string]int // unsettled recipients by envelope
	transaction time.Duration  // each takes
}

// run returns how long it takes.
func (h *handover) run(connections int) time.Duration {
	h.now, h.left = epoch, map[string]int{}
	for range connections {
		h.send()
	}
	for h.next < h.parts || len(h.left) > 0 {
		at, ok := h.e.wakeAt()
		ev := event(ticked{})
		if len(h.dues) > 0 && (!ok || !h.dues[0].at.After(at)) {
			d := heap.Pop(&h.dues).(due)
			at, ev = d.at, d.event
		}
		h.now = at
		h.e.step(h.now, ev)
		for _, a := range append([]action(nil), h.e.take()...) {
			h.act(a)
		}
	}
	return h.now.Sub(epoch)
}

func (h *handover) after(d time.Duration, ev event) {
	h.count++
	heap.Push(&h.dues, due{h.now.Add(d), h.count, ev})
}

// send hands the next part over.
func (h *handover) send() {
	if h.next == h.parts {
		return
	}
	env := &Envelope{ID: fmt.Sprint("e", h.next), From: mustAddress(h.t, "list@example.org"), Body: bodyOf("x"), Deadline: h.now.Add(540 * time.Second)}
	for i := range 15 {
		domain := fmt.Sprintf("d%d.test", i%3)
		env.Recipients = append(env.Recipients, mustAddress(h.t, fmt.Sprintf("p%dr%d@%s", h.next, i, domain)))
		env.Routes = append(env.Routes, domain)
	}
	h.left[env.ID] = len(env.Recipients)
	h.next++
	h.after(time.Millisecond, sent{envelope: env})
}

// act is what the world does about an action.
func (h *handover) act(a action) {
	switch a := a.(type) {
	case lookup:
		host := resolver.MX{Preference: 10, Name: "mx." + a.domain, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, a.domain[1]})}}
		h.after(5*time.Millisecond, resolved{domain: a.domain, route: resolver.Route{Domain: a.domain, Expires: h.now.Add(time.Hour), MX: []resolver.MX{host}}})
	case dial:
		h.after(20*time.Millisecond, opened{session: a.session, caps: wire.Caps{Pipelining: true}})
	case transmit:
		r := &report{transaction: a.order.transaction, mail: wire.Reply{Code: 250}, data: wire.Reply{Code: 354}, final: wire.Reply{Code: 250}, dotted: true}
		for range a.order.to {
			r.rcpts = append(r.rcpts, wire.Reply{Code: 250})
		}
		h.after(h.transaction, finished{session: a.session, report: r})
	case hangup:
		h.after(0, ended{session: a.session})
	case settle:
		h.left[a.envelope.ID] -= len(a.settlements)
		if h.left[a.envelope.ID] == 0 {
			delete(h.left, a.envelope.ID)
			h.send()
		}
	}
}

// A host MTA with few connections waits for our answers, and we wait for its next part: neither may make the other's wait longer.
func TestPartsOverFewConnectionsAreNotSlowerForGathering(t *testing.T) {
	for _, transaction := range []time.Duration{150 * time.Millisecond, 300 * time.Millisecond, time.Second} {
		for _, connections := range []int{1, 2, 3, 4, 5, 10, 20} {
			took := func(gather time.Duration) time.Duration {
				h := &handover{t: t, e: newEngine(Config{Seed: 1, GatherTime: gather}.withDefaults()), parts: 60, transaction: transaction}
				return h.run(connections)
			}
			alone, gathering := took(-1), took(0)
			assert.LessOrEqual(t, gathering, alone*11/10+lullTime, "%d connections, transactions of %v", connections, transaction)
			t.Logf("%d connections, transactions of %v: %v without gathering, %v with it", connections, transaction, alone, gathering)
		}
	}
}

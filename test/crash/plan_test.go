package crash

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A plan is everything that a seed decides before a run: the world, what goes wrong in it, and how smtpfeed is configured.
type plan struct {
	seed     uint64
	domains  []domainPlan
	remotes  []remotePlan
	messages []messagePlan
	host     hostPlan
	ledger   ledgerPlan
	stalls   float64 // how often the machine of smtpfeed is busy with something else before an action
	restart  time.Duration

	budget        time.Duration
	perTurn       int // recipients per transaction
	sessions      int // per exchanger
	chunkingFrom  int64
	gather        time.Duration
	refusedDials  float64
	refusedAtMost int
}

type domainPlan struct {
	name    string
	mx      []int // exchangers, the preferred first
	latency time.Duration
	fails   int  // lookups that fail before one does not
	nowhere bool // it does not exist
}

// A remotePlan is how an exchanger behaves.
type remotePlan struct {
	addr       netip.AddrPort
	latency    time.Duration
	window     int
	keywords   []string
	recipients int // per transaction
	messages   int // per session
	trouble    float64
	habit      string // the only fault it has
	atMost     int    // faults; then it is well
}

// A messagePlan is a message in the host MTA's queue.
type messagePlan struct {
	from string
	body []byte // canonical
	to   []string
	at   time.Duration
}

type hostPlan struct {
	chunk    int           // recipients per transaction
	together bool          // its transactions of a message run at the same time
	quits    bool          // QUIT right behind the content
	group    bool          // MAIL, RCPT and DATA in one write
	pause    time.Duration // before the first retry
	apart    time.Duration // between transactions that run at the same time
	dies     float64
	atMost   int
	hasty    bool // it reads replies ahead of what it has noted: when it dies then, what it had read is lost
}

type ledgerPlan struct {
	kind  ledgerKind
	power bool // sync = power
	delay time.Duration
	fails float64
	late  float64
}

type ledgerKind uint8

const (
	noLedger ledgerKind = iota
	modelLedger
	realLedger
)

// newPlan is the plan of a seed.
func newPlan(seed uint64) *plan {
	r := rand.New(rand.NewPCG(seed, 0))
	p := &plan{seed: seed, budget: pick(r, 90*time.Second, 540*time.Second), perTurn: pick(r, 1, 2, 3, 100),
		sessions: pick(r, 1, 1, 3),
		gather:   pick(r, -1, 2*time.Second), restart: jitter(r, 3*time.Second), chunkingFrom: pick[int64](r, -1, -1, 1)}
	if one(r, 4) {
		p.stalls = 0.1
	}
	if one(r, 4) {
		p.refusedDials, p.refusedAtMost = 0.3, 4
	}
	small := !one(r, 3)
	p.placeRemotes(r, small)
	p.placeDomains(r, small)
	p.writeMessages(r, small)
	p.host = newHostPlan(r)
	p.ledger = newLedgerPlan(r)
	return p
}

// habits are faults that a world of random ones would hardly meet often enough, or two at a time.
func habits() []string {
	return []string{"slow", "slow", "very slow", "overdue", "chokes", "breaks", takes + mxsim.HangUp}
}

func (p *plan) placeRemotes(r *rand.Rand, small bool) {
	n := 1 + r.IntN(2)
	if !small {
		n = 2 + r.IntN(2)
	}
	trouble := pick(r, 0, 0.05, 0.15)
	for i := range n {
		m := remotePlan{addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)}), 25), trouble: trouble,
			atMost:   r.IntN(6),
			latency:  10*time.Millisecond + jitter(r, 30*time.Millisecond),
			keywords: []string{"8BITMIME", "SIZE 0", "ENHANCEDSTATUSCODES"}}
		if one(r, 6) {
			m.habit, m.trouble, m.atMost = pick(r, habits()...), 0.5, 2+r.IntN(4)
		}
		if !one(r, 6) {
			m.keywords = append(m.keywords, "PIPELINING")
		}
		if one(r, 2) {
			m.keywords = append(m.keywords, "CHUNKING")
		}
		if one(r, 5) {
			m.recipients = 1 + r.IntN(3)
		}
		if one(r, 5) {
			m.messages = 1 + r.IntN(2)
		}
		if one(r, 5) {
			m.window = 30 + r.IntN(400)
		}
		p.remotes = append(p.remotes, m)
	}
}

func (p *plan) placeDomains(r *rand.Rand, small bool) {
	n := 2
	if !small {
		n = 2 + r.IntN(3)
	}
	for i := range n {
		d := domainPlan{name: fmt.Sprintf("d%d.test", i), latency: time.Millisecond + jitter(r, 40*time.Millisecond)}
		d.mx = r.Perm(len(p.remotes))
		if i > 0 && one(r, 2) {
			d.mx = p.domains[0].mx // what can share a transaction is more fun
		}
		if one(r, 8) {
			d.fails = 1 + r.IntN(2)
		}
		d.nowhere = i > 0 && one(r, 12)
		p.domains = append(p.domains, d)
	}
}

func (p *plan) writeMessages(r *rand.Rand, small bool) {
	messages, people := 1, 3
	if !small {
		messages, people = 1+r.IntN(2), 4+r.IntN(9)
	}
	for i := range messages {
		m := messagePlan{from: "list@lists.test", body: content(r, i), at: time.Duration(i) * jitter(r, time.Second)}
		if one(r, 4) {
			m.from = fmt.Sprintf("other%d@lists.test", i)
		}
		for j := range people {
			m.to = append(m.to, fmt.Sprintf("u%d@%s", j, p.domains[(j+j/3)%len(p.domains)].name))
		}
		for n := range p.remotes {
			if len(m.body) > large {
				p.remotes[n].window = 0 // through a narrow one it would never come in time
			}
		}
		if choke := &p.remotes[r.IntN(len(p.remotes))]; len(m.body) > large && one(r, 3) {
			choke.habit, choke.trouble, choke.atMost = "chokes", 0.7, 3
		}
		p.messages = append(p.messages, m)
	}
}

// content is a message that ends of data could be found in by mistake. Its first line tells it from all others.
func content(r *rand.Rand, n int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "X-Number: %d\r\nSubject: crash\r\n\r\n", n)
	lines := []string{".", "..", ". ", "text", "", ".text", "QUIT", "250 2.0.0 Ok"}
	for range 2 + r.IntN(6) {
		b.WriteString(pick(r, lines...) + "\r\n")
	}
	if one(r, 40) {
		for b.Len() < large {
			b.WriteString("0123456789012345678901234567890123456789012345678901234567890123456789\r\n")
		}
	}
	return b.Bytes()
}

// large is what a session writes in several parts, the first of which does not fit into a window.
const large = 100 << 10

func newHostPlan(r *rand.Rand) hostPlan {
	h := hostPlan{chunk: pick(r, 2, 3, 100, 100), together: one(r, 2), quits: !one(r, 3), group: !one(r, 3),
		pause: pick(r, 20*time.Millisecond, time.Second),
		apart: pick(r, 20*time.Millisecond, 20*time.Millisecond, 20*time.Second)}
	if one(r, 4) {
		h.dies, h.atMost = 0.2, 3
		h.hasty = one(r, 3)
	}
	return h
}

func newLedgerPlan(r *rand.Rand) ledgerPlan {
	l := ledgerPlan{kind: modelLedger, power: one(r, 2),
		delay: pick(r, 0, jitter(r, 5*time.Millisecond), jitter(r, 200*time.Millisecond))}
	switch {
	case one(r, 10):
		l.kind = noLedger
	case one(r, 20):
		l.kind = realLedger
	case one(r, 10):
		l.fails = 0.3
	case one(r, 10):
		l.late = 0.3
	}
	return l
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// one is true once in n times.
func one(r *rand.Rand, n int) bool { return r.IntN(n) == 0 }

// jitter is a time that no other one is equal to: what happens at the same instant has no order.
func jitter(r *rand.Rand, most time.Duration) time.Duration {
	return 1 + time.Duration(r.Int64N(int64(most)))
}

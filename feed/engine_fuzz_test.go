package feed

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
	"github.com/stretchr/testify/require"
)

// FuzzEngine lets bytes choose what happens next in a small world of hosts that do anything a host may, and checks the
// invariants after every step. At the end the world is made kind, and everybody must have been settled exactly once.
func FuzzEngine(f *testing.F) {
	for seed := range 8 {
		b := make([]byte, 400)
		for i := range b {
			b[i] = byte(rankOf(uint64(seed), fmt.Sprint(i)))
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		w := newModel(t, script)
		for len(w.bytes) > 0 {
			w.step()
		}
		w.finish()
	})
}

// A model is the world around one engine: what was ordered and not answered yet.
type model struct {
	t         testing.TB
	e         *engine
	now       time.Time
	bytes     []byte
	lookups   []lookup
	dials     []sessionID
	open      []sessionID
	hands     map[sessionID][]*order // in a session's hands
	clear     map[sessionID]bool     // its first transaction was cleared
	hung      map[sessionID]bool
	envelopes int
	parted    map[string]bool // envelopes whose host MTA took every reply or is gone
	coming    int             // announced and not withdrawn
	settled   map[string]map[int]int
	sizes     map[string]int
	ledger    *ledgerModel
	trace     *tracer // shown when the test fails
}

func newModel(t testing.TB, script []byte) *model {
	w := &model{t: t, trace: newTracer(t.Output()), now: epoch, bytes: script, hands: map[sessionID][]*order{}, clear: map[sessionID]bool{},
		hung: map[sessionID]bool{}, settled: map[string]map[int]int{}, sizes: map[string]int{}, ledger: newLedgerModel(), parted: map[string]bool{},
		e: newEngine(Config{Seed: 1, Sessions: 4, SessionsPerHost: 2, RecipientsPerTransaction: 3, Ledger: scriptedLedger{}, LedgerRecipients: 20, LedgerLinger: time.Minute,
			TLS: TLS{Mode: TLSOpportunistic}, Observer: &observations{},
			VERP: []VERP{{Sender: "verp@d1.test", Template: "verp+{local}={domain}@d1.test"}}}.withDefaults())}
	w.ledger.verp = mustAddress(t, "verp@d1.test")
	return w
}

// pick is the next choice below n; 0 when the script is used up.
func (w *model) pick(n int) int {
	if len(w.bytes) == 0 || n == 0 {
		return 0
	}
	b := w.bytes[0]
	w.bytes = w.bytes[1:]
	return int(b) % n
}

// event tells the engine, now or together with the next.
func (w *model) event(ev event) {
	w.trace.event(w.now, ev)
	w.e.step(w.now, ev)
	checkInvariants(w.t, w.e)
	if w.pick(4) == 1 {
		return
	}
	w.take()
}

func (w *model) take() {
	for _, a := range w.e.take() {
		w.trace.action(a)
		switch a := a.(type) {
		case lookup:
			w.lookups = append(w.lookups, a)
		case dial:
			w.dials = append(w.dials, a.session)
		case transmit:
			w.hands[a.session] = append(w.hands[a.session], a.order)
			require.NotEmpty(w.t, a.order.to, "a transaction has recipients")
			require.LessOrEqual(w.t, len(a.order.to), 3, "a transaction keeps the configured size")
			require.False(w.t, w.hung[a.session], "nothing is transmitted on a session that was hung up")
			require.True(w.t, len(w.hands[a.session]) == 1 || w.clear[a.session], "a second transaction is given only behind a cleared body")
			w.ledger.checkTransmit(w.t, a.order)
		case hangup:
			require.True(w.t, a.stuck || len(w.hands[a.session]) == 0, "no session with a transaction is hung up unless it is stuck")
			w.hung[a.session] = true
		case keep:
			w.ledger.keep(w.now, a)
		case settle:
			w.ledger.checkSettle(w.t, w.now, a)
			for _, s := range a.settlements {
				w.settled[a.envelope.ID][s.Recipient]++
				require.Equal(w.t, 1, w.settled[a.envelope.ID][s.Recipient], "a recipient is settled once")
			}
		}
	}
	checkInvariants(w.t, w.e)
	checkRelief(w.t, w.e)
}

func (w *model) step() {
	switch w.pick(10) {
	case 8:
		w.confirm()
	case 9:
		w.part(w.pick(3) > 0)
	case 0:
		w.send()
	case 1:
		w.now = w.now.Add(time.Duration(w.pick(256)) * time.Duration(w.pick(256)) * 10 * time.Millisecond)
		w.event(ticked{})
	case 2, 3:
		w.resolve(w.pick(6) == 0)
	case 4:
		w.answerDial()
	case 5, 6:
		w.answerTransaction(w.pick(16))
	case 7:
		w.rare()
	}
}

// rare is what happens seldom: a host MTA that leaves, an idle session that ends, a drain.
func (w *model) rare() {
	switch w.pick(8) {
	case 0:
		if w.envelopes > 0 {
			id := fmt.Sprint("e", w.pick(w.envelopes))
			w.event(cancelled{envelope: id})
			if w.pick(2) == 1 && !w.parted[id] {
				w.parted[id] = true
				w.event(abandoned{envelope: id})
			}
		}
	case 1:
		if w.pick(16) == 1 {
			w.event(drained{})
		}
	case 2:
		w.event(hinted{domain: w.domain(), expected: w.pick(2) == 1})
	case 3:
		w.coming++
		w.event(coming{})
	case 4:
		if w.coming > 0 {
			w.coming--
			w.event(coming{over: true})
		}
	default:
		if len(w.open) > 0 {
			w.end(w.open[w.pick(len(w.open))], closing{stage: stageIdle, err: errors.New("EOF")})
		}
	}
}

func (w *model) domain() string { return fmt.Sprintf("d%d.test", w.pick(5)) }

func (w *model) send() {
	id := fmt.Sprint("e", w.envelopes)
	w.envelopes++
	n := w.pick(3)
	// The ledger knows a message by its content: equal content has equal parameters here.
	e := &Envelope{ID: id, Body: bodyOf(fmt.Sprint(n)), Params: []Params{{}, {RequireTLS: true}, {TLSOptional: true}}[n], Deadline: w.now.Add(time.Duration(w.pick(20)) * 30 * time.Second)}
	for range w.pick(12) {
		domain := w.domain()
		e.Recipients = append(e.Recipients, mustAddress(w.t, fmt.Sprintf("u%d@%s", w.pick(6), domain)))
		e.Routes = append(e.Routes, domain)
	}
	if w.pick(4) == 1 {
		e.From = mustAddress(w.t, "verp@d1.test")
	}
	e.Announced = w.coming > 0
	if w.pick(2) == 1 {
		e.QueueID = "A1"
	}
	w.settled[id], w.sizes[id] = map[int]int{}, len(e.Recipients)
	w.ledger.send(e)
	w.event(sent{envelope: e})
}

// confirm answers the oldest keep action.
func (w *model) confirm() {
	if k := w.ledger; len(k.unanswered) > 0 {
		n := k.unanswered[0]
		k.unanswered = k.unanswered[1:]
		w.event(kept{number: n})
	}
}

// part ends the host MTA's interest in the first envelope that is settled; it is false when there is none.
func (w *model) part(took bool) bool {
	for i := range w.envelopes {
		id := fmt.Sprint("e", i)
		if w.parted[id] || len(w.settled[id]) < w.sizes[id] {
			continue
		}
		w.parted[id] = true
		if took {
			w.ledger.took(id)
			w.event(taken{envelope: id})
		} else {
			w.event(abandoned{envelope: id})
		}
		return true
	}
	return false
}

// resolve answers the oldest lookup; hosts overlap between domains.
func (w *model) resolve(fail bool) {
	if len(w.lookups) == 0 {
		return
	}
	domain, verify := w.lookups[0].domain, w.lookups[0].verify
	w.lookups = w.lookups[1:]
	if fail {
		w.event(resolved{domain: domain, verified: verify, err: &resolver.Error{Kind: resolver.Kind(w.pick(7)), Domain: domain}})
		return
	}
	rt := resolver.Route{Domain: domain, Expires: w.now.Add(time.Duration(w.pick(100)) * time.Second)}
	for i := range 1 + w.pick(3) {
		n := w.pick(4)
		mx := resolver.MX{Preference: i / 2, Name: fmt.Sprintf("mx%d.test", n)}
		for j := range 1 + n%2 {
			mx.Addrs = append(mx.Addrs, netip.AddrFrom4([4]byte{192, 0, byte(j), byte(n)}))
		}
		if n == 3 {
			mx.Addrs = append(mx.Addrs, netip.MustParseAddr("2001:db8::3"))
		}
		mx.Secure = w.pick(3) == 1
		mx.Additional = !verify && !mx.Secure && w.pick(3) == 1
		if w.pick(4) == 1 {
			mx.DANE = &resolver.DANE{Base: mx.Name, Names: []string{mx.Name, domain}, Records: []resolver.TLSA{{Usage: uint8(1 + w.pick(3)), Selector: 1, Matching: 1, Data: strings.Repeat("x", 32)}}}
			if w.pick(4) == 1 {
				mx.DANE.Err = &resolver.Error{Domain: domain}
			}
		}
		rt.MX = append(rt.MX, mx)
	}
	if w.pick(3) == 1 {
		rt.STS = &sts.Policy{Domain: domain, Mode: sts.Mode(w.pick(3)), MX: []string{"mx1.test", "mx2.test"}}
	}
	w.event(resolved{domain: domain, route: rt, verified: verify})
	if w.pick(4) == 1 { // IPv6 addresses become known later
		rt.MX = slices.Clone(rt.MX)
		for i := range rt.MX {
			rt.MX[i].Addrs = append(slices.Clone(rt.MX[i].Addrs), netip.MustParseAddr("2001:db8::9"))
		}
		w.event(resolved{domain: domain, route: rt, grown: true, verified: verify})
	}
}

// finish makes the world kind and lets time pass until nothing is left.
func (w *model) finish() {
	w.take()
	for range 10000 {
		w.take()
		switch {
		case len(w.lookups) > 0:
			w.resolve(false)
		case len(w.dials) > 0:
			w.answerDialKindly()
		case w.anyBusy():
			w.answerTransaction(0)
		case w.endHung():
		case len(w.ledger.unanswered) > 0:
			w.confirm()
		case w.part(true):
		default:
			at, ok := w.e.wakeAt()
			if !ok {
				w.check()
				return
			}
			w.now = at
			w.event(ticked{})
		}
	}
	w.t.Fatal("the engine never came to rest")
}

func (w *model) answerDialKindly() {
	id := w.dials[0]
	w.dials = w.dials[1:]
	w.open = append(w.open, id)
	w.event(opened{session: id, caps: wire.Caps{Pipelining: true}})
}

func (w *model) anyBusy() bool {
	for _, id := range w.open {
		if len(w.hands[id]) > 0 {
			return true
		}
	}
	return false
}

// endHung ends a session that was told to.
func (w *model) endHung() bool {
	for id := range w.hung {
		if w.e.sessions[id] != nil {
			w.end(id, closing{})
			return true
		}
	}
	return false
}

func (w *model) check() {
	for id, n := range w.sizes {
		require.Len(w.t, w.settled[id], n, "every recipient of %s is settled", id)
	}
	require.Empty(w.t, w.e.envelopes, "no envelope is left")
	require.Empty(w.t, w.e.messages, "no message is left")
	require.Empty(w.t, w.e.sessions, "no session is left after the idle timeout")
	require.Empty(w.t, w.e.routes, "no route is left when nobody needs it any more")
	require.Empty(w.t, w.e.hosts, "no host is left when nothing is remembered any more")
	require.Empty(w.t, w.e.debts.pasts, "no delivery is remembered when no host MTA can send it again")
	require.Empty(w.t, w.e.debts.receipts, "no receipt is left")
	require.Empty(w.t, w.e.debts.ages, "what is forgotten is let go")
}

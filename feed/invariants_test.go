package feed

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkInvariants holds after every step: each recipient is in exactly one place, what is counted is there, limits are kept,
// and nothing waits without something under way that will end the wait.
func checkInvariants(t testing.TB, e *engine) {
	t.Helper()
	census := map[*recipient]int{}
	asking := map[*message]int{}
	routes := slices.Collect(maps.Values(e.routes))
	for _, verifying := range e.verifying {
		for _, rt := range verifying {
			require.Equal(t, routeVerifying, rt.state, "a route knows that it is verified")
			if e.routes[rt.id()] != rt {
				routes = append(routes, rt) // it is replaced, and verified all the same
			}
		}
	}
	for _, rt := range routes {
		for r := rt.waiting.head; r != nil; r = r.next {
			asking[r.envelope.message]++
			census[r]++
			require.Equal(t, placeRoute, r.place, "a recipient in a route knows that it is there")
		}
		require.True(t, rt.waiting.empty() || rt.state == routeResolving || slices.Contains(e.verifying[rt.domain], rt), "recipients wait in a route only for its lookup")
	}
	for key, h := range e.hosts {
		require.Contains(t, h.keys, key, "a host knows its keys")
		if key != h.keys[0] {
			continue
		}
		checkHost(t, e, h, census)
	}
	for _, s := range e.sessions {
		require.True(t, s.state == sessionReady || s.guard.slot > 0, "a session that does not rest is watched")
		require.LessOrEqual(t, len(s.flights), 2, "a session has at most two transactions in its hands")
		for _, f := range s.flights {
			for _, r := range f.recipients {
				census[r]++
				require.Equal(t, placeFlight, r.place, "a recipient in a transaction knows that it is there")
			}
		}
	}
	for _, env := range e.envelopes {
		unsettled := 0
		for i := range env.recipients {
			r := &env.recipients[i]
			if r.outcome == nil {
				unsettled++
				carrier := env.message.carrier[r.address()]
				require.True(t, r == carrier || r.place == placeTwin, "an unsettled recipient is a carrier or a twin of one")
				require.Equal(t, 1, census[carrier], "the carrier of an unsettled recipient is in exactly one place: %s, envelope %s, place %d", r.address(), env.ID, carrier.place)
			}
		}
		require.Equal(t, unsettled, env.unsettled, "unsettled recipients are counted")
		require.True(t, unsettled == 0 || env.budget.slot > 0, "an unsettled envelope has its budget's timer")
	}
	for _, m := range e.messages {
		require.Equal(t, asking[m], m.tide.asking, "a message counts its recipients that wait for a lookup")
		require.Same(t, e.streams[m.key], m.stream, "a message has the stream of its key")
	}
	for key, st := range e.streams {
		require.Positive(t, st.quiet.slot, "a stream ends by itself")
		m := e.messages[key]
		require.True(t, st.flowing || len(st.held) == 0 || m == nil || m.tide.asking > 0, "nobody is held when nothing flows")
	}
	for r, n := range census {
		require.Equal(t, 1, n, "no recipient is in two places: %s", r.address())
	}
	require.LessOrEqual(t, len(e.sessions), e.config.Sessions, "the process's session budget is kept")
	checkDebts(t, e)
}

// checkDebts holds after every step: what is remembered is counted, and nobody holds what is gone.
func checkDebts(t testing.TB, e *engine) {
	t.Helper()
	users, open, owed := map[*past]int{}, map[*past]map[RecipientID]int{}, 0
	rests := map[*past]int{}
	for _, l := range e.debts.lingering {
		rests[e.debts.receipts[l.envelope].past]++
	}
	require.True(t, len(e.debts.lingering) == 0 || e.debts.lingerTimer.slot > 0, "lingering ends")
	for _, m := range e.messages {
		if m.past != nil {
			users[m.past]++
		}
	}
	for _, rc := range e.debts.receipts {
		users[rc.past]++
		if open[rc.past] == nil {
			open[rc.past] = map[RecipientID]int{}
		}
		for _, id := range rc.ids {
			open[rc.past][id]++
		}
	}
	for id, p := range e.debts.pasts {
		require.False(t, p.gone, "what is forgotten is not found")
		require.Equal(t, id, p.id)
		require.Equal(t, users[p], p.users, "a past counts its users")
		require.Equal(t, rests[p], p.rests, "and those that linger")
		require.True(t, len(p.debts) > 0 || p.users > 0, "a past of which nothing is owed is forgotten")
		for recipient, d := range p.debts {
			require.Equal(t, open[p][recipient], d.open, "a debt counts its receipts")
		}
		owed += len(p.debts)
		delete(users, p)
	}
	require.Empty(t, users, "nobody uses what is forgotten")
	require.Equal(t, owed, e.debts.owed, "recipients that are remembered are counted")
	require.True(t, len(e.keeping.held) == 0 || e.keeping.timer.slot > 0 && len(e.keeping.waiting) > 0, "nothing waits for the ledger for ever")
	require.True(t, owed == 0 || e.debts.sweepTimer.slot > 0, "what is remembered is forgotten one day")
}

// checkRelief holds after every take: no host waits for the process's budget while a session rests for nothing, and no recipient waits
// beside a session at rest without a moment at which it is looked at again.
func checkRelief(t testing.TB, e *engine) {
	t.Helper()
	for _, h := range e.hosts {
		require.True(t, h.waiting == 0 || len(h.ready) == 0 || h.patience.slot > 0, "%d wait at %s, %d sessions rest, and nothing will change that", h.waiting, h.name, len(h.ready))
		require.True(t, h.server.turn == nil || h.server.turn.short, "room is made for those who lack it")
	}
	for key, sv := range e.servers {
		require.Contains(t, sv.keys, key, "a server knows its names")
		require.NotEmpty(t, sv.hosts, "a server without hosts is forgotten")
	}
	resting, leaving := 0, 0
	for _, s := range e.sessions {
		if s.state == sessionReady && s.host.waiting == 0 {
			resting++
		}
		if s.hungUp {
			leaving++
		}
	}
	require.Equal(t, leaving, e.leaving, "sessions on their way out are counted")
	require.True(t, resting == 0 || len(e.hungry) <= leaving, "%d hosts are hungry, %d sessions leave, and %d rest", len(e.hungry), leaving, resting)
}

func checkHost(t testing.TB, e *engine, h *host, census map[*recipient]int) {
	t.Helper()
	waiting := 0
	for _, l := range h.lanes {
		wanted := 0
		for r := l.list.head; r != nil; r = r.next {
			census[r]++
			require.Equal(t, placeHost, r.place, "a recipient in a lane knows that it is there")
			if r.wanted() {
				wanted++
			}
		}
		require.Equal(t, wanted, l.waiting, "a lane counts its wanted recipients")
		require.Equal(t, wanted > 0, h.laneOf[l.message] == l, "a lane that nobody waits in is gone, but for its place in the order")
		waiting += wanted
	}
	require.Equal(t, waiting, h.waiting, "a host counts its wanted recipients")
	require.LessOrEqual(t, len(h.server.sessions), h.limit.cap, "a server's sessions stay within the configured cap")
	require.Same(t, h.limit, &h.server.limit, "a host has the limits of its server")
	require.Contains(t, h.server.hosts, h, "a server knows its hosts")
	dialing, flying, alone := 0, 0, 0
	for _, s := range h.sessions {
		if s.state == sessionDialing {
			dialing++
		}
	}
	for _, s := range e.sessions {
		for _, f := range s.flights {
			if s.host == h {
				flying += len(f.recipients)
				if f.message.verp != nil {
					alone += len(f.recipients)
				}
			}
		}
	}
	require.Equal(t, dialing, h.dialing, "a host counts its sessions on their way")
	for _, l := range h.lanes {
		if l.message.verp != nil {
			alone += l.waiting
		}
	}
	require.Equal(t, flying, h.flying, "a host counts its recipients in transactions")
	require.Equal(t, alone, h.alone, "a host counts the recipients that travel alone")
	require.True(t, waiting == 0 || len(h.sessions) > 0 || h.hungry || h.dirty || h.short && h.server.busy(), "nothing waits for a host without a session on its way")
}

// busy says that a session of the server works or is being opened, or will be looked at: then those who are short are, too.
func (sv *server) busy() bool {
	looked := func(h *host) bool { return h.dirty } // and wakes the next one
	return sv.leaving > 0 || sv.paused.slot > 0 || slices.ContainsFunc(sv.short, looked) || slices.ContainsFunc(sv.hosts, func(h *host) bool { return len(h.sessions) > len(h.ready) || len(h.ready) > 0 && h.dirty })
}

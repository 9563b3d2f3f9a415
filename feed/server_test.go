package feed

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/stretchr/testify/assert"
)

// Hosts of one server that have as much to do have as much done. To whom a place goes is decided early: a session that is opened, TLS and all,
// and closed without a transaction is a waste.
func TestHostsOfAServerAreServedAlike(t *testing.T) {
	for rule, manners := range map[string]func(*serverModel){
		"sessions for ever": func(*serverModel) {},
		"MAILMAX 1":         func(m *serverModel) { m.mailMax = 1 },
		"PIPELINING":        func(m *serverModel) { m.pipes = true },
	} {
		for _, bound := range []int{1, 2, 3, 10} {
			for hosts := 2; hosts <= 4; hosts++ {
				t.Run(fmt.Sprintf("%s, %d places, %d hosts", rule, bound, hosts), func(t *testing.T) {
					m := newServerModel(t, Config{SessionsPerHost: bound, RecipientsPerTransaction: 1})
					manners(m)
					testServedAlike(t, m, bound, hosts)
				})
			}
		}
	}
}

func testServedAlike(t *testing.T, m *serverModel, bound, hosts int) {
	during := 30 * time.Second
	if bound > 3 {
		during = 8 * time.Second
	}
	for i := range hosts {
		m.send(i, bound*int(during/modelTransaction)) // more than all together can do
	}
	m.run(during)
	least, most := m.transactions[m.domain(0)], 0
	for i := range hosts {
		n := m.transactions[m.domain(i)]
		least, most = min(least, n), max(most, n)
	}
	odd := 0 // a place that does not divide is somebody's
	if bound > hosts && bound%hosts > 0 {
		odd = most / (bound/hosts + 1)
	}
	assert.LessOrEqual(t, most-least, max(most/4, odd+most/20), "the hosts' transactions differ by a quarter at most, or by what one session does: %v",
		m.transactions)
	assert.LessOrEqual(t, m.unused, m.dials/20, "of %d sessions at most one in twenty is closed unused", m.dials)
	assert.LessOrEqual(t, m.most, bound, "the server has no more of them at once")
}

// Who lacks a session has as much room made as is its share, though it is looked at again and again until the places are there.
func TestRoomIsMadeOnce(t *testing.T) {
	for _, pipes := range []bool{false, true} {
		t.Run(fmt.Sprint("pipelining ", pipes), func(t *testing.T) {
			m := newServerModel(t, Config{SessionsPerHost: 4, RecipientsPerTransaction: 10})
			m.pipes = pipes
			m.send(0, 10*4*40)
			for i := range 10 { // a mail of its own each, while the places are on their way
				m.after(2*time.Second+time.Duration(i)*5*time.Millisecond, func() { m.send(1, 1) })
			}
			m.run(4500 * time.Millisecond)
			assert.Len(t, m.delivered[m.domain(1)], 10, "all are delivered")
			assert.EqualValues(t, 2, m.e.counts.SessionsRetired, "the list gives half of its places up")
			assert.Equal(t, 4+2, m.dials, "and nobody dials anew for it")
			assert.Zero(t, m.unused, "nor for nothing")
		})
	}
}

// A server that takes fewer connections than we would have, and counts one for a while after our goodbye: that is learned, and nobody is told
// of it.
func TestLimitOfAServerIsKept(t *testing.T) {
	for apart, rule := range map[time.Duration]string{0: "all at once", 2 * time.Second: "one after the other"} {
		for _, limit := range []int{1, 2, 3, 5} {
			for hosts := 2; hosts <= 3; hosts++ {
				for _, mailMax := range []int{0, 1} {
					t.Run(fmt.Sprintf("%s: %d connections, %d hosts, MAILMAX %d", rule, limit, hosts, mailMax), func(t *testing.T) {
						m := newServerModel(t, Config{RecipientsPerTransaction: 1})
						m.limit, m.keeps, m.mailMax = limit, 100*time.Millisecond, mailMax
						for i := range hosts {
							m.after(time.Duration(i)*apart, func() { m.send(i, 250) })
						}
						m.run(10 * time.Second)
						assert.Empty(t, m.others, "nobody is deferred")
						assert.Len(t, m.delivered, hosts, "each host delivers")
						assert.Equal(t, limit, m.server().limit.ceiling, "the ceiling is what the server takes")
					})
				}
			}
		}
	}
}

// Where the bookkeeping is later than the close, who comes next is refused though nobody is there. That is a pause, and nobody's fall.
func TestPlacesThatAreCountedTooLong(t *testing.T) {
	for _, lags := range []time.Duration{50 * time.Millisecond, 300 * time.Millisecond, time.Second} {
		for _, limit := range []int{1, 2, 3} {
			t.Run(fmt.Sprintf("%v, %d connections", lags, limit), func(t *testing.T) {
				m := newServerModel(t, Config{RecipientsPerTransaction: 1})
				m.limit, m.lags = limit, lags
				for i := range 4 {
					m.send(i, 30)
				}
				m.run(2 * time.Minute)
				assert.Empty(t, m.others, "nobody is deferred")
				for i := range 4 {
					assert.Len(t, m.delivered[m.domain(i)], 30, "all are delivered")
				}
				assert.Zero(t, m.e.snapshot(m.now).HostsDown, "no host is down")
			})
		}
	}
}

// Single mails of one policy beside a newsletter of another: nobody's session is closed for each of them, and none waits longer than a turn.
func TestSingleMailsBesideAListOfAnotherPolicy(t *testing.T) {
	const (
		gap   = 700 * time.Millisecond
		mails = 40
		last  = 2*time.Second + mails*gap
	)
	for _, bound := range []int{1, 2, 5, 10} {
		t.Run(fmt.Sprint(bound, " sessions"), func(t *testing.T) {
			m := newServerModel(t, Config{SessionsPerHost: bound, RecipientsPerTransaction: 1})
			m.send(0, bound*int(last/modelTransaction))
			for i := range mails {
				m.after(2*time.Second+time.Duration(i)*gap, func() { m.send(1, 1) })
			}
			m.run(last + 2*time.Second)
			took := m.delivered[m.domain(1)]
			slices.Sort(took)
			if assert.Len(t, took, mails, "all are delivered, the list beside them") {
				assert.Less(t, took[mails/2], modelTransaction+turnTime, "the median takes no longer than a turn and its own transaction")
			}
			few := bound + 2
			if bound == 1 {
				few = int(last/turnTime) + 2 // one for each turn
			}
			assert.LessOrEqual(t, m.dials, few, "sessions are kept")
		})
	}
}

// A session that fails for a reason of its own policy says nothing of how many the server takes, nor anything to hosts under other policies.
func TestWhatIsNoCrowding(t *testing.T) {
	for _, c := range []struct {
		rule   string
		answer modelAnswer
	}{
		{"AUTH that is refused", modelAnswer{stands: true, after: 300 * time.Millisecond, closing: closing{stage: stageAuth, err: errors.New("535")}}},
		{"a certificate for another name", modelAnswer{stands: true, after: 200 * time.Millisecond, closing: closing{stage: stageHandshake,
			err: errors.New("names another"), tls: &tlsError{result: "certificate-host-mismatch", status: status475, err: errors.New("names another")}}}},
		{"no STARTTLS", modelAnswer{stands: true, after: 200 * time.Millisecond, closing: closing{stage: stageStartTLS, err: errors.New("not offered"),
			tls: &tlsError{result: "starttls-not-supported", status: status475, err: errors.New("not offered")}}}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			m := newServerModel(t, Config{RecipientsPerTransaction: 1})
			m.answers = answersTo(1, c.answer)
			m.send(0, 200)
			m.after(2*time.Second, func() { m.send(1, 1) })
			m.run(10 * time.Second)
			assert.Len(t, m.others, 1, "the mail under the policy is deferred")
			assert.Len(t, m.delivered[m.domain(0)], 200, "all other mail is delivered")
			assert.Zero(t, m.server().limit.ceiling, "no limit was learned")
			assert.EqualValues(t, 1, m.e.counts.DialsFailed, "it is tried once")
			assert.LessOrEqual(t, m.e.counts.SessionsRetired, uint64(1), "one session is closed for it, at a server that has all it may have")
		})
	}
}

// answersTo is what dials of one policy's host meet.
func answersTo(policy int, a modelAnswer) func(dial) *modelAnswer {
	return func(d dial) *modelAnswer {
		if d.name != fmt.Sprintf("mx.d%d.test", policy) {
			return nil
		}
		return &a
	}
}

// busyAnswer is a greeting that turns away.
func busyAnswer() modelAnswer {
	return modelAnswer{stands: true, after: 2 * modelTrip, closing: closing{stage: stageGreeting, reply: wire.Reply{Code: 421, Text: "too busy"}}}
}

// here is what all dials of the model's server meet, but not those of the further exchangers.
func here(a modelAnswer) func(dial) *modelAnswer {
	return func(d dial) *modelAnswer {
		if d.to.Addr() != modelAddr {
			return nil
		}
		return &a
	}
}

// A dead server is dead for all its hosts. Those that have no place there need not wait for one to find out.
func TestDeadServersAreDeadForAllHosts(t *testing.T) {
	hole := modelAnswer{after: 30 * time.Second, closing: closing{stage: stageConnect, err: errors.New("timed out")}}
	refusal := modelAnswer{after: modelTrip, closing: closing{stage: stageConnect, err: errors.New("refused")}}
	for _, c := range []struct {
		rule   string
		answer modelAnswer
		bound  int
		hosts  int
		within time.Duration // all are delivered by their other exchangers
		dials  int           // of the dead server at most
	}{
		{"a black hole, one place", hole, 1, 3, 2 * time.Second, 1},
		{"a black hole, a place for each", hole, 10, 3, 2 * time.Second, 3},
		{"a black hole, many hosts", hole, 10, 50, 2 * time.Second, 10},
		{"refusals, one place", refusal, 1, 3, time.Second, 1},
		{"refusals, a place for each", refusal, 10, 3, time.Second, 3},
		{"refusals, many hosts", refusal, 10, 50, time.Second, 10},
		{"421 to all, one place", busyAnswer(), 1, 3, time.Second, 1},
		{"421 to all, a place for each", busyAnswer(), 10, 3, 2 * time.Second, 6},
		{"421 to all, many hosts", busyAnswer(), 10, 50, 2 * time.Second, 20},
	} {
		t.Run(c.rule, func(t *testing.T) {
			m := newServerModel(t, Config{SessionsPerHost: c.bound})
			m.further, m.answers = true, here(c.answer)
			m.sendToEach(c.hosts)
			m.run(c.within)
			assert.Empty(t, m.others, "nobody is deferred")
			assert.Len(t, m.delivered, c.hosts, "all are delivered by their other exchangers: %d", len(m.delivered))
			assert.LessOrEqual(t, m.dials-int(m.e.counts.SessionsTotal), c.dials, "the dead server is not dialled for each of them")
		})
	}
}

// Who says 421 to all for a moment has shown no limit: restarts and overload look so.
func TestRefusalOfAllTeachesNoLimit(t *testing.T) {
	for _, hosts := range []int{1, 2, 3, 10} {
		t.Run(fmt.Sprint(hosts, " hosts"), func(t *testing.T) {
			m := newServerModel(t, Config{RecipientsPerTransaction: 1})
			m.answers = here(busyAnswer())
			m.sendToEach(hosts)
			m.run(10 * time.Second)
			assert.Len(t, m.others, hosts, "all are deferred")
			assert.EqualValues(t, hosts, m.e.snapshot(m.now).HostsDown, "and the hosts are down")

			m.answers = nil
			m.run(2 * time.Minute) // as long as they are down
			for i := range hosts {
				m.send(i, 20)
			}
			m.run(3 * time.Minute)
			assert.Len(t, m.others, hosts, "then nobody is")
			assert.Zero(t, m.server().limit.ceiling, "and no ceiling was learned")
			assert.Equal(t, 10, m.most, "the server gets as many sessions as ever")
		})
	}
}

// The first session of each host is dialled at once. Who is refused beside others that stand, but are not through with greeting and TLS, waits
// for its turn.
func TestRefusalBesideDialsThatStand(t *testing.T) {
	for _, c := range []struct{ limit, hosts int }{{1, 2}, {1, 5}, {2, 3}, {3, 10}, {5, 40}} {
		t.Run(fmt.Sprintf("%d connections, %d hosts", c.limit, c.hosts), func(t *testing.T) {
			m := newServerModel(t, Config{})
			m.limit, m.keeps = c.limit, 30*time.Millisecond
			m.sendToEach(c.hosts)
			m.run(time.Duration(c.hosts/c.limit+2) * (turnTime + 10*modelTrip))
			assert.Empty(t, m.others, "nobody is deferred")
			assert.Len(t, m.delivered, c.hosts, "all are delivered in the places there are")
			assert.Zero(t, m.e.snapshot(m.now).HostsDown, "no host is down")
			assert.Equal(t, c.limit, m.server().limit.ceiling, "the ceiling is what the server takes")
			assert.LessOrEqual(t, m.unused, max(m.dials/20, 1), "sessions carry something")
		})
	}
}

// What was learned of a server is remembered by its last host. Others are forgotten when nobody names them, though their siblings have it renewed
// all the time.
func TestHostsOfABusyServerAreForgotten(t *testing.T) {
	m := newServerModel(t, Config{LimitsTTL: time.Hour})
	m.mailMax = 20 // said in each session
	const policies = 24
	for i := range policies { // each half an hour another policy, and one mail under the usual one
		m.run(time.Duration(i) * 30 * time.Minute)
		m.send(0, 1)
		m.send(i+1, 1)
	}
	m.run(policies * 30 * time.Minute)
	assert.LessOrEqual(t, len(m.server().hosts), 2, "hosts of policies that nobody has any more are forgotten")
	assert.LessOrEqual(t, len(m.e.servers), 3, "so are the names that the server had by them")
	assert.Equal(t, 20, m.server().limit.messages, "the last one remembers what was learned")

	m.run((policies + 4) * 30 * time.Minute)
	assert.Empty(t, m.e.hosts, "in the end no host is left")
	assert.Empty(t, m.e.servers, "and no server")
	assert.Empty(t, m.others, "all were delivered")
}

// What is down is remembered while the fall counts, and no longer.
func TestServersThatFellAreForgotten(t *testing.T) {
	m := newServerModel(t, Config{})
	m.answers = here(busyAnswer())
	m.sendToEach(5)
	m.run(time.Minute)
	assert.Len(t, m.server().hosts, 5, "how often they fell is known")
	m.run(2 * time.Hour)
	assert.Empty(t, m.e.hosts, "until it says nothing any more")
	assert.Empty(t, m.e.servers, "of the server either")
}

// Thousands of exchangers at one address, each with a policy of its own: each is looked at a few times, not once for each of the others.
func TestManyHostsOfAServer(t *testing.T) {
	for _, c := range []struct {
		rule         string
		limit, hosts int
	}{{"a place for ten", 0, 2000}, {"a server that takes three", 3, 1000}} {
		t.Run(c.rule, func(t *testing.T) {
			m := newServerModel(t, Config{})
			m.limit, m.keeps = c.limit, 30*time.Millisecond
			m.sendToEach(c.hosts)
			m.run(budget - time.Minute)
			assert.Equal(t, c.hosts, len(m.delivered), "all are delivered")
			assert.Zero(t, len(m.others), "nobody is deferred")
			assert.LessOrEqual(t, m.dials, c.hosts+20, "each by one session")
			assert.LessOrEqual(t, m.events, 8*c.hosts, "events")
			assert.LessOrEqual(t, m.pumps, 25*c.hosts, "hosts looked at")
		})
	}
}

// A crew is a server whose hosts have so much to do, in the order in which they came to be short.
type crew []*host

// standing makes a host of a crew: with recipients that wait, and sessions at work and at rest.
func standing(name string, waiting, busy, resting int) *host {
	h := &host{name: name, waiting: waiting, short: waiting > 0}
	for range busy {
		h.sessions = append(h.sessions, &session{host: h, state: sessionBusy})
	}
	for range resting {
		h.sessions = append(h.sessions, &session{host: h, state: sessionReady})
	}
	return h
}

// server is the crew's, of which those are short who want sessions.
func (c crew) server(l limit) *server {
	sv := &server{hosts: c, limit: l}
	for _, h := range c {
		h.server, h.limit = sv, &sv.limit
		sv.sessions = append(sv.sessions, h.sessions...)
		if h.short {
			sv.short = append(sv.short, h)
		}
	}
	return sv
}

// done is a host that was short and has nothing that waits any more; sated one with work that wants no more sessions.
func done(h *host) *host  { h.waiting = 0; return h }
func sated(h *host) *host { h.short = false; return h }

func TestShareOfAServer(t *testing.T) {
	ten := limit{window: 10, cap: 10}
	for _, c := range []struct {
		rule  string
		limit limit
		hosts crew
		want  int
	}{
		{"one host has all", ten, crew{sated(standing("a", 5, 3, 0))}, 10},
		{"two halve them", ten, crew{standing("a", 5, 5, 0), standing("b", 5, 5, 0)}, 5},
		{"what does not divide is nobody's share", ten, crew{standing("a", 5, 4, 0), standing("b", 5, 3, 0), standing("c", 5, 3, 0)}, 3},
		{"who has no session yet counts", ten, crew{standing("a", 50, 10, 0), standing("b", 5, 0, 0)}, 5},
		{"whose last transaction flies counts", ten, crew{standing("a", 50, 9, 0), standing("b", 0, 1, 0)}, 5},
		{"whose sessions rest does not", ten, crew{standing("a", 50, 9, 0), standing("b", 0, 0, 1)}, 10},
		{"who has mail for a session at rest does", ten, crew{standing("a", 50, 9, 0), sated(standing("b", 1, 0, 1))}, 5},
		{"who is short of nothing any more does not", ten, crew{standing("a", 50, 9, 0), done(standing("b", 5, 0, 0))}, 10},
		{"nobody at all", ten, crew{standing("a", 0, 0, 0)}, 10},
		{"as many short hosts as places", limit{window: 2, cap: 2}, crew{standing("a", 5, 1, 0), standing("b", 5, 1, 0)}, 1},
		{"more hosts than places", limit{window: 2, cap: 2}, crew{standing("a", 5, 1, 0), standing("b", 5, 1, 0), standing("c", 5, 0, 0)}, 1},
		{"only what is earned is shared", limit{window: 5, cap: 10}, crew{standing("a", 5, 4, 0), standing("b", 5, 1, 0)}, 2},
		{"nor what the server does not take", limit{window: 10, cap: 10, ceiling: 4}, crew{standing("a", 5, 3, 0), standing("b", 5, 1, 0)}, 2},
	} {
		t.Run(c.rule, func(t *testing.T) {
			assert.Equal(t, c.want, c.hosts.server(c.limit).share(), "each host's sessions")
		})
	}
}

func TestWhoIsNextAtAServer(t *testing.T) {
	ten := limit{window: 10, cap: 10}
	one := limit{window: 1, cap: 1}
	for _, c := range []struct {
		rule  string
		limit limit
		hosts crew
		but   int // 0 is nobody, 1 the first host
		want  string
	}{
		{"nobody is short", ten, crew{sated(standing("a", 5, 5, 0)), sated(standing("b", 5, 2, 0))}, 0, ""},
		{"the only host", ten, crew{standing("a", 5, 5, 0)}, 0, ""},
		{"who has nothing", ten, crew{standing("a", 5, 10, 0), standing("b", 5, 0, 0)}, 0, "b"},
		{"who has less than its share", ten, crew{standing("a", 5, 7, 0), standing("b", 5, 3, 0)}, 0, "b"},
		{"all have theirs", ten, crew{standing("a", 5, 5, 0), standing("b", 5, 5, 0)}, 0, ""},
		{"a place that does not divide", limit{window: 3, cap: 3}, crew{sated(standing("a", 5, 2, 0)), standing("b", 5, 1, 0)}, 0, ""},
		{"the first come of those that have less", ten, crew{standing("a", 5, 2, 0), standing("b", 5, 1, 0), sated(standing("c", 5, 7, 0))}, 0, "a"},
		{"who has nothing before who has less", ten, crew{standing("a", 5, 2, 0), sated(standing("b", 5, 8, 0)), standing("c", 5, 0, 0)}, 0, "c"},
		{"the first come of those that have nothing", ten, crew{standing("a", 5, 10, 0), standing("b", 5, 0, 0), standing("c", 5, 0, 0)}, 0, "b"},
		{"whose mail is gone is passed over", ten, crew{standing("a", 5, 10, 0), done(standing("b", 5, 0, 0)), standing("c", 5, 0, 0)}, 0, "c"},
		{"but for one", one, crew{standing("a", 5, 0, 0), standing("b", 5, 0, 0), standing("c", 5, 1, 0)}, 1, "b"},
		{"nobody but one", one, crew{standing("a", 5, 0, 0), standing("b", 5, 1, 0)}, 1, ""},
		{"one place, and its holder is short", one, crew{standing("a", 5, 1, 0), standing("b", 5, 0, 0)}, 1, "b"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			var but *host
			if c.but > 0 {
				but = c.hosts[c.but-1]
			}
			name := ""
			if h := c.hosts.server(c.limit).needy(but); h != nil {
				name = h.name
			}
			assert.Equal(t, c.want, name, "who is to have the next session")
		})
	}
}

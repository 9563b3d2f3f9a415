package feed

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A Snapshot is the state of a Feeder at one moment, and its counters since it started.
type Snapshot struct {
	At time.Time

	// Gauges.
	Messages   int // distinct messages with an unsettled recipient
	Envelopes  int // with an unsettled recipient
	Recipients int // unsettled
	Resolving  int // domains being looked up
	Hosts      int // known: with recipients, sessions or something remembered
	HostsDown  int
	Sessions   int // open or being opened
	Idle       int // of those, without a transaction
	Saturated  int // hosts that wait for the process's session budget
	Remembered int // recipients delivered whose replies the host MTA is not known to have taken, and some more; 0 without a ledger
	Unwritten  int // settlements that wait for the ledger

	// Counters.
	EnvelopesTotal  uint64
	MessagesTotal   uint64 // envelopes joined into one message count once
	RecipientsTotal uint64
	Delivered       uint64
	Deferred        uint64
	Failed          uint64
	Uncertain       uint64
	Recalled        uint64 // of those delivered, the recipients that were in an earlier attempt, and got no second copy
	Unkept          uint64 // recipients whose host MTA was told although the ledger had not answered in time
	Curbed          uint64 // recipients that are remembered no longer because there were too many
	Lookups         uint64
	Dials           uint64
	DialsFailed     uint64
	Gathered        uint64 // lanes that waited for more of a message to come in
	Ahead           uint64 // dials begun before the host MTA's final dot
	Hedges          uint64 // dials begun beside one that did not answer
	SessionsTotal   uint64 // that reached the end of EHLO
	SessionsReused  uint64 // transactions on a session that had carried one before
	SessionsEvicted uint64 // idle ones closed because the budget of the process or the exchanger was full
	SessionsRetired uint64 // closed because the host takes only so many messages or domains a session, or to make room for another policy
	Transactions    uint64
	Pipelined       uint64 // transactions whose MAIL rode behind the previous body
	Piggybacked     uint64 // transactions with recipients of several domains
	Regrouped       uint64 // recipients that moved to another host
	Chunked         uint64 // transactions whose body goes by BDAT
	Personal        uint64 // transactions with an envelope sender of their own
	Splits          uint64 // limits that a host showed, met by cutting the work again
	Fallbacks       uint64 // transactions tried again more carefully: command by command, or by DATA
	Shared          uint64 // recipients that an equally preferred host with free hands took over
	Probes          uint64 // dials to a host that was down, to see whether it still is
	Stuck           uint64 // sessions that made no progress and were given up: faults of ours
	TLSSessions     uint64 // of SessionsTotal, with TLS
	TLSResumed      uint64 // of those, resumed ones
	TLSVerified     uint64 // of those, with the certificate that a policy wants
	TLSFailed       uint64 // dials that ended over TLS
	TLSFallbacks    uint64 // of those, tried again with a reduced ClientHello or in plaintext
	Stale           uint64 // reused sessions that turned out dead, replaced at nobody's cost

	HostStates []HostState // by name; only hosts with recipients waiting, sessions or something remembered
}

// A HostState is what is known of one host, for status.
type HostState struct {
	Name     string
	Addrs    string // comma separated
	Waiting  int
	Sessions int
	Cap      int       // concurrency earned so far, with what has other policies at these addresses
	Down     time.Time // zero, or when it may be tried again
	Reason   string    // why it is down
	Policy   string    // what its sessions keep to, as words
	Learned  string    // limits learned, as words; "" when none
}

// snapshot is the engine's state and counters at now.
func (e *engine) snapshot(now time.Time) Snapshot {
	s := e.counts.Snapshot
	s.At = now
	s.Messages, s.Envelopes, s.Resolving = len(e.messages), len(e.envelopes), len(e.asking)+len(e.verifying)
	s.Hosts, s.Sessions, s.Saturated = len(e.hosts), len(e.sessions), len(e.hungry)
	s.Remembered = e.debts.owed
	for _, h := range e.keeping.held {
		s.Unwritten += len(h.settle.settlements)
	}
	for _, env := range e.envelopes {
		s.Recipients += env.unsettled
	}
	for key, h := range e.hosts {
		if key != h.keys[0] {
			s.Hosts-- // it has more than one key
			continue
		}
		s.Idle += len(h.ready)
		if h.down(now) {
			s.HostsDown++
		}
		if h.notable(now) {
			s.HostStates = append(s.HostStates, h.stateAt(now))
		}
	}
	slices.SortFunc(s.HostStates, func(a, b HostState) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Addrs, b.Addrs))
	})
	return s
}

// notable says that there is more to tell of the host than that it exists.
func (h *host) notable(now time.Time) bool {
	return h.waiting > 0 || len(h.sessions) > 0 || h.down(now) || !h.limit.until.IsZero() || !h.tls.until.IsZero()
}

func (h *host) stateAt(now time.Time) HostState {
	addrs := make([]string, len(h.addrs))
	for i, a := range h.addrs {
		addrs[i] = a.String()
	}
	st := HostState{Name: h.name, Addrs: strings.Join(addrs, ","), Waiting: h.waiting, Sessions: len(h.sessions),
		Cap: h.limit.sessions(), Policy: h.policy.String(), Learned: strings.Join(append(h.limit.words(), h.tls.words()...), ", ")}
	if h.down(now) {
		st.Down, st.Reason = h.downUntil, h.downOutcome.Reason()
	}
	return st
}

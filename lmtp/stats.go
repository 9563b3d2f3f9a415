package lmtp

import "sync/atomic"

// Stats are gauges, and counters since the Server was made.
type Stats struct {
	// Gauges.
	Connections  int   // open
	Transactions int   // open: from MAIL on
	Waiting      int   // recipients handed to the Mailer and not settled
	Bytes        int64 // of contents held
	Bodies       int   // distinct contents held

	// Counters.
	ConnectionsTotal    uint64
	Envelopes           uint64 // handed to the Mailer
	Accepted            uint64 // recipients
	Refused             uint64 // recipients, at RCPT
	Shared              uint64 // envelopes whose content was in memory already
	HostsLeft           uint64 // hosts that left between their final dot and our last reply
	OverMemory          uint64 // transactions refused with 452 4.3.1
	TooLarge            uint64 // messages larger than Config.MaxMessageSize
	Overdue             uint64 // recipients the Mailer did not settle in time: a fault of ours
	Panics              uint64 // faults of ours
	Notifications       uint64 // deliveries of which the sender is notified: Config.Notify took them
	NotificationsFailed uint64 // deliveries of which the sender is not, though it asked for it: Config.Notify did not
	Crowded             uint64 // times that connections had to wait because Config.Connections were open
}

type counters struct {
	connections, envelopes, accepted, refused, shared, left, overMemory, tooLarge, overdue, panics, crowded, notified, unnotified atomic.Uint64

	waiting atomic.Int64
}

// Stats returns the state of the moment.
func (s *Server) Stats() Stats {
	c := &s.counters
	st := Stats{
		Waiting:             int(c.waiting.Load()),
		ConnectionsTotal:    c.connections.Load(),
		Envelopes:           c.envelopes.Load(),
		Accepted:            c.accepted.Load(),
		Refused:             c.refused.Load(),
		Shared:              c.shared.Load(),
		HostsLeft:           c.left.Load(),
		OverMemory:          c.overMemory.Load(),
		TooLarge:            c.tooLarge.Load(),
		Overdue:             c.overdue.Load(),
		Panics:              c.panics.Load(),
		Crowded:             c.crowded.Load(),
		Notifications:       c.notified.Load(),
		NotificationsFailed: c.unnotified.Load(),
	}
	st.Bytes, st.Bodies = s.memory.held()
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Connections, st.Transactions = len(s.conns), s.open
	return st
}

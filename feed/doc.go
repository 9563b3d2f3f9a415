// Package feed delivers envelopes: it is the architecture of smtpfeed, and this is its document.
//
// A host MTA hands over one message with any number of recipients. feed resolves all their domains at once, groups the
// recipients by the mail exchanger they share, sends each group over few, reused, pipelined SMTP sessions, and gives every
// recipient one outcome. The host keeps queue, retries and bounces; all that survives the process is which recipients were delivered and
// whose host MTA may not have heard it yet, in a Ledger.
//
// # Who owns what
//
//	        LMTP goroutines                     device drivers: parked on the netpoller
//	   (package lmtp, one a host)          +----------------------------------------------+
//	              |                        |  speaker (one a session): sender + receiver   |
//	hinted, sent, | cancelled              |  resolver's readers, in batches of answers    |
//	              v                        +----------------------------------------------+
//	       +-------------+   opened, cleared, finished, ended, resolved    |        ^
//	       |   events    | <-----------------------------------------------+        |
//	       |             | <--- kept, recalled --- Ledger <--- keep ---+            | lookup, dial,
//	       +-------------+                                             |            | transmit, hangup
//	              |  one channel                                       +------------+
//	              v                                                                 |
//	  +-----------------------+   step(now, event)   +-----------------------+      |
//	  |  Feeder: the loop     | -------------------> |  engine: pure         |      |
//	  |  (one goroutine)      | <------------------- |  owns every decision  |      |
//	  +-----------------------+    take() []action   |  and all state        |      |
//	              |    |                             +-----------------------+      |
//	      settle  |    +------------------------------------------------------------+
//	              v
//	        Envelope.Sink (never blocks)
//
// One goroutine, the loop, owns all delivery state, and all of it is inside the engine. The engine is a pure state machine:
// it is told an event and the time, and asked for actions. It has no clock, does no I/O and starts nothing, so it is tested by
// scripts (testdata/engine), by a fuzzed model of hosts that do anything a host may, and by replaying traces of real runs. The
// loop never waits on anybody; sessions and lookups wait for it, on a channel with room for thousands.
//
// A transaction belongs to whoever holds it. The engine keeps a flight; the session gets an order and gives back a report. They
// share no memory but the immutable body.
//
// # The engine's parts
//
//	engine.go     step and take: the order in which things happen
//	messages.go   envelopes, recipients, and the messages that envelopes with equal content share
//	routes.go     domains: lookups under way, candidates, which host a recipient waits for
//	choose.go     which host of a route is next
//	verify.go     exchangers that are down, and may be elsewhere than the MX answer said
//	policy.go     what sessions with an exchanger must keep to: DANE, MTA-STS, the operator's word and the message's, made one
//	hosts.go      exchangers by address set: lanes (the queue), cuts, falls, what is remembered
//	addresses.go  which address of a host is dialled; families that do not work
//	source.go     the address that mail comes from; what follows when this machine does not have it
//	share.go      what an exchanger takes over from an equal one
//	sessions.go   connections: the server's and the process's budget, rest and idle timeout
//	gather.go     when a transaction waits for more to ride along
//	stream.go     whether more envelopes of a message are to be expected
//	tide.go       whether more answers to its lookups are, soon
//	hedge.go      what is tried beside a dial that does not answer
//	fitting.go    which messages and addresses a host can take, by what its EHLO reply offers
//	flights.go    transactions in the hands of sessions: orders out, reports in
//	outcome.go    the table: what a report means for each recipient, and only here
//	reasons.go    what is told of hosts and domains that no transaction reached
//	server.go     what hosts share that differ in policy only: the sessions they may have together, and what was learned
//	limit.go      what a server was seen to take: concurrency, recipients, domains, messages, pipelining; and a host of TLS
//	observe.go    how TLS went, for the Observer; what follows when it fails
//	debts.go      what was delivered and is not known to be taken by the host MTA: what it sends again is answered from there
//	spare.go      hosts that are spared TLS, since it failed, and those that want it
//	keeping.go    deliveries on their way into the ledger, and the replies that wait for them
//	watchdog.go   sessions that make no progress
//	verp.go       rules that give each recipient an envelope sender of its own
//	timer.go      deadlines
//	trace.go      events and actions as text
//
// Around it stand feeder.go, the loop; session.go, starttls.go, auth.go, pipeline.go, exchange.go and transfer.go, one SMTP connection;
// tls.go, which makes a tls.Config of a policy and judges certificates, with package dane, gate.go, which lets no more handshakes compute at
// once than there are processors; and predict.go, which drives the engine with perfect
// hosts. Package dsn composes what smtpfeed itself tells a sender, package tlsrpt reports of TLS to receivers.
//
// # The life of a recipient
//
//	RCPT accepted --> hinted --> lookup ----------------------+
//	host's final dot --> sent                                 |
//	        |   delivered in an earlier attempt ------------------------------> settled, from memory
//	        |                                                 v
//	        |   route unknown: waits in its route --------> resolved
//	        |   route known                                   |
//	        +-------------------------> best live host <------+ <-----------------------------+
//	                                    waits in its lane                                     |
//	                                         |  cut when a session can write: bound late      |
//	                                         v                                                |
//	                                    flies in a transaction                                |
//	                                         |  finished                                      |
//	                                         v                                                |
//	                                    the table: settle | the same host again | elsewhere --+
//	                                         |
//	                                         v
//	                                    settled: a delivery is kept in the ledger, and then the Sink is told, once
//	                                         v
//	                                    owed, until the host MTA has read the reply: taken, or abandoned
//
// In words: a recipient waits in its route until the domain's hosts are known, then in a lane of the best host that is alive.
// Lanes are one a message, and a host serves them in turn, so one urgent mail never waits behind a list. A transaction is cut
// only when a session can write, and from all that has gathered by then, whatever its domain: the piggyback. A host that falls
// gives its whole queue back in one pass, and each recipient meets what already waits at its next host: the piggyback judged
// again. A session is kept while an unsettled route names its host, then for the idle timeout, across messages. When the
// process's budget of sessions is full, the one idle longest is closed first.
//
// # What is bound late
//
// take pumps a host only after every event of a batch was stepped. In the same batch of the loop, 512 resolved events make one
// decision about a host and not 512. On a session the next transaction is cut when the body before it may be sent (cleared), and
// its commands ride behind that body (RFC 2920 section 3.1): in steady state a transaction costs one round trip.
//
// What need not wait for the host MTA's final dot does not: domains are looked up when their first recipient is accepted, and once
// an envelope is sure to come their hosts are dialled, TLS and all. No mail leaves before the dot.
//
// # Policies
//
// Each exchanger of a route has a policy: no TLS, TLS where it can be had, TLS with any certificate, with one that a TLSA record names
// (DANE), or with one for its name (MTA-STS, or the operator). The operator's word for a domain precedes DANE, which precedes MTA-STS; a
// message may ask for more (REQUIRETLS) or less (TLS-Required: No), and then has a route of its own. A policy is part of a host's
// identity, so recipients meet in a session only if they want the same of it, and domains that do still share their exchanger. An exchanger
// that may not be used under its policy is no candidate, and what it would be told for good is a deferral if another time may be better.
//
// Opportunistic TLS that fails is tried at the host's other addresses, once more with a ClientHello that fits one packet, then without, each
// on a fresh connection, and the host is remembered: for five minutes the first time, or until it refuses mail for want of TLS. Where a
// policy demands TLS, failure is the host's: the next exchanger, and in the end a deferral.
//
// # What a host does not say
//
// Most receivers publish no limit. Each starts with one session and earns more; what it refuses is remembered for Config.LimitsTTL
// and the work is split inside the same attempt, on the same connection where that is possible. A host that cannot be reached is
// down for Config.DownTime, which doubles; then one recipient probes it while the others go elsewhere. Where only the MX answer said
// which addresses it has, its own records are asked for before others are tried.
//
// Hosts of one address set that differ in their policies are one server to the other end, and one client to it are we: their sessions count
// together, and what is learned by one serves all, except of TLS. Who lacks a session waits in a queue, and who has more than its share
// makes room, or has had the only one for a second. The place is another's when the server has closed the connection.
//
// # Equal messages
//
// Envelopes with the same sender, parameters and content digest are one message: one body, shared lanes. An address that
// stands in it twice has one carrier that is delivered; the others are twins that share its fate. That also holds for an
// envelope that a host MTA sends again while the first one is still under way.
//
// # The ledger
//
// RFC 1047 tells how mail comes twice: between the remote host's 250 and the moment at which the host MTA has read ours, an end of either
// process makes the host MTA send again what was delivered. So a delivery is given to
// Config.Ledger before the Sink hears of it, and is remembered under its message (sender and content) and recipient until the host MTA has
// read all replies of the envelope. If it has not, the recipient that comes again is settled as delivered at once, with Outcome.Earlier,
// and no second copy leaves. A ledger that is slow or broken is waited for no longer than Config.LedgerWait, and then not at all until it
// answers again. What stays uncertain, a dot without a reply, is in no ledger: there, one of two copies must be risked.
//
// Host MTAs hand a list over in parts, several at a time. While more are to be expected, what does not fill a transaction yet waits for
// them, so that the parts cost what one envelope costs: until none has come for a moment, and at most for Config.GatherTime. So it is with
// the answers to the lookups of a list, while they come in as a flood.
//
// # Invariants
//
// They are checked after every step of every script and fuzz run (invariants_test.go):
//
//   - A recipient is in exactly one place: a route, a lane, a transaction, with a carrier, or done.
//   - It is settled once, at the latest at its envelope's Deadline.
//   - Delivered is said only of a complete final 2xx to the end of data of a transaction in which its RCPT got 2xx.
//   - After an octet of the end of data may have left and before its reply, delivery is uncertain: deferred, and no other host.
//   - A delivery is told when the ledger has it, or when that was waited for long enough.
//   - What was delivered is not delivered again before the host MTA has read the reply, unless more is owed than may be remembered.
//   - A session has at most two transactions in its hands, the second one only behind a body on its way.
//   - Nothing waits without a lookup, a session or a timer that will end the wait.
//   - Sessions stay within the process's and the server's bounds, whatever the policies of a server's hosts.
//
// # Goroutines
//
//	the loop              Feeder.Run; its caller owns it; ended by Drain or the context
//	an inquiry            ask; hands the domains of one round of the loop to the resolver, and ends when that has them
//	a session's sender    startSpeaker; ended by hangup, the peer, a deadline or the loop's context
//	a session's receiver  run; ended by the sender's Close, which waits for it
//	a chunk's writer      writeChunk, for all but the last chunk of a large body; waited for there
//
// Run returns when all of them have ended.
//
// # Never
//
// It never answers for the host MTA, keeps mail on disk (the ledger has digests and replies), retries later, follows 251 or 551, or tries
// another host where the first may have the mail.
//
// # Bugs
//
// BDAT has no synchronisation point where DATA has its 354: a server or proxy that says one reply too many, and says it only when the
// body is on its way, can have that taken for the final one. Config.ChunkingFrom switches BDAT off.
//
// A server that says 250 in the middle of a body, when the rest and the end of data are on their way already, is believed: nobody could
// tell that from the final reply.
//
// That a server knows only HELO is not remembered. That an exchanger is down is found for each policy that its domains have, except when it takes no
// connection at all. Where a server counts a session for long after it has closed it, each one that is handed over to another policy may lower
// what it is believed to take.
//
// Below a DANE-TA record a certificate may, by RFC 7672 section 3.2.2, also be for the recipient's domain. It may here only where the exchanger's name
// lies in that domain: else each of a provider's domains would need sessions of its own.
//
// A TLS error in the middle of a body is heard of when the write under way ends, at worst after the body timeout: crypto/tls has one lock for both.
//
// What one exchanger refuses for good is deferred once when the stale address of another one turns out to be the same exchanger's.
//
// Where TLS fails at an address that was dialled beside a silent one, nothing is dialled until the silent one has timed out.
//
// When a message is under way already, and comes again with NOTIFY=SUCCESS for a recipient that had none, nobody is notified of that.
//
// An IPv6 address that became known later stays with its host for as long as the host is remembered, also when the DNS names it no more.
//
// An exchanger that is also known by a name which its TLS refuses is spared TLS for the domains of its other names, too.
//
// Certificates and handshakes that crypto/tls does not take at all (negative serial numbers, RSA keys below 1024 bits, SHA-1, finite-field
// Diffie-Hellman only) are a TLS that failed, whatever a TLSA record says of them.
//
// A message for which a VERP rule makes too long a sender keeps its own, and nothing but the delivery record shows it.
package feed

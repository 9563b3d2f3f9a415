// Package crash ends smtpfeed at every moment at which it matters, thousands of times, and looks each time who has lost a mail
// and who has got it twice. It has no code but its tests.
//
// # What runs
//
// A run is one testing/synctest bubble with one story in it: a model of a host MTA with a queue (host_test.go), the real
// lmtp.Server and feed.Feeder (process_test.go), exchangers (remote_test.go) and DNS (lookup_test.go) that fail now and then, and
// a ledger (ledger_test.go): a model, and for some seeds feed/ledger with a file. A seed decides all of it (plan_test.go).
//
// Whatever leaves the process is an action: a dial, a write to an exchanger, a write to the host MTA or the end of what it is
// told, a write of the ledger, its confirmation, a question to DNS. The stage (stage_test.go) lets one happen at a time, when
// everybody else in the bubble waits, in an order drawn from the seed. So actions have numbers, and at number k a process may
// die: before the action, behind it, or with a part of its octets gone. Nothing it does afterwards has an effect; its sockets are
// closed as the kernel closes them. A new process begins with what the ledger kept: all that was written, or, when it is the
// power that went, what sync promises; then the host MTA dies too.
//
// # What is asserted (verdict_test.go)
//
//   - Every recipient ends delivered, or refused by somebody who refused it. The queue becomes empty.
//   - 250 is said of nobody whom no exchanger has a complete copy for, and of nobody before the ledger has it.
//   - The ledger is told of nobody whom no exchanger has a copy for.
//   - What exchangers have is what was sent, octet for octet, from its sender, to its recipients.
//   - A recipient gets a copy more only if of the copy before no complete reply was read, or the process died before the ledger
//     had it, or the ledger's disk failed or lost with the power what was not synced; and without a ledger, if the host MTA did
//     not take the reply. This is per copy, and stricter than a count: a dot in flight at a death excuses one copy, and only of its own
//     recipients.
//   - While it is in doubt whether an exchanger has a copy, no other one leaves, neither to another exchanger nor in another
//     attempt.
//   - Nobody says what an SMTP client must not, and no goroutine and no connection is left over.
//
// A host MTA that dies between reading a reply and noting it gets a copy more too: it is the host MTA's own, and counted apart.
//
// # How to use it
//
//	go test ./test/crash -run TestCrash -seed=41 -k=17:torn=3,60    one run, and its story: what a failure prints
//	SMTPFEED_CRASH_SOAK=10m go test ./test/crash -run TestSoak -v   seeds that nobody has tried
//
// A run is the same each time, but for goroutines that are woken at the same instant: of a hundred runs less than one or two
// differ. So a failure that does not show at once shows with -count=20.
//
// # Bugs
//
// A process dies between actions, and in the middle of a write on a connection, but not in the middle of a write of the ledger:
// that a file torn there is read is for the tests of feed/ledger. A loss of power closes connections as a death does, instead of
// leaving them silent. The resolver, TLS, the daemon around the parts (signals, listeners, systemd), and host MTAs that send an
// address twice are not here.
package crash

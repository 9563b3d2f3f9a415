// Command bench measures how long mail takes: by smtpfeed, by Postfix, and by a client that nothing can beat. It delivers the same work
// through each, in turns, to the simulated internet of package internet, and prints one table.
//
//	bench [-shapes a,b] [-by raw,smtpfeed,postfix,tuned] [-rounds 3] [-small] [-write] [-profile DIR]   the table
//	bench growth [-out FILE.svg] [the same]   time against recipients and hosts, as a picture
//	bench raw [PROFILE]                       the raw client's process
//
// `make bench` builds what it needs, runs it and writes the table into the README, which takes three quarters of an hour;
// BENCH="-shapes a,b -by raw,smtpfeed" does less, BENCH=-small a tenth of everything, and both only print. Behind the table stands which of
// the project's goals were reached. `make growth` draws test/bench/growth.svg. Postfix takes part when it is installed and the bench
// runs as root: its master needs that, and so does a resolv.conf of its own, which is bind-mounted in a private mount namespace.
// Nothing outside of temporary directories is changed, and no other Postfix on the machine is disturbed.
//
// # Who takes part
//
// The raw client is the physical limit: it knows every host beforehand, asks no DNS, keeps no books and has nobody to answer. It
// opens one connection to a host, or as many as smtpfeed is allowed where a host gets more than one transaction, and pipelines
// everything that SMTP lets it: it waits for the greeting, for the reply to EHLO and for 354, and sends the next transaction's commands
// behind a body. So the first transaction of a connection takes four round trips and the processing, and each further one of the same
// connection one round trip and the processing. A message that comes alone to a connection at rest takes two and the processing.
//
// smtpfeed has its defaults and writes its delivery records. Every round has a new process, which knows no host and no domain. Its
// clock starts when the LMTP hand-over starts. Where hosts are silent a second list follows in the same process, which then
// remembers them; its row says so. For personal mail its sessions are warm: each host has got some messages before the clock starts. For
// VERP it has a [[verp]] rule.
//
// Postfix is as Debian ships it, without the chroot, and writes its log. It has been warmed up, so that its delivery processes exist; its
// clock starts when a message that is complete in its queue is shown to the queue manager, so that intake, which smtpfeed would have
// behind a host MTA as well, is no part of it. The tuned one has ten times the processes and as much concurrency as smtpfeed
// is allowed (see tuning); for personal mail it has one process for each message that smtpfeed is given at once. VERP it is asked for with
// XVERP (its VERP_README). Its message_size_limit is raised, because the size that counts is that of the queue file with all recipients in it.
//
// Recipients come in no order of domains, as subscribers do. That costs Postfix's defaults much on the largest list: its queue manager
// sees some thousands of recipients at a time and can group only those.
//
// # What is measured
//
// Times end when a recipient's final reply is on the wire: the world notes when the dot has come, and its processing and one round
// trip are added, for everybody alike. CPU and memory are those of all of a candidate's processes and of nothing else: the world, the
// bench and each candidate are processes of their own. They share the machine's cores, so with few of them the shapes that move
// much per second measure the world too, for the raw client as for the others.
//
// A run counts only if every recipient has arrived exactly once, under the right envelope sender, at a host that takes its domain, all with
// one content or, for personal mail, each with its own, and nobody broke the protocol; anything else ends the bench with an error. That is looked at again when all
// sessions are closed. The figures are medians over the rounds. Sessions are those begun in the run: warm ones are not among them.
//
// A silent host is a listener whose queue is full (package internet): Linux drops the SYN, whoever sends it, and connect() waits as it
// does for a host behind a firewall. Postfix's smtp(8) waits its smtp_connect_timeout there.
//
// # Profiles
//
// With -profile DIR there are, for each shape, CPU profiles of the raw client (a-raw-cpu-*.prof) and of smtpfeed (a-cpu-*.prof, one a second, which
// `go tool pprof bin/smtpfeed DIR/a-cpu-*.prof` merges), and smtpfeed's allocations and waiting (a-allocs, a-mutex, a-block). smtpfeed
// records waiting when SMTPFEED_CONTENTION is in its environment, where -profile puts it.
//
// # Goroutines
//
// One for each connection of the raw client, of smtpfeed's LMTP callers and of the injection into Postfix, which their starters wait for;
// one for each large group of commands being written (smtp.go), which ends with the group's replies or its connection; one that waits for
// smtpfeed's process; one for a profile, which its starter waits for; one that passes SIGTERM on, for as long as the program runs.
//
// # Bugs
//
// It runs on Linux only.
package main

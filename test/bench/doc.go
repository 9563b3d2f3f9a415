// Command bench measures how long mail takes: by smtpfeed, by Postfix, and by a client that nothing can beat. It delivers the same work
// through each, in turns, to the simulated internet of package internet, and prints one table.
//
//	bench [-shapes a,b] [-by raw,smtpfeed,postfix,tuned] [-rounds 3] [-small] [-write]   the table
//	bench growth [-out FILE.svg] [the same]                                             time against recipients and hosts, as a picture
//	bench raw                                                                           the raw client's process
//
// `make bench` builds what it needs and runs it, which takes more than half an hour; with BENCH=-small it takes some minutes. Postfix takes part when it is installed and the bench runs as root: its master needs
// that, and so does a resolv.conf of its own, which is bind-mounted in a private mount namespace. Nothing outside of temporary
// directories is changed, and no other Postfix on the machine is disturbed.
//
// # Who takes part
//
// The raw client is the physical limit: it knows every host beforehand, asks no DNS, keeps no books and has nobody to answer. It
// opens one connection to a host, or as many as smtpfeed is allowed where a host gets more than one transaction, and pipelines
// everything.
//
// smtpfeed has its defaults and writes its delivery records. Every run has a new process, which knows no host and no domain. Its
// clock starts when the LMTP hand-over starts.
//
// Postfix is as Debian ships it, without the chroot, and writes its log. It has been warmed up, so that its delivery processes exist; its
// clock starts when a message that is complete in its queue is shown to the queue manager, so that intake, which smtpfeed would have
// behind a host MTA as well, is no part of it. The tuned one has ten times the processes and as much concurrency as smtpfeed
// is allowed (see tuning).
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
// A run counts only if every recipient has arrived exactly once at a host that takes its domain and nobody broke the protocol;
// anything else ends the bench with an error. The figures are medians over the rounds.
//
// # Goroutines
//
// One for each connection of the raw client, of smtpfeed's LMTP callers and of the injection into Postfix, which their starters wait for;
// one for each group of commands being written (smtp.go), which ends with the group's replies or its connection; one for a profile.
//
// # Bugs
//
// Mail with variable envelope return paths is not among the shapes yet. Dead hosts need a listener's full queue as Linux has it.
package main

// Command bench measures how long mail takes: by smtpfeed, by Postfix, and by a client that nothing can beat. It delivers the same work
// through each, in turns, to the simulated internet of package internet, and prints one table.
//
//	bench [-shapes a,b] [-by raw,smtpfeed,off,power,postfix,tuned] [-rounds 3] [-small] [-write] [-profile DIR]   the table
//	bench growth [-out FILE.svg] [the same]   time against recipients and hosts, as a picture
//	bench hosts [-hosts a,b] [-lists 10000,100000] [-ways shipped,tuned,smtpfeed] [-most N] [-patience 15m] [-rounds 3] [-small] [-write]
//	                                          lists through host MTAs, alone and with smtpfeed, as another table
//	bench tls [-shapes b,a,d] [-by raw,smtpfeed,classical,dane,sts,postfix,tuned] [-all-at b] [-certificates rsa] [the same]
//	                                          TLS at every host against plaintext, as a third table
//	bench raw [PROFILE]                       the raw client's process
//
// `make bench` builds what it needs, runs it and writes the table into the README, which takes three quarters of an hour;
// BENCH="-shapes a,b -by raw,smtpfeed" does less, BENCH=-small a tenth of everything, and both only print. Behind the table
// stands which of the project's goals were reached. `make growth` draws test/bench/growth.svg, `make bench-hosts` writes the
// other table, which takes some two hours; `make bench-tls` the one of TLS, in six minutes. Host MTAs take part when they are
// there and the bench runs as root: they need that, and so does a resolv.conf of their own, which is bind-mounted in a private
// mount namespace. Nothing outside of temporary directories is changed, and no other MTA on the machine is disturbed.
//
// # Who takes part
//
// The raw client is the physical limit: it knows every host beforehand, asks no DNS, keeps no books and has nobody to answer. It
// opens one connection to a host, or as many as smtpfeed is allowed where a host gets more than one transaction, and pipelines
// everything that SMTP lets it: it waits for the greeting, for the reply to EHLO and for 354, and sends the next transaction's commands
// behind a body. So the first transaction of a connection takes four round trips and the processing, and each further one of the same
// connection one round trip and the processing. A message that comes alone to a connection at rest takes two and the processing.
//
// smtpfeed has its defaults and writes its delivery records and its ledger, below the temporary directory; "off" is smtpfeed without the
// ledger, and "power" with one that survives a power cut: `make bench-ledger` compares the three. Every round has a new process, which knows no host and no domain. Its
// clock starts when the LMTP hand-over starts. Where hosts are silent a second list follows in the same process, which then
// remembers them; its row says so. For personal mail its sessions are warm: each host has got some messages before the clock starts. For
// VERP it has a [[verp]] rule.
//
// Postfix is an instance of package hosts: as Debian ships it, without the chroot, and writes its log. It has been warmed up, so that its
// delivery processes exist; its clock starts when a message that is complete in its queue is shown to the queue manager, so that intake,
// which smtpfeed would have behind a host MTA as well, is no part of it. The tuned one has ten times the processes and as much concurrency
// as smtpfeed is allowed; for personal mail it has one process for each message that smtpfeed is given at once. VERP it is asked for
// with XVERP (its VERP_README). Its message_size_limit is raised, because the size that counts is that of the queue file with all recipients in it.
//
// Recipients come in no order of domains, as subscribers do. That costs Postfix's defaults much on the largest list: its queue manager
// sees some thousands of recipients at a time and can group only those.
//
// # Host MTAs
//
// bench hosts gives a list to each host MTA of package hosts by SMTP, as a list server does, and lets it deliver in three ways: alone as
// Debian ships it, alone and tuned, and with smtpfeed as patches/ recommends. The lists are in the same 10,000 domains on 200 hosts and
// differ in their length only: so the two of them say how the work of each part grows. A host that takes fewer recipients in a message
// gets the list as several, each over a connection of its own, and a line below the table says so.
//
// The clock starts when the first submission connects. Intake ends with the host's 250 to the last end of data; handing over with the
// last final dot that smtpfeed got from the host (its delivery records tell); delivery with the last recipient's final reply; and noting
// the replies when the host's queue is empty. What of a part is done while the one before still goes on is not in its figure.
//
// A host runs when the clock starts, and has seen an address probe. smtpfeed has seen nothing and knows neither a domain nor a host. Postfix
// alone has been warmed up, since its processes stay for a while.
//
// CPU and memory are those of all of the host's processes, also of those whose parents have ended: the bench is the parent of
// orphans below it (household). Memory is the peak of their sum, looked for up to ten times a second; smtpfeed's peak is added.
//
// A run that takes more than -patience is ended, and its row says how far it had come; a list is left out when a shorter one says that
// it would take that long; and a run of more than three minutes is not repeated. One host's failure is told at the end, and keeps the
// table from the README. OpenSMTPD delivers to port 25 only: the world is there when OpenSMTPD delivers itself.
//
// # TLS
//
// bench tls delivers to hosts that all offer STARTTLS, have a certificate for their own name (ECDSA P-256, or RSA) and give
// tickets to who may resume. Each candidate does the same work in plaintext and with TLS, one right after the other, to the same
// hosts: TLS is switched off at the candidate. So the table's last columns compare runs of one minute, round by round.
//
// A list comes twice to the same process. Between the two all sessions are closed, which smtpfeed does within a second here
// (smtp.idle_timeout): so the first list has full handshakes, and those of the second can resume. Personal mail (shape d) finds
// its sessions there, and what its rows show is what encryption costs. Postfix is warmed up as always, and so has tickets of
// 1,000 hosts already; it does shape b only, unless -all-at says more, and in the first round only, because that takes minutes.
//
// "TLS" is tls.mode = "opportunistic" and nothing else; "TLS without ML-KEM" the same with tls.post_quantum = false; with DANE
// there is a TLSA record for each host, in a signed DNS; with MTA-STS a TXT question for each domain, which has none. Rows of
// these two are compared with "TLS", the others with plaintext.
//
// CPU is the candidate's alone; the other end of each handshake is in the world's. What a handshake costs is the difference to
// plaintext divided by the number of handshakes, where there are a thousand: everything that TLS brings with it is in it, also
// its garbage. Times to the last delivery are of both ends on the same cores. A handshake is as far away as the rest: the first
// flight of the host comes a round trip behind the client's.
//
// A run of which one transaction was protected otherwise than it was to be, or one handshake failed, ends the bench with an
// error.
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
// one that looks at a host's memory, which the measurement waits for;
// one for each large group of commands being written (smtp.go), which ends with the group's replies or its connection; one that waits for
// smtpfeed's process; one for a profile, which its starter waits for; one that passes SIGTERM on, for as long as the program runs.
//
// # Bugs
//
// It runs on Linux only.
//
// What a host's programs used is told by their names; of those that have ended only the sum is known, which is called "(ended)".
package main

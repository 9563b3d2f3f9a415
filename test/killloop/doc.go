// Package killloop kills what stands between a list and its recipients, with kill -9 and again and again, and looks each time
// whether everybody has got the list, and who has got it twice.
//
// # What runs
//
// A real host MTA, Postfix or sendmail, hands mail to the real smtpfeed binary (package feedd), and that to eight mail hosts in
// two processes of their own, the recorders. A recorder appends each message to a file, in one write(2), before its 250 is on its
// way, and notes there when that was written; what the file says is true however the recorder ends. The other end of a delivery
// is known from smtpfeed's delivery records, which it writes behind the ledger and before the LMTP reply. A recorder's 250 names
// the message, and the record repeats it.
//
// # A round
//
// A round is a list of 200 to 500 recipients in 40 domains, and four single mails. While it is on its way there are one or two
// strikes: a kill of smtpfeed, of the host's delivering processes, of a recorder, or of two of them. The moment is that of an
// event which the recorders tell of (a transaction has begun, a message was kept, a 250 was written) or some milliseconds later.
// smtpfeed and recorders are started again at once, on the same socket and ledger and at the same addresses. The host is made to
// try until its queue is empty. The seed and the round's number give everything but what real processes do by themselves.
//
// # What is judged
//
// Nobody is missing, nothing bounces, nobody gets another content or mail that is not theirs, what smtpfeed calls delivered is in
// the recorder's file, and the recorders find no fault with its protocol. Each copy that was followed by another one has a cause,
// by how far it had come; nothing of this looks at a clock but to tell which of two events was first.
//
//	unanswered   its 250 was not written when smtpfeed or the recorder was killed: no mailer can know (RFC 1047)
//	unread       its 250 was written, and smtpfeed was killed before it had a record of it; the table says how long before
//	handed back  smtpfeed had recorded it and given all replies to the host, whose process was killed before it had noted them
//	recorded     smtpfeed had recorded it, and the host had not all replies: what the ledger is for
//
// With the ledger, "recorded" is an error always, "unread" where smtpfeed was not killed, "unanswered" where neither it nor the
// recorder was, and "handed back" unless a process of the host was killed and the second copy has another text. So a kill of the host's
// process alone makes no duplicates but those. Without the ledger they are counted.
//
// # Late agents
//
// One kind of round aims at the moment in which the host has all replies for a list and has not noted them. sendmail takes its
// queue file away some milliseconds after the last one, and lmtp(8) marks recipients while it reads, up to forty replies at a
// time. sendmail removes the file with the text first: killed in between, it sends everybody the message again with "<<< No
// Message Collected >>>" as its text. The table counts these copies as changed.
//
// # How to run it
//
//	go test ./test/killloop                  a round of each kind, with each host and the ledger
//	SMTPFEED_KILLLOOP_ROUNDS=300             as many rounds, with each host
//	SMTPFEED_KILLLOOP_LEDGER=both            without the ledger too, with the same seeds
//	SMTPFEED_KILLLOOP_SEED=7                 another schedule; 1 is the default
//	SMTPFEED_KILLLOOP_FROM=12 ..._STEP=13    only rounds 12, 25, 38 ...: those of one kind
//
// It needs what the end-to-end tests of package e2e need, and SMTPFEED_E2E=skip skips it.
//
// # Goroutines
//
// Each recorder has one that hears what it says, and ends with it; each round one that submits mail, whose end the round waits
// for; a round with late agents one that looks for them, which is waited for too.
package killloop

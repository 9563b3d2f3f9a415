// Package lmtp is RFC 2033 as we keep it: one reply per accepted recipient, in order. It takes transactions from host MTAs, makes a
// feed.Envelope of each, and answers what the Mailer settled. It decides nothing about delivery.
//
// # Promises
//
//   - Every accepted RCPT gets exactly one final reply, in RCPT order, each as soon as it and all before it are known. What is
//     not settled when a transaction ends, for whatever reason, is answered 451. Nothing but a Delivered settlement is ever
//     answered 250.
//   - Final replies are 250, 450, 451, 452, 550 or 554 only, one line below 500 octets of printable ASCII, with an enhanced code
//     of the same class (status.go is the only place that makes them). Hosts bounce or misread anything else.
//   - A transaction without a complete content leaves no trace but DNS lookups ahead: the Mailer gets no envelope.
//   - The content ends at CRLF "." CRLF and nowhere else, and what is inside it is never run as a command, whatever breaks.
//   - Trouble is told by replies; a connection is closed only when the host left, stayed silent, or sent what cannot be
//     followed. Hosts stop all mail for minutes after a connection that broke.
//   - Every wait ends: a read or write deadline that expired has ended the connection for good, and a transaction ends at
//     Config.Budget plus a grace of seconds even when the Mailer forgets it.
//   - The Mailer learns of each envelope whether its host has read the final replies (part.go): Taken, or Abandoned.
//   - Who is not in a list of users gets no further than a greeting of 421, on which hosts keep their mail (peers.go). LMTP over TCP is for
//     loopback unless it is told otherwise (listen.go).
//   - Memory is bounded by Config.Memory for contents, and is below 100 octets a recipient, its address of 30 among them; below 130 for
//     one that asks for notifications. Equal contents held at once are one body in memory.
//   - What a host asks for of RFC 3461 is handed over decoded, bounded in length and without control characters (dsn.go). A sender that
//     asked to hear of a delivery, behind a next hop that takes no care of that, is notified before the host is told (notice.go), at least
//     once. If that fails the host is told nevertheless, and waits for it no longer than noticePatience in all: the mail is delivered.
//   - REQUIRETLS is offered where what the host sends passes no network (conn.go).
//   - A domain is hinted to the Mailer before anything behind its first recipient is waited for.
//
// # What go-smtp does, and what it is kept from
//
// github.com/emersion/go-smtp parses commands and writes replies. It is configured in server.go only. It sees the host through
// conn, a net.Conn that knows more than it: each Read is one command line, so that conn always knows what was executed and what
// merely waits. The content never passes through go-smtp: its reader misses the end of data behind CR CR LF (a message that
// hangs every host which tries it, again and again), drops an octet of "." CR, and after a read error runs the rest of the
// content as commands. Instead session reads the content from conn (content.go), and go-smtp is given an empty one.
// BDAT never reaches go-smtp, which takes a chunk that was broken off for a complete message; CHUNKING is not announced.
// replies.go lists the replies whose text or code is set right on the way out, and gathers them into few writes.
//
// go-smtp knows only some recipients of a transaction, at least the first one: those whose RCPT is plain pass it by (plain.go), and
// the final replies of all do (answers.go). A recipient costs 3 us and 87 octets that way, and 8 us and 342 octets through go-smtp; with
// parameters of RFC 3461 it is 0.5 to 1 us and 34 octets more.
//
// # Who owns what
//
// A connection's input belongs to one goroutine at a time: go-smtp's for commands, the one go-smtp calls LMTPData in for the
// content, and while that one waits for the Mailer, the watcher, which reads ahead to see the host leave. Its output is behind
// a mutex (replies), since a timer flushes it. The Mailer's loop touches nothing here but a sink, which never blocks it.
//
// Goroutines: one for each accepted connection (server.go, start; Drain and Close wait for it), three of go-smtp's inside of
// that, the watcher (watch.go; LMTPData waits for it), the teller of final replies while some are not known (answers.go; LMTPData
// waits for it), one for a call of Config.Notify (notice.go; LMTPData waits for it, unless it is late: then it ends by itself, and memory
// has the content for so long), the timer that flushes replies (replies.go; its close stops it), and one that turns the end of them all
// into a channel (drain.go).
//
// # Bugs
//
// The number of recipients has no bound, since hosts do not continue a transaction that was cut short; their memory is not in
// Config.Memory.
//
// A notification is sent again when the process dies, or the host leaves, between it and the reply.
//
// A host that half-closes behind a pipelined QUIT, and dies afterwards, is noticed only when a reply is written; one that half-closes and
// dies with replies unread counts as one that has read them. So does a host that is killed between reading replies and acting on them,
// one that sends QUIT in a segment of its own before it has read any, and one behind a program that copies (stdio --via), when that program
// has read them. One that has read all replies but not the goodbye behind a pipelined QUIT counts as one that has not, and so does one that
// rests on a TCP connection until it is silent for too long: of TCP only the other kernel is known to have the octets.
package lmtp

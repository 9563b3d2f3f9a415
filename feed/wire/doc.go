// Package wire is the SMTP client's syntax: what RFC 5321 and its extensions put on the wire, and nothing of when or why.
//
// It parses replies and EHLO capabilities, writes commands, holds the message body and quotes addresses. It does no I/O of
// its own beyond the io.Reader it is given, keeps no state between transactions, starts no goroutine and imports only the
// standard library. Whatever a peer sends, memory is bounded and nothing panics.
//
// # Promises
//
//   - A Reader gives the same replies and the same error however the octets were cut into segments. It never skips a line:
//     one reply too few would make QUIT's 221 look like the answer to a message.
//   - A command holds what it was meant to hold. ParseAddress refuses or quotes whatever a server could misread, and the
//     emission guard in command.go panics should anything else ever reach a command.
//   - A Body holds exactly one message for every receiver, also for those that end lines at a bare CR or LF or drop NUL.
//   - What came from a peer is unclean in Reply.Text and nowhere else: Reply.String, Caps and all errors are printable ASCII.
//
// # Ownership
//
// A Reader and a BodyWriter belong to one goroutine at a time. Reply, Caps, Address and Body are immutable and may be shared.
//
// # Bugs
//
// A binary protocol that greets without any line feed is known to be none of ours only at MaxLine octets or at the deadline:
// to judge an incomplete line would make the error depend on the segments.
package wire

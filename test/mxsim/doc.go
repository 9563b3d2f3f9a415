// Package mxsim plays mail exchangers: scripted ones that misbehave exactly as told, and a fast polite one that records what
// arrives. Both work on any net.Conn: netsim's inside a synctest bubble, TCP outside.
//
// # Scripts
//
// A Script is a list of steps in the order of the wire:
//
//	mxsim.Script{
//		mxsim.Hello("mx.example", "PIPELINING"),
//		mxsim.ExpectAll("MAIL FROM:<", "RCPT TO:<a@", "RCPT TO:<b@", "DATA"),
//		mxsim.Reply("250 ok"), mxsim.Reply("250 ok"), mxsim.Reply("452 4.5.3 too many"), mxsim.Reply("354 go"),
//		mxsim.ReadBody(),
//		mxsim.Drop(),
//	}
//
// Script.Run plays it on one connection and says what was expected and what came. Play gives each connection of a listener
// its own script.
//
// What can go wrong with TLS is a step too: a handshake may be slow (HandshakeSlowly), be cut (HandshakeCut), fail at the end
// (HandshakeFails) or depend on what the client offers (RefuseHello), octets may come where a record should (Raw), and behind
// HandshakeSealed records may be of any kind (Alert, KeyUpdates, EmptyRecords):
//
//	mxsim.Script{
//		mxsim.Hello("mx.example", "STARTTLS"),
//		mxsim.Invite(), mxsim.RefuseHello(mxsim.PostQuantum, mxsim.StallForever()), mxsim.Handshake(config),
//		...
//	}
//
// # The polite server
//
// A Server accepts mail by RFC 5321 with PIPELINING, 8BITMIME, SIZE, ENHANCEDSTATUSCODES and, on request, SMTPUTF8, CHUNKING, DSN,
// STARTTLS, REQUIRETLS and AUTH, and is strict as a receiver: octets behind a synchronisation point before its reply, talk before
// the greeting, bare CR or LF, NUL, malformed commands and parameters, credentials where AUTH was not offered, BDAT before the
// replies to RCPT and BDAT mixed with DATA are recorded as violations, while the session goes on. A message tells how it came:
// by which TLS, resumed or not, and from whom.
//
// # Certificates
//
// An Authority issues certificates that are as they should be, and such as should not, and says what TLSA records would be right
// for them. They are valid, expired or not yet valid in the year 2000, where the bubbles of testing/synctest live, as today.
//
// Over real sockets on one machine Config.RTT makes it far away: the reply to octets that arrive at t is written at t+RTT, and the
// server goes on reading meanwhile, so pipelined groups overlap as in a real network. The greeting is written one RTT after accept:
// that stands for the round trip in which a real client reads its greeting; the handshake itself costs nothing more, so a
// connection is ready to speak one RTT earlier than in a network where SYN and greeting cost one each. A final reply comes at the
// arrival of the dot + Processing + RTT, and what is pipelined behind the dot is handled when Processing is over. A TLS handshake
// costs a round trip, or two where the version wants them.
//
// # Who owns what
//
// One goroutine per connection reads, parses and decides; replies that are not due yet lie in an outbox, which one timer per
// connection empties in order. The outbox's mutex is never held while writing. Close ends all connections and waits for all
// goroutines.
//
// # Bugs
//
// With RTT 0 octets that follow a synchronisation point in another segment cannot be told from an answer to the reply.
// BINARYMIME is not spoken: what BDAT carries must be lines. HandshakeSealed needs a client and a machine that agree on AES-GCM.
package mxsim

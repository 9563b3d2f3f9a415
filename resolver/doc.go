// Package resolver finds where the mail of a domain goes: RFC 5321 section 5.1, null MX (RFC 7505), CNAMEs, the additional
// section, implicit MX, literals, configured routes. It asks recursive servers and is no resolver of its own.
//
// # A resolution
//
//  1. [Fold] brings the recipient's domain to the one form that is looked up and compared.
//  2. [Resolver.Resolve] gives what is known (cache) to the plan, a pure function. The plan returns a [Route], an [*Error],
//     or the questions that it lacks: first MX, then, together, all addresses that the additional section left out.
//  3. Each question joins its flight if another caller asked it already. So 3,000 domains on 200 hosts ask about each host once.
//  4. The upstream sends questions as far as its window allows, repeats lost ones, and hands answers to parse, which is pure.
//  5. Each answer lands in the cache, wakes who waits, and step 2 runs again.
//
// # Promises
//
//   - Trouble of servers or of the network is [Temporary], never a statement about the domain. Only NXDOMAIN, NODATA and null MX,
//     said by a server that recursed, are permanent.
//   - A truncated answer is never used in part. What does not match a question by socket, ID and name is ignored.
//   - One family or one exchanger that fails does not spoil the others.
//   - Memory and work are bounded: entries of the cache, records read of an answer, exchangers of a route, CNAMEs, questions on
//     the wire. Every question on the wire ends within Config.Timeout.
//
// It never filters addresses (the engine does), never falls back to a domain's own address when the MX question failed, and
// never answers for one domain with a hint that another domain's answer carried.
//
// # State
//
// A Resolver's lock guards cache and flights; the upstream's lock guards servers, tables of sockets, window, queue and timers.
// They are never held together, and neither while something is sent, parsed or waited for. [Route] is immutable.
//
// # Goroutines
//
// All belong to the upstream, whose close ends them and waits:
//
//   - the sender (upstream.run), one: sends, repeats, gives up. Ends with close.
//   - a reader (upstream.read) per UDP socket, 8 per server, from the first question on. Ends when its socket ends.
//   - a writer (stream.talk) and a reader (stream.read) per TCP connection, at most one connection per server. They end with
//     the connection: error, silence over a question, 10 s without questions, close.
//
// # Bugs
//
// An address hint that is out of date is used until its TTL ends; nobody asks again when the host it names refuses.
//
// This machine is not recognised as exchanger when more than 16 others stand at its own preference and sort before it.
//
// A server configured by a name instead of an address is looked up by the system, and the sender waits for that, up to 1 s.
//
// The source ports of the sockets change only when a socket breaks. The path to the recursive server should be trusted, as ever.
package resolver

// Package resolver finds where the mail of a domain goes: RFC 5321 section 5.1, null MX (RFC 7505), CNAMEs, the additional
// section, implicit MX, literals, configured routes; and what protects it on the way: DANE (RFC 7672) and MTA-STS (RFC 8461, whose
// policies package sts fetches and keeps). It asks recursive servers and is no resolver of its own.
//
// # A resolution
//
//  1. [Fold] brings the recipient's domain to the one form that is looked up and compared.
//  2. [Resolver.Start] makes a lookup of each domain, and gives what is known (cache) to the plan, a pure function. The plan returns a
//     [Route], an [*Error], or the questions that it lacks: first MX, then, together, all addresses that the additional section
//     left out. [Resolver.Resolve] is Start for one domain. Where the additional section brought IPv4 addresses, the question for
//     IPv6 ones holds nobody up: it is asked last, and the result comes a second time, grown, if it finds any.
//  3. A question that is in flight already is joined. So 3,000 domains on 200 hosts ask about each host once.
//  4. The upstream sends questions as far as its window allows, repeats lost ones, and hands answers to scan or parse, which are
//     pure: scan reads the plain ones without building records, parse everything else with the codec.
//  5. All answers of one read land in the cache together, the lookups that waited for them go on with step 2, and those that have come
//     to their end are handed out together. No goroutine waits for a domain.
//
// # Many questions
//
// What costs is not the question but waking: a system call, a goroutine, a lock for each. So bursts go through one socket with one
// system call, a reader gathers answers for half a millisecond while many are under way, and what it read is worked on as one.
//
// What ends a lookup is asked before what begins one, and that before what nobody waits for.
//
// The window opens like TCP's in slow start, holds when questions come back late, and gives way when they are lost. A question
// whose wait is over does not count as in flight: it is sent again first thing when the window allows. So a recursor that
// drops what it cannot bear (unbound by its wait-limit, BIND by its quota with SERVFAIL) is asked for what it can, and the
// few that it dropped are not left behind.
//
// # DANE
//
// With Config.DANE all questions have the AD bit set, and an answer is secure if a server of Config.TrustAD gave it with that bit: it
// has validated. This needs no DNSSEC of our own, and a way to that server that nobody can write to. The server must validate (unbound
// and BIND do as Debian ships them) and pass AD on: a forwarder between us and it may strip it, and then nothing is secure. With
// several servers, all should be trusted: one that is not is asked only while nobody listens at any trusted one, or none can be reached (it is
// not enough that it is slow, which others can bring about). Its answers are not secure, and are used for half a minute only.
//
// Where the MX records are secure, the exchangers' addresses are really asked, hints or not, and TLSA together with them. Where they are
// not, nothing more is asked than without DANE. authenticate (tlsa.go) follows RFC 7672 section 2.2.2: which name has the records, what
// an alias means, what a failure means. A failure where records may exist is [DANE].Err, and the exchanger must not be used;
// a failure of MX or addresses is [Temporary] as ever, and bogus is one of them: validating servers say SERVFAIL.
//
// # MTA-STS
//
// With Config.STS each domain has two lookups, a pair: one for the route, one for the policy. They ask side by side (MX; TXT of
// _mta-sts, then the store), and the result waits for both, unless there is no route. A fetch is in flight like a question, so
// it is joined, and only those wait for it who need it. What fails on the way to a policy neither fails nor defers: the policy
// known before holds until it expires, and without one there is none.
//
// # What is remembered
//
//   - An answer for its TTL, at least 5 s and at most a day. That a name or a type does not exist for the SOA's time (RFC 2308 section 5),
//     at most an hour; 60 s without a SOA.
//   - That nobody gave a usable answer, for 30 s (RFC 9520).
//   - When asking again fails, a route's records for Config.Stale past their TTL (RFC 8767); never what would bounce mail.
//   - In all at most Config.CacheEntries answers; what is used stays longest.
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
// They are never held together, and neither while something is sent, parsed or waited for. A lookup belongs to the goroutine that
// plans it, and to the Resolver's lock while it waits. [Route] is immutable.
//
// # Goroutines
//
// All but the last belong to the upstream, whose close ends them and waits:
//
//   - the sender (upstream.run), one: sends, repeats, gives up. Ends with close.
//   - a reader (upstream.read) per UDP socket, 4 per server, from the first question on. Ends when its socket ends.
//   - a writer (stream.talk) and a reader (stream.read) per TCP connection, at most one connection per server. They end with
//     the connection: error, silence over a question, 10 s without questions, close.
//   - a goroutine per policy that was fetched (Resolver.begin), from the store's answer until the lookups that waited for it have gone
//     on. Close waits for those under way, and later answers of the store start none.
//
// # Bugs
//
// Of an exchanger with more than 32 TLSA records, some are not used. Where its A and AAAA records are behind CNAMEs to different names,
// which DNS does not allow, the TLSA records are looked for at that of its IPv4 addresses.
//
// An address hint that is out of date is used until its TTL ends; nobody asks again when the host it names refuses.
//
// This machine is not recognised as exchanger when more than 16 others stand at its own preference and sort before it.
//
// A server configured by a name instead of an address is looked up by the system, and the sender waits for that, up to 1 s.
//
// The source ports of the sockets change only when a socket breaks. The path to the recursive server should be trusted, as ever.
package resolver

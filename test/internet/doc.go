// Package internet is the world of demo, bench and end-to-end tests on real sockets: one DNS server and up to many thousands of
// mail hosts on 127.0.0.0/8, all on one unprivileged port. It answers the question a delivery leaves behind: did every
// recipient arrive exactly once, at a host that takes its domain, how fast, and over how many sessions and questions?
//
// # The world
//
// Everything is computed from names, so 100,000 domains need no table. Domain i is "d<i>.<i mod 16>.example"; its only mail
// exchanger is host i mod Hosts, "mx<j>.hosts.example", at 127.(10+).x.y. The first DeadHosts hosts refuse connections (nobody
// listens), or with Silent drop what is sent to them; their domains have a second exchanger, preference 20, that lives. If Big says
// so, domain number Domains is a big one whose BigHosts exchangers are equal. "servfail<anything>.example" gives SERVFAIL, every
// other name NXDOMAIN. Hosts have no IPv6 address.
//
// The local part of a recipient says what becomes of it: see Fate. Recipient i of Recipient has number i in its local part.
//
// # Security
//
// With Config.TLS every host offers STARTTLS with session tickets, and has a certificate for its own name below one authority,
// which World.Roots says. A host knows itself by its address: clients need not name it (SNI). All certificates are made at the
// start, and have one key; so all TLSA records are the same. A report counts handshakes, and transactions by what protected
// them. "_mta-sts.<domain>" does not exist unless Config.STS says so; nobody serves the policies.
//
// # Distances
//
// A round trip is simulated by mxsim (see its model), in handshakes too, and DNSDelay by dnssim; loopback adds some tens of microseconds.
//
// # Listeners
//
// Each host has its own listener, so that dead hosts really refuse, as long as the process may have enough descriptors: one for
// each host and one for each open session. With more hosts, and none dead, a few listeners on all of 127.0.0.0/8 serve
// them together: Linux can express that only as 0.0.0.0, and connections to other addresses are dropped.
//
// # Who owns what
//
// The tally's mutex guards what arrived; sessions belong to mxsim, questions to dnssim. Close ends and waits for all goroutines.
package internet

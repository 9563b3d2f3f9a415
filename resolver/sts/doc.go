// Package sts knows MTA-STS (RFC 8461): what a domain says in DNS and over HTTPS about who may take its mail, and with which
// protection.
//
// [ParseRecord] reads the TXT record by which a domain announces a policy, [ParsePolicy] the policy itself, and
// [Policy.Matches] judges exchangers by it. A [Store] fetches policies from their hosts, keeps them for as long as they say,
// over restarts too, and fetches them again before they expire. It asks no DNS: the resolver finds the TXT record, and lends
// its lookup of addresses.
//
//	policy.go     a Policy, and which exchangers it names
//	record.go     the TXT record
//	parse.go      a policy's text
//	errors.go     why there is no policy, in the words of RFC 8460; what may be printed
//	config.go     Config and its defaults
//	store.go      the Store: Open, Cached, Close, Stats
//	flights.go    Fetch: who waits for which fetch, and which is next
//	land.go       what becomes of a fetch: the book, the failures, the answers
//	fetch.go      HTTPS: one request, one response
//	dial.go       addresses, TLS, certificates
//	prohibited.go addresses that DNS must not send us to
//	book.go       policies in memory, by domain, use, and when they are due; pure
//	failures.go   what failed lately; pure
//	refresh.go    the keeper: what is due at some time
//	codec.go      a policy as a line
//	file.go       the cache file: read, replaced
//	disk.go       when it is written
//
// # Promises
//
//   - Fetch calls done once, whatever happens, after at most twice Config.Timeout. One fetch a domain is under way, and
//     Config.Fetches in all. Who knows of a newer id than a fetch under way was begun for gets the policy of a new fetch.
//   - A policy comes only from a host whose certificate is valid for mta-sts.DOMAIN, with status 200, as text/plain, whole, and
//     within MaxSize and Timeout. Redirects, proxies, compression and old TLS are not used.
//   - No prohibited address is dialled, in whichever spelling DNS gives it. Each is a warning in the log.
//   - Nothing makes a policy go before it expires but a newer one from its host, and want of room. What fails leaves the older
//     one in force.
//   - Memory is bounded: policies by number and by octets, failures, waiting fetches, headers, bodies, lines of the file.
//   - The file never hinders the start. What in it is damaged is ignored, line by line, and told in the log; the rest is checked
//     as if fetched.
//   - What a peer has said is printable ASCII wherever it may be shown: Policy.Text, Error.Reason, the log.
//
// # Refreshing
//
// A policy is looked at daily, or at half of the life that it has left. It is fetched again if mail has asked for it since it
// was fetched; and in the second half of its life, if mail has asked for it within two weeks, so that a weekly list never
// meets a policy that has lapsed: who can block DNS then could make it as if there had been none (RFC 8461 section 10.2).
// Failure is a warning, and is tried again in about four hours. Refreshing has a quarter of the fetches, and mail goes before
// it.
//
// # State and goroutines
//
// Store.mu guards everything; nothing waits under it, and no done is called. Policies are immutable. The goroutines, which
// Close ends and waits for:
//
//   - the keeper (Store.keep), one, from Open on: refreshes, expiry, who has waited too long, when to save.
//   - a fetch (Store.fly), at most Config.Fetches. It ends with Config.Timeout at the latest, and calls the dones.
//   - a save (Store.save), at most one. It ends when the disk has the file.
//
// # Bugs
//
// Certificates are not checked for revocation.
//
// Who can have mail sent to many domains of his own can push out the policies of domains that are mailed rarely: they are
// fetched again with the next mail, but for a moment there is nothing to compare with.
//
// A crash forgets what was fetched in the last half minute, or longer when the file is large.
//
// While nothing waits for the disk, Close does: a disk that hangs makes the process hang at its end.
package sts

// Package tlsrpt tells domains how TLS with their mail hosts went: SMTP TLS reporting, RFC 8460.
//
// The feeder tells the Reporter of every session and for which domains it was (feed.Observer). The Reporter counts by UTC day,
// domain and policy. After midnight it asks each domain's DNS whether reports are wanted (a TXT record at _smtp._tls.DOMAIN),
// and for those who want one it writes a report to a directory and mails it to the addresses that the record names.
//
// # Promises
//
//   - ObserveTLS never waits for a disk, the DNS or a report: it copies the results under a mutex under which nothing else is
//     done that takes time. When the counting goroutine is behind by maxPending results, further ones count in the totals only,
//     and in Stats.Dropped.
//   - Memory is bounded: Config.Domains domains, 2 KiB for each on average, maxPolicies policies a domain, Config.Details kinds
//     of failure a policy. What is past a bound is counted in Stats, and told once a day.
//   - What peers and their DNS say is cleaned to printable ASCII and cut. A domain is reported only if it is a name of letters,
//     digits, hyphens, underscores and dots, so it cannot lead out of the directory; and files are opened through os.Root.
//   - The counts of a day survive the process: they are saved every saveEvery and at Close, and a kill -9 loses at most that
//     much. A day that ended while no process ran is reported after the next start, if it is not older than maxAge.
//   - A report has the same name, Report-ID and Message-ID however often it is written and mailed, also after a restart:
//     receivers can drop what comes twice (RFC 8460 section 5.3).
//   - A damaged state file is set aside as tlsrpt.state.damaged, with one warning. No content of a file or record ends the
//     process.
//   - Close ends all goroutines.
//
// # What is in the directory
//
//	HOSTNAME!DOMAIN!BEGIN!END!ID.json  one report (RFC 8460 section 5.1; times are seconds since 1970). Mode 0640, for Config.Keep.
//	tlsrpt.state                       counts that are not reported yet. Mode 0600.
//	tlsrpt.lock                        held while a process uses the directory: two would overwrite each other's counts.
//	.tlsrpt-*                          a file half written. Removed at Open.
//
// A name that would be longer than 255 octets has a digest in place of HOSTNAME!DOMAIN.
//
// # Mail
//
// Config.Mail gets a complete message. RFC 8460 section 3 wants it signed with DKIM by the domain of its From; that is the host
// MTA's task, as for all other mail. Section 5.3: "Sending MTAs MUST NOT honor MTA-STS or DANE TLSA failures" for it, so it has
// the field "TLS-Required: No" of RFC 8689, which says just that to every MTA on its way.
//
// A failure of the DNS, of the disk or of Config.Mail is tried again after 5, 15, 45, 135 and 405 minutes (section 5.5: up to
// 24 hours, with exponential backoff). What then is still missing is given up: as failed, or as unanswered if it is the DNS
// that never said whether a report is wanted, which is common and nobody's task here. Writing and mailing do not wait for each
// other.
//
// # The files
//
//	reporter.go  Open, ObserveTLS, Close
//	config.go    Config and what it must be like
//	keeper.go    the goroutine that owns the counts
//	days.go      when a day ends, and what is loaded from an earlier process
//	count.go     one day's counts and their bounds
//	policy.go    one policy's counts
//	results.go   the result types
//	state.go     counts as text, and back
//	disk.go      files, and how they are replaced
//	names.go     domain names, file names
//	edition.go   the reports of one day: rounds, retries
//	delivery.go  one domain's report: asked for, written, mailed
//	record.go    the TXT record
//	report.go    the JSON
//	mail.go      the message
//	stats.go     totals
//
// # Goroutines
//
//	the keeper            started by Open, ended by Close; owns the current day and the list of editions
//	an edition            started by the keeper when a day has ended, waited for by the keeper; ended by its last report or Close
//	a delivery            started by an edition, which waits for it; at most concurrency of them at once, over all editions
//
// Without Config.Directory there are none.
//
// # Never
//
// It never reports to https: addresses (they are counted in Stats.HTTPS; the file is written all the same), never asks for the
// permission of the domain that a mailto: address is in (RFC 8460 has no such check), and reports nothing to domains that have
// no record.
//
// # Bugs
//
// receiving-mx-helo and additional-information are never filled in.
//
// A result counts for the day in which the keeper takes it, which may be a moment after the session.
//
// A mail that was handed over less than saveEvery before a kill -9 is sent again by the next process, with the same IDs. So is
// one whose Config.Mail was broken off by Close after the host MTA had taken it.
//
// A Mail or Texts that does not heed its context holds up the reports of its day, and Close.
//
// Config.Mail has no way to say that an address will never take mail: it is tried as often as one that may.
package tlsrpt

// Package lists tests smtpfeed with what feeds it: list servers, in front of a real Postfix. It has no code but its tests.
//
// # Who hands over
//
// mlmmj runs whole, as Debian packages it: Postfix pipes a post to it, it submits to the same Postfix, and bounces come back to
// it. Of Mailman and Sympa the parts run that decide what the MTA gets: Mailman's BulkDelivery and VERPDelivery with its
// connection, Sympa's outgoing spool and mailer. testdata has the two drivers that run them from Debian's packages; the rest of
// either would want a database and changes nothing of that.
//
// # What is asked
//
// Every subscriber gets a post once, in as few sessions and transactions as if all had been in one envelope; a bounce comes
// back to the address that says whose it is, and the list server understands it. patches/lists tells an administrator what
// follows.
//
// # What it needs
//
// Linux, root, the package postfix, and what test/hosts/need unpacks.
//
//	SMTPFEED_E2E=skip            skips what needs Postfix
//	SMTPFEED_E2E_BINARY=PATH     tests this smtpfeed instead of building one
//	SMTPFEED_LISTS=figures       also makes the figures of patches/lists/README.md, which takes minutes
//
// # Goroutines
//
// One that looks at smtpfeed's status while a list is delivered, and is waited for; one for each LMTP connection of a batch.
package lists

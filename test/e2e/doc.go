// Package e2e is the end-to-end test: real host MTAs (Postfix, sendmail, Exim, OpenSMTPD) hand lists to the real smtpfeed binary, which
// delivers them in the real-socket world of test/internet. It has no code but its tests.
//
// # What runs
//
// Each test has a host MTA of its own (package hosts: configuration, queue, log and port in a directory of its own; the machine's
// MTA is neither read nor touched), an smtpfeed process of its own (package feedd), and a world with hosts of its own. The host MTA is
// set by the files of patches/, as an operator would. The LMTP socket is held by the test and passed to smtpfeed as systemd would, so
// that it stays while smtpfeed restarts. Mail for the senders of the lists, that is bounces, goes to one more mail host, where the test
// reads it: Postfix delivers that itself, the others through smtpfeed by a route. Where a test wants a real exchanger, a second Postfix
// is one, and passes on what it took. A real opendkim signs where signatures matter.
//
// # Secure transport
//
// Where TLS, relays and policies are tested, the exchangers are doors of one Postfix: SMTP servers with addresses and settings of their own,
// for certificates, SASL and TLS levels (door_test.go). Certificates are those of an authority that the test makes (mxsim.Authority). Zones are
// really signed, served and validated (package dnssec). Cyrus SASL knows the user of relays. Policies of MTA-STS come from a web server of the
// test's, on port 443 of an address in 127.44.0.0/16. Notifications are read where they arrive.
//
// These tests run in parallel: each has its own servers.
//
// # What it needs
//
// Linux, root (Postfix's master runs as root only), the packages that test/e2e/need installs and those that test/hosts/need unpacks;
// without them the tests fail and say what to install.
//
//	SMTPFEED_E2E=skip            skips what needs a host MTA
//	SMTPFEED_E2E_LARGE=1         makes the lists that are handed over in parts as large as those that smtpfeed is for
//
// # What it leaves
//
// No processes, also when it is killed: the kernel signals them. No files, unless it is killed. When a test fails it prints
// what the host MTA and smtpfeed complained about, and what they wrote last.
package e2e

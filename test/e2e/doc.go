// Package e2e is the end-to-end test: a real Postfix hands lists to the real smtpfeed binary, which delivers them in the real-socket
// world of test/internet. It has no code but its tests.
//
// # What runs
//
// Each test has a Postfix of its own (configuration, queue, log and port in a directory of its own; the machine's Postfix is
// neither read nor touched), an smtpfeed process of its own, and a world with hosts of its own. Postfix is set as
// an operator would set it for smtpfeed. The LMTP socket is held by the test and passed to smtpfeed as systemd would, so that
// it stays while smtpfeed restarts. Postfix delivers mail for the senders of the lists, that is its bounces, to one
// more mail host, where the test reads them. Where a test wants a real exchanger, a second Postfix is one, and passes on what it took.
//
// # What it needs
//
// Linux, root (Postfix's master runs as root only) and the package postfix; without them the tests fail and say what to install.
//
//	SMTPFEED_E2E=skip            skips what needs Postfix
//	SMTPFEED_E2E_BINARY=PATH     tests this smtpfeed instead of building one
//
// # What it leaves
//
// No processes, also when it is killed: the kernel signals them. No files, unless it is killed. When a test fails it prints
// what Postfix and smtpfeed complained about, and what they wrote last.
package e2e

// Package patches tests what patches/ gives to administrators: that the script for Postfix changes what it says and takes it
// back, that its README's guide works line by line from Debian's package to the first list, and what the snippets for recursors gain.
// It has no code but its tests.
//
// # What runs
//
// The script's own tests work on copies of the configuration that Debian ships. Where mail is delivered, the test runs itself again
// in namespaces of its own (mount, network, processes, host name): there /etc, /usr, /var and /run are layers above the machine's,
// /etc/postfix is made anew as Debian's package makes it, the network is the loopback, and Postfix is started by its own
// command at its own places. Nothing of that is seen outside or left behind.
//
// # What it needs
//
// Linux with overlayfs, root, and the package postfix; without them the tests fail and say what to install.
//
//	SMTPFEED_E2E=skip            skips what needs Postfix
//	SMTPFEED_E2E_BINARY=PATH     tests this smtpfeed instead of building one
//	SMTPFEED_RECURSORS=measure   measures recursors as shipped and with the snippets, which takes some minutes
//	PDNS_RECURSOR=PATH           PowerDNS's program, where it is not installed
package patches

// Package resources shows what the real smtpfeed does when the machine fails it: no memory, no descriptors, no disk, no reader of its
// records, no DNS, no network. It has no code but its tests.
//
// # What runs
//
// The tests run in a network and mount namespace of their own, so that a link can be cut and a small disk filled without the machine
// noticing, and so that nothing is left when they are killed. Each has an smtpfeed process, limited as the test wants, and mail hosts
// and a DNS server on loopback or behind a link. What is measured of the process comes from /proc and from its admin socket. It is
// printed with -v; what is asserted is what smtpfeed promises.
//
// # What it needs
//
// Linux, root, prlimit, ip, logrotate (test/e2e/need has them installed).
//
//	SMTPFEED_RESOURCES=skip      skips all of it
//	SMTPFEED_RESOURCES=large     larger loads, for make soak
//	SMTPFEED_E2E_BINARY=PATH     tests this smtpfeed instead of building one
package resources

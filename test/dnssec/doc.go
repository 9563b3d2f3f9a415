// Package dnssec is a really signed DNS for tests: zones signed by Knot DNS's kzonesign and served by its knotd, behind a
// validating unbound whose trust anchor they are, all on free ports of 127.0.0.1 and without any other DNS.
//
// What a zone's signatures lack can be chosen: a zone may be unsigned, signed long ago, or changed after it was signed.
//
// Its processes end with the World, and with the test's process. It needs Debian's knot, knot-dnssecutils and unbound: see
// [Missing].
package dnssec

// Package dnssim is a DNS server for tests: its answers come from a handler, from zones written as text, or computed from names.
//
// [Start] and [Listen] serve on a real UDP and TCP port, fast enough for tens of thousands of questions a second with a
// delay before each answer. [Network] serves in memory, for synctest bubbles. Both can lose, delay, truncate, forge and
// refuse as an [Answer] says. A handler is called from several goroutines at once.
//
// Goroutines of a Server: two UDP readers, a TCP listener, one per TCP connection, one that sends delayed datagrams; Close
// ends them and waits. A Network has none: answers are timers.
package dnssim

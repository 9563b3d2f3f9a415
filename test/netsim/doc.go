// Package netsim is an internet in memory: hosts, listeners and TCP-like connections with latency, a window, partitions, black
// holes and resets, for tests inside a testing/synctest bubble (call New inside the bubble) and outside of one.
//
// # The model
//
// A host is an address with a Link. Everything between a client and a listener travels over the listener's Link: one Latency in
// each direction. Dial returns after one round trip, Accept half a round trip later (the third packet of the handshake), so a
// greeting written at once is read two round trips after Dial was called, as in a real network.
//
// A direction of a connection carries at most Window octets that the reader has not taken; then Write blocks. Taken octets are
// acknowledged one Latency later. Close sends FIN behind the data, or RST when received octets were not read or still arrive
// (RFC 9293 section 3.6.1, and what Linux does): so a server that hangs up on pipelined commands is seen as it is in the field.
// What arrived before a reset can still be read, then reads and writes fail with ECONNRESET; after a FIN reads give io.EOF and a
// later reset shows on writes as EPIPE.
//
// A cut loses every packet; TCP repeats them, so what was sent arrives after Heal, one Latency later, in order.
//
// # Promises
//
// One mutex guards all state and is never held while anything waits; who waits, waits on a sync.Cond, a channel or a timer, so a
// blocked goroutine is durably blocked in the sense of synctest. The package starts no goroutine of its own except the short
// callbacks of time.AfterFunc. Errors are the ones of package net: *net.OpError around a syscall.Errno, net.ErrClosed or a timeout.
//
// # Bugs
//
// There is no congestion control, no segment size and no packet loss but cuts: throughput is one Window per round trip. A dial
// to a black hole never times out by itself; it waits for its context.
package netsim

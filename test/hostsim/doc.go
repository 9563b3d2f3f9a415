// Package hostsim is the host MTA's side of LMTP (RFC 2033), as demo, bench and tests need it: a client that hands a list over
// in one transaction, everything pipelined, and notes when which reply came.
//
// It promises to read every reply it is owed and to fail on anything else. It never retries, keeps no queue and starts one
// goroutine for each Deliver, which ends before Deliver returns.
package hostsim

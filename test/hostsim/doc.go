// Package hostsim is the host MTA's side of LMTP (RFC 2033), as demo, bench and tests need it: a client that hands a list over
// in one transaction, pipelined all at once or in groups as Postfix sends them, and notes when which reply came.
//
// It promises to read every reply it is owed and to fail on anything else. It never retries and keeps no queue. Deliver starts
// one goroutine for each group of commands, which ends before Deliver returns, unless the server broke the protocol: then it ends
// with the connection.
package hostsim

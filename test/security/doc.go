// Package security attacks the real smtpfeed over real sockets, from all of its sides: as the host MTA that hands it a message, as the
// exchanger that answers it, as the name server that says where exchangers live, and as a user of the same machine.
//
//	smuggle_test.go     whatever a content holds, every receiver, however lenient, sees one message; boundary_test.go and
//	                    nexthops_test.go have what is cut in two, and real servers
//	inject_test.go      what the next hop is told is one command a line, by a grammar of its own (grammar_test.go)
//	hostile_test.go     what a peer says is shown to everybody as one short line of printable ASCII; names_test.go: what DNS says
//	talk_test.go        octets behind a greeting or EHLO are never taken for later replies; STARTTLS is not spoken
//	prohibited_test.go  no answer of DNS makes it dial what smtp.prohibited names, in whatever form it is written
//	peers_test.go       only users of lmtp.peers may hand it mail
//	unit_test.go        what systemd leaves it is little, and enough
//
// The lenient receivers (lenient_test.go) are this package's own: they share no code with what they judge.
//
// # What is not defended
//
// A receiver that takes the 8th bit off octets, or that ends lines at form feeds or at Unicode's line separators, sees ends of data in
// contents that have none for anybody else. Such octets are text, and changing them would break signatures.
package security

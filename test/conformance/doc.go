// Package conformance holds the catalogue of faults (testdata/faults.jsonl) as scripts: what a mail exchanger, a DNS server or a
// host MTA does wrong, and what must become of the mail. They are played to a mailer over real sockets, and in memory in fake
// time.
//
//	go test ./test/conformance                                smtpfeed: the program over sockets, and its engine in synctest bubbles
//	go test -C test/conformance -table -only EOM-05           some rows, as a table; -only is a regular expression over "ID rule"
//	make conformance                                          the whole table, with a column for Postfix's smtp(8)
//
// All of it is test code; nothing here is part of smtpfeed.
//
// # A row
//
// A row is one fault. Unless it says otherwise the message is for a@one.test, b@one.test and c@two.test, and both domains have
// the same exchanger, the best one, at 192.0.2.1. Over sockets, where nobody knows which answer of the DNS is read first, all are of
// one.test, unless the row names its recipients or its zone. Each row is played twice. Alone, the best exchanger is the only one,
// and want is what the recipients are told. With another polite exchanger behind it (192.0.2.2), those who would be deferred must be
// delivered there in the same attempt, unless the row says that they stay, and nobody else may come there.
//
//	{id: "DAT-05", rule: "421 and FIN instead of an invitation", want: all("T 4.3.2"), then: fresh,
//		faults: []fault{{at: atData, do: do(say("421 4.3.2 bye"), fin)}}},
//
// An exchanger is a polite server (see server) that a row's faults make misbehave: at a stage, for a recipient, in the nth
// transaction, on the nth connection, once or always. It answers whatever commands come in whatever order, pipelined or one by
// one, so a row says nothing about how a mailer goes about its work, and every mailer can be put in front of it. What a fault
// does is a list of acts: say, raw, pause, drip, fin, rst, hush, and so on.
//
// What is checked, for each recipient: the class of the outcome and its enhanced code, and how many copies arrived anywhere. For
// the best exchanger: how many connections it got (conns), and that nothing but QUIT was sent after a fault that ends in silence
// (hush), and no end of data after one in the body. For all: bodies are whole, octets do not run ahead of a reply, the other
// exchanger gets those who may move. Then a second message shows what is remembered of the host (then): does it take the same
// connection, a fresh one, or is the host not dialled; is it sent a group of commands again (careful).
//
// # TLS
//
// A host with tls set speaks STARTTLS, with a certificate of an authority that all mailers trust unless the row wants a worse one
// (see secured). Faults may happen at STARTTLS, when the ClientHello has come (atHandshake), at EHLO inside TLS, and wherever they
// may in plaintext; some acts are for records: below, alert, keyUpdates, unclean. channel says how contents must come. What is
// published of an exchanger stands in the row's extra records and in policies: "TLSA 3 1 1 of:mx1" is filled in with what fits the
// certificate, signed has the DNS server say that all answers were validated, answer changes some, and a policyHost is a web server
// with an MTA-STS policy. Over sockets there is none of those, for smtpfeed asks them on port 443: test/e2e does that. What demands
// TLS of the mailer is part of the row's setup; else it is opportunistic.
//
// # Names of a row
//
// Rows speak of names below .test and of addresses in 192.0.2.0/24. In memory they are just that. Over sockets all rows are
// played at once, and each has its own: one.test becomes one.s17.test and 192.0.2.1 becomes 127.60.17.1, in zones, addresses and
// everything else that goes through names.text.
//
// # Time
//
// In memory minutes cost nothing, and every row is played. Over sockets a row that is long is left out with smtpfeed in the
// tests, and played hurried in the table: a minute of the row is 600 ms, and the mailers' timeouts are a hundredth of their own
// (but at least a second).
//
// No verdict over sockets may depend on how fast or busy the machine is. A row whose verdict does, because it matters what comes first, is
// for memory only.
//
// # The table
//
// A line for each id, and in each column whether its rows were as they want it. Where Postfix does otherwise the table tells
// what of that the users of mail would notice: how many rows lose mail (told 2xx, and no copy arrived), double it (more copies
// than one may have arrived), or bounce it (told 5xx, though the row does not want that). The rest are other codes, connections,
// and octets sent. What smtpfeed does not pass yet stands in openFaults: it is FAIL in the table, and the test only tells of it.
//
// # To add a row
//
// Put it in the function of its stage in rows_*_test.go (or write a new one and name it in allRows). The id is the catalogue's,
// or begins with "X-" if the catalogue has none. TestEveryFaultIsScriptedOrListed fails as long as an id of the catalogue has
// neither a row nor a reason in notCovered. A row that needs more than a message and its answer has a play function of its own,
// which gets everything that the runner has; it says so in its rule.
//
// # Mailers
//
// A mailer is whoever delivers: program (smtpfeed over LMTP), engine (package feed and resolver in a bubble), and postfix (an
// instance of test/hosts with its own smtp(8) and this package's DNS server). Postfix's column is information. It is told to
// send both domains of a row together, for it does not group by exchanger; that is all it is helped with. What is remembered of
// hosts (then) is not asked of it.
package conformance

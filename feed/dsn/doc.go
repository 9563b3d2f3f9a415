// Package dsn composes the delivery status notifications that smtpfeed issues itself.
//
// There is one kind: "relayed". A sender who asked for NOTIFY=SUCCESS is told by the last mail system that can tell him. Where
// the next hop does not speak DSN, that is us (RFC 3461 section 5.2.2). Failures and delays are the host MTA's to report.
//
// # What a notification is
//
// A multipart/report (RFC 6522) with words for people, a message/delivery-status for programs (RFC 3464), and the header of the
// original message. Never its body: "If a DSN contains no indications of delivery failure, only the headers of the message should
// be returned" (RFC 3461 section 4.3), so RET does not matter here.
//
// Where addresses are not ASCII, the second part is a message/global-delivery-status, and an original header in UTF-8 of a
// message that came by SMTPUTF8 is a message/global-headers (RFC 6533). Message.SMTPUTF8 then says that the next hop must know
// them. Everything else leaves as seven bits, in lines of less than 1000 octets.
//
// # Promises
//
// It is pure: no I/O, no clock, no randomness, no state. The same Notice gives the same octets.
//
// ENVID, ORCPT, replies and the original are hostile text. Whatever they hold, the notification has the parts, the fields and the
// recipients that it was given, and no others: what could be taken for another line is left out (where changing it would make it
// a lie) or cleaned (replies). The boundary is drawn from the content and occurs nowhere in it.
//
// Of an original header at most 64 KiB are returned, in whole fields. The words name the first 50 recipients; the report has them
// all.
//
// # Bugs
//
// ORCPT in other address types than rfc822 and utf-8 is handed on only if it is printable ASCII.
package dsn

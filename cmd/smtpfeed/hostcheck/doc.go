// Package hostcheck reads the configuration of host MTAs and says what in it keeps delivery through smtpfeed slow or unsafe.
//
// It is plain functions: text in (what postconf printed, a sendmail.cf, an Exim configuration, a smtpd.conf), [Finding]s out,
// each with the command that mends it. Which part of a configuration concerns smtpfeed is told by where it leads: a transport
// or mailer whose socket is in [Feed], or that has smtpfeed in its name and leads elsewhere by mistake.
//
// What is looked for, and why, was found by experiment with Postfix 3.7, sendmail 8.17 and Exim 4.96, and for OpenSMTPD 6.8
// in its source. Every rule stands in one function, with its reason.
//
// It promises to survive any text, to mend nothing, and to say nothing about a setting that it did not find. It runs no
// program. Of the machine it looks only at the permissions on the way to a socket.
//
// # Bugs
//
// Tables that are not plain text (LDAP, SQL, a hash file without its source) are not searched for our transport. Access lists
// (ACL) on the socket's way are not seen, only permission bits. A sendmail.cf is read without its conditionals in macros, and
// an Exim configuration without .include, which `exim -bP config` has worked out already.
package hostcheck

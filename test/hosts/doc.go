// Package hosts runs the real host MTAs that smtpfeed stands beside (Debian's Postfix, sendmail, Exim and OpenSMTPD), each as an instance
// of its own: configuration, queue, log and port are in one directory, and neither the machine's MTA nor its files are read or
// touched. The end-to-end tests and the bench of hosts use it.
//
// # Instances
//
// An instance hands its mail to smtpfeed, as patches/ tells an administrator to set it up, or delivers itself by SMTP in a simulated
// internet: as Debian ships it, or tuned as somebody with large lists would. What it is told stands in a Setup. It does not start by
// itself, can be stopped and started again with the same queue, and ends when its starter does, also if that is killed.
//
// # What it needs
//
// Linux and root. Postfix is installed; the others cannot be beside it in one system, so the script test/hosts/need unpacks
// Debian's packages below Root without installing them.
//
// # Goroutines
//
// One for each submission, which writes recipients while their replies are read, and ends with them. One for each running sendmail,
// which writes its log; Stop waits for it.
package hosts

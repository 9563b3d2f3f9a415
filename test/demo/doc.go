// Command demo shows what smtpfeed does: it starts a simulated internet and the real smtpfeed on this machine, hands over a
// list of 10,000 recipients, shows the progress live and ends with a summary. No mail leaves the machine.
//
// It owns both processes and ends them, and keeps everything in a temporary directory that it removes.
package main

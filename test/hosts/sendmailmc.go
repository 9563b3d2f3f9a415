package hosts

import (
	"net"
	"strings"
)

// define is a line of a .mc file.
func define(name, value string) string { return "define(`" + name + "', `" + value + "')dnl" }

// private are the settings that keep an instance to itself. They stand behind Debian's, which they replace.
func (m *Sendmail) private() []string {
	return []string{
		"include(`" + m.setup.path("cf/debian/autoconf.m4") + "')dnl", // else the ostype file takes it from where it is installed
		define("MAIL_SETTINGS_DIR", m.setup.path("mail")+"/"),
	}
}

// behindDomain replaces what Debian's DOMAIN file defines.
func (m *Sendmail) behindDomain() []string {
	return []string{
		define("QUEUE_DIR", m.setup.path("queue")),
		define("STATUS_FILE", m.setup.path("statistics")),
		define("confPID_FILE", m.setup.path("pid")),
		define("confCONTROL_SOCKET_NAME", ""),
		define("confDEAD_LETTER_DROP", m.setup.path("dead.letter")),
		define("confSERVICE_SWITCH_FILE", m.setup.path("mail/service.switch")),
		define("confDOMAIN_NAME", sendmailHost),
		define("confDONT_PROBE_INTERFACES", "True"),
		define("confTO_IDENT", "0"),
		// Neither the other work of this machine nor the rate of a test's connections is to delay anything.
		define("confQUEUE_LA", "1000"),
		define("confREFUSE_LA", "1000"),
		define("confDELAY_LA", "1000"),
	}
}

// sendmailMC is Debian's sendmail.mc with our lines.
func (m *Sendmail) sendmailMC(mc string) (string, error) {
	// What Debian's own installation does (DAEMON_HOSTSTATS=No).
	mc = strings.Replace(mc, "dnl undefine(`confHOST_STATUS_DIRECTORY')", "undefine(`confHOST_STATUS_DIRECTORY')", 1)
	mc = strings.ReplaceAll(mc, "\nDAEMON_OPTIONS(", "\ndnl DAEMON_OPTIONS(")
	host, port, _ := net.SplitHostPort(m.addr)
	settings := append([]string{
		"DAEMON_OPTIONS(`Family=inet, Name=MTA-v4, Port=" + port + ", Addr=" + host + "')dnl",
		define("confCONNECTION_RATE_THROTTLE", "0"),
		"FEATURE(`accept_unresolvable_domains')dnl", // the senders' domains
	}, append(m.delivery(), m.setup.Settings...)...)
	var err error
	for _, i := range []struct {
		lines []string
		at    string
	}{
		{m.private(), "+include(`" + m.setup.path("cf/m4/cf.m4")},
		{m.behindDomain(), "+DOMAIN("},
		{settings, "MAILER_DEFINITIONS"},
		{m.mailers(), "+MAILER(`smtp')"},
	} {
		if mc, err = insert(mc, i.lines, i.at); err != nil {
			return "", err
		}
	}
	return mc, nil
}

// delivery is through smtpfeed, or Debian's, or that tuned.
func (m *Sendmail) delivery() []string {
	if m.setup.Feed == "" && len(m.setup.Program) == 0 {
		return m.itself()
	}
	include := func(name string) string { return "include(`" + Patches("sendmail/"+name) + "')dnl" }
	lines := []string{include("settings.m4")}
	switch m.setup.Variant {
	case "program", "via":
		lines = append(lines, define("SMTPFEED_MAILER_PATH", m.setup.Program[0]),
			define("confSMTPFEED_PROGRAM", "smtpfeed "+strings.Join(m.setup.Program[1:], " ")))
	case "queuegroup":
		lines = append(lines, define("confSMTPFEED_QUEUE", m.setup.path("queue/smtpfeed")), include("queuegroup.m4"))
	}
	if socket, ok := strings.CutPrefix(m.setup.Feed, "unix:"); ok {
		lines = append(lines, define("confSMTPFEED_SOCKET", socket))
	} else if ip, port, err := tcp(m.setup.Feed); err == nil {
		lines = append(lines, define("SMTPFEED_MAILER_ARGS", "TCP ["+ip+"] "+port)) // without the brackets it is looked up
	}
	return lines
}

// mailers are further ones.
func (m *Sendmail) mailers() []string {
	if m.setup.Feed == "" && len(m.setup.Program) == 0 {
		return nil
	}
	return []string{"MAILER(`smtpfeed')dnl"}
}

// itself is how sendmail delivers without smtpfeed. Tuned it splits a list into envelopes of 25 recipients, which it works on side
// by side, a process each (QUEUE_GROUP in cf/README); and it does not ask DNS while mail comes in.
func (m *Sendmail) itself() []string {
	var lines []string
	for _, mailer := range []string{"SMTP", "ESMTP", "SMTP8", "DSMTP", "RELAY"} {
		lines = append(lines, define(mailer+"_MAILER_ARGS", "TCP $h "+m.setup.World.Port))
	}
	if !m.setup.Tuned {
		return lines
	}
	return append(lines,
		"FEATURE(`nocanonify')dnl",
		"QUEUE_GROUP(`lists', `P="+m.setup.path("queue/smtpfeed")+", F=f, r=25, R=100')dnl",
		define("SMTP_MAILER_QGRP", "lists"),
		define("ESMTP_MAILER_QGRP", "lists"),
		define("RELAY_MAILER_QGRP", "lists"),
		define("confMAX_RUNNERS_PER_QUEUE", "100"),
		define("confMAX_QUEUE_CHILDREN", "1000"),
		define("confMCI_CACHE_SIZE", "10"),
		define("confCHECKPOINT_INTERVAL", "1000"),
		define("confTO_ICONNECT", "10s"),
		define("confTO_CONNECT", "30s"),
	)
}

// submitMC is Debian's submit.mc with our lines.
func (m *Sendmail) submitMC(mc string) (string, error) {
	host, port, _ := net.SplitHostPort(m.addr)
	mc = strings.Replace(mc, "FEATURE(`msp', `[127.0.0.1]', `25')", "FEATURE(`msp', `["+host+"]')", 1)
	mc, err := insert(mc, m.private(), "+include(`"+m.setup.path("cf/m4/cf.m4"))
	if err != nil {
		return "", err
	}
	lines := append(m.behindDomain(),
		define("MSP_QUEUE_DIR", m.setup.path("client")),
		define("confPID_FILE", m.setup.path("client/pid")),
		define("STATUS_FILE", m.setup.path("client/statistics")),
		define("RELAY_MAILER_ARGS", "TCP $h "+port),
	)
	return insert(mc, lines, "+DOMAIN(")
}

package hosts

import (
	"slices"
	"strings"
)

// mainCF is an instance's main.cf.
func (p *Postfix) mainCF() string {
	lines := append([]string{
		"compatibility_level = 3.6",
		"queue_directory = " + p.setup.path("queue"),
		"data_directory = " + p.setup.path("data"),
		"maillog_file = " + p.Log(),
		"maillog_file_prefixes = " + p.setup.Dir,
		"myhostname = host.e2e.test",
		"mydestination =",
		"alias_maps =",
		"notify_classes =",
		"mynetworks = 127.0.0.0/8",
		"append_dot_mydomain = no",
		"local_header_rewrite_clients =", // what was submitted stays as it is

		// Intake.
		"smtpd_relay_restrictions = permit_mynetworks, reject",
		"smtpd_recipient_restrictions =",
		"smtpd_peername_lookup = no",
		"smtpd_recipient_limit = 200000",
		"smtpd_authorized_verp_clients = $mynetworks", // else XVERP is not offered
		// The queue file's size counts, with some 100 octets a recipient: by default a list of 100,000 is "552 message file too big".
		"message_size_limit = 100000000",
		"mailbox_size_limit = 0",
		"in_flow_delay = 0",
	}, p.delivery()...)
	return lastOfEach(append(lines, p.setup.Settings...))
}

// delivery is through smtpfeed, or Debian's, or that tuned.
func (p *Postfix) delivery() []string {
	if p.setup.Feed == "" {
		return p.itself()
	}
	transport := "smtpfeed:" + strings.Replace(p.setup.Feed, "tcp:", "inet:", 1)
	return []string{
		"inet_interfaces = 127.0.0.1",
		"inet_protocols = ipv4",
		"smtp_dns_support_level = disabled",
		"smtp_tls_security_level = none",
		"lmtp_tls_security_level = none",
		"default_transport = " + transport,
		"relay_transport = " + transport,
		"smtpfeed_destination_recipient_limit = 2000",
		"smtpfeed_initial_destination_concurrency = 200",
		"smtpfeed_destination_concurrency_limit = 200",
		"smtpfeed_destination_concurrency_failed_cohort_limit = 0",
		"qmgr_message_recipient_limit = 200000",
		"smtpfeed_recipient_limit = 200000",
		"duplicate_filter_limit = 0",
	}
}

// itself is how Postfix delivers without smtpfeed. Tuned it has what somebody with large lists sets: ten times the processes,
// and limits that let them be used.
func (p *Postfix) itself() []string {
	lines := []string{
		"smtp_tls_security_level = may",
		"smtp_tls_CApath = /etc/ssl/certs",
		"smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache",
		"inet_protocols = all",
		"smtp_tcp_port = " + p.setup.World.Port,
	}
	if !p.setup.Tuned {
		return lines
	}
	return append(lines,
		"default_process_limit = 1000",
		"initial_destination_concurrency = 40",
		"smtp_destination_concurrency_limit = 40",
		"smtp_destination_recipient_limit = 100",
		"qmgr_message_recipient_limit = 200000",
		"smtp_recipient_limit = 200000",
	)
}

// lastOfEach is a main.cf of these settings. The last one of a name counts; Postfix would warn at every command.
func lastOfEach(settings []string) string {
	var b strings.Builder
	for i, s := range settings {
		name, _, _ := strings.Cut(s, "=")
		again := func(later string) bool {
			return strings.TrimSpace(later[:max(strings.IndexByte(later, '='), 0)]) == strings.TrimSpace(name)
		}
		if !slices.ContainsFunc(settings[i+1:], again) {
			b.WriteString(s + "\n")
		}
	}
	return b.String()
}

// masterCF has the services that mail needs, none of them in a chroot.
func (p *Postfix) masterCF() string {
	manager := "qmgr"
	if p.setup.Variant == "oqmgr" {
		manager = "oqmgr"
	}
	services := []string{
		p.addr + " inet n - n - - smtpd",
		"smtpfeed unix - - n - 200 lmtp -o lmtp_data_done_timeout=3600s -o daemon_timeout=86400s",
		"postlog unix-dgram n - n - 1 postlogd",
		"qmgr unix n - n 300 1 " + manager,
		"pickup unix n - n 60 1 pickup",
		"cleanup unix n - n - 0 cleanup",
		"showq unix n - n - - showq",
		"flush unix n - n 1000? 0 flush",
		"rewrite unix - - n - - trivial-rewrite",
		"verify unix - - n - 1 verify",
		"tlsmgr unix - - n 1000? 1 tlsmgr",
		"proxymap unix - - n - - proxymap",
		"smtp unix - - n - - smtp",
		"relay unix - - n - - smtp",
	}
	for _, s := range []string{"bounce", "defer", "trace"} {
		services = append(services, s+" unix - - n - 0 bounce")
	}
	for _, s := range []string{"anvil", "scache"} { // each knows about all others: there must be one
		services = append(services, s+" unix - - n - 1 "+s)
	}
	for _, s := range []string{"error", "retry"} {
		services = append(services, s+" unix - - n - - error")
	}
	return strings.Join(services, "\n") + "\n"
}

package hosts

import (
	"fmt"
	"os"
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
		"smtpd_authorized_verp_clients = $mynetworks", // else XVERP is not offered
		"mailbox_size_limit = 0",
		"in_flow_delay = 0",
	}, p.delivery()...)
	return lastOfEach(lines)
}

// settle adds the Setup's settings to main.cf, behind those that are there.
func (p *Postfix) settle() error {
	text, err := os.ReadFile(p.setup.path("main.cf"))
	if err != nil {
		return err
	}
	lines := slices.Collect(strings.Lines(string(text)))
	for i, l := range lines {
		lines[i] = strings.TrimSuffix(l, "\n")
	}
	return p.setup.write(file{"main.cf", lastOfEach(append(lines, p.setup.Settings...))})
}

// apply has patches/postfix join it with smtpfeed, as an administrator does.
func (p *Postfix) apply() error {
	socket, isUnix := strings.CutPrefix(p.setup.Feed, "unix:")
	if !isUnix {
		return fmt.Errorf("%q is no unix socket", p.setup.Feed)
	}
	argv := []string{Patches("postfix/smtpfeed-postfix"), "apply", "-c", p.setup.Dir, "-s", socket}
	if p.setup.Variant == "oqmgr" {
		argv = append(argv, "--oqmgr")
	}
	return run(argv...)
}

// delivery is Debian's, or that tuned; for smtpfeed it is what keeps bounces to a test's own host simple, and patches/postfix does the rest.
func (p *Postfix) delivery() []string {
	if p.setup.Feed == "" {
		return p.itself()
	}
	return []string{
		"inet_interfaces = 127.0.0.1",
		"inet_protocols = ipv4",
		"smtp_dns_support_level = disabled",
		"smtp_tls_security_level = none",
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
		"smtpd_recipient_limit = 200000",
		// The queue file's size counts, with some 100 octets a recipient: by default a list of 100,000 is "552 message file too big".
		"message_size_limit = 100000000",
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
	services := []string{
		p.addr + " inet n - n - - smtpd",
		"postlog unix-dgram n - n - 1 postlogd",
		"qmgr unix n - n 300 1 qmgr",
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

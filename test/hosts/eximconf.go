package hosts

import (
	"os"
	"strings"
)

// config is an instance's configuration: what Debian's does about mail that is not local, and how it hands that to smtpfeed, from
// the files that an administrator takes.
func (e *Exim) config() (string, error) {
	routers, transports, retry, main := e.itself()
	if e.setup.Feed != "" {
		var err error
		if routers, transports, retry, main, err = e.feed(); err != nil {
			return "", err
		}
	}
	ip, port, _ := strings.Cut(e.addr, ":")
	settings := append([]string{
		"primary_hostname = host.e2e.test",
		"spool_directory = " + e.setup.path("spool"),
		"log_file_path = " + e.setup.path("log") + "/%slog",
		"pid_file_path = " + e.setup.path("exim.pid"),
		"exim_path = " + e.program(), // it calls itself
		"local_interfaces = " + ip,
		"daemon_smtp_ports = " + port,
		"keep_environment =",
		"tls_advertise_hosts =",
		"rfc1413_query_timeout = 0s",
		"trusted_users = root",
		"untrusted_set_sender = *",

		// Intake. Without the last line Exim leaves all but the first ten messages of a connection to the next queue run.
		"acl_smtp_rcpt = accept hosts = 127.0.0.0/8",
		"smtp_accept_max = 200",
		"smtp_accept_queue_per_connection = 0",
	}, main...)
	return strings.Join([]string{
		"domainlist local_domains =",
		lastOfEach(append(settings, e.setup.Settings...)),
		"begin routers", routers,
		"begin transports", transports,
		"begin retry", retry,
		"* * F,2h,15m; G,16h,1h,1.5; F,4d,6h", // Debian's
	}, "\n\n") + "\n", nil
}

// feed is how patches/exim hands mail to smtpfeed.
func (e *Exim) feed() (routers, transports, retry string, main []string, err error) {
	files := []string{
		"exim/smtpfeed-router.conf", "exim/smtpfeed-main.conf", "exim/smtpfeed-transport.conf", "exim/smtpfeed-retry.conf",
	}
	macros := "SMTPFEED_SOCKET = " + strings.TrimPrefix(e.setup.Feed, "unix:") + "\n"
	if e.setup.Variant == "lmtp" {
		files = append(files[:2], "exim/smtpfeed-transport-lmtp.conf")
	} else {
		ip, port, err := tcp(e.setup.Feed)
		if err != nil {
			return "", "", "", nil, err
		}
		macros = "SMTPFEED_HOST = " + ip + "\nSMTPFEED_PORT = " + port + "\n"
	}
	texts := make([]string, 4)
	for i, name := range files {
		text, err := os.ReadFile(Patches(name))
		if err != nil {
			return "", "", "", nil, err
		}
		texts[i] = string(text)
	}
	// Debian's routers behind smtpfeed's verify addresses. This one stands for them, and lets callouts go where they must not
	// matter.
	const verifies = "\nverifies:\n  driver = accept\n  domains = ! +local_domains\n  transport = smtpfeed\n  verify_only\n"
	return texts[0] + verifies, macros + texts[2], texts[3], strings.Split(texts[1], "\n"), nil
}

// itself is how Exim delivers without smtpfeed. The world is on this machine, which Debian's configuration would not deliver to.
// Tuned it has what somebody with large lists sets: Exim knows no more than how many transactions of a message go on at a time.
func (e *Exim) itself() (routers, transports, retry string, main []string) {
	routers = "dnslookup:\n  driver = dnslookup\n  domains = ! +local_domains\n  transport = remote_smtp\n" +
		"  same_domain_copy_routing = yes\n  self = send\n  no_more\n"
	transports = "remote_smtp:\n  driver = smtp\n  allow_localhost\n  port = " + e.setup.World.Port + "\n"
	if e.setup.Tuned {
		main = []string{"remote_max_parallel = 200", "queue_run_max = 20"}
		transports += "  max_rcpt = 1000\n"
	}
	return routers, transports, "", main
}

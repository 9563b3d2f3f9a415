package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// prepare writes an instance's files and has Postfix make its queue.
func (m *master) prepare() error {
	dns, _, err := net.SplitHostPort(m.w.dns)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"main.cf":     m.mainCF(m.w.port),
		"master.cf":   m.masterCF(),
		"resolv.conf": "nameserver " + dns + "\n",
	} {
		if err := m.write(name, text); err != nil {
			return err
		}
	}
	for _, d := range []string{"queue", "data"} {
		if err := os.Mkdir(m.path(d), 0o755); err != nil {
			return err
		}
	}
	for _, c := range [][]string{{"chmod", "755", m.dir}, {"chown", "postfix", m.path("data")}, {"postfix", "-c", m.dir, "check"}} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", c, err, out)
		}
	}
	return nil
}

func (m *master) write(name, text string) error {
	return os.WriteFile(m.path(name), []byte(text), 0o644)
}

// mainCF is what Debian ships and what this instance needs to have everything in one place and take the work in. Only the tuned one
// changes how mail is delivered.
func (m *master) mainCF(port string) string {
	lines := []string{
		"compatibility_level = 3.6",
		"append_dot_mydomain = no",
		"smtp_tls_security_level = may",
		"smtp_tls_CApath = /etc/ssl/certs",
		"smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache",
		"inet_protocols = all",

		"queue_directory = " + m.dir + "/queue",
		"data_directory = " + m.dir + "/data",
		"maillog_file = " + m.dir + "/maillog",
		"maillog_file_prefixes = " + m.dir,
		"myhostname = lists.example.org",
		"mydestination =",
		"alias_maps =",
		"mynetworks = 127.0.0.0/8",
		"smtp_tcp_port = " + port,

		// Intake, which is not measured.
		"smtpd_relay_restrictions = permit_mynetworks, reject",
		"smtpd_peername_lookup = no",
		"smtpd_recipient_limit = 200000",
		// The queue file's size counts, with some 100 octets a recipient: by default a list of 100,000 is "552 message file too big".
		"message_size_limit = 100000000",
		"smtpd_authorized_verp_clients = $mynetworks", // else XVERP is not offered
		"mailbox_size_limit = 0",
		"in_flow_delay = 0",
	}
	if m.tuned {
		lines = append(append(lines, tuning()...), "default_process_limit = "+strconv.Itoa(m.processes()))
	}
	return strings.Join(lines, "\n") + "\n"
}

// tuning is what somebody with large lists sets: ten times the processes, and limits that let them be used. What a
// destination is given is what smtpfeed may do with a domain of four exchangers.
func tuning() []string {
	return []string{
		"initial_destination_concurrency = 40",
		"smtp_destination_concurrency_limit = 40",
		"smtp_destination_recipient_limit = 100",
		"qmgr_message_recipient_limit = 200000",
		"smtp_recipient_limit = 200000",
	}
}

// processes is default_process_limit: how many messages are in flight. Tuned for personal mail it is as many as smtpfeed is given.
func (m *master) processes() int {
	switch {
	case !m.tuned:
		return 100
	case m.s.personal():
		return m.s.callers
	}
	return 1000
}

// masterCF is Debian's for the services that mail needs, without its chroot, which would need copies of the system's files.
func (m *master) masterCF() string {
	services := []string{
		heldAddr + " inet n - n - - smtpd -o smtpd_client_restrictions=check_client_access,static:HOLD",
		openAddr + " inet n - n - - smtpd",
		"postlog unix-dgram n - n - 1 postlogd",
		"cleanup unix n - n - 0 cleanup",
		"qmgr unix n - n 300 1 qmgr",
		"showq unix n - n - - showq",
		"flush unix n - n 1000? 0 flush",
		"rewrite unix - - n - - trivial-rewrite",
		"tlsmgr unix - - n 1000? 1 tlsmgr",
		"scache unix - - n - 1 scache",
		"anvil unix - - n - 1 anvil",
		"smtp unix - - n - - smtp",
		"relay unix - - n - - smtp",
		"proxymap unix - - n - - proxymap",
	}
	for _, s := range []string{"bounce", "defer", "trace"} {
		services = append(services, s+" unix - - n - 0 bounce")
	}
	for _, s := range []string{"error", "retry"} {
		services = append(services, s+" unix - - n - - error")
	}
	return strings.Join(services, "\n") + "\n"
}

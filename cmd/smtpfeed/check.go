package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/smtpfeed/smtpfeed/cmd/smtpfeed/hostcheck"
	"github.com/smtpfeed/smtpfeed/resolver"
)

type checkCommand struct {
	configFlag
	hostFlags
}

// Run prints the effective configuration to standard output and the findings to standard error, the worst first. What is slow
// or only worth knowing does not make it fail.
func (c checkCommand) Run(s streams) error {
	conf, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	fmt.Fprint(s.out, conf)
	found := wrong(examine(conf, raiseFileLimit()))
	servers, silent := examineResolver(conf)
	found = append(found, wrong(silent)...)
	// Names come first: a server may answer nothing for a while after a burst.
	found = append(found, examineName(conf.Hostname, sources(conf.SMTP.Family.Family, conf.source()...), servers.ask)...)
	found = append(found, examineTLS(conf, servers)...)
	found = append(found, examineLedger(conf.Ledger.Path)...)
	found = append(found, examineAuth(conf, daemonAccount())...)
	found = append(found, examineBursts(servers)...)
	found = append(found, c.examineHosts(conf)...)
	bad := 0
	for _, f := range hostcheck.Sort(found) {
		fmt.Fprintf(s.err, "smtpfeed: %s\n", f)
		if f.Severity <= hostcheck.Unsafe {
			bad++
		}
	}
	if bad > 0 {
		return &failure{exitConfig, errors.New(count(bad, "problem") + " found")}
	}
	return nil
}

// wrong makes findings of texts that begin with a key of the configuration.
func wrong(texts []string) []hostcheck.Finding {
	var found []hostcheck.Finding
	for _, t := range texts {
		key, text, _ := strings.Cut(t, ": ")
		found = append(found, hostcheck.Finding{Severity: hostcheck.Wrong, Where: key, Text: text})
	}
	return found
}

// examineSource tries whether this machine has the addresses that mail is to be sent from.
func examineSource(source []netip.Addr) (found []string) {
	for _, a := range source {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
		if err != nil {
			found = append(found, fmt.Sprintf("smtp.source: mail waits (4.4.0), since it cannot be sent from %s: %v; give this machine that address, or name another", a, errors.Unwrap(err)))
			continue
		}
		l.Close()
	}
	return found
}

// examine looks for what would go wrong on this machine; files is the limit of open files.
func examine(c Config, files int) []string {
	var found []string
	found = append(found, examineHostname(c.Hostname)...)
	for _, l := range c.LMTP.Listen {
		found = append(found, examineSocket("lmtp.listen", l)...)
	}
	found = append(found, examineSocket("admin.listen", c.Admin.Listen)...)
	found = append(found, examineSource(c.source())...)
	if need := c.SMTP.Sessions + fileReserve; files < need {
		found = append(found, fmt.Sprintf("smtp.sessions: %d sessions and a reserve of %d need %d open files, and the limit is %d: raise it (LimitNOFILE= in systemd, ulimit -Hn) or set smtp.sessions = %d",
			c.SMTP.Sessions, fileReserve, need, files, max(files-fileReserve, 1)))
	}
	found = append(found, examineDeliveries(c.Log.Deliveries)...)
	if d := c.TLS.Report.Directory; d != "" && !(isDirectory(d) && writable(d)) && !(notThere(d) && writable(filepath.Dir(d))) {
		found = append(found, fmt.Sprintf("tls.report.directory: %s is no directory that user %d may write to", d, os.Geteuid()))
	}
	if _, err := c.tls(); err != nil {
		key, text, _ := strings.Cut(err.Error(), ": ")
		found = append(found, key+": "+text)
	}
	return found
}

// examineHostname wants a name with a dot: many servers refuse an EHLO that is not fully qualified (RFC 5321 section 4.1.1.1).
func examineHostname(name string) []string {
	if strings.Contains(name, ".") || strings.HasPrefix(name, "[") {
		return nil
	}
	return []string{fmt.Sprintf("hostname: %q is not fully qualified, and many servers refuse mail from it: set hostname = \"mail.example.org\"", name)}
}

// examineResolver asks each DNS server for our own name. Any answer will do, also that the name does not exist. It returns
// those that answered.
func examineResolver(c Config) (answered dnsServers, silent []string) {
	base := c.resolverConfig(nil)
	servers := base.Servers
	if len(servers) == 0 {
		servers = []string{""} // those of the system, together
	}
	for _, s := range servers {
		base.Servers = nil
		if s != "" {
			base.Servers = []string{s}
		}
		switch err := askResolver(base, c.Hostname); {
		case err != nil:
			silent = append(silent, fmt.Sprintf("dns.servers: %v", err))
		case s == "":
			answered = systemServers(resolvConf)
		default:
			answered = append(answered, s)
		}
	}
	return answered, silent
}

// askResolver returns why a resolver of this configuration does not answer.
func askResolver(c resolver.Config, name string) error {
	// No route and no fallback: they would answer without asking.
	c.Static, c.Fallback = nil, nil
	r, err := resolver.New(c)
	if err != nil {
		return err
	}
	defer r.Close()
	domain, err := resolver.Fold(name)
	if err != nil || strings.HasPrefix(domain, "[") {
		domain = "localhost"
	}
	_, err = r.Resolve(context.Background(), domain)
	var why *resolver.Error
	if errors.As(err, &why) && why.Kind.Permanent() {
		return nil
	}
	return err
}

// examineSocket looks at the directory of a unix socket.
func examineSocket(key string, l Listen) []string {
	network, path := l.split()
	if network != "unix" {
		return nil
	}
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []string{fmt.Sprintf("%s: the directory %s does not exist: create it for the user smtpfeed runs as (systemd does, with RuntimeDirectory=)", key, dir)}
	case err != nil:
		return []string{fmt.Sprintf("%s: %v", key, err)}
	case !info.IsDir():
		return []string{fmt.Sprintf("%s: %s is not a directory", key, dir)}
	}
	return examineDirectory(key, dir)
}

// examineDirectory wants a directory that we can write to and others cannot, all the way up. In one that everybody may write to,
// anybody can put his own socket in our place; the sticky bit helps above the directory but not in it.
func examineDirectory(key, dir string) []string {
	var found []string
	for d, sticky := dir, fs.FileMode(0); ; d, sticky = filepath.Dir(d), fs.ModeSticky {
		info, err := os.Stat(d)
		if err == nil && info.Mode().Perm()&0o002 != 0 && info.Mode()&sticky == 0 {
			found = append(found, fmt.Sprintf("%s: everybody may write to %s, so anybody can take the mail: use a directory of smtpfeed's own", key, d))
		}
		if d == filepath.Dir(d) {
			break
		}
	}
	if !writable(dir) {
		found = append(found, fmt.Sprintf("%s: %s is not writable for user %d: give it to the user smtpfeed runs as", key, dir, os.Geteuid()))
	}
	return found
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// examineLedger looks whether the ledger can be written. Mail goes on without it.
func examineLedger(path string) []hostcheck.Finding {
	if path == "" {
		return nil
	}
	var found []hostcheck.Finding
	for _, text := range examineWritable("ledger.path", path, `path = ""`) {
		found = append(found, hostcheck.Finding{Severity: hostcheck.Unsafe, Where: "ledger.path",
			Text: strings.TrimPrefix(text, "ledger.path: ") + "; until then what is delivered when smtpfeed or the host MTA dies may be delivered again"})
	}
	return found
}

// notThere says that nothing has this path.
func notThere(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// examineDeliveries looks whether the delivery record file can be written.
func examineDeliveries(path string) []string {
	if path == "" || path == "-" {
		return nil
	}
	return examineWritable("log.deliveries", path, `deliveries = ""`)
}

// examineWritable looks whether a file can be written, without creating it. Without says how to do without.
func examineWritable(key, path, without string) []string {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return []string{fmt.Sprintf("%s: %s is a directory: name a file in it", key, path)}
	case err == nil && writable(path), err != nil && writable(filepath.Dir(path)):
		return nil
	case err == nil:
		return []string{fmt.Sprintf("%s: %s is not writable for user %d", key, path, os.Geteuid())}
	default:
		return []string{fmt.Sprintf("%s: the directory %s does not exist or is not writable for user %d: create it, or set %s", key, filepath.Dir(path), os.Geteuid(), without)}
	}
}

// writable says that this process may write to path.
func writable(path string) bool {
	const writeOK = 2 // W_OK of access(2)
	return syscall.Access(path, writeOK) == nil
}

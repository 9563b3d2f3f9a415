package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/ledger"
	"github.com/smtpfeed/smtpfeed/lmtp"
	"github.com/smtpfeed/smtpfeed/resolver"
)

// validate finds values that are each well written and yet cannot work. The problems carry their key; locate adds the line.
func validate(c Config) []Problem {
	var found []Problem
	bad := func(key, format string, args ...any) {
		found = append(found, Problem{Key: key, Reason: fmt.Sprintf(format, args...)})
	}
	if c.Hostname != "" && !validHostname(c.Hostname) {
		bad("hostname", `%q is not a host name (RFC 5321 section 4.1.1.1); write "mail.example.org" or "[192.0.2.1]"`, c.Hostname)
	}
	validateLMTP(c.LMTP, bad)
	validateDNS(c.DNS, bad)
	validateSMTP(c.SMTP, bad)
	validateTimeouts(c, bad)
	validateRoutes(c, bad)
	validateVERP(c.VERP, bad)
	validateTLS(c, bad)
	validateSubmission(c, bad)
	validateLedger(c.Ledger, bad)
	validatePlaces(c, bad)
	return found
}

// A reporter takes one problem: the key and what is wrong with its value.
type reporter func(key, format string, args ...any)

func validateLMTP(l LMTPSection, bad reporter) {
	positiveSize(bad, "lmtp.max_message_size", l.MaxMessageSize)
	positiveSize(bad, "lmtp.memory", l.Memory)
	if l.MaxMessageSize > l.Memory {
		bad("lmtp.max_message_size", "a message of this size never fits into lmtp.memory; make that at least as large")
	}
	atLeastASecond(bad, "lmtp.budget", l.Budget)
	atLeastASecond(bad, "lmtp.timeouts.command", l.Timeouts.Command)
	atLeastASecond(bad, "lmtp.timeouts.data", l.Timeouts.Data)
	atLeastASecond(bad, "lmtp.timeouts.write", l.Timeouts.Write)
	if _, err := lmtp.NewPeers(l.Peers, nil); err != nil {
		bad("lmtp.peers", "%s", strings.TrimPrefix(err.Error(), "lmtp: peers: "))
	}
	for i, a := range l.Listen {
		if a.spec == "" {
			bad("lmtp.listen", `the address is empty; for socket activation alone write listen = []`)
		}
		network, address := a.split()
		switch {
		case network != "tcp" || loopback(address):
		case !l.OpenTCP:
			bad("lmtp.listen", `LMTP knows no authentication: write a loopback address, as "tcp:127.0.0.1:2424", or a unix socket; or, where a firewall lets only your host MTA connect, open_tcp = true`)
		case strings.HasPrefix(address, ":"): // a slip of the pen must not open the door
			bad("lmtp.listen", `%q is every address: write it out, as in "tcp:0.0.0.0%s"`, a.spec, address)
		}
		for _, b := range l.Listen[:i] {
			if a == b {
				bad("lmtp.listen", "%s stands here twice", a.spec)
			}
		}
	}
}

func validateDNS(d DNSSection, bad reporter) {
	if d.Timeout.Duration < 100*time.Millisecond {
		bad("dns.timeout", "must be at least 100ms")
	}
	inRange(bad, "dns.window", d.Window, 1, 65000) // IDs of DNS questions have 16 bits
	inRange(bad, "dns.cache", d.Cache, 1, 100_000_000)
}

func validateSMTP(s SMTPSection, bad reporter) {
	if s.Port == 0 {
		bad("smtp.port", "must be from 1 to 65535")
	}
	inRange(bad, "smtp.sessions", s.Sessions, 1, 1_000_000)
	inRange(bad, "smtp.sessions_per_host", s.SessionsPerHost, 1, 10_000)
	inRange(bad, "smtp.recipients_per_transaction", s.RecipientsPerTransaction, 1, 100_000)
	for i, a := range s.Source {
		for _, b := range s.Source[:i] {
			if a.Is4() == b.Is4() {
				bad("smtp.source", "is one address a family: %s and %s are of the same", b, a)
			}
		}
		if a.Is4() && s.Family.Family == feed.OnlyIPv6 || a.Is6() && s.Family.Family == feed.OnlyIPv4 {
			bad("smtp.source", "%s is never used: smtp.family excludes it", a)
		}
	}
	if d := s.LimitsTTL.Duration; d > 0 && d < time.Minute {
		bad("smtp.limits_ttl", "must be at least 1m: a limit has to outlive the attempt in which it was learned")
	}
	if d := s.GatherTime.Duration; d < 0 || d > time.Minute {
		bad("smtp.gather_time", `must be from 0s (never) to 1m`)
	}
	if s.ChunkingFrom < 0 {
		bad("smtp.chunking_from", `must not be negative; write "0" to send every body by DATA`)
	}
}

func validateTimeouts(c Config, bad reporter) {
	s, t := c.SMTP, c.SMTP.Timeouts
	for _, d := range []struct {
		key string
		Duration
	}{
		{"smtp.connect_timeout", s.ConnectTimeout}, {"smtp.hedge_delay", s.HedgeDelay}, {"smtp.idle_timeout", s.IdleTimeout},
		{"smtp.down_time", s.DownTime}, {"smtp.limits_ttl", s.LimitsTTL}, {"smtp.timeouts.greeting", t.Greeting},
		{"smtp.timeouts.hello", t.Hello}, {"smtp.timeouts.starttls", t.StartTLS}, {"smtp.timeouts.mail", t.Mail},
		{"smtp.timeouts.rcpt", t.Rcpt}, {"smtp.timeouts.data", t.Data}, {"smtp.timeouts.body", t.Body}, {"smtp.timeouts.final", t.Final},
		{"smtp.timeouts.quit", t.Quit},
	} {
		positive(bad, d.key, d.Duration)
	}
}

func between(bad reporter, key string, d Duration, low, high time.Duration) {
	if d.Duration < low || d.Duration > high {
		bad(key, "must be from %v to %v", low, high)
	}
}

func atLeastASecond(bad reporter, key string, d Duration) {
	if d.Duration < time.Second {
		bad(key, "must be at least 1s")
	}
}

func positive(bad reporter, key string, d Duration) {
	if d.Duration <= 0 {
		bad(key, "must be longer than 0s")
	}
}

func validateVERP(rules []VERPSection, bad reporter) {
	for i, v := range rules {
		rule := v.rule()
		if err := rule.Validate(); err != nil {
			bad(fmt.Sprintf("verp.%d", i+1), "%s", err)
		}
	}
}

func validateRoutes(c Config, bad reporter) {
	for _, h := range c.SMTP.Fallback {
		if !validHost(h) {
			bad("smtp.fallback", "%s", hostAdvice(h))
		}
	}
	seen := map[string]bool{}
	for i, r := range c.Routes {
		key := fmt.Sprintf("route.%d", i+1)
		domain := strings.ToLower(r.Domain)
		switch {
		case domain != "*" && !validDomain(domain):
			bad(keyOr(key, ".domain", r.Domain), `%q is not a domain; write "example.net", ".example.net" for its subdomains, or "*" for all`, r.Domain)
		case seen[domain]:
			bad(key+".domain", "%s has a route already", r.Domain)
		}
		seen[domain] = true
		if len(r.Hosts) == 0 {
			bad(key, `has no hosts; write hosts = ["[192.0.2.1]:25"]`)
		}
		for _, h := range r.Hosts {
			if !validHost(h) {
				bad(key+".hosts", "%s", hostAdvice(h))
			}
		}
	}
}

// validDomain says that s is a domain or, with a dot in front, stands for the subdomains of one.
func validDomain(s string) bool {
	folded, err := resolver.Fold(strings.TrimPrefix(s, "."))
	return err == nil && folded[0] != '['
}

// keyOr is the section's key with the field's name, or the section alone when the field is not there to point at.
func keyOr(section, field, value string) string {
	if value == "" {
		return section
	}
	return section + field
}

func validateLedger(l LedgerSection, bad reporter) {
	if l.Path != "" && !filepath.IsAbs(l.Path) {
		bad("ledger.path", `%q is not an absolute path (nor "" for none)`, l.Path)
	}
	if _, ok := ledgerSyncs[l.Sync]; !ok {
		bad("ledger.sync", "%q is not one of process, power", l.Sync)
	}
	positive(bad, "ledger.wait", l.Wait)
	if l.Linger.Duration < 0 || l.Linger.Duration > l.Keep.Duration {
		bad("ledger.linger", `must be from "0s" to ledger.keep`)
	}
	if l.Keep.Duration < time.Hour {
		bad("ledger.keep", "must be at least 1h: a host MTA sends a message again for days")
	}
	inRange(bad, "ledger.recipients", l.Recipients, 1, 100_000_000)
}

// ledgerSyncs are the values of ledger.sync.
var ledgerSyncs = map[string]ledger.Sync{"process": ledger.Process, "power": ledger.Power}

// validatePlaces checks the delivery records' path and the admin socket. The admin socket shows addresses and lets its reader
// profile the process, so it is never offered to a network.
func validatePlaces(c Config, bad reporter) {
	if p := c.Ledger.Path; p != "" && filepath.Clean(p) == filepath.Clean(c.Log.Deliveries) {
		bad("ledger.path", "%s is log.deliveries' file already", p)
	}
	positive(bad, "log.wait", c.Log.Wait)
	if p := c.Log.Deliveries; p != "" && p != "-" && !filepath.IsAbs(p) {
		bad("log.deliveries", `%q is not an absolute path (nor "-" for standard output, nor "" for none)`, p)
	}
	network, address := c.Admin.Listen.split()
	if network == "tcp" && !loopback(address) {
		bad("admin.listen", `must be a loopback address, as "tcp:127.0.0.1:9125", or a unix socket`)
	}
	for _, l := range c.LMTP.Listen {
		if l == c.Admin.Listen && l.spec != "" {
			bad("admin.listen", "%s is lmtp.listen's address already", l.spec)
		}
	}
}

// loopback says that HOST:PORT cannot be reached from another machine.
func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func positiveSize(bad reporter, key string, s Size) {
	if s <= 0 {
		bad(key, "must be larger than 0")
	}
}

func inRange(bad reporter, key string, n, low, high int) {
	if n < low || n > high {
		bad(key, "must be from %d to %d", low, high)
	}
}

// hostAdvice is the reason for a host that is none.
func hostAdvice(h string) string {
	return fmt.Sprintf(`%q is not a host; write "mx.example.net", "mx.example.net:2525", "[192.0.2.1]:25" or "[IPv6:2001:db8::1]:25"`, h)
}

// validHost says that s is NAME, NAME:PORT, [ADDRESS] or [ADDRESS]:PORT.
func validHost(s string) bool {
	host, port := s, "25"
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host, port = s[:i], s[i+1:]
	}
	_, err := resolver.Fold(host)
	if a, plain := netip.ParseAddr(strings.Trim(host, "[]")); plain == nil && host[0] == '[' && a.Zone() == "" {
		err = nil // "[2001:db8::1]:25", as everywhere but in mail
	}
	return err == nil && validHostPort(":"+port) && strings.Trim(port, "0") != ""
}

// validHostname says that s is fit for EHLO: a domain in ASCII or an address literal (RFC 5321 section 4.1.1.1).
func validHostname(s string) bool {
	folded, err := resolver.Fold(s)
	return err == nil && strings.EqualFold(folded, s)
}

// machineName is the machine's fully qualified name as far as it can be learned: its own, or what the system's name service
// makes of it. Check tells the operator when it has no dot.
func machineName() string {
	name, err := os.Hostname()
	if err != nil || !validHostname(name) {
		return "localhost"
	}
	if strings.Contains(name, ".") {
		return name
	}
	full, err := net.LookupCNAME(name)
	full = strings.TrimSuffix(full, ".")
	if err != nil || !validHostname(full) {
		return name
	}
	return full
}

package main

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/tlsrpt"
	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

// tlsModes are the values of tls.mode, and with verified those of a route's tls and a destination's mode.
var tlsModes = map[string]feed.TLSMode{
	"off": feed.TLSOff, "opportunistic": feed.TLSOpportunistic, "required": feed.TLSRequired, "verified": feed.TLSVerified,
}

// tls is the feeder's part of the configuration of TLS. It reads the files that the configuration names.
func (c Config) tls() (feed.TLS, error) {
	t := feed.TLS{Mode: tlsModes[c.TLS.Mode], Tickets: c.TLS.Tickets, Classic: !c.TLS.PostQuantum}
	var err error
	if t.Roots, err = readRoots(c.TLS.Roots); err != nil {
		return t, err
	}
	for _, d := range c.TLS.Destinations {
		t.Destinations = append(t.Destinations, feed.Destination{Domain: foldPattern(d.Domain), Mode: tlsModes[d.Mode], Names: foldAll(d.Names)})
	}
	for _, r := range c.Routes {
		d, err := r.destination()
		if err != nil {
			return t, err
		}
		t.Relays = append(t.Relays, d)
	}
	return t, nil
}

// special says that the route says more than where mail goes.
func (r RouteSection) special() bool {
	return r.TLS != "" || r.Auth != "" || r.implicit() || len(r.Names) > 0
}

// implicit says that TLS begins with the first octet: on port 465 it does (RFC 8314 section 3.3).
func (r RouteSection) implicit() bool {
	for _, h := range r.Hosts {
		if strings.HasSuffix(h, ":465") {
			return true
		}
	}
	return r.ImplicitTLS
}

// mode is how much TLS the route's hosts must have: who is told a password or speaks TLS from the start is to be known.
func (r RouteSection) mode() string {
	if r.TLS == "" {
		return "verified"
	}
	return r.TLS
}

func (r RouteSection) destination() (feed.Destination, error) {
	d := feed.Destination{Domain: foldPattern(r.Domain), Mode: tlsModes[r.mode()], Names: foldAll(r.Names), Implicit: r.implicit(),
		AuthInClear: r.AuthInClear, Plain: !r.special()}
	if r.Auth == "" {
		return d, nil
	}
	who, err := readCredentials(r.Auth)
	if err != nil {
		return d, fmt.Errorf("route %s: auth: %w", r.Domain, err)
	}
	d.Auth = who
	return d, nil
}

// foldPattern folds a domain that validate has seen, with its dot in front or "*" as it is.
func foldPattern(s string) string {
	suffix, below := strings.CutPrefix(s, ".")
	folded, err := resolver.Fold(suffix)
	if err != nil {
		return s // "*"
	}
	if below {
		return "." + folded
	}
	return folded
}

func foldAll(names []string) []string {
	var all []string
	for _, n := range names {
		all = append(all, foldPattern(n))
	}
	return all
}

// credentials are the file that a route's auth names.
type credentials struct {
	User       string   `toml:"user"`
	Password   string   `toml:"password"`
	Mechanisms []string `toml:"mechanisms"`
}

// readCredentials reads a file that others must not be able to read.
func readCredentials(path string) (*feed.Credentials, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf(`%w; write user = "..." and password = "..." into it, for the user smtpfeed runs as`, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s may be read or changed by every user of this machine (mode %04o); chmod 0600 it, and chown it to the user smtpfeed runs as", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w; chown it to the user smtpfeed runs as", err)
	}
	var c credentials
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&c); err != nil {
		return nil, fmt.Errorf(`%s: want only lines as user = "...", password = "..." and mechanisms = ["PLAIN"]`, path) // not err: it may quote the password
	}
	if c.User == "" || c.Password == "" {
		return nil, fmt.Errorf("%s: has no user or no password", path)
	}
	for i, m := range c.Mechanisms {
		c.Mechanisms[i] = strings.ToUpper(m)
		if c.Mechanisms[i] != "PLAIN" && c.Mechanisms[i] != "LOGIN" {
			return nil, fmt.Errorf("%s: mechanism %q is not known here; write PLAIN or LOGIN", path, m)
		}
	}
	return &feed.Credentials{Source: path, User: c.User, Password: c.Password, Mechanisms: c.Mechanisms}, nil
}

// readRoots reads the certificates of authorities; nil is the system's.
func readRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("tls.roots: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls.roots: %s has no certificate in PEM form", path)
	}
	return pool, nil
}

// policies opens the store of MTA-STS policies; nil when none are looked for.
func (c Config) policies(roots *x509.CertPool, readOnly bool, log *slog.Logger) (*sts.Store, error) {
	if !c.TLS.MTASTS || c.TLS.Mode == "off" {
		return nil, nil
	}
	sc := c.stsConfig()
	sc.ReadOnly, sc.Roots, sc.Log = readOnly, roots, log
	s, err := sts.Open(sc)
	if err != nil {
		return nil, fmt.Errorf("tls.policies: %w", err)
	}
	return s, nil
}

func (c Config) stsConfig() sts.Config {
	s := c.TLS.STS
	return sts.Config{Path: c.TLS.Policies, Prohibited: c.prohibited(), Timeout: s.Timeout.Duration, MaxSize: int64(s.MaxSize),
		Fetches: s.Fetches, Retry: s.Retry.Duration, Policies: s.Cache}
}

// trustAD is the servers whose AD bit is believed, none when none is named.
func (c Config) trustAD() []netip.Prefix {
	trusted := []netip.Prefix{}
	for _, p := range c.DNS.TrustAD {
		trusted = append(trusted, p.Prefix)
	}
	return trusted
}

func validateTLS(c Config, bad reporter) {
	if m, ok := tlsModes[c.TLS.Mode]; !ok || m == feed.TLSVerified {
		bad("tls.mode", "%q is not one of off, opportunistic, required", c.TLS.Mode)
	}
	inRange(bad, "tls.tickets", c.TLS.Tickets, 1, 10_000_000)
	seen := map[string]bool{}
	for i, d := range c.TLS.Destinations {
		key := fmt.Sprintf("tls.destination.%d", i+1)
		domain := foldPattern(d.Domain)
		switch {
		case d.Domain != "*" && !validDomain(strings.ToLower(d.Domain)):
			bad(keyOr(key, ".domain", d.Domain), `%q is not a domain; write "example.net", ".example.net" for its subdomains, or "*"`, d.Domain)
		case seen[domain]:
			bad(key+".domain", "%s stands here twice", d.Domain)
		}
		seen[domain] = true
		mode, ok := tlsModes[d.Mode]
		if !ok {
			bad(keyOr(key, ".mode", d.Mode), "%q is not one of off, opportunistic, required, verified", d.Mode)
		}
		if domain == "*" && (mode == feed.TLSOpportunistic || mode == feed.TLSRequired) {
			bad(key+".mode", "%s for every domain is tls.mode's to say, where DANE and MTA-STS still count", d.Mode)
		}
		if mode == feed.TLSVerified && len(d.Names) == 0 {
			bad(key, `verified needs names = ["mx.example.net"]: what the DNS says of the exchangers proves nothing`)
		}
		validateNames(key, mode, d.Names, bad)
	}
	validateSTS(c.TLS.STS, bad)
	validateReport(c.TLS.Report, bad)
	for i, r := range c.Routes {
		validateRouteTLS(fmt.Sprintf("route.%d", i+1), r, bad)
	}
}

func validateSTS(s STSSection, bad reporter) {
	// Mail waits for the first fetch; a failed one must not keep policies from being fetched again before they expire.
	between(bad, "tls.sts.timeout", s.Timeout, time.Second, time.Minute)
	if s.MaxSize < 1<<10 || s.MaxSize > 1<<20 {
		bad("tls.sts.max_size", "must be from 1KiB to 1MiB")
	}
	inRange(bad, "tls.sts.fetches", s.Fetches, 1, 1000)
	between(bad, "tls.sts.retry", s.Retry, time.Second, time.Hour)
	inRange(bad, "tls.sts.cache", s.Cache, 1, 10_000_000)
}

func validateReport(r ReportSection, bad reporter) {
	if d := r.Delay.Duration; d <= 0 || d > 12*time.Hour {
		bad("tls.report.delay", "must be longer than 0s, and 12h at most")
	}
	if r.Keep.Duration < 48*time.Hour {
		bad("tls.report.keep", "must be at least 48h: what could not be mailed is tried again for a day")
	}
	inRange(bad, "tls.report.domains", r.Domains, 1, 10_000_000)
	inRange(bad, "tls.report.kinds", r.Kinds, 1, tlsrpt.MaxDetails)
}

func validateNames(key string, mode feed.TLSMode, names []string, bad reporter) {
	if len(names) > 0 && mode != feed.TLSVerified {
		bad(key+".names", "are looked at with verified only")
	}
	for _, n := range names {
		if !validDomain(strings.ToLower(n)) {
			bad(key+".names", `%q is not a name; write "mx.example.net", or ".example.net" for all below`, n)
		}
	}
}

// allOn says that all hosts are on a port.
func allOn(hosts []string, port string) bool {
	return !slices.ContainsFunc(hosts, func(h string) bool { return !strings.HasSuffix(h, port) })
}

func validateRouteTLS(key string, r RouteSection, bad reporter) {
	mode, ok := tlsModes[r.mode()]
	switch {
	case !ok:
		bad(key+".tls", "%q is not one of off, opportunistic, required, verified", r.TLS)
	case r.implicit() && !r.ImplicitTLS && !allOn(r.Hosts, ":465"):
		bad(key+".hosts", "TLS from the first octet, as on port 465, is for all hosts of a route or none")
	case r.implicit() && mode == feed.TLSOff:
		bad(key+".tls", "off contradicts implicit_tls and port 465")
	case r.Auth != "" && mode != feed.TLSVerified && !r.AuthInClear:
		bad(key+".tls", `auth needs tls = "verified": the password goes to nobody else (auth_in_clear = true allows it)`)
	}
	if r.Auth != "" && !strings.HasPrefix(r.Auth, "/") {
		bad(key+".auth", "%q is not an absolute path", r.Auth)
	}
	validateNames(key, mode, r.Names, bad)
}

func validateSubmission(c Config, bad reporter) {
	if h := c.Submission.Host; h != "" && !validHost(h) {
		bad("submission.host", "%s", hostAdvice(h))
	}
	for key, a := range map[string]string{"submission.from": c.Submission.From, "tls.report.contact": c.TLS.Report.Contact} {
		if a != "" && !validAddress(a) {
			bad(key, `%q is not a mail address; write "postmaster@example.org"`, a)
		}
	}
	between(bad, "submission.timeout", c.Submission.Timeout, leastSubmission, mostSubmission)
	if c.LMTP.DSN && c.Submission.Host == "" {
		bad("lmtp.dsn", `needs submission.host, as "[127.0.0.1]:25": where the next host does not notify, smtpfeed has to`)
	}
	if c.TLS.Report.Mail && (c.Submission.Host == "" || c.TLS.Report.Directory == "") {
		bad("tls.report.mail", "needs submission.host and tls.report.directory")
	}
}

// validAddress says that s can stand in a header field and be written to.
func validAddress(s string) bool {
	a, err := wire.ParseAddress(s)
	return err == nil && a.ASCII() && !a.IsNull() && a.Domain() != ""
}

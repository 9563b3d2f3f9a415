package hostcheck

import (
	"cmp"
	"slices"
	"strings"
)

// encryption looks at what smtp(8) must encrypt. None of that holds for what smtpfeed delivers, so mail that never left without TLS
// does from then on, and nobody is told.
func (c postfixCheck) encryption() {
	key := c.outgoing()
	level, setting := c.tlsLevel(key, "smtp")
	if demandsTLS(level) && !c.demandsTLS() {
		c.add(c.disclosure(), `mode = "required" in [tls] of smtpfeed.toml, and no less in a [[route]] or [[tls.destination]] of "*"; then restart smtpfeed`,
			"%s, which does not hold for what smtpfeed delivers, and smtpfeed's tls.mode is %s: mail that must be encrypted goes out in plaintext where a receiver offers no TLS%s",
			setting, cmp.Or(c.TLSMode, "opportunistic"), c.reservation())
	}
	if demandsTLS(level) && level != "encrypt" && c.TLSMode != "verified" {
		c.add(Note, `in smtpfeed.toml, for each domain that is to be proved: [[tls.destination]] with domain, mode = "verified" and names`,
			"%s, so that Postfix wants certificates that prove whose they are; smtpfeed takes any, unless the receiver has a policy (DANE, MTA-STS)", setting)
	}
	for _, table := range []string{"smtp_tls_policy_maps", "smtp_tls_per_site"} {
		if c.value(key, table) != "" {
			c.add(Note, "in smtpfeed.toml, for each domain of the table: [[tls.destination]] with domain and mode", "%s does not hold for what smtpfeed delivers: mail to its domains is encrypted as any other", table)
		}
	}
}

// demandsTLS says that smtpfeed sends nothing without TLS either.
func (f Feed) demandsTLS() bool { return f.TLSMode == "required" || f.TLSMode == "verified" }

// disclosure is how bad it is that TLS is demanded no longer. The one case that may be meant: all mail went to a relay host, which it
// was demanded of, and which sends on as it likes; now some goes out through smtpfeed.
func (c postfixCheck) disclosure() Severity {
	if c.meantForRelay() {
		return Note
	}
	return Unsafe
}

// reservation says why what disclosure found is a note only.
func (c postfixCheck) reservation() string {
	if c.meantForRelay() {
		return " (if that is meant for more than the relay host " + c.params["relayhost"] + ")"
	}
	return ""
}

// meantForRelay says that a relay host takes what is not for smtpfeed.
func (c postfixCheck) meantForRelay() bool {
	name, nexthop, _ := strings.Cut(c.params["default_transport"], ":")
	return c.services[name+"/unix"].command == "smtp" && nexthop == "" && c.params["relayhost"] != ""
}

// outgoing is the service that delivers to other machines without us. Where smtpfeed took its place, that is Postfix's own "smtp".
func (p Postfix) outgoing() string {
	name, _, _ := strings.Cut(p.params["default_transport"], ":")
	if key := name + "/unix"; p.services[key].command == "smtp" {
		return key
	}
	return "smtp/unix"
}

// tlsLevel is the security level of smtp(8) or lmtp(8), as which the names of its parameters begin, and the setting in words that makes
// it. The older smtp_enforce_tls counts only where there is no level; it wants the server's name in the certificate, unless
// smtp_tls_enforce_peername is no.
func (p Postfix) tlsLevel(serviceKey, client string) (level, setting string) {
	level = strings.ToLower(p.value(serviceKey, client+"_tls_security_level"))
	switch {
	case level != "":
		return level, client + "_tls_security_level is " + level
	case !strings.EqualFold(p.value(serviceKey, client+"_enforce_tls"), "yes"):
		return "", ""
	case strings.EqualFold(p.value(serviceKey, client+"_tls_enforce_peername"), "no"):
		level = "encrypt"
	default:
		level = "verify"
	}
	return level, client + "_enforce_tls is yes"
}

// demandsTLS says that Postfix sends nothing without TLS at a security level. With one that it does not know it sends nothing at all.
func demandsTLS(level string) bool {
	return !slices.Contains([]string{"", "none", "may", "dane", "half-dane"}, level)
}

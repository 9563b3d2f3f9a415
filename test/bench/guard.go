package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// A guard is how a candidate protects its sessions, and whom it asks about that.
type guard string

const (
	asShipped guard = ""                   // as its defaults are; nothing is said of it
	plaintext guard = "plaintext"          // no TLS at all
	encrypted guard = "TLS"                // wherever it is offered, with any certificate, and no more
	classical guard = "TLS without ML-KEM" // the same with a key exchange that quantum computers would break
	withSTS   guard = "TLS, MTA-STS"       // and a TXT question for each domain
	withDANE  guard = "TLS, DANE"          // and TLSA questions for each host, whose certificates must fit
)

// guardMark stands between a candidate's name and its guard's.
const guardMark = ": "

// guards are the keys of `bench tls -by` for smtpfeed.
func guards() map[string]guard {
	return map[string]guard{"smtpfeed": encrypted, "classical": classical, "sts": withSTS, "dane": withDANE}
}

// named is a candidate's name with its guard.
func (g guard) named(base string) string {
	if g == asShipped {
		return base
	}
	return base + guardMark + string(g)
}

// without is what a guard is compared with.
func (g guard) without() guard {
	if g == withSTS || g == withDANE {
		return encrypted
	}
	return plaintext
}

// counterpart is the name of the row that a row is compared with: the same candidate's and list's.
func counterpart(name string) string {
	name, second := strings.CutSuffix(name, secondList)
	base, g, _ := strings.Cut(name, guardMark)
	name = guard(g).without().named(base)
	if second {
		name += secondList
	}
	return name
}

// encrypts says that every session is to have TLS.
func (g guard) encrypts() bool { return g != asShipped && g != plaintext }

// config is smtpfeed's [tls] table. What must outlive smtpfeed is in a directory that does not outlive the bench.
func (g guard) config(dir string) string {
	text := fmt.Sprintf("[tls]\npolicies = %q\n", filepath.Join(dir, "mta-sts.json"))
	if g == asShipped {
		return text
	}
	mode := "off"
	if g.encrypts() {
		mode = "opportunistic"
	}
	return text + fmt.Sprintf("mode = %q\ndane = %t\nmta_sts = %t\npost_quantum = %t\n", mode, g == withDANE, g == withSTS, g != classical)
}

// settings are Postfix's. Debian ships it with TLS where it is offered and with a cache of sessions.
func (g guard) settings() []string {
	if g == plaintext {
		return []string{"smtp_tls_security_level = none"}
	}
	return nil
}

// kept says that a run's sessions were protected as they were to be.
func (g guard) kept(f figures) error {
	switch {
	case g == asShipped:
	case g.encrypts() && f.Clear > 0:
		return fmt.Errorf("%.0f of %.0f transactions were in plaintext", f.Clear, f.Transactions)
	case !g.encrypts() && f.Clear < f.Transactions:
		return fmt.Errorf("%.0f of %.0f transactions were encrypted", f.Transactions-f.Clear, f.Transactions)
	case f.Unshaken > 0:
		return fmt.Errorf("%.0f handshakes failed", f.Unshaken)
	}
	return nil
}

// guardOf is a candidate's.
func guardOf(c candidate) guard {
	switch c := c.(type) {
	case raw:
		return c.guard
	case feeder:
		return c.guard
	case postfix:
		return c.guard
	}
	return asShipped
}

package hostcheck

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// An eximCheck looks at one Exim configuration; each method is one subject.
type eximCheck struct {
	Exim
	Feed
	*report
}

// mostOfExim is how many recipients of one message Exim can read back from its spool (spool_in.c). It takes more.
const mostOfExim = 16_384

// Check says what keeps mail through smtpfeed slow or unsafe. Without a transport of ours it says only that.
func (e Exim) Check(f Feed) []Finding {
	c := eximCheck{e, f, &report{where: "exim"}}
	found := false
	for _, t := range e.transports {
		switch place := t.place(); {
		case place == "" || !f.ours(t.name, place):
			continue
		case f.misses(place):
			c.add(Unsafe, c.change(t, "hosts and port, or socket, as lmtp.listen"), "transport %s leads to %s, and smtpfeed listens on %s: no mail leaves", t.name, place, strings.Join(f.Listen, ", "))
		case t.options["driver"] == "lmtp":
			c.local(t)
		default:
			c.remote(t)
		}
		found = true
	}
	if !found {
		c.add(Note, "", "%s has no transport that leads to smtpfeed; patches/exim shows how", e.File)
		return c.found
	}
	c.limits()
	return c.found
}

// place is where a transport connects to by LMTP; "" if it does not.
func (t eximBlock) place() string {
	switch {
	case t.options["driver"] == "lmtp" && t.options["socket"] != "":
		return "unix:" + t.options["socket"]
	case t.options["driver"] == "smtp" && strings.EqualFold(t.options["protocol"], "lmtp"):
		port := t.options["port"]
		if port == "" || port == "lmtp" {
			port = "24"
		}
		return "tcp:" + strings.ReplaceAll(t.host(), "::", ":") + ":" + port
	default:
		return ""
	}
}

// host is the first host of a transport; without one the router gives it, which for us is this machine.
func (t eximBlock) host() string {
	if f := strings.Fields(t.options["hosts"]); len(f) > 0 {
		return f[0]
	}
	return "127.0.0.1"
}

// remote looks at the smtp driver, which speaks LMTP over TCP, pipelined, and writes each reply into its journal.
func (c eximCheck) remote(t eximBlock) {
	if d := t.length("final_timeout", 10*time.Minute); d < c.patience() {
		c.impatient(t, "final_timeout", d)
	}
	if t.options["hosts"] != "" && !t.yes("allow_localhost") {
		c.add(Unsafe, c.change(t, "allow_localhost"), "transport %s lacks allow_localhost: Exim takes smtpfeed on this machine for a loop and defers all mail", t.name)
	}
	for _, o := range []string{"hosts_require_tls", "hosts_require_auth"} {
		if t.options[o] != "" {
			c.add(Unsafe, c.change(t, o+" ="), "transport %s has %s = %s, and smtpfeed's local socket offers neither TLS nor AUTH: no mail leaves", t.name, o, t.options[o])
		}
	}
	if hosts := t.options["hosts_avoid_pipelining"]; hosts != "" {
		c.add(Slow, c.change(t, "hosts_avoid_pipelining ="), "transport %s has hosts_avoid_pipelining = %s: each recipient costs a round trip", t.name, hosts)
	}
	if t.options["multi_domain"] == "false" {
		c.add(Slow, c.change(t, "multi_domain"), "transport %s has no_multi_domain: each domain is a transaction of its own", t.name)
	}
	c.transactions(t)
	c.retries(t)
}

// transactions looks at how many recipients go at once.
func (c eximCheck) transactions(t eximBlock) {
	each := t.number("max_rcpt", 100)
	parallel := c.main.number("remote_max_parallel", 2)
	switch {
	case each > 0 && each < wantChunk:
		c.add(Slow, c.change(t, "max_rcpt = 1000"), "transport %s has max_rcpt = %d: a list of 10,000 recipients is %d transactions, %d at a time", t.name, each, (9999+each)/each, parallel)
	case each > 0 && parallel*each < 10_000:
		c.add(Slow, c.global("remote_max_parallel = 20"), "remote_max_parallel is %d: a list of 10,000 recipients is %d transactions, and so many should run at once", parallel, (9999+each)/each)
	}
}

// retries looks at what follows a connection that failed. To Exim we are one host, which it leaves alone until its retry rule
// says otherwise, with the mail of everybody.
func (c eximCheck) retries(t eximBlock) {
	if !slices.Contains(c.retry, t.host()) {
		c.add(Slow, fmt.Sprintf("in %s, first behind begin retry: %s  *  F,4d,1s", c.File, t.host()), "no retry rule of its own for %s: one connection that fails stops all mail for as long as the rule for everybody says, as a rule 15 minutes", t.host())
	}
}

// local looks at the lmtp driver, which can use a unix socket and does everything else worse.
func (c eximCheck) local(t eximBlock) {
	if d := t.length("timeout", 5*time.Minute); d < c.patience() {
		c.impatient(t, "timeout", d)
	}
	if n := t.number("batch_max", 1); n < wantChunk {
		c.add(Slow, c.change(t, "batch_max = 20000"), "transport %s has batch_max = %d: a list of 10,000 recipients is %d transactions, one after the other", t.name, n, 10_000/max(n, 1))
	}
	c.add(Note, "", "transport %s has driver = lmtp, which keeps no journal: an Exim that dies sends to all recipients again. patches/exim uses the smtp driver", t.name)
}

// impatient reports a timeout below what we may take.
func (c eximCheck) impatient(t eximBlock, option string, d time.Duration) {
	c.add(Unsafe, c.change(t, fmt.Sprintf("%s = %.0fm", option, c.advice(15*time.Minute).Minutes())), "transport %s has %s = %s, and smtpfeed may answer after %s (lmtp.budget): Exim gives up and delivers again", t.name, option, seconds(d), seconds(c.Budget))
}

// limits looks at what Exim takes in the first place.
func (c eximCheck) limits() {
	// Exim 4.96 made 50,000 the default; it was none.
	if n := c.main.number("recipients_max", 50_000); n == 0 || n > mostOfExim {
		c.add(Unsafe, c.global("recipients_max = 16384"), "recipients_max is %d: a message to more than %d recipients is taken, and then cannot be read from the queue any more", n, mostOfExim)
	}
	if n := c.main.number("message_size_limit", 50<<20); c.MaxMessage > 0 && (n == 0 || n > c.MaxMessage) {
		c.add(Note, c.global(fmt.Sprintf("message_size_limit = %d", c.MaxMessage)), "message_size_limit is %d: what is larger than lmtp.max_message_size (%d) is taken and then bounces", n, c.MaxMessage)
	}
}

// change is the advice to change a transport.
func (c eximCheck) change(t eximBlock, what string) string {
	return fmt.Sprintf("in %s, transport %s: %s   then: systemctl reload exim4", c.File, t.name, what)
}

// global is the advice to change the main section.
func (c eximCheck) global(what string) string {
	return fmt.Sprintf("in %s, before the first begin: %s   then: systemctl reload exim4", c.File, what)
}

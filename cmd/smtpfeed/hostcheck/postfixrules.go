package hostcheck

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A postfixCheck looks at one Postfix; each method is one subject.
type postfixCheck struct {
	Postfix
	Feed
	*report
}

// Check says what keeps mail through smtpfeed slow or unsafe. Without a way to smtpfeed it says only that.
func (p Postfix) Check(f Feed) []Finding {
	c := postfixCheck{p, f, &report{where: "postfix"}}
	ways := p.transports(f)
	if len(ways) == 0 {
		c.add(Note, "patches/postfix/smtpfeed-postfix apply"+option(" -c ", p.Dir), "%s hands no mail to smtpfeed; a script shows and makes the changes", p.name())
		return c.found
	}
	for _, t := range ways {
		if t.command == "" {
			c.add(Unsafe, p.entry(t.name), "%s names the transport %s, which master.cf does not have: its mail stays in the queue", t.set, t.name)
			continue
		}
		c.way(t)
		c.waits(t)
		c.conversation(t)
		c.suspension(t)
		c.chunks(t)
		c.concurrency(t)
		c.delays(t)
	}
	c.queue(ways)
	c.intake()
	c.encryption()
	c.bypass(ways)
	return c.found
}

// way looks at whether lmtp(8) gets to our socket.
func (c postfixCheck) way(t transport) {
	switch {
	case t.command != "lmtp":
		c.add(Unsafe, c.entry(t.name), "the service %s of master.cf runs %s, and smtpfeed speaks LMTP only: its mail stays in the queue or bounces", t.name, t.command)
	case t.place == "":
		c.add(Unsafe, c.set(t.set+"="+t.name+":"+c.socket()), "%s = %s names no socket, so that lmtp connects to port 24 of each domain", t.set, t.name)
	case t.dirty && c.misses(t.place):
		c.add(Unsafe, c.field(t, "chroot", "n"), "%s runs in a chroot, so that it looks for the socket at %s, where smtpfeed does not listen: no mail leaves",
			t.name, strings.TrimPrefix(t.place, "unix:"))
	case c.misses(t.place) && c.chrooted(t.service):
		c.add(Unsafe, fmt.Sprintf("listen = [%q] in [lmtp] of smtpfeed.toml", t.place), "%s leads to %s, inside of Postfix's chroot, and smtpfeed listens on %s: no mail leaves", t.name, t.place, strings.Join(c.Listen, ", "))
	case c.misses(t.place):
		c.add(Unsafe, c.set(t.set+"="+t.name+":"+c.socket()), "%s leads to %s, and smtpfeed listens on %s: no mail leaves", t.name, t.place, strings.Join(c.Listen, ", "))
	default:
		c.permissions(t)
	}
}

// socket is our socket as a nexthop, for advice.
func (c postfixCheck) socket() string {
	if len(c.Listen) == 0 {
		return "unix:/run/smtpfeed/lmtp.sock"
	}
	return strings.Replace(c.Listen[0], "tcp:", "inet:", 1)
}

// permissions looks at whether Postfix's user may connect. Postfix gives up all groups but its primary one.
func (c postfixCheck) permissions(t transport) {
	file, isUnix := strings.CutPrefix(t.place, "unix:")
	if !isUnix || c.Account.Name == "" || t.unprivileged == "n" {
		return
	}
	b := barrierTo(file, c.Account, c.Mode)
	switch {
	case b == nil:
	case b.dir:
		c.add(Unsafe, "chmod o+x "+quote(b.path), "the user %s may not pass the directory %s (mode %04o) to the socket: no mail leaves", c.Account.Name, b.path, b.mode)
	case b.mode&0o020 == 0:
		c.add(Unsafe, `socket_mode = "0660" in [lmtp] of smtpfeed.toml, or SocketMode=0660 in smtpfeed.socket`,
			"the user %s may not write to the socket %s (mode %04o): no mail leaves", c.Account.Name, b.path, b.mode)
	default:
		c.add(Unsafe, fmt.Sprintf("chgrp %s %s; for good: SocketGroup=%s (systemctl edit smtpfeed.socket) or Group=%[1]s (systemctl edit smtpfeed)", c.Account.Group, quote(b.path), c.Account.Group),
			"the user %s may not connect to the socket %s (mode %04o), which belongs to another group: no mail leaves", c.Account.Name, b.path, b.mode)
	}
}

// waits looks at the timeouts. lmtp(8) that gives up in the middle of our replies sends the rest again, delivered or not. The
// timeout for the final dot is for each reply; daemon_timeout is the watchdog's, for the whole transaction.
func (c postfixCheck) waits(t transport) {
	for _, w := range []struct {
		param  string
		advice time.Duration
	}{{"lmtp_data_done_timeout", time.Hour}, {"daemon_timeout", 24 * time.Hour}} {
		if d, ok := c.length(t.key, w.param); ok && d < c.patience() {
			c.add(Unsafe, c.override(t, w.param, fmt.Sprintf("%.0fs", c.advice(w.advice).Seconds())), "%s is %s for %s, and smtpfeed may answer after %s (lmtp.budget): Postfix gives up and delivers again",
				w.param, seconds(d), t.name, seconds(c.Budget))
		}
	}
}

// conversation looks at what lmtp(8) makes of our socket: extensions it is told to overlook, TLS that it insists on, lines it
// folds.
func (c postfixCheck) conversation(t transport) {
	ignored := strings.ToLower(c.value(t.key, "lmtp_discard_lhlo_keywords"))
	for _, k := range []struct {
		keyword, why string
		severity     Severity
	}{
		{"8bitmime", "8-bit mail is recoded, which breaks DKIM signatures", Unsafe},
		{"smtputf8", "mail of internationalised addresses bounces", Unsafe},
		{"enhancedstatuscodes", "bounces lose their status codes", Slow},
		{"pipelining", "each recipient costs a round trip", Slow},
	} {
		if strings.Contains(ignored, k.keyword) {
			c.add(k.severity, c.override(t, "lmtp_discard_lhlo_keywords", ""), "lmtp_discard_lhlo_keywords has %s for %s: %s", k.keyword, t.name, k.why)
		}
	}
	if level, setting := c.tlsLevel(t.key, "lmtp"); demandsTLS(level) {
		c.add(Unsafe, c.override(t, "lmtp_tls_security_level", "none"), "%s for %s, and smtpfeed's local socket has no TLS: no mail leaves", setting, t.name)
	}
	// Postfix folds longer lines with a line break and a space. RFC 5322 section 2.1.1 allows 998.
	if n, ok := c.number(t.key, "lmtp_line_length_limit"); ok && n > 0 && n < 998 {
		c.add(Unsafe, c.override(t, "lmtp_line_length_limit", "998"), "lmtp_line_length_limit is %d for %s: longer lines are folded, which breaks DKIM signatures", n, t.name)
	}
}

// suspension looks at what one bad connection does. To Postfix we are one destination, so it would suspend the mail to
// everybody, for minimal_backoff_time (300 s) and also when smtpfeed is back after one.
func (c postfixCheck) suspension(t transport) {
	param := t.name + "_destination_concurrency_failed_cohort_limit"
	if n, ok := c.number("qmgr/unix", param); ok && n != 0 {
		c.add(Unsafe, c.mend("qmgr/unix", param, "0"), "%s is %d: one connection that fails stops all mail for minutes, because all of it has one destination", param, n)
	}
}

// chunks looks at how many recipients a transaction has. Beyond 5,000 the queue manager has to read again for each chunk, and
// they run one after the other.
func (c postfixCheck) chunks(t transport) {
	param := t.name + "_destination_recipient_limit"
	advice := adviceChunk
	if c.oneTransaction() {
		advice = manyRecipients
	}
	n, ok := c.number("qmgr/unix", param)
	switch {
	case !ok:
	case n > 0 && n < wantChunk:
		c.add(Slow, c.mend("qmgr/unix", param, strconv.Itoa(advice)), "%s is %d: a list of %d recipients is handed over in %d pieces", param, n, manyRecipients, (manyRecipients+n-1)/n)
	case (n == 0 || n > 5000) && !c.oneTransaction():
		c.add(Slow, c.mend("qmgr/unix", param, strconv.Itoa(advice)), "%s is %d: beyond 5000 the pieces of a list are handed over one after the other", param, n)
	}
}

// concurrency looks at how many transactions run at once, and whether there are processes for them.
func (c postfixCheck) concurrency(t transport) {
	wanted := int64(wantParallel)
	if c.oneTransaction() {
		wanted = 20 // one for each message
	}
	needed := int64(0)
	for _, p := range []string{t.name + "_initial_destination_concurrency", t.name + "_destination_concurrency_limit"} {
		n, ok := c.number("qmgr/unix", p)
		if ok && n > 0 && n < wanted {
			c.add(Slow, c.mend("qmgr/unix", p, strconv.Itoa(adviceParallel)), "%s is %d: a list of %d recipients is %d transactions of %d, and so many should run at once",
				p, n, manyRecipients, manyRecipients/adviceChunk, adviceChunk)
			n = adviceParallel
		}
		needed = max(needed, n)
	}
	processes := cmp.Or(strings.Trim(t.processes, "-"), c.params["default_process_limit"])
	if n, err := strconv.ParseInt(processes, 10, 64); err == nil && n > 0 && n < needed {
		c.add(Slow, c.field(t, "process_limit", strconv.FormatInt(needed, 10)), "master.cf allows %d processes of %s, fewer than the %d transactions at once", n, t.name, needed)
	}
}

// delays looks at pauses between deliveries: with one, transactions run one by one.
func (c postfixCheck) delays(t transport) {
	for _, suffix := range []string{"_destination_rate_delay", "_transport_rate_delay"} {
		if d, ok := c.length("qmgr/unix", t.name+suffix); ok && d > 0 {
			c.add(Slow, c.mend("qmgr/unix", t.name+suffix, "0s"), "%s is %s: transactions run one after the other, with that pause between them", t.name+suffix, seconds(d))
		}
	}
	if slicesHas(c.value("qmgr/unix", "defer_transports"), t.name) {
		c.add(Slow, c.mend("qmgr/unix", "defer_transports", ""), "defer_transports has %s: its mail waits until somebody flushes the queue", t.name)
	}
}

// queue looks at how many recipients the queue manager keeps in memory. What is beyond waits until others are done.
func (c postfixCheck) queue(ways []transport) {
	params := []string{"qmgr_message_recipient_limit"}
	for _, t := range ways {
		params = append(params, t.name+"_recipient_limit")
	}
	for _, param := range params {
		if n, ok := c.number("qmgr/unix", param); ok && n > 0 && n < manyRecipients {
			c.add(Slow, c.mend("qmgr/unix", param, strconv.Itoa(adviceRecipients)), "%s is %d: of a larger list the rest waits until as many are done", param, n)
		}
	}
}

// slicesHas says that a list of words, with spaces or commas between them, has one.
func slicesHas(list, word string) bool {
	for _, w := range strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == ',' }) {
		if w == word {
			return true
		}
	}
	return false
}

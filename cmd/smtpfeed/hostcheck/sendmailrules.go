package hostcheck

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A sendmailCheck looks at one sendmail.cf; each method is one subject.
type sendmailCheck struct {
	Sendmail
	Feed
	*report
}

// Check says what keeps mail through smtpfeed slow or unsafe. Without a mailer of ours it says only that.
func (s Sendmail) Check(f Feed) []Finding {
	c := sendmailCheck{s, f, &report{where: "sendmail"}}
	ways := s.ways(f)
	if len(ways) == 0 {
		c.add(Note, "", "%s has no mailer that leads to smtpfeed; patches/sendmail shows how", s.File)
		return c.found
	}
	for _, w := range ways {
		c.protocol(w)
		c.socket(w)
		c.program(w)
		c.bytes(w)
		c.recipients(w)
		c.queueGroup(w)
	}
	c.options()
	return c.found
}

// protocol looks at what makes sendmail speak LMTP to us.
func (c sendmailCheck) protocol(w sendmailWay) {
	if !w.has('z') {
		c.flag(w, Unsafe, 'z', "sendmail speaks SMTP and not LMTP to us: no mail leaves")
	}
	if strings.Contains(w.field['A'], "$u") {
		c.add(Unsafe, c.mailer(w, "A= without $u"), "mailer %s has $u in A=, which turns LMTP off: no mail leaves as it should", w.name)
	}
	if !w.has('X') {
		c.flag(w, Unsafe, 'X', "a message with a line that begins with a dot is cut or stops the mail")
	}
	if w.field['E'] != "\r\n" {
		c.add(Unsafe, c.mailer(w, `E=\r\n`), "mailer %s ends lines with %q: LMTP's line end is CR LF, and without it no command is understood", w.name, w.field['E'])
	}
}

// socket looks at the way to a unix socket. sendmail runs as root and can connect to all; what it does not do is connect
// through a directory that others may write to ("unsafe domain socket", safefile.c), the sticky bit or not.
func (c sendmailCheck) socket(w sendmailWay) {
	if w.program {
		return
	}
	if w.place == "" || c.misses(w.place) {
		c.add(Unsafe, c.mailer(w, "A=FILE "+c.file()), "mailer %s leads to %q, and smtpfeed listens on %s: no mail leaves", w.name, w.field['A'], strings.Join(c.Listen, ", "))
		return
	}
	file, isUnix := strings.CutPrefix(w.place, "unix:")
	blame := strings.ToLower(c.Sendmail.options["dontblamesendmail"])
	if !isUnix || strings.Contains(blame, "truststickybit") {
		return
	}
	// DontBlameSendmail=GroupWritableDirPathSafe takes the groups away, and only them.
	bits := fs.FileMode(0o022)
	if strings.Contains(blame, "groupwritabledirpathsafe") {
		bits = 0o002
	}
	if dir := writableByOthers(file, bits); dir != "" {
		c.add(Unsafe, "chmod go-w "+quote(dir), "sendmail takes no socket below %s, to which others may write: no mail leaves", dir)
	}
}

// file is the path of our unix socket, for advice.
func (c sendmailCheck) file() string {
	for _, l := range c.Listen {
		if file, ok := strings.CutPrefix(l, "unix:"); ok {
			return file
		}
	}
	return "/run/smtpfeed/lmtp.sock"
}

// program looks at program mode, one smtpfeed a message.
func (c sendmailCheck) program(w sendmailWay) {
	if !w.program {
		return
	}
	arguments := strings.Fields(w.field['A'])
	switch {
	case !slices.Contains(arguments, "stdio"):
		c.add(Unsafe, c.mailer(w, "A=smtpfeed stdio --via unix:"+c.file()), "mailer %s runs %q, which is not smtpfeed stdio: no mail leaves", w.name, w.field['A'])
	case !strings.Contains(w.field['A'], "--via"):
		c.add(Slow, c.mailer(w, "A=smtpfeed stdio --via unix:"+c.file()), "mailer %s runs a smtpfeed of its own for each message: sessions and DNS answers of the last one are lost, and messages do not share transactions", w.name)
	}
}

// bytes looks at what changes messages: DKIM signatures break, and addresses turn into others.
func (c sendmailCheck) bytes(w sendmailWay) {
	for _, f := range []struct{ flag, why string }{
		{"7", "8-bit mail is recoded or stripped"}, {"6", "8-bit headers are stripped"}, {"9", "7-bit mail is recoded"},
		{"E", "lines that begin with From change"}, {"U", "a UUCP line is put in front of the message"},
	} {
		if w.has(f.flag[0]) {
			c.add(Unsafe, c.mailer(w, "F="+strings.ReplaceAll(w.field['F'], f.flag, "")), "mailer %s has the flag %s: %s, which breaks DKIM signatures", w.name, f.flag, f.why)
		}
	}
	if !w.has('u') {
		c.flag(w, Unsafe, 'u', "the local parts of addresses are sent in lower case (RFC 5321 section 2.4 forbids that)")
	}
	c.lines(w)
}

// lines looks at L=. Longer lines are broken with "!"; RFC 5322 section 2.1.1 allows 998. The 990 of sendmail's own mailers
// for SMTP is seldom met, so it is not worth an alarm.
func (c sendmailCheck) lines(w sendmailWay) {
	limit, _ := strconv.Atoi(w.field['L'])
	if limit <= 0 && w.has('L') {
		limit = 990 // SMTPLINELIM
	}
	severity := Note
	if limit < 990 {
		severity = Unsafe
	}
	if limit > 0 && limit < 998 {
		c.add(severity, c.mailer(w, "L=0"), "mailer %s has L=%d: longer lines are broken, which breaks DKIM signatures", w.name, limit)
	}
}

// recipients looks at how many recipients a transaction has. Transactions of one message run one after the other.
func (c sendmailCheck) recipients(w sendmailWay) {
	if !w.has('m') {
		c.flag(w, Slow, 'm', "each recipient is a transaction of its own")
		return
	}
	limit, _ := strconv.Atoi(w.field['r'])
	said := "has r=" + w.field['r']
	if limit <= 0 {
		limit, said = 100, "has no r=, which means 100" // DEFAULT_MAX_RCPT
	}
	if limit < wantChunk {
		c.add(Slow, c.mailer(w, "r="+strconv.Itoa(manyRecipients)), "mailer %s %s: a list of %d recipients is %d transactions, one after the other", w.name, said, manyRecipients, manyRecipients/limit)
	}
}

// queueGroup looks at the queue group that the mailer's mail is in: its r= splits envelopes too.
func (c sendmailCheck) queueGroup(w sendmailWay) {
	q, ok := c.queues[w.field['Q']]
	if n, err := strconv.Atoi(q.field['r']); ok && err == nil && n > 0 && n < wantChunk {
		c.add(Slow, c.change(fmt.Sprintf("QUEUE_GROUP(`%s', `..., r=%d')dnl", q.name, adviceChunk)), "the queue group %s splits messages into envelopes of %d recipients", q.name, n)
	}
}

// options looks at what holds for the whole of sendmail.
func (c sendmailCheck) options() {
	if d, ok := c.timeout("datafinal"); ok && d < c.patience() {
		c.add(Unsafe, c.define("confTO_DATAFINAL", fmt.Sprintf("%.0fm", c.advice(time.Hour).Minutes())), "Timeout.datafinal is %s, and smtpfeed may answer after %s (lmtp.budget): sendmail gives up and delivers again", seconds(d), seconds(c.Budget))
	}
	c.checkpoints()
	if c.yes("SevenBitInput") {
		c.add(Unsafe, c.define("confSEVEN_BIT_INPUT", "False"), "SevenBitInput is set: the eighth bit of all mail is stripped, which breaks it and its DKIM signatures")
	}
	if n, ok := c.number("MaxRecipientsPerMessage"); ok && n > 0 && n < manyRecipients {
		c.add(Slow, c.define("confMAX_RCPTS_PER_MESSAGE", "0"), "MaxRecipientsPerMessage is %d: who submits a larger list is told 452 for the rest and has to come again", n)
	}
	if n, _ := c.number("MaxMessageSize"); c.MaxMessage > 0 && (n == 0 || n > c.MaxMessage) {
		c.add(Note, c.define("confMAX_MESSAGE_SIZE", strconv.FormatInt(c.MaxMessage, 10)), "MaxMessageSize is %d: what is larger than lmtp.max_message_size (%d) is taken and then bounces", n, c.MaxMessage)
	}
	if c.yes("SingleThreadDelivery") {
		c.add(Slow, c.define("confSINGLE_THREAD_DELIVERY", "False"), "SingleThreadDelivery is set: to sendmail we are one host, and it hands over one message at a time")
	}
	if mode := c.Sendmail.options["deliverymode"]; mode != "" && strings.ContainsAny(mode[:1], "qd") {
		c.add(Slow, c.define("confDELIVERY_MODE", "background"), "DeliveryMode is %s: mail waits for the next queue run", mode)
	}
}

// checkpoints looks at how often the queue file, with all its recipients, is written anew while replies come in. A sendmail
// that dies sends as many again as it had not written.
func (c sendmailCheck) checkpoints() {
	n, ok := c.number("CheckpointInterval")
	if !ok {
		n = 10
	}
	switch {
	case n <= 0:
		c.add(Unsafe, c.define("confCHECKPOINT_INTERVAL", "1000"), "CheckpointInterval is %d: a sendmail that dies delivers to all recipients again", n)
	case n < 100:
		c.add(Slow, c.define("confCHECKPOINT_INTERVAL", "1000"), "CheckpointInterval is %d: the queue file is written again after every %[1]d recipients (1.6 s for a list of 10,000)", n)
	}
}

// flag reports a missing flag of F=.
func (c sendmailCheck) flag(w sendmailWay, s Severity, flag byte, why string) {
	c.add(s, c.mailer(w, "F="+w.field['F']+string(flag)), "mailer %s lacks the flag %c in F=%s: %s", w.name, flag, w.field['F'], why)
}

// mailer is the advice to change a mailer's line, which stands in the .mc file or in a file of m4's mailer directory.
func (c sendmailCheck) mailer(w sendmailWay, what string) string {
	return c.change("M" + w.name + ", ... " + what)
}

// define is the advice to change an option.
func (c sendmailCheck) define(name, value string) string {
	return c.change(fmt.Sprintf("define(`%s', `%s')dnl", name, value))
}

// change is the advice to write something into the .mc file and to have it count.
func (c sendmailCheck) change(what string) string {
	mc := strings.TrimSuffix(c.File, ".cf") + ".mc"
	return fmt.Sprintf("in %s: %s   then: make -C %s && systemctl reload sendmail", mc, what, quote(path.Dir(c.File)))
}

package hostcheck

import (
	"strconv"
	"strings"
)

// recipientOctets is what a recipient takes in Postfix's queue file, which message_size_limit is for as well: 127 were
// measured for addresses of 35 octets.
const recipientOctets = 130

// intake looks at what Postfix takes in the first place.
func (c postfixCheck) intake() {
	if n, ok := c.number("", "smtpd_recipient_limit"); ok && n > 0 && n < manyRecipients {
		c.add(Slow, c.set("smtpd_recipient_limit="+strconv.Itoa(adviceRecipients)), "smtpd_recipient_limit is %d: who submits a larger list over SMTP is told 452 for the rest and has to come again", n)
	}
	// Beyond this many addresses, doubles are not noticed. smtpfeed delivers to doubles once, if both come while it is at it.
	if n, ok := c.number("cleanup/unix", "duplicate_filter_limit"); ok && n > 0 && n < manyRecipients {
		c.add(Unsafe, c.mend("cleanup/unix", "duplicate_filter_limit", "0"), "duplicate_filter_limit is %d: whoever stands twice in a larger list can get the message twice", n)
	}
	c.sizes()
}

// sizes looks at message_size_limit, which is too small for long lists or larger than ours.
func (c postfixCheck) sizes() {
	n, ok := c.number("cleanup/unix", "message_size_limit")
	if !ok {
		return
	}
	if advice := c.sizeAdvice(); n > 0 && n/recipientOctets < manyRecipients && advice > n {
		c.add(Unsafe, c.mend("cleanup/unix", "message_size_limit", strconv.FormatInt(advice, 10)),
			"message_size_limit is %d and counts about %d octets a recipient: a message to more than %d of them is refused", n, recipientOctets, n/recipientOctets)
	}
	if c.MaxMessage > 0 && (n == 0 || n > c.MaxMessage) {
		c.add(Note, c.mend("cleanup/unix", "message_size_limit", strconv.FormatInt(c.MaxMessage, 10)), "message_size_limit is %d: what is larger than lmtp.max_message_size (%d) is taken and then bounces", n, c.MaxMessage)
	}
}

// sizeAdvice is 40960000 (the default, and 150 octets for each of 200,000 recipients), unless mailboxes are smaller: local(8) and
// virtual(8) refuse to start when a message may be larger than a mailbox.
func (c postfixCheck) sizeAdvice() int64 {
	advice := int64(40_960_000)
	for _, box := range []string{"mailbox_size_limit", "virtual_mailbox_limit"} {
		if n, ok := c.number("", box); ok && n > 0 {
			advice = min(advice, n)
		}
	}
	return advice
}

// bypass notes that mail to other machines goes past us. That may be meant: some route only a list's mail to smtpfeed.
func (c postfixCheck) bypass(ways []transport) {
	name, _, _ := strings.Cut(c.params["default_transport"], ":")
	for _, t := range ways {
		if t.name == name {
			return
		}
	}
	c.add(Note, "", "default_transport is %s: only mail that %s chooses goes through smtpfeed", c.params["default_transport"], ways[0].set)
}

// name is the instance's name in a sentence.
func (p Postfix) name() string {
	if p.Dir == "" {
		return "Postfix"
	}
	return "the Postfix in " + p.Dir
}

// option is a command's option with its value, or nothing without one.
func option(flag, value string) string {
	if value == "" {
		return ""
	}
	return flag + quote(value)
}

// quote makes one word of the shell of s.
func quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:=@,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// command is a call of postconf and the reload that makes it count.
func (p Postfix) command(arguments string) string {
	dir := option(" -c ", p.Dir)
	return "postconf" + dir + " " + arguments + " && postfix" + dir + " reload"
}

// set is the command that sets a parameter in main.cf.
func (p Postfix) set(assignment string) string { return p.command("-e " + quote(assignment)) }

// mend sets a parameter where its value comes from: -o in master.cf hides main.cf.
func (p Postfix) mend(serviceKey, param, value string) string {
	if _, hidden := p.overrides[serviceKey][param]; hidden {
		return p.command("-P " + quote(serviceKey+"/"+param+"="+value))
	}
	return p.set(param + "=" + value)
}

// override sets a parameter for one service only. lmtp(8) knows its parameters by no other name, and other lmtp services, as to a
// mailbox server, need their own.
func (p Postfix) override(t transport, param, value string) string {
	return p.command("-P " + quote(t.key+"/"+param+"="+value))
}

// field sets a column of master.cf.
func (p Postfix) field(t transport, column, value string) string {
	return p.command("-F " + quote(t.key+"/"+column+"="+value))
}

// entry makes the service in master.cf.
func (p Postfix) entry(name string) string {
	return p.command("-Me " + quote(name+"/unix="+name+" unix - - n - "+strconv.Itoa(adviceParallel)+" lmtp -o lmtp_data_done_timeout=3600s -o lmtp_tls_security_level=none"))
}

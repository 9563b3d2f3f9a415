package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A noticed is a Postfix with two smtpfeeds, one of which leaves notifications to it and one of which has taken the duty over. Mail to
// any domain that begins with "on-" goes through the second. Each has routes to a host with DSN and to one without.
type noticed struct {
	*postfix
	off, on       *feedd.Daemon
	returns       *exchanger // the sender's mailbox
	knows, simple *exchanger // the hosts: with DSN and without
}

func startNoticed(t *testing.T) *noticed {
	t.Helper()
	feedd.NeedPostfix(t)
	refuse := func(to string, _ int) string {
		if strings.HasPrefix(to, "nobody@") {
			return "550 5.1.1 <" + to + ">: no such user"
		}
		return ""
	}
	n := &noticed{
		returns: startExchanger(t, mxsim.Config{}),
		knows:   startExchanger(t, mxsim.Config{DSN: true, Rcpt: refuse}),
		simple:  startExchanger(t, mxsim.Config{Rcpt: refuse}),
	}
	submission := door{name: "submission", addr: newAddrs(t, 1)[0]}
	w := startWorld(t, internet.Config{Domains: 1, Hosts: 1})
	start := func(prefix, lmtp string) *feedd.Daemon {
		return feedd.Start(t, feedd.Config{World: w, LMTP: lmtp,
			Routes: map[string][]string{prefix + "knows.test": {n.knows.host}, prefix + "simple.test": {n.simple.host}},
			Tables: fmt.Sprintf("[submission]\nhost = %q\n", submission.host()),
		})
	}
	n.off, n.on = start("off-", ""), start("on-", "dsn = true")
	on := "smtpfeed:unix:" + n.on.Socket()
	n.postfix = newPostfix(t, n.off.Socket(), fmt.Sprintf("transport_maps = inline:{{%s = smtp:%s}, {on-knows.test = %s}, {on-simple.test = %s}}",
		sender, n.returns.host, on, on))
	n.open(t, []door{submission})
	startHost(t, n)
	return n
}

// An asked is a recipient with what its sender wants to be told.
type asked struct{ to, params string }

// ask submits a mail with an envelope of RFC 3461 to Postfix. What was there before is forgotten.
func (n *noticed) ask(t *testing.T, params, content string, recipients ...asked) {
	t.Helper()
	for _, x := range []*exchanger{n.returns, n.knows, n.simple} {
		x.Reset()
	}
	ask(t, n, params, content, recipients...)
}

// ask submits a mail to a host MTA; parameters stand behind addresses, with a space in front.
func ask(t *testing.T, h hosts.Host, params, content string, recipients ...asked) {
	t.Helper()
	d := dial(t, "tcp", h.Addr())
	d.say("EHLO client.e2e.test", "250")
	d.say("MAIL FROM:<"+sender+">"+params, "250")
	for _, r := range recipients {
		d.say("RCPT TO:<"+r.to+">"+r.params, "250")
	}
	d.say("DATA", "354")
	d.send(hosts.Stuff(content) + ".\r\n")
	d.expect("250")
	d.quit()
}

// quiet waits until nothing is on its way any more: the list, and what it caused.
func (n *noticed) quiet(t *testing.T) []notification {
	t.Helper()
	assert.Empty(t, settled(t, n.postfix, feedd.Patience), "nothing is left in Postfix's queue")
	return n.returns.notifications(t)
}

const (
	ofSuccess = " NOTIFY=SUCCESS"
	ofTrouble = " NOTIFY=FAILURE,DELAY"
	ofAll     = " NOTIFY=SUCCESS,FAILURE,DELAY"
	ofNothing = " NOTIFY=NEVER"
)

// letter has something in its body that a notification must not return when it was asked for the header alone.
const letter = "From: <" + sender + ">\r\nTo: everybody\r\nSubject: letter\r\nMessage-ID: <letter@sender.test>\r\n\r\nThe body.\r\n"

func TestSendersAreToldOfSuccessOnceByWhoeverHasTheDuty(t *testing.T) {
	t.Parallel()
	n := startNoticed(t)
	t.Run("Postfix, as long as smtpfeed does not offer DSN", n.postfixTells)
	t.Run("the next hop, where it knows DSN", n.dutyGoesOn)
	t.Run("smtpfeed, past a next hop that does not", n.smtpfeedTells)
}

// RFC 3461 section 5.2.2: without DSN at the next hop the sender is told "relayed". To Postfix smtpfeed is that next hop.
func (n *noticed) postfixTells(t *testing.T) {
	n.ask(t, " RET=HDRS ENVID=off+2B1", letter,
		asked{"a@off-simple.test", ofSuccess + " ORCPT=rfc822;first+2Ba@off-simple.test"}, asked{"b@off-simple.test", ofTrouble},
		asked{"c@off-knows.test", ofSuccess}, asked{"nobody@off-simple.test", ofAll})
	assert.Equal(t, map[string]string{
		"a@off-simple.test":      "relayed 2.0.0",
		"c@off-knows.test":       "relayed 2.0.0", // it could have done better: that is what lmtp.dsn is for
		"nobody@off-simple.test": "failed 5.1.1",
	}, told(t, n.quiet(t)), "Postfix tells of those it was asked to")
	for _, m := range n.knows.Messages() {
		assert.NotRegexp(t, "RET|ENVID|NOTIFY|ORCPT", m.Params+strings.Join(m.ToParams, ""), "the next hop is not asked again")
	}
}

// With lmtp.dsn the duty goes on to a next hop that knows DSN, which so knows all that was asked for (RFC 3461 section 5.2.1).
func (n *noticed) dutyGoesOn(t *testing.T) {
	n.ask(t, " RET=HDRS ENVID=on+2B1", letter,
		asked{"a@on-knows.test", ofSuccess + " ORCPT=rfc822;first+2Ba@on-knows.test"}, asked{"b@on-knows.test", ofTrouble},
		asked{"c@on-knows.test", ofNothing}, asked{"d@on-knows.test", ""})
	assert.Empty(t, n.quiet(t), "nobody of ours tells the sender anything")
	for _, m := range n.knows.Messages() {
		assert.Contains(t, m.Params, "RET=HDRS", "how much to return")
		assert.Contains(t, m.Params, "ENVID=on+2B1", "and the envelope's name go on")
	}
	got := wishes(n.knows)
	assert.Equal(t, "NOTIFY=SUCCESS ORCPT=rfc822;first+2Ba@on-knows.test", got["a@on-knows.test"], "what was asked goes on")
	assert.Contains(t, got["b@on-knows.test"], "NOTIFY=FAILURE,DELAY", "for each recipient")
	assert.Contains(t, got["c@on-knows.test"], "NOTIFY=NEVER", "for each recipient")
	assert.NotContains(t, got["d@on-knows.test"], "NOTIFY", "and nothing is asked that nobody asked for")
	assert.Empty(t, n.knows.Violations(), "the host finds no fault")

	n.ask(t, "", letter, asked{"nobody@on-knows.test", ofAll}, asked{"nobody@on-simple.test", ofNothing})
	assert.Equal(t, map[string]string{"nobody@on-knows.test": "failed 5.1.1"}, told(t, n.quiet(t)), "Postfix tells of failures as before")
}

// wishes are the parameters by which an exchanger was told what senders want to know, by recipient.
func wishes(x *exchanger) map[string]string {
	all := map[string]string{}
	for _, m := range x.Messages() {
		for i, to := range m.To {
			if all[to] = ""; m.ToParams != nil {
				all[to] = strings.TrimSpace(m.ToParams[i])
			}
		}
	}
	return all
}

// Past a next hop without DSN smtpfeed tells the sender itself, once, in mail that it hands to Postfix.
func (n *noticed) smtpfeedTells(t *testing.T) {
	n.ask(t, " RET=HDRS ENVID=on+2B2", letter,
		asked{"a@on-simple.test", ofSuccess + " ORCPT=rfc822;first+2Ba@on-simple.test"}, asked{"b@on-simple.test", ofAll},
		asked{"c@on-simple.test", ofTrouble}, asked{"d@on-simple.test", ofNothing}, asked{"e@on-simple.test", ""},
		asked{"f@on-knows.test", ofSuccess}, asked{"nobody@on-simple.test", ofAll})
	heard := n.quiet(t)
	assert.Equal(t, map[string]string{
		"a@on-simple.test":      "relayed 2.0.0",
		"b@on-simple.test":      "relayed 2.0.0",
		"nobody@on-simple.test": "failed 5.1.1",
	}, told(t, heard), "the sender is told of those it asked about")
	heard = slices.DeleteFunc(heard, func(m notification) bool { return m.recipients[0]["action"] != "relayed" })
	require.Len(t, heard, 1, "of success in one notification")
	n.checkRelayed(t, heard[0])
	for _, m := range n.simple.Messages() {
		assert.Empty(t, strings.TrimSpace(strings.Join(m.ToParams, "")), "a host without DSN hears nothing of it")
	}
	assert.Empty(t, n.simple.Violations(), "the host finds no fault")
}

// checkRelayed looks at smtpfeed's own notification (RFC 3464 section 2, RFC 3461 section 6).
func (n *noticed) checkRelayed(t *testing.T, m notification) {
	t.Helper()
	assert.Equal(t, "on+2", m.fields["original-envelope-id"], "the envelope's name is decoded")
	assert.Equal(t, "feed.e2e.test", m.fields["reporting-mta"], "smtpfeed says who it is")
	var r map[string]string
	for _, group := range m.recipients {
		if group["final-recipient"] == "a@on-simple.test" {
			r = group
		}
	}
	assert.Equal(t, "first+a@on-simple.test", r["original-recipient"], "the recipient as its sender wrote it")
	assert.NotEmpty(t, r["remote-mta"], "where the mail went")
	assert.Contains(t, m.header.Get("To"), sender, "it is for the sender")
	assert.NotEmpty(t, m.header.Get("From"), "it has the fields that mail must have")
	assert.NotEmpty(t, m.header.Get("Date"), "it has the fields that mail must have")
	assert.NotEmpty(t, m.header.Get("Message-Id"), "it has the fields that mail must have")
	assert.True(t, strings.HasPrefix(m.header.Get("Auto-Submitted"), "auto-"), "no robot answers it (RFC 3834 section 5)")
	assert.Contains(t, m.returned, "Subject: letter\r\n", "the header is returned")
	assert.NotContains(t, m.content, "The body.", "and no more, as the sender wanted (RET=HDRS)")
	for _, got := range n.returns.Messages() {
		if string(got.Content) == m.content {
			assert.Empty(t, got.From, "nobody is told what becomes of a notification (RFC 3461 section 6.1)")
		}
	}
}

package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// startReceiver starts a Postfix that takes mail as an exchanger does, and passes it on to a host where the test reads it.
func startReceiver(t *testing.T) (p *postfix, mailbox *exchanger) {
	t.Helper()
	feedd.NeedPostfix(t)
	mailbox = startExchanger(t, mxsim.Config{})
	p = startPostfix(t, "/nonexistent/lmtp.sock", "default_transport = smtp:"+mailbox.host, "relay_transport = smtp:"+mailbox.host)
	return p, mailbox
}

// host is a Postfix's SMTP server as routes name it.
func (p *postfix) host() string {
	ip, port, _ := strings.Cut(p.Addr(), ":")
	return "[" + ip + "]:" + port
}

// disconnected is what Postfix's SMTP server says of a session in the end. Whoever only looks whether it listens says no EHLO.
var disconnected = regexp.MustCompile(`disconnect from \S+ (ehlo=.*)`)

// sessions are the counts of commands of each session that has ended, as "ehlo=1 mail=2 rcpt=2 bdat=2 quit=1 commands=8".
func (p *postfix) sessions(t *testing.T) (all []string) {
	for _, line := range feedd.LinesWith(feedd.ReadLog(t, p.Log()), "smtpd[") {
		if m := disconnected.FindStringSubmatch(line); m != nil {
			all = append(all, m[1])
		}
	}
	return all
}

// largeCopies is how many recipients a large content has.
const largeCopies = 5

// A real Postfix offers CHUNKING. What is larger than chunking_from reaches it by BDAT, several transactions on one session, the
// commands of the next behind the last octet of the one before, and all of it byte for byte.
func TestLargeContentsReachPostfixByBDAT(t *testing.T) {
	for _, row := range []struct {
		name      string
		smtp      string
		want      string // what Postfix counted
		commands  string // in all
		chunked   int
		pipelined int
	}{
		{"one transaction", "", "mail=1 rcpt=5 bdat=1", "commands=9", 1, 0},
		{"a transaction for each recipient, with commands behind each chunk", "recipients_per_transaction = 1", "mail=5 rcpt=5 bdat=5", "commands=17", 5, largeCopies - 2},
		{"by DATA when the configuration says so", "recipients_per_transaction = 1\nchunking_from = \"0\"", "mail=5 rcpt=5 data=5", "commands=17", 0, largeCopies - 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, mailbox := startReceiver(t)
			d := feedd.Start(t, feedd.Config{
				World:  startWorld(t, internet.Config{Domains: 1, Hosts: 1}),
				Routes: map[string][]string{"large.test": {p.host()}},
				SMTP:   "sessions_per_host = 1\n" + row.smtp,
			})
			content := largeContent()
			l := lhlo(t, d)
			for _, r := range (mail{from: sender, to: largeRecipients(), content: content}).deliver(l) {
				assert.Regexp(t, `^250 2\.0\.0 .*queued as`, r, "Postfix took the mail")
			}
			l.quit()
			checkMailbox(t, mailbox, content)
			assert.EqualValues(t, row.chunked, d.Metric(t, "smtpfeed_transactions_chunked_total"), "smtpfeed counts what went by BDAT")
			assert.EqualValues(t, row.pipelined, d.Metric(t, "smtpfeed_transactions_pipelined_total"), "and what rode behind a body")
			d.Terminate(t)
			d.Wait(t)
			require.Eventually(t, func() bool { return len(p.sessions(t)) > 0 }, feedd.Patience, 10*time.Millisecond, "Postfix tells of the session")
			assert.Equal(t, []string{"ehlo=1 " + row.want + " quit=1 " + row.commands}, p.sessions(t), "all on one session, without a refused command")
			said := strings.Join(feedd.LinesWith(feedd.ReadLog(t, p.Log()), "smtpd["), "\n")
			assert.Empty(t, feedd.LinesWith(said, "warning", "improper command pipelining", "non-SMTP", "after BDAT", "after DATA"), "Postfix finds no fault with it")
		})
	}
}

func largeRecipients() (to []string) {
	for i := range largeCopies {
		to = append(to, fmt.Sprintf("user%d@large.test", i))
	}
	return to
}

// largeContent is more than the default of chunking_from, full of what dot-stuffing changes and of what looks like commands.
func largeContent() string {
	return strings.Repeat(awkward+".\r\n..\r\n.\r\nBDAT 3 LAST\r\n", 150)
}

// checkMailbox waits for everybody's copy and compares each with what was sent.
func checkMailbox(t *testing.T, mailbox *exchanger, content string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(mailbox.accepted()) == largeCopies }, feedd.Patience, 10*time.Millisecond, "everybody's copy is passed on")
	assert.ElementsMatch(t, largeRecipients(), mailbox.accepted(), "each once")
	for _, c := range mailbox.contents() {
		received, rest := cutReceived(c)
		assert.Contains(t, received, "by host.e2e.test (Postfix)", "Postfix put its trace in front")
		assert.Contains(t, received, "from feed.e2e.test", "of smtpfeed")
		assert.True(t, content == rest, "and the rest is what was handed over, octet for octet")
	}
}

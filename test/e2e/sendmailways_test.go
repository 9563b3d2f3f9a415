package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

func TestContentThroughSendmailArrivesByteForByte(t *testing.T) {
	mx := startExchanger(t, mxsim.Config{RTT: time.Millisecond})
	s := startSendmailSystem(t, systemConfig{
		world: internet.Config{Domains: 1, Hosts: 1},
		feed:  feedd.Config{Routes: map[string][]string{"bytes.test": {mx.host}}},
	}, "")
	for _, params := range []string{" BODY=8BITMIME", ""} {
		submit(t, s.sendmail, mail{from: sender, to: []string{"a@bytes.test", "b@bytes.test"}, params: params, content: awkward})
	}
	require.Eventually(t, func() bool { return len(mx.accepted()) == 4 }, feedd.Patience, 10*time.Millisecond, "the mails arrive")
	assert.Empty(t, settled(t, s.sendmail, feedd.Patience), "sendmail has nothing left")
	assert.Empty(t, mx.Violations(), "the host finds no fault with smtpfeed's protocol")
	for _, m := range mx.Messages() {
		received, content := cutReceived(string(m.Content))
		version := strings.TrimPrefix(s.sendmail.Name(), "sendmail ")
		assert.Contains(t, received, "by host.e2e.test ("+version+"/", "sendmail put its trace in front")
		assert.Equal(t, awkward, content, "and the rest is what was submitted, octet for octet")
		assert.Contains(t, m.Params, "BODY=8BITMIME", "the host is told of octets above 127")
	}
}

func TestAddressProbesOfSendmailLeaveNoTrace(t *testing.T) {
	c := internet.Config{Domains: 10, Hosts: 2}
	s := startSendmailSystem(t, systemConfig{world: c}, "")
	out, err := s.sendmail.Verify(internet.List(c, 10)...)
	require.NoError(t, err, "sendmail -bv says what it would do")
	assert.Equal(t, 10, strings.Count(out, "mailer smtpfeed, host [localhost], user "), "each address is smtpfeed's: %s", out)
	d := dial(t, "tcp", s.sendmail.Addr())
	d.say("EHLO client.e2e.test", "250")
	d.say("VRFY <"+internet.Recipient(0, c)+">", "252")
	d.say("MAIL FROM:<>", "250")
	d.say("RCPT TO:<"+internet.Recipient(0, c)+">", "250")
	d.say("RSET", "250")
	d.quit()
	assert.Empty(t, settled(t, s.sendmail, feedd.Patience), "sendmail has nothing to do")
	st := s.feed.Idle(t)
	assert.Zero(t, st.LMTP.ConnectionsTotal, "smtpfeed was not asked")
	assert.Zero(t, s.world.Report().Sessions, "no host noticed")
	assert.Zero(t, s.world.Report().MX, "nobody was asked about a domain")
}

// A queue group splits a list into envelopes, which sendmail hands over side by side. To smtpfeed they are one message.
func TestListThroughSendmailInEnvelopesIsOneMessage(t *testing.T) {
	const envelopes, list = 4, 4000 // of 1000
	c := internet.Config{
		Domains: 1000, Hosts: 100, RTT: 20 * time.Millisecond, Processing: 50 * time.Millisecond, Additional: true,
	}
	gate := feedd.NewGate(t) // see lateWorld
	c.MX.Greeting = gate.Greeting
	s := startSendmailSystem(t, systemConfig{world: c}, "queuegroup")
	s.submitList(t, c, list)
	s.feed.Gathered(t, list, 0)
	st := s.feed.Status(t)
	assert.EqualValues(t, envelopes, st.Feed.EnvelopesTotal, "sendmail hands all envelopes over")
	assert.Equal(t, 1, st.LMTP.Bodies, "smtpfeed holds the content once: %+v", st.LMTP)
	gate.Open()
	s.arrived(t, list)
	assert.Empty(t, settled(t, s.sendmail, feedd.Patience), "sendmail has nothing left")
	r := sound(t, s.world)
	st = s.feed.Idle(t)
	assert.Empty(t, s.world.Missing(list).First, "nobody is missing")
	assert.EqualValues(t, 1, st.Feed.MessagesTotal, "smtpfeed joins the envelopes into one message")
	assert.Equal(t, 1, r.Contents, "everybody got the same octets")
	assert.Equal(t, c.Hosts, r.Sessions, "a host gets one session")
	assert.LessOrEqual(t, r.Transactions, c.Hosts*12/10, "and nearly always one transaction")
	t.Logf("%d sessions, %d transactions, last arrival %.2f s", r.Sessions, r.Transactions, r.Last)
}

package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A sendmailSystem is a system whose host MTA is sendmail. What sendmail returns to senders goes through smtpfeed, too.
type sendmailSystem struct {
	system
	sendmail *hosts.Sendmail
}

// startSendmail makes and starts an instance; dir is made for it.
func startSendmail(t *testing.T, s hosts.Setup) *hosts.Sendmail {
	t.Helper()
	if os.Getenv("SMTPFEED_E2E") == "skip" {
		t.Skip("SMTPFEED_E2E=skip")
	}
	s.Dir = feedd.NewDir(t, "sendmail-")
	m, err := hosts.NewSendmail(s)
	require.NoError(t, err, "there is an instance of sendmail")
	feedd.ShowOnFailure(t, m.Log())
	startHost(t, m)
	return m
}

// startSendmailSystem has a sendmail that uses smtpfeed's socket.
func startSendmailSystem(t *testing.T, c systemConfig, variant string) *sendmailSystem {
	t.Helper()
	s := &sendmailSystem{system: startSendmailWorld(t, c.world)}
	c.feed.World = s.world
	if c.feed.Routes == nil {
		c.feed.Routes = make(map[string][]string)
	}
	c.feed.Routes["sender.test"] = []string{s.returns.host}
	s.feed = feedd.Start(t, c.feed)
	s.sendmail = startSendmail(t, hosts.Setup{Feed: "unix:" + s.feed.Socket(), Variant: variant})
	return s
}

// startSendmailWorld is what mail is delivered to.
func startSendmailWorld(t *testing.T, c internet.Config) system {
	t.Helper()
	return system{world: startWorld(t, c), returns: startExchanger(t, mxsim.Config{})}
}

func TestListThroughSendmailReachesEveryRecipientOnce(t *testing.T) {
	c, gate := lateWorld(t)
	feed := feedd.Config{SMTP: "idle_timeout = \"300s\"\ndown_time = \"1h\""} // however slow this machine is
	s := startSendmailSystem(t, systemConfig{world: c, feed: feed}, "")
	s.submitList(t, c, listRecipients)
	s.atOnce(t, gate)
	s.checkList(t, listRecipients)

	st := s.feed.Idle(t)
	const living, bounces = listHosts - listDead, 1
	r := sound(t, s.world)
	assert.EqualValues(t, 2+bounces, st.Feed.EnvelopesTotal, "sendmail does not split the list, and bounces in one message")
	assert.Equal(t, living, r.Sessions, "a host gets one session, which the second try finds still open")
	assert.EqualValues(t, listDead, st.Feed.DialsFailed, "a dead host is tried once, whatever the number of its domains")
	assert.EqualValues(t, listDomains, st.DNS.MXQuestions, "a domain's exchangers are asked for once in both tries")
	t.Logf("%d sessions, %d transactions; last arrival %.2f s", r.Sessions, r.Transactions, r.Last)
}

// submitList gives sendmail the first n recipients in one submission, and says how long that took.
func (s *sendmailSystem) submitList(t *testing.T, c internet.Config, n int) {
	t.Helper()
	s.world.Reset()
	began := time.Now()
	submit(t, s.sendmail, mail{from: sender, to: internet.List(c, n), content: "Subject: list\r\n\r\nFor everybody.\r\n"})
	t.Logf("submission: %.2f s", time.Since(began).Seconds())
}

// checkList looks at what becomes of the first n recipients: of every 1000, two are refused and three arrive at the second try.
func (s *sendmailSystem) checkList(t *testing.T, n int) {
	t.Helper()
	refused, grey := n*2/1000, n*3/1000
	s.arrived(t, n-refused-grey)
	s.checkBounces(t, refused)
	s.checkGreylisted(t, grey)

	flush(t, s.sendmail)
	s.arrived(t, n-refused)
	assert.Empty(t, settled(t, s.sendmail, feedd.Patience), "sendmail has nothing left")
	assert.Empty(t, s.world.Missing(n).First, "nobody is missing")
	assert.Equal(t, 1, sound(t, s.world).Contents, "everybody got the same octets, at the first try and the second")
	assert.Len(t, s.returns.failures(), refused, "nobody bounced at the second try")
}

// checkBounces waits for the notification of the refused recipients, which must have the host's own words and its name in it.
func (s *sendmailSystem) checkBounces(t *testing.T, n int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Len(c, s.returns.failures(), n, "refused recipients in notifications")
	}, feedd.Patience, 20*time.Millisecond, "sendmail tells the sender who was refused")
	for _, f := range s.returns.failures() {
		recipient := strings.TrimPrefix(f.recipient, "RFC822; ")
		assert.Equal(t, internet.Refuse, internet.FateOf(recipient), "only refused recipients bounce")
		assert.Equal(t, "5.1.1", f.status, "the status is the host's")
		s.checkWords(t, recipient, f.diagnostic, "550 5.1.1 <"+recipient+">: no such user")
	}
}

// checkGreylisted looks at what sendmail keeps for later, and at its log: in the queue it has one reason for all.
func (s *sendmailSystem) checkGreylisted(t *testing.T, n int) {
	t.Helper()
	kept := settled(t, s.sendmail, feedd.Patience)
	assert.Len(t, kept, n, "sendmail keeps the greylisted recipients")
	var reasons map[string]string
	require.EventuallyWithT(t, func(c *assert.CollectT) { // the log is written by a reader of sendmail's datagrams
		reasons = deferrals(feedd.ReadLog(t, s.sendmail.Log()))
		for _, q := range kept {
			assert.Contains(c, reasons, q.Address, "recipients that the log tells of")
		}
	}, feedd.Patience, 20*time.Millisecond, "sendmail logs why it keeps them")
	for _, q := range kept {
		assert.Equal(t, internet.Grey, internet.FateOf(q.Address), "and no others")
		s.checkWords(t, q.Address, reasons[q.Address], "450 4.2.0 greylisted, try again later")
		assert.Regexp(t, `^Deferred: 450 4\.2\.0 mx\d+\.hosts\.example\[.*said: 450 4\.2\.0 greylisted`, q.Reason, "and mailq one's")
	}
}

// deferral is a line of sendmail's log about recipients that it keeps.
var deferral = regexp.MustCompile(`(?m) to=(<[^ ]*>), .* stat=Deferred: (.*)$`)

// deferrals are the last reasons in sendmail's log why a recipient is kept.
func deferrals(log string) map[string]string {
	reasons := make(map[string]string)
	for _, m := range deferral.FindAllStringSubmatch(log, -1) {
		for _, to := range strings.Split(m[1], ",") {
			reasons[strings.Trim(to, "<>")] = m[2]
		}
	}
	return reasons
}

package e2e

import (
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

const (
	listDomains    = 3000
	listHosts      = 200
	listDead       = 10
	listRecipients = 10_000
	listRefused    = 20
	listGreylisted = 30
)

// listWorld is where the list goes. 2 and 3 of every 1000 recipients are 20 and 30 of the list. What DNS says is good for as long as a test
// lasts.
func listWorld() internet.Config {
	return internet.Config{
		Domains: listDomains, Hosts: listHosts, DeadHosts: listDead, Refused: 2, Grey: 3,
		RTT: 40 * time.Millisecond, Processing: 100 * time.Millisecond, DNSDelay: 10 * time.Millisecond, Additional: true, TTL: 3600,
	}
}

// lateWorld is listWorld with hosts that greet late, as many do to keep spam away: when the gate is open. A host MTA takes a second to hand
// the list over, or ten. With a gate that is opened when it has, what is learned about grouping does not depend on that.
func lateWorld(t *testing.T) (c internet.Config, gate *feedd.Gate) {
	t.Helper()
	c, gate = listWorld(), feedd.NewGate(t)
	c.MX.Greeting = gate.Greeting
	return c, gate
}

// atOnce lets hosts greet when smtpfeed has all of the list.
func (s *system) atOnce(t *testing.T, gate *feedd.Gate) {
	t.Helper()
	s.feed.Gathered(t, listRecipients, listDead)
	gate.Open()
}

func TestListThroughPostfixReachesEveryRecipientOnce(t *testing.T) {
	c, gate := lateWorld(t)
	s := startSystem(t, systemConfig{world: c, feed: feedd.Config{SMTP: `idle_timeout = "300s"`}}) // however slow this machine is
	s.submitList(t, c)
	s.atOnce(t, gate)
	s.arrived(t, listRecipients-listRefused-listGreylisted)
	s.checkGrouping(t)
	s.checkBounces(t)
	s.checkGreylisted(t)

	flush(t, s.postfix)
	s.arrived(t, listRecipients-listRefused)
	assert.Empty(t, settled(t, s.postfix, feedd.Patience), "Postfix has nothing left")
	assert.Empty(t, s.world.Missing(listRecipients).First, "nobody is missing")
	r := sound(t, s.world)
	assert.Equal(t, 1, r.Contents, "everybody got the same octets, at the first try and the second")
	st := s.feed.Idle(t)
	assert.EqualValues(t, listDomains, st.DNS.MXQuestions, "the second try asks nothing again")
	assert.Equal(t, listHosts-listDead, r.Sessions, "and finds the sessions of the first still open")
	assert.EqualValues(t, listRecipients+listGreylisted, st.Records.Written, "each attempt at each recipient is recorded")
	t.Logf("peak memory of smtpfeed: %s", s.feed.Memory(t))
}

// submitList gives Postfix the list in one submission, and says how long that took.
func (s *system) submitList(t *testing.T, c internet.Config) {
	t.Helper()
	s.world.Reset()
	began := time.Now()
	submit(t, s.postfix, mail{from: sender, to: internet.List(c, listRecipients), content: "Subject: list\r\n\r\nFor everybody.\r\n"})
	t.Logf("submission: %.2f s", time.Since(began).Seconds())
}

// checkGrouping looks at what the list cost when all have arrived that are taken at the first try.
func (s *system) checkGrouping(t *testing.T) {
	t.Helper()
	r, st := sound(t, s.world), s.feed.Idle(t)
	const living = listHosts - listDead
	assert.GreaterOrEqual(t, st.Feed.EnvelopesTotal, uint64(listRecipients/2000), "Postfix splits the list by its recipient limit")
	assert.EqualValues(t, 1, st.Feed.MessagesTotal, "smtpfeed joins the parts into one message")
	assert.Equal(t, living, r.HostsUsed, "every living host gets mail")
	assert.Equal(t, living, r.Sessions, "a host gets one session")
	assert.LessOrEqual(t, r.Transactions, living*12/10, "and nearly always one transaction")
	assert.EqualValues(t, listDead, st.Feed.DialsFailed, "a dead host is tried once, whatever the number of its domains")
	assert.EqualValues(t, listDomains, st.DNS.MXQuestions, "a domain's exchangers are asked for once")
	assert.LessOrEqual(t, uint64(r.MX), listDomains+st.DNS.Retries, "but for datagrams that a busy machine lost")
	t.Logf("from submission to the last of %d arrivals: %.2f s (first %.2f s, median %.2f s); %d sessions, %d transactions",
		r.Recipients, r.Last, r.First, r.Median, r.Sessions, r.Transactions)
	t.Logf("DNS datagrams: %d for MX, %d for A, %d for AAAA; %d of them were sent again", r.MX, r.A, r.AAAA, st.DNS.Retries)
}

// checkBounces waits for the notification of the refused recipients. The host's own words and its name must be in it: Postfix
// itself knows only smtpfeed.
func (s *system) checkBounces(t *testing.T) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Len(c, s.returns.failures(), listRefused, "refused recipients in notifications")
	}, feedd.Patience, 20*time.Millisecond, "Postfix tells the sender who was refused")
	for _, f := range s.returns.failures() {
		assert.Equal(t, internet.Refuse, internet.FateOf(f.recipient), "only refused recipients bounce")
		assert.Equal(t, "5.1.1", f.status, "the status is the host's")
		s.checkWords(t, f.recipient, f.diagnostic, "550 5.1.1 <"+f.recipient+">: no such user")
	}
}

// checkGreylisted looks at what Postfix keeps for later.
func (s *system) checkGreylisted(t *testing.T) {
	t.Helper()
	kept := settled(t, s.postfix, feedd.Patience)
	assert.Len(t, kept, listGreylisted, "Postfix keeps the greylisted recipients")
	for _, q := range kept {
		assert.Equal(t, internet.Grey, internet.FateOf(q.Address), "and no others")
		s.checkWords(t, q.Address, q.Reason, "450 4.2.0 greylisted, try again later")
	}
}

// saying is how a remote host's words reach Postfix.
var saying = regexp.MustCompile(`\b(mx(\d+)\.hosts\.example)\[([\d.]+)\]:(\d+) said: (.*?)(?: \(in reply to end of DATA command\))?$`)

// checkWords says that text names the exchanger of the recipient's domain, with its real address, and then its words.
func (s *system) checkWords(t *testing.T, recipient, text, words string) {
	t.Helper()
	m := saying.FindStringSubmatch(text)
	if !assert.NotNil(t, m, "%q names a host and its words", text) {
		return
	}
	j, err := strconv.Atoi(m[2])
	require.NoError(t, err, "hosts have numbers")
	assert.GreaterOrEqual(t, j, listDead, "dead hosts say nothing")
	assert.Equal(t, internet.HostAddr(j).String(), m[3], "the address is the host's")
	assert.Equal(t, strconv.Itoa(s.world.Port()), m[4], "and so is the port")
	assert.Equal(t, words, m[5], "the words are the host's own")
	i := domainNumber(t, recipient)
	if first := i % listHosts; first >= listDead {
		assert.Equal(t, first, j, "the host is the exchanger of %s", recipient)
	}
}

// domainNumber is i for an address at internet.Domain(i).
func domainNumber(t *testing.T, address string) int {
	m := regexp.MustCompile(`@d(\d+)\.`).FindStringSubmatch(address)
	require.NotNil(t, m, "%s is an address of the world", address)
	i, err := strconv.Atoi(m[1])
	require.NoError(t, err, "domains have numbers")
	return i
}

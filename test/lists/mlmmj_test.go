package lists

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// mlmmjUser owns the list's files: Debian's user for mailing lists. Postfix's pipe(8) runs nothing as root.
const mlmmjUser = "list"

// A mlmmj is a mailing list, kept by Debian's mlmmj behind Postfix. Its address is list@lists.test.
type mlmmj struct {
	*system
	list string // the list's directory
	size int    // subscribers in the world; there are three more, at oddDomain
}

func mlmmjWorld() internet.Config {
	return internet.Config{
		Domains: 500, Hosts: 50, RTT: 20 * time.Millisecond, Processing: 20 * time.Millisecond, Additional: true,
	}
}

// startMlmmj makes a list and starts what it needs, set as patches/lists tells. control are files of its control directory, and
// their texts.
func startMlmmj(t *testing.T, c systemConfig, subscribers int, control map[string]string) *mlmmj {
	t.Helper()
	m := &mlmmj{list: filepath.Join(feedd.NewDir(t, "mlmmj-"), "list"), size: subscribers}
	c.settings = append(c.settings,
		"recipient_delimiter = +",
		"relay_domains = "+listDomain,
		"transport_maps = inline:{{list@"+listDomain+" = mlmmj:"+m.list+"}}",
		"mlmmj_destination_recipient_limit = 1",
	)
	m.system = startSystem(t, c)
	m.make(t, control)
	m.serve(t, m.bounces(t)+" $nexthop $extension")
	return m
}

// serve is how Postfix runs mlmmj from now on.
func (m *mlmmj) serve(t *testing.T, argv string) {
	t.Helper()
	service := "mlmmj unix - n n - - pipe flags=DRu user=" + mlmmjUser + " argv=" + argv
	out, err := exec.Command("postconf", "-c", m.dir, "-Me", "mlmmj/unix="+service).CombinedOutput()
	require.NoError(t, err, "Postfix has a service for mlmmj: %s", out)
	require.NoError(t, m.postfix.Reload(), "Postfix knows it")
	socket := filepath.Join(m.dir, "queue/private/mlmmj") // the master makes it while it reads
	require.Eventually(t, func() bool { _, err := os.Stat(socket); return err == nil }, feedd.Patience, 10*time.Millisecond, "and serves it")
}

// bounces is the command mlmmj-bounces, where the list's user can run it and with the programs that are not installed.
func (m *mlmmj) bounces(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../patches/lists/mlmmj-bounces")
	require.NoError(t, err, "the script is there")
	path := filepath.Join(filepath.Dir(m.list), "mlmmj-bounces")
	require.NoError(t, os.WriteFile(path, text, 0o755), "and can be run")
	return "/usr/bin/env MLMMJ_PROGRAMS=" + unpacked("mlmmj", "usr/bin") + " " + path
}

// make does what mlmmj-make-ml asks an administrator about.
func (m *mlmmj) make(t *testing.T, control map[string]string) {
	t.Helper()
	for _, d := range []string{"incoming", "queue/discarded", "archive", "text", "subconf", "unsubconf", "bounce", "control",
		"moderation", "subscribers.d", "digesters.d", "requeue", "nomailsubs.d"} {
		require.NoError(t, os.MkdirAll(filepath.Join(m.list, d), 0o755), "the list has directories")
	}
	host, port, _ := strings.Cut(m.postfix.Addr(), ":")
	m.write(t, "index", "")
	m.write(t, "control/listaddress", "list@"+listDomain+"\n")
	m.write(t, "control/owner", "postmaster@"+listDomain+"\n")
	m.write(t, "control/relayhost", host+"\n")
	m.write(t, "control/smtpport", port+"\n")
	for name, text := range control {
		m.write(t, "control/"+name, text)
	}
	subscribers := internet.List(mlmmjWorld(), m.size)
	m.write(t, "subscribers.d/u", strings.Join(subscribers, "\n")+"\n")
	for _, s := range []string{goneSubscriber, fullSubscriber, lateSubscriber} {
		m.write(t, "subscribers.d/"+s[:1], s+"\n") // mlmmj looks for an address in the file of its first letter
	}
	out, err := exec.Command("chown", "-R", mlmmjUser, filepath.Dir(m.list)).CombinedOutput()
	require.NoError(t, err, "the list belongs to its user: %s", out)
}

func (m *mlmmj) write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(m.list, name), []byte(text), 0o644), "the list has a file %s", name)
}

// post submits a mail to the list, and waits until everybody in the world has got it.
func (m *mlmmj) post(t *testing.T) {
	t.Helper()
	m.submit(t)
	m.arrived(t, m.size)
}

// submit submits a mail to the list, as a member does.
func (m *mlmmj) submit(t *testing.T) {
	t.Helper()
	m.world.Reset()
	const header = "From: member@sender.test\r\nTo: list@lists.test\r\nSubject: news\r\nMessage-ID: <1@sender.test>\r\n"
	post := hosts.Mail{From: "member@sender.test", To: []string{"list@" + listDomain}, Content: header + "\r\n.For everybody.\r\n"}
	_, err := hosts.Submit(m.postfix.Addr(), post)
	require.NoError(t, err, "Postfix takes the post")
}

// bounced are the subscribers whose bounces mlmmj has noted, for post number 1.
func (m *mlmmj) bounced(t assert.TestingT) (all []string) {
	files, err := filepath.Glob(filepath.Join(m.list, "bounce", "*"))
	assert.NoError(t, err, "the list has a directory of bounces")
	for _, f := range files {
		if strings.HasSuffix(f, ".lastmsg") {
			continue
		}
		text, err := os.ReadFile(f)
		assert.NoError(t, err, "a note can be read")
		assert.Regexp(t, `^1:\d+ #`, string(text), "it is about the first post")
		name := filepath.Base(f)
		at := strings.LastIndexByte(name, '=')
		all = append(all, name[:at]+"@"+name[at+1:])
	}
	return all
}

// report says what a post cost.
func (m *mlmmj) report(t *testing.T, what string) (internet.Report, feedd.Status) {
	t.Helper()
	st := m.emptied(t)
	r := m.sound(t)
	assert.Empty(t, m.world.Missing(m.size).First, "every subscriber in the world got the post")
	assert.Equal(t, m.size, r.Recipients, "once")
	t.Logf("%s: %.2f s to the last of %d arrivals; %d sessions, %d transactions, %d contents; smtpfeed: %d envelopes, %d messages",
		what, r.Last, r.Recipients, r.Sessions, r.Transactions, r.Contents, st.Feed.EnvelopesTotal, st.Feed.MessagesTotal)
	return r, st
}

// returnLate sends the bounce that a host makes of a mail it had taken for lateSubscriber, to the sender of that mail.
func (m *mlmmj) returnLate(t *testing.T) {
	t.Helper()
	var to string
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		for _, got := range m.odd.Messages() {
			if got.Accepted() && got.To[0] == lateSubscriber {
				to = got.From
			}
		}
		assert.NotEmpty(c, to, "the sender of the mail")
	}, feedd.Patience, 20*time.Millisecond, "the mail arrives")
	// Its To: header is not the list's: what counts is the envelope.
	content := "From: MAILER-DAEMON@" + oddDomain + "\r\nTo: somebody@" + oddDomain + "\r\nSubject: undelivered\r\n\r\nNo words.\r\n"
	_, err := hosts.Submit(m.postfix.Addr(), hosts.Mail{To: []string{to}, Content: content})
	require.NoError(t, err, "Postfix takes the bounce to %s", to)
}

// expectBounces waits until mlmmj knows exactly who bounced.
func (m *mlmmj) expectBounces(t *testing.T, who ...string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.ElementsMatch(c, who, m.bounced(c), "mlmmj knows who bounced")
	}, feedd.Patience, 50*time.Millisecond, "bounces come back to mlmmj")
}

// personalSender is the envelope sender that mlmmj gives to one recipient of its first post.
const personalSender = "list+bounces-1-{local}={domain}@" + listDomain

// personalRule makes smtpfeed give the senders that mlmmj gives.
const personalRule = `
[[verp]]
sender = "list+bounces-*@` + listDomain + `"
template = "{sender_local}-{local}={domain}@` + listDomain + `"
`

// mlmmj gives no host MTA more than some 20 copies a second: by its source it writes a copy's headers, its body and its dot one
// by one and waits, so that the kernel should hold the second write back until the first is acknowledged (Nagle).
func TestMlmmjAsItComes(t *testing.T) {
	c := systemConfig{world: mlmmjWorld()}
	c.world.Sender = personalSender
	m := startMlmmj(t, c, 100, nil)
	m.post(t)
	m.expectBounces(t, goneSubscriber, fullSubscriber)
	m.returnLate(t)
	m.expectBounces(t, goneSubscriber, fullSubscriber, lateSubscriber)
	r, st := m.report(t, "one mail per subscriber, by mlmmj")
	assert.Equal(t, m.size, r.Transactions, "each has one of his own")
	assert.EqualValues(t, m.size+3, st.Feed.MessagesTotal, "and is a message")
}

// wholeList is a list's control files that give the host MTA all subscribers in one transaction. Whatever is in verp goes
// behind MAIL.
func wholeList(verp string) map[string]string {
	return map[string]string{"verp": verp, "maxverprecips": "100000\n"}
}

// Postfix makes as many LMTP transactions of one mail as there are recipients, each with a sender of its own, so that smtpfeed
// sees as many messages.
func TestMlmmjWithPostfixsVERP(t *testing.T) {
	c := systemConfig{world: mlmmjWorld()}
	c.world.Sender = personalSender
	m := startMlmmj(t, c, 1997, wholeList("postfix\n"))
	m.post(t)
	m.expectBounces(t, goneSubscriber, fullSubscriber)
	m.returnLate(t)
	m.expectBounces(t, goneSubscriber, fullSubscriber, lateSubscriber)
	r, st := m.report(t, "one mail with XVERP, split by Postfix")
	assert.Equal(t, m.size, r.Transactions, "each has one of his own")
	assert.EqualValues(t, m.size+3, st.Feed.MessagesTotal, "and is a message")
}

// What is refused at once is bounced by Postfix to the list's own sender, all of it in one mail; what comes back later comes to
// the subscriber's.
func TestMlmmjWithSmtpfeedsVERP(t *testing.T) {
	c := systemConfig{world: mlmmjWorld(), tables: personalRule}
	c.world.Sender = personalSender
	m := startMlmmj(t, c, 1997, wholeList(""))
	m.post(t)
	m.expectBounces(t, goneSubscriber, fullSubscriber)
	m.returnLate(t)
	m.expectBounces(t, goneSubscriber, fullSubscriber, lateSubscriber)
	r, st := m.report(t, "one mail, split by smtpfeed's [[verp]]")
	assert.Equal(t, m.size, r.Transactions, "each has one of his own")
	assert.EqualValues(t, 1, st.Feed.MessagesTotal, "and it was one message")
}

func TestMlmmjWithoutVERP(t *testing.T) {
	c := systemConfig{world: mlmmjWorld()}
	gate := feedd.NewGate(t) // see run.together
	c.world.MX.Greeting = gate.Greeting
	c.world.Sender = "list+bounces-1@" + listDomain
	m := startMlmmj(t, c, 1997, wholeList(""))
	m.submit(t)
	m.feed.Gathered(t, m.size+3, 0)
	gate.Open()
	m.arrived(t, m.size)
	r, st := m.report(t, "one mail, with one sender for all")
	m.expectBounces(t, goneSubscriber, fullSubscriber, lateSubscriber) // their host refuses the two that it took together
	assert.LessOrEqual(t, r.Transactions, c.world.Hosts*12/10, "a host gets one transaction")
	assert.EqualValues(t, 1, st.Feed.MessagesTotal, "it was one message")
}

// mlmmj's own reader of bounces (mlmmj-bounce -d) looks at the wrong line of a notification.
func TestMlmmjAloneDoesNotReadPostfixsBounces(t *testing.T) {
	c := systemConfig{world: mlmmjWorld(), tables: personalRule}
	m := startMlmmj(t, c, 10, wholeList(""))
	m.serve(t, unpacked("mlmmj", "usr/bin/mlmmj-receive")+" -F -L $nexthop")
	m.post(t)
	m.report(t, "without mlmmj-bounces")
	m.returnLate(t)
	m.expectBounces(t, lateSubscriber)
}

package hosts_test

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/hosts"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// startItself makes and starts a sendmail that delivers itself, and its world.
func startItself(t *testing.T, c internet.Config, tuned bool) (*hosts.Sendmail, *internet.World) {
	t.Helper()
	const dns = "127.0.53.55" // another process may be where all expect one, and package conformance is at .54
	c.DNS = net.JoinHostPort(dns, "53")
	w, err := internet.Start(c)
	require.NoError(t, err, "a world begins")
	t.Cleanup(w.Close)
	m, err := hosts.NewSendmail(hosts.Setup{
		Dir: newDir(t), World: hosts.World{DNS: dns, Port: strconv.Itoa(w.Port())}, Tuned: tuned,
	})
	require.NoError(t, err, "an instance is made")
	require.NoError(t, m.Start(), "it starts")
	t.Cleanup(func() { assert.NoError(t, m.Stop(), "it ends") })
	return m, w
}

func TestSendmailDeliversItself(t *testing.T) {
	c := internet.Config{Domains: 30, Hosts: 5, DeadHosts: 1, Grey: 20, Additional: true}
	to := internet.List(c, 100)
	list, grey := len(to), 0
	for _, a := range to {
		if internet.FateOf(a) == internet.Grey {
			grey++
		}
	}
	require.Positive(t, grey, "some are greylisted")
	for name, tuned := range map[string]bool{"as shipped": false, "tuned": true} {
		t.Run(name, func(t *testing.T) {
			m, w := startItself(t, c, tuned)
			_, err := hosts.Submit(m.Addr(), hosts.Mail{From: "a@sender.test", To: to, Content: "Subject: x\r\n\r\nx\r\n"})
			require.NoError(t, err, "mail is taken")
			arrived := func(n int) {
				require.EventuallyWithT(t, func(c *assert.CollectT) {
					assert.Equal(c, n, w.Progress().Recipients, "recipients with their mail")
				}, patience, 20*time.Millisecond, "mail arrives")
			}
			arrived(list - grey)
			for _, q := range held(t, m, grey) {
				assert.Contains(t, q.Reason, "greylisted", "sendmail knows why it keeps %s", q.Address)
			}
			require.NoError(t, m.Flush(), "it tries again")
			arrived(list)
			r := w.Report()
			assert.Empty(t, r.Duplicates.First, "nobody gets it twice")
			assert.Empty(t, r.Misrouted.First, "every recipient's mail goes to an exchanger of its domain")
			t.Logf("%d sessions, %d transactions, %d MX questions", r.Sessions, r.Transactions, r.MX)
			assert.Empty(t, held(t, m, 0), "nothing is left")
		})
	}
}

func TestSendmailFeedsByTCP(t *testing.T) {
	m, err := hosts.NewSendmail(hosts.Setup{Dir: newDir(t), Feed: "tcp:127.0.53.26:1"})
	require.NoError(t, err, "an instance is made")
	require.NoError(t, m.Start(), "it starts")
	t.Cleanup(func() { assert.NoError(t, m.Stop(), "it ends") })
	_, err = hosts.Submit(m.Addr(), hosts.Mail{From: "a@sender.test", To: []string{"a@d1.example"}, Content: "Subject: x\r\n\r\nx\r\n"})
	require.NoError(t, err, "mail is taken")
	assert.Equal(t, "Deferred: Connection refused by [127.0.53.26]", held(t, m, 1)[0].Reason, "nobody listens there")
}

func TestSendmailRefusesASetupThatMakesNoSense(t *testing.T) {
	for name, s := range map[string]hosts.Setup{
		"a variant that wants a program": {Variant: "program", Feed: "unix:/nobody.sock"},
		"a program that nobody runs":     {Program: []string{"/bin/true"}, Feed: "unix:/nobody.sock"},
		"an address of neither kind":     {Feed: "nobody.sock"},
	} {
		_, err := hosts.NewSendmail(s)
		assert.Error(t, err, name)
	}
}

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// In the middle of a list something is told to end and started again, as at an upgrade, while single mails keep coming.
func TestRestartBehindSendmailLosesAndRepeatsNothing(t *testing.T) {
	for _, row := range []struct {
		name    string
		restart func(*testing.T, *sendmailSystem, func())
		keeps   string // what sendmail was told of those that it kept
	}{
		{"of smtpfeed", func(t *testing.T, s *sendmailSystem, trickle func()) {
			s.feed.Terminate(t)
			trickle()
			s.feed.Wait(t)
			trickle()
			s.feed.Start(t)
		}, "451 4.3.2 "},
		{"of sendmail's daemon by SIGHUP", func(t *testing.T, s *sendmailSystem, trickle func()) {
			require.NoError(t, s.sendmail.Reload(), "sendmail starts itself again")
			trickle()
		}, ""},
		{"of sendmail", func(t *testing.T, s *sendmailSystem, trickle func()) {
			require.NoError(t, s.sendmail.Stop(), "sendmail ends")
			require.NoError(t, s.sendmail.Start(), "sendmail starts")
			trickle()
		}, ""},
	} {
		t.Run(row.name, func(t *testing.T) { restartBehindSendmail(t, row.restart, row.keeps) })
	}
}

func restartBehindSendmail(t *testing.T, restart func(*testing.T, *sendmailSystem, func()), keeps string) {
	c := internet.Config{Domains: 300, Hosts: 30, RTT: 20 * time.Millisecond, Processing: 150 * time.Millisecond, Additional: true}
	feed := feedd.Config{SMTP: "recipients_per_transaction = 5\nsessions_per_host = 1"} // ten rounds
	s := startSendmailSystem(t, systemConfig{world: c, feed: feed}, "")
	const list, singles = 1500, 5
	next := list
	trickle := func() {
		for range singles {
			to := []string{internet.Recipient(next, c)}
			submit(t, s.sendmail, mail{from: sender, to: to, content: fmt.Sprintf("Subject: %d\r\n\r\n", next)})
			next++
		}
	}
	submit(t, s.sendmail, mail{from: sender, to: internet.List(c, list), content: "Subject: list\r\n\r\nFor everybody.\r\n"})
	require.Eventually(t, func() bool { return s.world.Progress().Recipients >= list/10 }, feedd.Patience, 5*time.Millisecond,
		"the list is on its way")
	restart(t, s, trickle)
	trickle()

	kept := settled(t, s.sendmail, feedd.Patience)
	t.Logf("%d arrived before sendmail's next try, %d were kept", s.world.Progress().Recipients, len(kept))
	assert.Equal(t, keeps != "", len(kept) > 0, "what sendmail could not hand over it keeps")
	for to, reason := range deferrals(feedd.ReadLog(t, s.sendmail.Log())) {
		assert.Contains(t, reason, keeps, "sendmail was told why it keeps %s", to)
	}
	flush(t, s.sendmail)
	s.arrived(t, next)
	assert.Empty(t, settled(t, s.sendmail, feedd.Patience), "sendmail has nothing left")
	assert.Empty(t, s.world.Missing(next).First, "nobody is missing")
	assert.Equal(t, 1+next-list, sound(t, s.world).Contents, "every message arrived unchanged")
	assert.Empty(t, s.returns.Messages(), "nobody bounces")
}

package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
)

// startExim makes a system with Exim as patches/exim has it.
func startExim(t *testing.T, variant string, c systemConfig, settings ...string) *beside {
	t.Helper()
	b := map[bool]func(*testing.T, systemConfig) *beside{true: besideUnix, false: besideTCP}[variant == "lmtp"](t, c)
	e, err := hosts.NewExim(hosts.Setup{Dir: feedd.NewDir(t, "exim-"), Feed: b.listen, Variant: variant, Settings: settings})
	require.NoError(t, err, "there is an instance of Exim")
	b.host = e
	feedd.ShowOnFailure(t, e.Log())
	startHost(t, e)
	return b
}

func TestListThroughEximReachesEveryRecipientOnce(t *testing.T) {
	for _, row := range []struct{ name, variant string }{{"driver smtp", ""}, {"driver lmtp", "lmtp"}} {
		t.Run(row.name, func(t *testing.T) {
			c, gate := lateWorld(t)
			b := startExim(t, row.variant, systemConfig{world: c, feed: feedd.Config{SMTP: `idle_timeout = "300s"`}})
			b.list(t, c, listRecipients)
			b.atOnce(t, gate)
			b.arrived(t, listRecipients-listRefused-listGreylisted)
			b.refused(t, listRefused)
			b.greylisted(t, listGreylisted)
			const living = listHosts - listDead
			r := b.world.Report()
			assert.EqualValues(t, 2, b.feed.Idle(t).Feed.MessagesTotal, "the list is one message, the bounce another")
			assert.Equal(t, living, r.Sessions, "a host gets one session")
			assert.LessOrEqual(t, r.Transactions, living*12/10, "and nearly always one transaction")

			flush(t, b.host)
			b.arrived(t, listRecipients-listRefused)
			assert.Empty(t, settled(t, b.host, feedd.Patience), "Exim has nothing left")
			assert.Empty(t, b.world.Missing(listRecipients).First, "nobody is missing")
			assert.Equal(t, 1, sound(t, b.world).Contents, "everybody got the same octets, at the first try and the second")
		})
	}
}

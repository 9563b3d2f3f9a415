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

// A trouble is what happens to a program while a list is on its way, and single mails keep coming.
type trouble struct {
	name string
	make func(*testing.T, *beside)
}

// troubles are what administrators do in good order, so that nobody may miss mail or get it twice.
var troubles = []trouble{
	{"the host reads its configuration again", func(t *testing.T, b *beside) {
		require.NoError(t, b.host.Reload(), "the host MTA reads its configuration")
	}},
	{"the host is restarted", func(t *testing.T, b *beside) {
		require.NoError(t, b.host.Stop(), "the host MTA ends")
		require.NoError(t, b.host.Start(), "the host MTA starts")
	}},
	{"smtpfeed is restarted", func(t *testing.T, b *beside) {
		b.feed.Terminate(t)
		b.feed.Wait(t)
		b.feed.Start(t)
	}},
}

// troubled sends a list of n and single mails, makes trouble in the middle, and checks that everybody gets what is theirs.
func (b *beside) troubled(t *testing.T, c internet.Config, n int, make func(*testing.T, *beside)) {
	t.Helper()
	b.list(t, c, n)
	b.under(t, n/10)
	make(t, b)
	t.Logf("%d of %d arrived until the trouble was over", b.world.Progress().Recipients, n)
	const singles = 10
	for i := n; i < n+singles; i++ {
		m := mail{from: sender, to: []string{internet.Recipient(i, c)}, content: fmt.Sprintf("Subject: %d\r\n\r\n", i)}
		require.EventuallyWithT(t, func(c *assert.CollectT) { assert.NoError(c, b.try(m)) }, feedd.Patience, 20*time.Millisecond,
			"mail is taken, if not while Exim's daemon starts itself anew")
	}
	kept := settled(t, b.host, feedd.Patience)
	t.Logf("%d were put off", len(kept))
	flush(t, b.host)
	b.arrived(t, n+singles)
	assert.Empty(t, settled(t, b.host, feedd.Patience), "the host MTA has nothing left")
	assert.Empty(t, b.world.Missing(n+singles).First, "nobody is missing")
	assert.Equal(t, 1+singles, sound(t, b.world).Contents, "every message arrived unchanged")
	assert.Empty(t, b.said(), "nobody bounces")
}

func TestTroubleInTheMiddleOfAListThroughExim(t *testing.T) {
	for _, row := range troubles {
		t.Run(row.name, func(t *testing.T) {
			c := internet.Config{Domains: 300, Hosts: 30, RTT: 20 * time.Millisecond, Processing: 150 * time.Millisecond, Additional: true}
			tenRounds := feedd.Config{SMTP: "recipients_per_transaction = 10\nsessions_per_host = 1"}
			b := startExim(t, "", systemConfig{world: c, feed: tenRounds})
			b.troubled(t, c, 3000, row.make)
		})
	}
}

package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// startOpenSMTPD makes a system with OpenSMTPD as patches/opensmtpd has it.
func startOpenSMTPD(t *testing.T, variant string, c systemConfig) *beside {
	t.Helper()
	if _, err := os.Stat(filepath.Join(hosts.Root(), "opensmtpd-patched")); variant == "patched" && err != nil {
		t.Skip("OpenSMTPD with lmtp-replies.patch is not built: ", err)
	}
	b := besideTCP(t, c)
	o, err := hosts.NewOpenSMTPD(hosts.Setup{Dir: feedd.NewDir(t, "opensmtpd-"), Feed: b.listen, Variant: variant})
	require.NoError(t, err, "there is an instance of OpenSMTPD")
	b.host = o
	feedd.ShowOnFailure(t, o.Log())
	startHost(t, o)
	return b
}

// Debian's OpenSMTPD takes a second reply that it finds in its buffer for a broken server, and sends the message again to all
// who got it. So it is set up to hand over one recipient at a time to each of many addresses, which is slow: a second for a
// hundred at best, and half a minute for a thousand as measured. With the patch it is one transaction.
func TestListThroughOpenSMTPDReachesEveryRecipientOnce(t *testing.T) {
	for _, row := range []struct {
		name, variant          string
		list, refused, grey    int
		transactions, messages int // at most; personal Received fields do not divide a message of OpenSMTPD's
	}{
		{"Debian's", "", 300, 2, 1, 300, 3},
		{"patched", "patched", 5000, 10, 15, 20, 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := listWorld()
			c.RTT, c.Processing = 5*time.Millisecond, 0
			b := startOpenSMTPD(t, row.variant, systemConfig{world: c})
			b.list(t, c, row.list)
			b.arrived(t, row.list-row.refused-row.grey)
			b.refused(t, row.refused)
			b.greylisted(t, row.grey)
			s := b.feed.Idle(t)
			assert.LessOrEqual(t, s.LMTP.Envelopes, uint64(row.transactions+row.messages), "LMTP transactions, with those of bounces")

			flush(t, b.host)
			b.arrived(t, row.list-row.refused)
			assert.Empty(t, settled(t, b.host, feedd.Patience), "OpenSMTPD has nothing left")
			assert.Empty(t, b.world.Missing(row.list).First, "nobody is missing")
			assert.Equal(t, 1, sound(t, b.world).Contents, "everybody got the same octets")
		})
	}
}

// OpenSMTPD cannot be told of octets above 127 and says nothing about them, but keeps them.
func TestContentThroughOpenSMTPDArrivesByteForByte(t *testing.T) {
	mx := startExchanger(t, mxsim.Config{RTT: time.Millisecond})
	b := startOpenSMTPD(t, "", systemConfig{
		world: internet.Config{Domains: 1, Hosts: 1},
		feed:  feedd.Config{Routes: map[string][]string{"bytes.test": {mx.host}}},
	})
	submit(t, b.host, mail{from: sender, to: []string{"a@bytes.test", "b@bytes.test"}, content: awkward})
	require.Eventually(t, func() bool { return len(mx.accepted()) == 2 }, feedd.Patience, 10*time.Millisecond, "the mails arrive")
	assert.Empty(t, settled(t, b.host, feedd.Patience), "OpenSMTPD has nothing left")
	assert.Empty(t, mx.Violations(), "the host finds no fault with smtpfeed's protocol")
	for _, m := range mx.Messages() {
		received, content := cutReceived(string(m.Content))
		assert.Contains(t, received, "OpenSMTPD", "OpenSMTPD put its trace in front")
		assert.Equal(t, awkward, content, "and the rest is what was submitted, octet for octet")
	}
}

// While smtpfeed is away OpenSMTPD leaves its addresses alone for a quarter of a minute or more, and what it was told to try
// then waits.
func TestRestartOfSmtpfeedInTheMiddleOfAListThroughOpenSMTPD(t *testing.T) {
	c := internet.Config{Domains: 100, Hosts: 10, RTT: 5 * time.Millisecond, Processing: 100 * time.Millisecond}
	b := startOpenSMTPD(t, "", systemConfig{world: c})
	const n = 150
	b.list(t, c, n)
	b.under(t, n/5)
	b.feed.Terminate(t)
	b.feed.Wait(t)
	b.feed.Start(t)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.NoError(c, b.host.Flush(), "OpenSMTPD tries again")
		assert.Equal(c, n, b.world.Progress().Recipients, "recipients with their mail")
	}, 2*feedd.Patience, time.Second, "mail arrives")
	assert.Empty(t, settled(t, b.host, feedd.Patience), "OpenSMTPD has nothing left")
	assert.Empty(t, b.world.Missing(n).First, "nobody is missing")
	assert.Equal(t, 1, sound(t, b.world).Contents, "everybody got the same octets")
	assert.Empty(t, b.said(), "nobody bounces")
	assert.Empty(t, feedd.LinesWith(feedd.ReadLog(t, b.host.Log()), "too much data"), "OpenSMTPD never gets two replies at once")
}

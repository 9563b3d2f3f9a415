package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// Postfix's verify(8) asks by MAIL and RCPT and leaves (ADDRESS_VERIFICATION_README). smtpfeed can say of an address only what it
// knows of the domain, and no mail host hears of it.
func TestAddressVerificationByPostfixLeavesNoTrace(t *testing.T) {
	s := startSystem(t, systemConfig{
		world: internet.Config{Domains: 100, Hosts: 10},
		postfix: []string{
			"smtpd_recipient_restrictions = reject_unverified_recipient",
			"address_verify_default_transport = $default_transport", // patches/postfix leaves probes to smtp(8), which can find out more
			"address_verify_map =", // asked anew each time
			"address_verify_poll_delay = 1s",
			"address_verify_poll_count = 100", // however slow this machine is
			"unverified_recipient_reject_code = 550",
		},
	})
	const asks = 3
	d := dial(t, "tcp", s.postfix.Addr())
	d.say("EHLO client.e2e.test", "250")
	for i := range asks {
		d.say("MAIL FROM:<"+sender+">", "250")
		d.say("RCPT TO:<"+internet.Recipient(i, internet.Config{Domains: 100, Hosts: 10})+">", "250")
		d.say("RSET", "250")
	}
	d.quit()
	st := s.feed.Idle(t)
	assert.Empty(t, settled(t, s.postfix, feedd.Patience), "Postfix has nothing queued")
	assert.Zero(t, st.LMTP.Envelopes, "no envelope was made")
	assert.Zero(t, st.Records.Written, "no delivery was recorded")
	assert.Zero(t, s.world.Report().Sessions, "no host was called")
	var asked []string
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		asked = feedd.LinesWith(feedd.ReadLog(t, s.postfix.Log()), "status=deliverable")
		assert.Len(c, asked, asks, "probes in the log")
	}, feedd.Patience, polling, "Postfix did ask smtpfeed")
	assert.Contains(t, asked[0], s.feed.Socket(), "and nobody else")
}

package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
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

func TestContentThroughEximArrivesByteForByte(t *testing.T) {
	mx := startExchanger(t, mxsim.Config{RTT: time.Millisecond})
	b := startExim(t, "", systemConfig{
		world: internet.Config{Domains: 1, Hosts: 1},
		feed:  feedd.Config{Routes: map[string][]string{"bytes.test": {mx.host}}},
	})
	for _, params := range []string{" BODY=8BITMIME", ""} {
		submit(t, b.host, mail{from: sender, to: []string{"a@bytes.test", "b@bytes.test"}, params: params, content: awkward})
	}
	require.Eventually(t, func() bool { return len(mx.accepted()) == 4 }, feedd.Patience, 10*time.Millisecond, "the mails arrive")
	assert.Empty(t, settled(t, b.host, feedd.Patience), "Exim has nothing left")
	assert.Empty(t, mx.Violations(), "the host finds no fault with smtpfeed's protocol")
	for _, m := range mx.Messages() {
		received, content := cutReceived(string(m.Content))
		assert.Contains(t, received, "by host.e2e.test", "Exim put its trace in front")
		assert.Equal(t, awkward, content, "and the rest is what was submitted, octet for octet")
	}
}

// Debian's files send verification to the exchangers themselves (patches/exim has no_verify). The instance has it go the way
// that an administrator may choose all the same.
func TestAddressProbesOfEximLeaveNoTraceAtTheHosts(t *testing.T) {
	acl := filepath.Join(feedd.NewDir(t, "acl-"), "acl")
	require.NoError(t, os.WriteFile(acl, []byte("accept verify = recipient/callout=20s,no_cache\n"), 0o644), "there is an ACL")
	c := internet.Config{Domains: 100, Hosts: 10}
	b := startExim(t, "", systemConfig{world: c}, "acl_smtp_rcpt = "+acl)
	require.NoError(t, b.host.Sendmail("-bv", internet.Recipient(0, c)).Run(), "exim -bv verifies an address")
	d := dial(t, "tcp", b.host.Addr())
	d.say("EHLO client.e2e.test", "250")
	for _, from := range []string{sender, ""} {
		d.say("MAIL FROM:<"+from+">", "250")
		for i := range 5 {
			d.say("RCPT TO:<"+internet.Recipient(i, c)+">", "250")
		}
		d.say("RSET", "250")
	}
	d.quit()
	s := b.feed.Idle(t)
	assert.EqualValues(t, 10, s.LMTP.ConnectionsTotal, "Exim asked smtpfeed about each recipient")
	assert.Zero(t, s.LMTP.Envelopes, "no envelope was made")
	assert.Zero(t, s.Feed.Dials, "no host was called")
	assert.Zero(t, b.world.Report().Sessions, "and none noticed")
}

// Exim remembers what failed by keys of its retry database. A recipient's must be its own.
func TestARecipientThatWaitsInEximHoldsNobodyUp(t *testing.T) {
	c := internet.Config{Domains: 1, Hosts: 1}
	b := startExim(t, "", systemConfig{world: c})
	for i, to := range [][]string{
		{"tempfail1@d0.0.example", "user1@d0.0.example"},
		{"tempfail1@d0.0.example", "user2@d0.0.example"},
		{"user3@d0.0.example"},
	} {
		submit(t, b.host, mail{from: sender, to: to, content: fmt.Sprintf("Subject: %d\r\n\r\n", i)})
		b.arrived(t, i+1)
	}
	for _, q := range settled(t, b.host, feedd.Patience) {
		assert.Equal(t, "tempfail1@d0.0.example", q.Address, "only who was put off is kept")
	}
	sound(t, b.world)
}

// To Exim all of smtpfeed is one host, and by Debian's rule a host that failed is left alone for 15 minutes.
func TestEximComesBackAsSoonAsSmtpfeedDoes(t *testing.T) {
	c := internet.Config{Domains: 10, Hosts: 2}
	b := besideTCP(t, systemConfig{world: c})
	_, port, err := net.SplitHostPort(strings.TrimPrefix(b.listen, "tcp:"))
	require.NoError(t, err, "smtpfeed listens on a port")
	feed := "tcp:127.0.54.2:" + port // a socket of smtpfeed's own, which is closed while it does not run
	e, err := hosts.NewExim(hosts.Setup{Dir: feedd.NewDir(t, "exim-"), Feed: feed})
	require.NoError(t, err, "there is an instance of Exim")
	b.host = e
	feedd.ShowOnFailure(t, e.Log())
	startHost(t, e)
	next := 0
	send := func() {
		submit(t, e, mail{from: sender, to: []string{internet.Recipient(next, c)}, content: fmt.Sprintf("Subject: %d\r\n\r\n", next)})
		next++
	}
	b.feed.Terminate(t)
	b.feed.Wait(t)
	send()
	kept := settled(t, e, feedd.Patience)
	require.Len(t, kept, 1, "what came meanwhile is kept")
	assert.Contains(t, kept[0].Reason, "Connection refused", "because nobody listened")

	b.feed.Start(t)
	require.Eventually(t, func() bool { send(); return b.world.Progress().Recipients > 0 }, feedd.Patience, 200*time.Millisecond,
		"new mail is tried again after seconds, not minutes")
	flush(t, e)
	b.arrived(t, next)
	assert.Empty(t, settled(t, e, feedd.Patience), "Exim has nothing left")
	sound(t, b.world)
	assert.Empty(t, b.said(), "nobody bounces")
}

// Exim takes messages that it cannot read again: more than 16,384 recipients. patches/exim makes it say so to the client.
func TestEximRefusesRecipientsThatItCouldNotDeliverTo(t *testing.T) {
	c := internet.Config{Domains: 100, Hosts: 10}
	b := startExim(t, "", systemConfig{world: c})
	const most = 16_384
	list := internet.List(c, most+10)
	d := dial(t, "tcp", b.host.Addr())
	d.say("EHLO client.e2e.test", "250")
	d.say("MAIL FROM:<"+sender+">", "250")
	go func() {
		w := bufio.NewWriter(d.conn)
		for _, to := range list {
			fmt.Fprintf(w, "RCPT TO:<%s>\r\n", to)
		}
		w.Flush()
	}()
	for range most {
		d.expect("250")
	}
	for range list[most:] {
		d.expect("452")
	}
	d.say("DATA", "354")
	d.send("Subject: list\r\n\r\n.\r\n")
	d.expect("250")
	d.quit()
	b.arrived(t, most)
	assert.Empty(t, settled(t, b.host, feedd.Patience), "Exim has nothing left")
	sound(t, b.world)
}

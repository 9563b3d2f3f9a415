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

// In the middle of a list smtpfeed is told to end, as at an upgrade, and started again, while single mails keep coming. Postfix
// counts connections that break against the whole transport, so none may.
func TestRestartInTheMiddleOfAListLosesAndRepeatsNothing(t *testing.T) {
	c := internet.Config{Domains: 300, Hosts: 30, RTT: 20 * time.Millisecond, Processing: 150 * time.Millisecond, Additional: true}
	s := startSystem(t, systemConfig{
		world: c,
		feed:  feedd.Config{SMTP: "recipients_per_transaction = 10\nsessions_per_host = 1"}, // ten rounds
	})
	const list, singles = 3000, 20
	next := list
	trickle := func() {
		for range singles {
			submit(t, s.postfix, mail{from: sender, to: []string{internet.Recipient(next, c)}, content: fmt.Sprintf("Subject: %d\r\n\r\n", next)})
			next++
		}
	}
	submit(t, s.postfix, mail{from: sender, to: internet.List(c, list), content: "Subject: list\r\n\r\nFor everybody.\r\n"})
	require.Eventually(t, func() bool { return s.world.Progress().Recipients >= list/10 }, feedd.Patience, 5*time.Millisecond, "the list is on its way")

	s.feed.Terminate(t)
	trickle()
	s.feed.Wait(t)
	atRest := s.world.Progress().Recipients
	assert.Less(t, atRest, list, "the list is not finished")
	trickle()
	s.feed.Start(t)
	trickle()
	kept := settled(t, s.postfix, feedd.Patience)
	t.Logf("%d arrived before the restart, %d were kept by Postfix", atRest, len(kept))
	for _, q := range kept {
		assert.Contains(t, q.Reason, " 451 4.3.2 ", "Postfix was told that smtpfeed ends")
	}

	flush(t, s.postfix)
	s.arrived(t, next)
	assert.Empty(t, settled(t, s.postfix, feedd.Patience), "Postfix has nothing left")
	assert.Empty(t, s.world.Missing(next).First, "nobody is missing")
	r := sound(t, s.world)
	assert.Equal(t, 1+3*singles, r.Contents, "every message arrived unchanged")
	assert.Empty(t, s.returns.failures(), "nobody bounces")
	broken := feedd.LinesWith(feedd.ReadLog(t, s.postfix.Log()), "suspended", "lost connection with", "refused to talk", "onnection refused", "timed out")
	assert.Empty(t, broken, "no connection from Postfix to smtpfeed ever breaks")
}

// A host MTA that connects at the wrong moment must not find out by a connection that ends: to Postfix "421" before MAIL is a
// broken server as much as silence is. It hears 451 at MAIL, as those do that connected a moment earlier.
func TestHostThatConnectsDuringADrainHears451AtMail(t *testing.T) {
	c := internet.Config{Domains: 1, Hosts: 1, Processing: 3 * time.Second}
	w := startWorld(t, c)
	d := feedd.Start(t, feedd.Config{World: w})
	m := mail{from: sender, to: internet.List(c, 3), content: "Subject: list\r\n\r\n"}
	busy, idle, begun := lhlo(t, d), lhlo(t, d), lhlo(t, d)
	begun.say("MAIL FROM:<"+sender+">", "250")
	begun.say("RSET", "250")
	m.send(busy)
	require.Eventually(t, func() bool { return d.Status(t).Feed.Transactions > 0 }, feedd.Patience, time.Millisecond, "the mail is on its way")

	d.Terminate(t)
	require.Eventually(t, func() bool { return d.Status(t).Draining }, feedd.Patience, time.Millisecond, "smtpfeed drains")
	begun.expect("421") // between two transactions: RFC 5321 section 3.8
	late := lhlo(t, d)
	late.say("MAIL FROM:<"+sender+">", "451 4.3.2")
	idle.say("MAIL FROM:<"+sender+">", "451 4.3.2")
	later := dial(t, "unix", d.Socket())
	for range m.to {
		busy.expect("250 2.0.0")
	}
	// Nothing is left to wait for, but this one was greeted some seconds ago and has not said MAIL yet.
	later.say("LHLO client.e2e.test", "250")
	later.say("MAIL FROM:<"+sender+">", "451 4.3.2")
	for _, l := range []*dialog{busy, late, idle, later} {
		l.leave()
	}
	d.Wait(t)
	assert.Equal(t, len(m.to), sound(t, w).Recipients, "what was on its way has arrived")
}

package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

func TestAddressProbeLeavesNoTraceAtTheHosts(t *testing.T) {
	c := internet.Config{Domains: 100, Hosts: 10}
	w := startWorld(t, c)
	d := feedd.Start(t, feedd.Config{World: w})
	for range 3 {
		l := lhlo(t, d)
		l.say("MAIL FROM:<>", "250")
		for i := range 19 { // a probe has one; from 20 on it is a list, whose content is sure to follow
			l.say("RCPT TO:<"+internet.Recipient(i, c)+">", "250")
		}
		l.say("RSET", "250")
		l.quit()
	}
	st := d.Idle(t)
	assert.Zero(t, st.LMTP.Envelopes, "no envelope was made")
	assert.Zero(t, st.Feed.Dials, "no host was called")
	assert.Zero(t, w.Report().Sessions, "and none noticed")
}

// A host MTA that breaks off has heard no replies, keeps its mail and sends it again. Hosts do not greet here before it has left, so that
// at that moment nothing is under way to them.
func TestHostThatBreaksOffLosesAndForgesNothing(t *testing.T) {
	gate := feedd.NewGate(t)
	c := internet.Config{Domains: 100, Hosts: 10, MX: mxsim.Config{Greeting: gate.Greeting}}
	w := startWorld(t, c)
	d := feedd.Start(t, feedd.Config{World: w})
	const n = 19 // with 20 the hosts would be dialled before the dot, and have greeted when the host MTA leaves
	m := mail{from: sender, to: internet.List(c, n), content: "Subject: list\r\n\r\nFor everybody.\r\n"}
	body := "Subject: list\r\n\r\n" + forged // its end of data is not stuffed, and stands behind an end that is missing
	for _, row := range []struct {
		name  string
		until func(*dialog)
	}{
		{"after MAIL", func(l *dialog) { l.say("MAIL FROM:<"+sender+">", "250") }},
		{"after RCPT", func(l *dialog) { begin(l, m) }},
		{"before the reply to DATA", func(l *dialog) { begin(l, m); l.send("DATA\r\n") }},
		{"after DATA", func(l *dialog) { begin(l, m); l.say("DATA", "354") }},
		{"inside the content", func(l *dialog) { begin(l, m); l.say("DATA", "354"); l.send(body[:len(body)-len(".\r\n")]) }},
		{"inside the end of data", func(l *dialog) { begin(l, m); l.say("DATA", "354"); l.send("hello\r\n.\r") }},
		{"after the dot", m.send},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := lhlo(t, d)
			row.until(l)
			l.leave()
			d.Idle(t)
			assert.Zero(t, w.Progress().Recipients, "nobody gets what the host MTA does not know to be delivered")
		})
	}
	assert.EqualValues(t, 1, d.Status(t).LMTP.HostsLeft, "the one that waited for replies is counted")
	gate.Open()
	l := lhlo(t, d)
	for _, r := range m.deliver(l) {
		assert.Regexp(t, `^250 2\.0\.0 mx\d+\.hosts\.example\[.*said: 250 `, r, "the second try succeeds")
	}
	l.quit()
	assert.Empty(t, w.Missing(n).First, "nobody is missing")
	r := sound(t, w)
	assert.Equal(t, n, r.Recipients, "everybody got one message")
	assert.Equal(t, 1, r.Contents, "the same one")
}

// begin sends the envelope of a mail.
func begin(l *dialog, m mail) {
	l.say("MAIL FROM:<"+m.from+">", "250")
	for _, to := range m.to {
		l.say("RCPT TO:<"+to+">", "250")
	}
}

package e2e

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// startDutiful starts an smtpfeed that has the duty to notify, and hands notifications to this address. Mail for kept.test goes to a host
// without DSN.
func startDutiful(t *testing.T, submission, lmtp string) (*feedd.Daemon, *exchanger) {
	t.Helper()
	mx := startExchanger(t, mxsim.Config{SMTPUTF8: true})
	d := feedd.Start(t, feedd.Config{
		World:  startWorld(t, internet.Config{Domains: 1, Hosts: 1}),
		LMTP:   "dsn = true\n" + lmtp,
		Routes: map[string][]string{"kept.test": {mx.host}},
		Tables: fmt.Sprintf("[submission]\nhost = %q\n", submission),
	})
	return d, mx
}

// tellMe hands a mail over, whose sender wants to be told of success, up to the end of data.
func tellMe(t *testing.T, d *feedd.Daemon, from string) *dialog {
	t.Helper()
	l := lhlo(t, d)
	l.say("MAIL FROM:<"+from+"> RET=HDRS ENVID=end SMTPUTF8", "250")
	l.say("RCPT TO:<a@kept.test>"+ofSuccess, "250")
	l.say("DATA", "354")
	l.send(letter + ".\r\n")
	return l
}

// Whatever becomes of the notification, the mail is delivered, and a second copy would be worse than a sender who is not told. That is the
// operator's to hear.
func TestNotificationThatNobodyTakesChangesNothingForTheMail(t *testing.T) {
	t.Parallel()
	refuses := startExchanger(t, mxsim.Config{Rcpt: func(to string, _ int) string { return "550 5.1.1 <" + to + ">: no such user" }})
	mute := startExchanger(t, mxsim.Config{Greeting: func(int) string { return mxsim.Mute }})
	for _, row := range []struct{ name, submission, lmtp string }{
		{"nobody listens", bracketed(newAddrs(t, 1)[0]), ""},
		{"the sender is refused", refuses.host, ""},
		{"nobody answers, and the time for replies is over first", mute.host, `budget = "3s"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d, mx := startDutiful(t, row.submission, row.lmtp)
			d.Pardon("notif")
			l := tellMe(t, d, sender)
			l.expect("250 2.0.0 .* said: 250 ")
			l.quit()
			assert.Equal(t, []string{"a@kept.test"}, mx.accepted(), "the mail arrives, once")
			assert.NotEmpty(t, feedd.LinesWith(feedd.ReadLog(t, d.Path("log")), "level=ERROR"), "the log says that somebody was not told")
			d.Idle(t)
		})
	}
}

// Senders that notifications are not for, and one that needs care.
func TestNotificationsGoToSendersThatCanBeTold(t *testing.T) {
	t.Parallel()
	host := startExchanger(t, mxsim.Config{SMTPUTF8: true})
	d, mx := startDutiful(t, host.host, "")
	l := tellMe(t, d, "")
	l.expect("250 2.0.0 ")
	l.quit()
	assert.Empty(t, host.Messages(), "nobody stands behind the null reverse-path (RFC 3461 section 6.1)")
	const umlaut = "gr\u00fc\u00dfe@sender.test"
	l = tellMe(t, d, umlaut)
	l.expect("250 2.0.0 ")
	l.quit()
	require.Len(t, host.notifications(t), 1, "a sender that is not ASCII is told")
	assert.Equal(t, []string{umlaut}, host.accepted(), "by its own name")
	assert.Contains(t, host.Messages()[0].Params, "SMTPUTF8", "which the host MTA is warned of (RFC 6531 section 3.4)")
	assert.Len(t, mx.accepted(), 2, "both mails arrived")
	assert.Empty(t, append(host.Violations(), mx.Violations()...), "nobody finds fault")
}

// A notification is on its way when smtpfeed is killed: the mail was delivered, and the host MTA has not heard of it. It tries again, and
// neither a second copy leaves nor is the notification forgotten.
func TestKilledBetweenDeliveryAndNotification(t *testing.T) {
	t.Parallel()
	host := startExchanger(t, mxsim.Config{Greeting: func(session int) string {
		if session == 1 {
			return mxsim.Mute
		}
		return ""
	}})
	d, mx := startDutiful(t, host.host, "")
	l := tellMe(t, d, sender)
	require.Eventually(t, func() bool { return host.Stats().Sessions == 1 }, feedd.Patience, polling, "the notification is on its way")
	d.Kill(t)
	l.leave()
	d.Start(t)
	l = tellMe(t, d, sender)
	l.expect("250 2.0.0 ")
	l.quit()
	assert.Equal(t, []string{"a@kept.test"}, mx.accepted(), "there is one copy")
	assert.Equal(t, map[string]string{"a@kept.test": "relayed 2.0.0"}, told(t, host.notifications(t)), "and one notification")
	d.Idle(t)
}

// Killed a moment later, when the notification was written and its reply not read, smtpfeed cannot know whether the host MTA has it. It issues
// it again, under the same name, so that whoever reads both can tell that they are one.
func TestKilledBeforeTheReplyToANotification(t *testing.T) {
	t.Parallel()
	written, killed := make(chan bool), make(chan bool) // closed by the host MTA at the first end of data, and by the test
	var first sync.Once
	host := startExchanger(t, mxsim.Config{Final: func(*mxsim.Message) string {
		first.Do(func() { close(written); <-killed })
		return ""
	}})
	d, mx := startDutiful(t, host.host, "")
	l := tellMe(t, d, sender)
	<-written
	d.Kill(t)
	close(killed)
	l.leave()
	d.Start(t)
	l = tellMe(t, d, sender)
	l.expect("250 2.0.0 ")
	l.quit()
	assert.Equal(t, []string{"a@kept.test"}, mx.accepted(), "there is one copy of the mail")
	var ids []string
	for _, n := range host.notifications(t) {
		ids = append(ids, n.header.Get("Message-Id"))
	}
	require.Len(t, ids, 2, "there are two notifications")
	assert.Equal(t, ids[0], ids[1], "with one Message-ID")
	d.Idle(t)
}

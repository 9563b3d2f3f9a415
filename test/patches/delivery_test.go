package patches

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

// list is the sender of the lists.
const list = "list-bounces@lists.example.org"

// ready brings a machine to where lists go through smtpfeed: by the guide's commands, with these options for apply.
func (m *machine) ready(t *testing.T, socket string, options string) {
	t.Helper()
	m.startPostfix(t)
	m.run(t, `useradd --system smtpfeed && cp bin/smtpfeed /usr/sbin/ && mkdir -p /etc/systemd/system/smtpfeed.socket.d &&
		cp cmd/smtpfeed/dist/*.service cmd/smtpfeed/dist/*.socket /etc/systemd/system/ &&
		printf '[Socket]\nSocketGroup=postfix\n' >/etc/systemd/system/smtpfeed.socket.d/postfix.conf`)
	m.startSmtpfeed(t, socket)
	m.run(t, "patches/postfix/smtpfeed-postfix apply --reload "+options)
}

const socket = "/run/smtpfeed/lmtp.sock"

// TestLargeList: 105,000 recipients submitted by SMTP are taken, which Debian's configuration refuses twice (1,000 recipients, and
// 10 MB of queue file), and come to smtpfeed as 53 transactions of one message.
func TestLargeList(t *testing.T) {
	onMachine(t, func(t *testing.T, m *machine) {
		m.ready(t, socket, "")
		const n = 105000 // with 99 octets of the queue file each: more than message_size_limit is by default
		assert.Contains(t, submit(t, letter{list, internet.List(m.config, n), 1}), "250 ", "the whole list is taken as one message")
		r := m.arrived(t, n)
		stats := m.lmtpStats(t)
		assert.EqualValues(t, 53, stats["Envelopes"], "transactions have the recipients that were asked for")
		t.Logf("sessions %d, transactions %d, last after %.1f s, %v", r.Sessions, r.Transactions, r.Last, stats)
	})
}

// TestOldQueueManager: the list is one transaction, where the current queue manager would make at least two of 10,000.
func TestOldQueueManager(t *testing.T) {
	onMachine(t, func(t *testing.T, m *machine) {
		m.ready(t, socket, "--oqmgr")
		const n = 20000
		assert.Contains(t, submit(t, letter{list, internet.List(m.config, n), 1}), "250 ", "the whole list is taken as one message")
		m.arrived(t, n)
		assert.EqualValues(t, 1, m.lmtpStats(t)["Envelopes"], "it comes in one piece")
	})
}

func TestChroot(t *testing.T) {
	onMachine(t, func(t *testing.T, m *machine) {
		m.ready(t, "/var/spool/postfix/smtpfeed/lmtp.sock", "--chroot")
		sendmail(t, list, internet.List(m.config, 10)...)
		m.arrived(t, 10)
		assert.NotContains(t, m.run(t, "postfix check 2>&1; tail -5 /var/log/mail.log"), "warning", "Postfix does not mind the socket in its directory")
	})
}

// TestOnlyOneSender: other mail goes as before.
func TestOnlyOneSender(t *testing.T) {
	onMachine(t, func(t *testing.T, m *machine) {
		m.ready(t, socket, "--sender "+list)
		sendmail(t, "somebody@lists.example.org", internet.Recipient(0, m.config))
		all := internet.List(m.config, 2)
		sendmail(t, "List-Bounces+verp=x@Lists.Example.org", all...)
		m.arrived(t, 2)
		require.Eventually(t, func() bool { return strings.Contains(mailLog(t), "postfix/smtp[") }, patience, tick, "the other mail goes by smtp(8)")
		assert.EqualValues(t, 1, m.lmtpStats(t)["Envelopes"], "and only the list's by smtpfeed, whatever the sender's case and extension")
	})
}

// TestTLSOfOtherLMTP: what an administrator demands of other LMTP servers is no hindrance.
func TestTLSOfOtherLMTP(t *testing.T) {
	onMachine(t, func(t *testing.T, m *machine) {
		m.run(t, "postconf -e lmtp_tls_security_level=encrypt smtp_tls_security_level=encrypt")
		m.ready(t, socket, "")
		sendmail(t, list, internet.List(m.config, 10)...)
		m.arrived(t, 10)
	})
}

// TestAfterAnOutage: what was deferred while smtpfeed was away goes at the first attempt after; the transport is not suspended.
func TestAfterAnOutage(t *testing.T) {
	onMachine(t, func(t *testing.T, m *machine) {
		m.ready(t, socket, "")
		m.run(t, "mv "+socket+" "+socket+".away")
		for i := range 20 {
			sendmail(t, list, internet.Recipient(i, m.config))
		}
		require.Eventually(t, func() bool { return strings.Count(mailLog(t), "status=deferred") == 20 }, patience, tick, "Postfix keeps the mail")
		assert.NotContains(t, mailLog(t), "delivery temporarily suspended", "each on its own account")
		m.run(t, "mv "+socket+".away "+socket+" && postqueue -f")
		m.arrived(t, 20)
	})
}

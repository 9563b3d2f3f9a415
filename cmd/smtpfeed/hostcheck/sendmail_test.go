package hostcheck

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fixture reads a file of testdata and replaces something in it, which must be there.
func fixture(t *testing.T, name, old, new string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err, "the fixture is there")
	if old != "" {
		require.Contains(t, string(text), old, "the fixture has what is replaced")
	}
	return strings.Replace(string(text), old, new, 1)
}

// wants checks that a summary begins with something, or is empty.
func wants(t *testing.T, says, said string) {
	t.Helper()
	if says == "" {
		assert.Empty(t, said, "this is as it should be")
		return
	}
	assert.True(t, strings.HasPrefix(said, says), "the worst finding is this one: %s", said)
}

// unlimited is ourFeed with no bound of a message, of which Exim and sendmail would have to say something.
func unlimited() Feed {
	f := ourFeed()
	f.MaxMessage = 0
	return f
}

// TestSendmail changes one thing at a time in a sendmail.cf that m4 made from our own patches.
func TestSendmail(t *testing.T) {
	const flags = "F=mDFMuXz8"
	for _, c := range []struct{ rule, old, new, says string }{
		{"as our patches make it", "", "", ""},
		{"without LMTP", flags, "F=mDFMuX8", "unsafe: sendmail: mailer smtpfeed lacks the flag z in F=mDFMuX8"},
		{"without dot-stuffing", flags, "F=mDFMuz8", "unsafe: sendmail: mailer smtpfeed lacks the flag X"},
		{"lower case", flags, "F=mDFMXz8", "unsafe: sendmail: mailer smtpfeed lacks the flag u"},
		{"one recipient a time", flags, "F=DFMuXz8", "slow: sendmail: mailer smtpfeed lacks the flag m"},
		{"recoded to 7 bits", flags, "F=mDFMuXz7", "unsafe: sendmail: mailer smtpfeed has the flag 7"},
		{"recoded to 8 bits", flags, "F=mDFMuXz89", "unsafe: sendmail: mailer smtpfeed has the flag 9"},
		{">From", flags, "F=mDFMuXz8E", "unsafe: sendmail: mailer smtpfeed has the flag E"},
		{"without 8, which our 8BITMIME makes up for", flags, "F=mDFMuXz", ""},
		{"no r=", "r=200000, ", "", "slow: sendmail: mailer smtpfeed has no r=, which means 100: a list of 100000 recipients is 1000 transactions"},
		{"a small r=", "r=200000", "r=500", "slow: sendmail: mailer smtpfeed has r=500"},
		{"a small L=", "L=0", "L=500", "unsafe: sendmail: mailer smtpfeed has L=500"},
		{"L= as in sendmail's own mailers", "HdrFromSMTP, R=EnvToSMTP, E=\\r\\n, L=0", "x, E=\\r\\n, L=990", "note: sendmail: mailer smtpfeed has L=990"},
		{"the flag L without L=", "L=0", "L=0, F=mDFMuXz8L", "note: sendmail: mailer smtpfeed has L=990"},
		{"no CR", "E=\\r\\n, L=0", "L=0", `unsafe: sendmail: mailer smtpfeed ends lines with ""`},
		{"$u", "A=FILE /run/smtpfeed/lmtp.sock", "A=FILE /run/smtpfeed/lmtp.sock $u", "unsafe: sendmail: mailer smtpfeed has $u in A="},
		{"another socket", "/run/smtpfeed/lmtp.sock", "/run/smtpfeed.sock", `unsafe: sendmail: mailer smtpfeed leads to "FILE /run/smtpfeed.sock"`},
		{"our port", "A=FILE /run/smtpfeed/lmtp.sock", "A=TCP localhost 2424", ""},
		{"our port on the host of the rules", "A=FILE /run/smtpfeed/lmtp.sock", "A=TCP $h 2424", ""},
		{"another port", "A=FILE /run/smtpfeed/lmtp.sock", "A=TCP localhost 24", "unsafe: sendmail: mailer smtpfeed leads to"},
		{"no socket at all", "A=FILE /run/smtpfeed/lmtp.sock", "A=TCP $h", "unsafe: sendmail: mailer smtpfeed leads to"},
		{"no mailer of ours", "Msmtpfeed", "#smtpfeed", "note: sendmail: /etc/mail/sendmail.cf has no mailer that leads to smtpfeed"},
		{"often written", "O CheckpointInterval=1000", "O CheckpointInterval=10", "slow: sendmail: CheckpointInterval is 10: the queue file is written again after every 10 recipients"},
		{"often written, with a comment behind", "O CheckpointInterval=1000", "O checkpointinterval = 10 # small", "slow: sendmail: CheckpointInterval is 10"},
		{"often written, in the old form", "O CheckpointInterval=1000", "OC10", "slow: sendmail: CheckpointInterval is 10"},
		{"often written by default", "O CheckpointInterval=1000", "#O CheckpointInterval=1000", "slow: sendmail: CheckpointInterval is 10"},
		{"never written", "O CheckpointInterval=1000", "O CheckpointInterval=0", "unsafe: sendmail: CheckpointInterval is 0"},
		{"a short wait", "O Timeout.datafinal=1h", "O Timeout.datafinal=5m", "unsafe: sendmail: Timeout.datafinal is 5m0s, and smtpfeed may answer after 9m0s"},
		{"a wait in minutes", "O Timeout.datafinal=1h", "O Timeout.datafinal=10", ""},
		{"a long wait by default", "O Timeout.datafinal=1h", "#O Timeout.datafinal=1h", ""},
		{"seven bits", "O SevenBitInput=False", "O SevenBitInput=True", "unsafe: sendmail: SevenBitInput is set"},
		{"few recipients", "O MaxRecipientsPerMessage=0", "O MaxRecipientsPerMessage=100", "slow: sendmail: MaxRecipientsPerMessage is 100"},
		{"one at a time", "#O SingleThreadDelivery=False", "O SingleThreadDelivery=True", "slow: sendmail: SingleThreadDelivery is set"},
		{"queued first", "O DeliveryMode=background", "O DeliveryMode=queueonly", "slow: sendmail: DeliveryMode is queueonly"},
		{"a queue group that splits", "Msmtpfeed,", "Qlists, P=/var/spool/mqueue/l, r=50\nMsmtpfeed, Q=lists,", "slow: sendmail: the queue group lists splits messages into envelopes of 50"},
		{"a queue group that splits in large pieces", "Msmtpfeed,", "Qlists, P=/var/spool/mqueue/l, r=1000\nMsmtpfeed, Q=lists,", ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			s := ReadSendmail(fixture(t, "sendmail.cf", c.old, c.new))
			s.File = "/etc/mail/sendmail.cf"
			wants(t, c.says, summary(s.Check(unlimited())))
		})
	}
}

func TestSendmailProgramMode(t *testing.T) {
	for arguments, says := range map[string]string{
		"smtpfeed stdio --via unix:/run/smtpfeed/lmtp.sock": "",
		"smtpfeed stdio":    "slow: sendmail: mailer smtpfeed runs a smtpfeed of its own for each message",
		"smtpfeed serve":    "unsafe: sendmail: mailer smtpfeed runs \"smtpfeed serve\"",
		"smtpfeed stdio $u": "unsafe: sendmail: mailer smtpfeed has $u",
	} {
		text := strings.Replace(fixture(t, "sendmail.cf", "P=[IPC], F=mDFMuXz8", "P=/usr/sbin/smtpfeed, F=mDFMuXz8"), "A=FILE /run/smtpfeed/lmtp.sock", "A="+arguments, 1)
		wants(t, says, summary(ReadSendmail(text).Check(unlimited())))
	}
}

func TestSendmailSize(t *testing.T) {
	for line, says := range map[string]string{
		"#O MaxMessageSize=0":         "note: sendmail: MaxMessageSize is 0",
		"O MaxMessageSize=100":        "",
		"O MaxMessageSize=9999999999": "note: sendmail: MaxMessageSize is 9999999999",
	} {
		wants(t, says, summary(ReadSendmail(fixture(t, "sendmail.cf", "#O MaxMessageSize=0", line)).Check(ourFeed())))
	}
}

// TestSendmailSocketDirectory: sendmail connects to no socket below a directory that others may write to.
func TestSendmailSocketDirectory(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "socket")
	require.NoError(t, err, "a directory is made")
	defer os.RemoveAll(dir)
	own := filepath.Join(dir, "own")
	require.NoError(t, os.Mkdir(own, 0o755), "a directory is made")
	f := unlimited()
	f.Listen = []string{"unix:" + own + "/lmtp.sock"}
	text := fixture(t, "sendmail.cf", "/run/smtpfeed/lmtp.sock", own+"/lmtp.sock")
	blame := "#O DontBlameSendmail=safe"
	wants(t, "unsafe: sendmail: sendmail takes no socket below /tmp, to which others may write", summary(ReadSendmail(text).Check(f)))
	require.Contains(t, text, blame, "the option is there")
	trusted := strings.Replace(text, blame, "O DontBlameSendmail=TrustStickyBit", 1)
	wants(t, "", summary(ReadSendmail(trusted).Check(f)))
	require.NoError(t, os.Chmod(own, 0o775), "the group may write")
	require.NoError(t, os.Chmod(own, 0o702), "or everybody")
	assert.NotEmpty(t, writableByOthers(own+"/lmtp.sock", 0o002), "which sendmail wants as little")
}

func TestSendmailSyntax(t *testing.T) {
	s := ReadSendmail("# a comment\n Mnot, P=x\nMa, P=/bin/a, F=m,\n\tA=a \"b, c\" d\\,e, E=\\r\\n\nO Timeout.datafinal=1h30m\nO  Odd = x\nM\nMb\nMc,P\nQg, r=5\n")
	require.Len(t, s.mailers, 2, "what is no mailer is passed over: %v", s.mailers)
	assert.Equal(t, `a b, c d,e`, s.mailers[0].field['A'], "quotes and escapes are worked out")
	assert.Equal(t, "\r\n", s.mailers[0].field['E'], "and line ends")
	d, ok := s.timeout("datafinal")
	assert.True(t, ok, "the timeout is known")
	assert.Equal(t, 90*time.Minute, d, "units add up")
	assert.Equal(t, "5", s.queues["g"].field['r'], "queue groups are read")
	assert.Equal(t, "x", s.options["odd"], "names are folded")
}

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

// programRecipients is a list's size where sendmail runs a program for each message.
const programRecipients = 1000

// programWorld is where that list goes.
func programWorld() internet.Config {
	return internet.Config{
		Domains: 500, Hosts: listHosts, DeadHosts: listDead, Refused: 2, Grey: 3,
		RTT: 20 * time.Millisecond, Processing: 50 * time.Millisecond, DNSDelay: 5 * time.Millisecond, Additional: true,
		MX: mxsim.Config{HoldGreeting: 500 * time.Millisecond},
	}
}

// programForOthers is smtpfeed where the user as whom sendmail runs it can.
func programForOthers(t *testing.T) string {
	t.Helper()
	program := filepath.Join(feedd.NewDir(t, "smtpfeed-"), "smtpfeed")
	text, err := os.ReadFile(os.Getenv(feedd.BinaryVariable))
	require.NoError(t, err, "there is a smtpfeed")
	require.NoError(t, os.WriteFile(program, text, 0o755), "it can be copied")
	return program
}

// sendmail runs a whole smtpfeed for each message: there is no daemon.
func TestListThroughSendmailAndAProgram(t *testing.T) {
	c := programWorld()
	s := &sendmailSystem{system: startSendmailWorld(t, c)}
	dir := feedd.NewDir(t, "smtpfeed-")
	require.NoError(t, os.Chmod(dir, 0o777), "the user as whom sendmail runs it can write records")
	conf := feedd.Config{World: s.world, Routes: map[string][]string{"sender.test": {s.returns.host}}}.Text(dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "smtpfeed.toml"), []byte(conf), 0o644), "smtpfeed is configured")
	s.sendmail = startSendmail(t, hosts.Setup{
		Variant: "program", Program: []string{programForOthers(t), "stdio", "-c", filepath.Join(dir, "smtpfeed.toml")},
	})
	s.submitList(t, c, programRecipients)
	s.checkList(t, programRecipients)
	assert.Len(t, feedd.LinesWith(feedd.ReadLog(t, filepath.Join(dir, "deliveries.jsonl")), `"outcome":"delivered"`),
		programRecipients*998/1000+1, "each delivery is recorded, that of the bounce too")
}

// The program hands its conversation to the daemon.
func TestListThroughSendmailAndAProgramThatBridges(t *testing.T) {
	c := programWorld()
	s := &sendmailSystem{system: startSendmailWorld(t, c)}
	s.feed = feedd.Start(t, feedd.Config{
		World: s.world, Routes: map[string][]string{"sender.test": {s.returns.host}}, SMTP: `down_time = "1h"`, // however slow this machine is
	})
	s.sendmail = startSendmail(t, hosts.Setup{
		Variant: "via", Program: []string{programForOthers(t), "stdio", "--via", "unix:" + s.feed.Socket()},
	})
	s.submitList(t, c, programRecipients)
	s.checkList(t, programRecipients)
	st := s.feed.Idle(t)
	assert.EqualValues(t, 3, st.Feed.EnvelopesTotal, "the daemon got the list, its bounce, and the second try")
	assert.EqualValues(t, c.DeadHosts, st.Feed.DialsFailed, "and remembers at the second try what it learned at the first")
}

package hostcheck

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ourFeed is smtpfeed with its default configuration, on a socket and a port.
func ourFeed() Feed {
	return Feed{Listen: []string{"unix:/run/smtpfeed/lmtp.sock", "tcp:127.0.0.1:2424"}, Mode: 0o660, Budget: 540 * time.Second, MaxMessage: 64 << 20}
}

// tuned is a main.cf that leaves nothing to say.
const tuned = `compatibility_level = 3.6
queue_directory = /var/spool/postfix
mail_owner = postfix
default_transport = smtpfeed:unix:/run/smtpfeed/lmtp.sock
smtpfeed_destination_recipient_limit = 2000
smtpfeed_initial_destination_concurrency = 200
smtpfeed_destination_concurrency_limit = 200
smtpfeed_destination_concurrency_failed_cohort_limit = 0
qmgr_message_recipient_limit = 200000
smtpfeed_recipient_limit = 200000
duplicate_filter_limit = 0
smtpd_recipient_limit = 200000
message_size_limit = 40960000
`

// tunedServices is the master.cf beside it.
const tunedServices = `smtp inet n - n - - smtpd
qmgr unix n - n 300 1 qmgr
cleanup unix n - n - 0 cleanup
smtp unix - - n - - smtp
relay unix - - n - - smtp
smtpfeed unix - - n - 200 lmtp -o lmtp_data_done_timeout=3600s -o lmtp_tls_security_level=none
`

// readReal has a real postconf read main.cf and master.cf, so that the tests stand on what Postfix really prints.
func readReal(t *testing.T, main, master string) Postfix {
	t.Helper()
	dir := t.TempDir()
	writeOld(t, filepath.Join(dir, "main.cf"), main)
	writeOld(t, filepath.Join(dir, "master.cf"), master)
	return readDirectory(t, dir)
}

// writeOld writes a file as if long ago: Postfix waits for two seconds when its configuration has only just changed.
func writeOld(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644), "the file is written")
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(path, old, old), "an hour ago")
}

// readDirectory reads an instance as smtpfeed check does.
func readDirectory(t *testing.T, dir string) Postfix {
	t.Helper()
	var printed []string
	for _, what := range []string{"-x", "-M", "-Px"} {
		out, err := exec.Command(needPostconf(t), "-c", dir, what).Output()
		require.NoError(t, err, "postconf %s reads the configuration", what)
		printed = append(printed, string(out))
	}
	p := ReadPostfix(printed[0], printed[1], printed[2])
	p.Dir = dir
	return p
}

// withMain is a Postfix with another main.cf beside the same master.cf.
func withMain(t *testing.T, p Postfix, main string) Postfix {
	t.Helper()
	writeOld(t, filepath.Join(p.Dir, "main.cf"), main)
	out, err := exec.Command(needPostconf(t), "-c", p.Dir, "-x").Output()
	require.NoError(t, err, "postconf reads the configuration")
	p.params = ReadPostfix(string(out), "", "").params
	return p
}

// needPostconf fails loudly where there is no Postfix: a test that skips silently proves nothing.
func needPostconf(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"postconf", "/usr/sbin/postconf"} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	if os.Getenv("SMTPFEED_E2E") == "skip" {
		t.Skip("SMTPFEED_E2E=skip")
	}
	t.Fatal("there is no postconf: install Postfix, or set SMTPFEED_E2E=skip")
	return ""
}

// without leaves out the lines of a text that begin with a word.
func without(text, word string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, word+" ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// summary is what a test compares: all findings as they are shown, the worst first.
func summary(found []Finding) string {
	var b strings.Builder
	for _, f := range Sort(found) {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

func TestPostfixTunedHasNoFindings(t *testing.T) {
	t.Parallel()
	assert.Empty(t, summary(readReal(t, tuned, tunedServices).Check(ourFeed())), "nothing is slow or unsafe")
}

// TestPostfixParameters changes one thing at a time in a Postfix that is as it should be.
func TestPostfixParameters(t *testing.T) {
	t.Parallel()
	base := readReal(t, tuned, tunedServices)
	for _, c := range []struct{ line, says string }{
		{"smtpfeed_destination_recipient_limit = 50", "slow: postfix: smtpfeed_destination_recipient_limit is 50: a list of 100000 recipients is handed over in 2000 pieces"},
		{"smtpfeed_destination_recipient_limit = 1000", ""},
		{"smtpfeed_destination_recipient_limit = 0", "slow: postfix: smtpfeed_destination_recipient_limit is 0: beyond 5000"},
		{"smtpfeed_destination_recipient_limit = 100000", "slow: postfix: smtpfeed_destination_recipient_limit is 100000: beyond 5000"},
		{"smtpfeed_initial_destination_concurrency = 5", "slow: postfix: smtpfeed_initial_destination_concurrency is 5"},
		{"smtpfeed_destination_concurrency_limit = 20", "slow: postfix: smtpfeed_destination_concurrency_limit is 20"},
		{"smtpfeed_destination_concurrency_limit = 0", ""},
		{"smtpfeed_destination_concurrency_failed_cohort_limit = 1", "unsafe: postfix: smtpfeed_destination_concurrency_failed_cohort_limit is 1: one connection that fails stops all mail"},
		{"smtpfeed_destination_rate_delay = 2s", "slow: postfix: smtpfeed_destination_rate_delay is 2s"},
		{"smtpfeed_transport_rate_delay = 1s", "slow: postfix: smtpfeed_transport_rate_delay is 1s"},
		{"qmgr_message_recipient_limit = 20000", "slow: postfix: qmgr_message_recipient_limit is 20000"},
		{"smtpfeed_recipient_limit = 20000", "slow: postfix: smtpfeed_recipient_limit is 20000"},
		{"defer_transports = uucp, smtpfeed", "slow: postfix: defer_transports has smtpfeed"},
		{"defer_transports = smtpfeed2", ""},
		{"smtpd_recipient_limit = 1000", "slow: postfix: smtpd_recipient_limit is 1000"},
		{"duplicate_filter_limit = 1000", "unsafe: postfix: duplicate_filter_limit is 1000"},
		{"message_size_limit = 10240000", "unsafe: postfix: message_size_limit is 10240000 and counts about 130 octets a recipient: a message to more than 78769 of them is refused"},
		{"message_size_limit = 0", "note: postfix: message_size_limit is 0"},
		{"message_size_limit = 99999999", "note: postfix: message_size_limit is 99999999"},
		{"lmtp_data_done_timeout = 300s", ""}, // the service has its own
		{"daemon_timeout = 9m", "unsafe: postfix: daemon_timeout is 9m0s for smtpfeed"},
		{"daemon_timeout = 1h", ""},
		{"lmtp_discard_lhlo_keywords = pipelining, 8BITMIME", "unsafe: postfix: lmtp_discard_lhlo_keywords has 8bitmime"},
		{"lmtp_discard_lhlo_keywords = pipelining", "slow: postfix: lmtp_discard_lhlo_keywords has pipelining"},
		{"lmtp_discard_lhlo_keywords = dsn", ""},
		{"lmtp_line_length_limit = 512", "unsafe: postfix: lmtp_line_length_limit is 512"},
		{"lmtp_line_length_limit = 0", ""},
		{"default_transport = smtpfeed:unix:/run/smtpfeed/other.sock", "unsafe: postfix: smtpfeed leads to unix:/run/smtpfeed/other.sock, and smtpfeed listens on unix:/run/smtpfeed/lmtp.sock"},
		{"default_transport = smtpfeed:unix:/var/run/smtpfeed/lmtp.sock", ""},
		{"default_transport = smtpfeed:inet:localhost:2424", ""},
		{"default_transport = smtpfeed:[127.0.0.1]:2424", ""},
		{"default_transport = smtpfeed:127.0.0.1:2425", "unsafe: postfix: smtpfeed leads to tcp:127.0.0.1:2425"},
		{"default_transport = smtpfeed", "unsafe: postfix: default_transport = smtpfeed names no socket"},
		{"default_transport = smtpfeed2:unix:/run/smtpfeed/lmtp.sock", "unsafe: postfix: default_transport names the transport smtpfeed2, which master.cf does not have"},
		{"default_transport = smtp:unix:/run/smtpfeed/lmtp.sock", "unsafe: postfix: the service smtp of master.cf runs smtp"},
		{"default_transport = smtp", "note: postfix: the Postfix in"},
	} {
		t.Run(c.line, func(t *testing.T) {
			name, _, _ := strings.Cut(c.line, " ")
			expect(t, withMain(t, base, without(tuned, name)+c.line+"\n"), c.says)
		})
	}
}

// expect wants exactly one finding that begins so, or none at all. A transport that leads elsewhere may have more.
func expect(t *testing.T, p Postfix, says string) {
	t.Helper()
	said := summary(p.Check(ourFeed()))
	if says == "" {
		assert.Empty(t, said, "this is as it should be")
		return
	}
	first, _, _ := strings.Cut(said, "\n")
	assert.True(t, strings.HasPrefix(first, says), "the worst finding is this one: %s", said)
}

func TestPostfixServices(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rule, entry, says string }{
		{"a short timeout of its own", "smtpfeed unix - - n - 200 lmtp -o lmtp_data_done_timeout=300s", "unsafe: postfix: lmtp_data_done_timeout is 5m0s for smtpfeed, and smtpfeed may answer after 9m0s"},
		{"Postfix's default suffices for ours", "smtpfeed unix - - n - 200 lmtp", ""},
		{"without the margin", "smtpfeed unix - - n - 200 lmtp -o lmtp_data_done_timeout=569", "unsafe: postfix: lmtp_data_done_timeout is 9m29s"},
		{"spaces in -o", "smtpfeed unix - - n - 200 lmtp -o { lmtp_data_done_timeout = 5 m }", "unsafe: postfix: lmtp_data_done_timeout is 5m0s"},
		{"a parameter in -o", "smtpfeed unix - - n - 200 lmtp -o lmtp_data_done_timeout=$lmtp_rset_timeout", "unsafe: postfix: lmtp_data_done_timeout is 20s"},
		{"TLS that must be", "smtpfeed unix - - n - 200 lmtp -o lmtp_tls_security_level=encrypt", "unsafe: postfix: lmtp_tls_security_level is encrypt for smtpfeed"},
		{"TLS that may be", "smtpfeed unix - - n - 200 lmtp -o lmtp_tls_security_level=may", ""},
		{"TLS that must be, by its old name", "smtpfeed unix - - n - 200 lmtp -o lmtp_enforce_tls=yes", "unsafe: postfix: lmtp_enforce_tls is yes for smtpfeed"},
		{"fewer processes than transactions", "smtpfeed unix - - n - 100 lmtp", "slow: postfix: master.cf allows 100 processes of smtpfeed, fewer than the 200 transactions at once"},
		{"the default number of processes", "smtpfeed unix - - n - - lmtp", "slow: postfix: master.cf allows 100 processes"},
		{"any number of processes", "smtpfeed unix - - n - 0 lmtp", ""},
		{"another program", "smtpfeed unix - - n - 200 pipe", "unsafe: postfix: the service smtpfeed of master.cf runs pipe"},
		{"a chroot", "smtpfeed unix - - y - 200 lmtp", "unsafe: postfix: smtpfeed runs in a chroot, so that it looks for the socket at /var/spool/postfix/run/smtpfeed/lmtp.sock"},
		{"no service", "", "unsafe: postfix: default_transport names the transport smtpfeed, which master.cf does not have"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			expect(t, readReal(t, tuned, without(tunedServices, "smtpfeed")+c.entry+"\n"), c.says)
		})
	}
}

func TestPostfixChrootByDefault(t *testing.T) {
	t.Parallel()
	services := without(tunedServices, "smtpfeed") + "smtpfeed unix - - - - 200 lmtp\n"
	expect(t, readReal(t, tuned, services), "")
	old := without(tuned, "compatibility_level") + "compatibility_level = 0\n"
	expect(t, readReal(t, old, services), "unsafe: postfix: smtpfeed runs in a chroot")
}

func TestPostfixSocketInTheChroot(t *testing.T) {
	t.Parallel()
	main := without(tuned, "default_transport") + "default_transport = smtpfeed:unix:smtpfeed/lmtp.sock\n"
	services := without(tunedServices, "smtpfeed") + "smtpfeed unix - - y - 200 lmtp\n"
	p := readReal(t, main, services)
	expect(t, p, "unsafe: postfix: smtpfeed leads to unix:/var/spool/postfix/smtpfeed/lmtp.sock, inside of Postfix's chroot")
	f := ourFeed()
	f.Listen = []string{"unix:/var/spool/postfix/smtpfeed/lmtp.sock"}
	assert.Empty(t, summary(p.Check(f)), "a socket in the queue directory is reached from the chroot")
}

// TestPostfixCommandsMend carries out what is advised until nothing is left to say: each command must do what it promises.
func TestPostfixCommandsMend(t *testing.T) {
	t.Parallel()
	const untuned = "compatibility_level = 3.6\ndefault_transport = smtpfeed:unix:/run/smtpfeed/lmtp.sock\n" +
		"lmtp_tls_security_level = encrypt\nlmtp_discard_lhlo_keywords = 8bitmime\nsmtpfeed_destination_rate_delay = 1s\ndaemon_timeout = 60s\n"
	const services = "smtp inet n - n - - smtpd\nqmgr unix n - n 300 1 qmgr -o qmgr_message_recipient_limit=5000\nsmtpfeed unix - - y - 10 lmtp -o lmtp_data_done_timeout=60s\n"
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.cf"), []byte(untuned), 0o644), "main.cf is written")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "master.cf"), []byte(services), 0o644), "master.cf is written")
	found := readDirectory(t, dir).Check(ourFeed())
	assert.GreaterOrEqual(t, len(found), 14, "much is to be said about this one: %s", summary(found))
	for _, f := range found {
		command, _, ok := strings.Cut(f.Mend, " && postfix -c "+dir+" reload")
		require.True(t, ok, "every finding has a command: %s", f)
		out, err := exec.Command("sh", "-c", "PATH=$PATH:/usr/sbin; "+command).CombinedOutput()
		require.NoError(t, err, "the command %s works: %s", command, out)
	}
	assert.Empty(t, summary(readDirectory(t, dir).Check(ourFeed())), "nothing is left to say")
}

// TestPostfixScript: what our own script makes of a Postfix is what we want.
func TestPostfixScript(t *testing.T) {
	t.Parallel()
	script, err := filepath.Abs("../../../patches/postfix/smtpfeed-postfix")
	require.NoError(t, err, "the script has a path")
	for _, c := range []struct{ options, listen, note string }{
		{"--sender @lists.example.org", "/run/smtpfeed/lmtp.sock", "default_transport is smtp: only mail that a table chooses"},
		{"--chroot --oqmgr", "/var/spool/postfix/smtpfeed/lmtp.sock", ""},
	} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "main.cf"), []byte("compatibility_level = 3.6\nqueue_directory = /var/spool/postfix\n"), 0o644), "main.cf is written")
		require.NoError(t, os.WriteFile(filepath.Join(dir, "master.cf"), []byte(without(tunedServices, "smtpfeed")), 0o644), "master.cf is written")
		needPostconf(t)
		out, err := exec.Command("sh", "-c", "PATH=$PATH:/usr/sbin sh "+script+" apply -c "+dir+" "+c.options).CombinedOutput()
		require.NoError(t, err, "the script works: %s", out)
		f := ourFeed()
		f.Listen = []string{"unix:" + c.listen}
		found := readDirectory(t, dir).Check(f)
		if c.note == "" {
			assert.Empty(t, summary(found), "apply %s leaves nothing to say", c.options)
			continue
		}
		require.Len(t, found, 1, "apply %s leaves a note: %s", c.options, summary(found))
		assert.Contains(t, found[0].String(), c.note, "which says what goes elsewhere")
	}
}

func TestPostfixTables(t *testing.T) {
	t.Parallel()
	main := without(tuned, "default_transport") + "transport_maps = hash:/etc/postfix/transport, ldap:/etc/postfix/x, inline:{lists.test=local:}\n"
	p := readReal(t, main, tunedServices)
	assert.Equal(t, []string{"/etc/postfix/transport"}, p.TableFiles(), "text is searched, a directory service is not")
	expect(t, p, "note: postfix: the Postfix in")
	p.AddTable("# a.test smtpfeed2:unix:/nowhere\nlists.test\tsmtpfeed:unix:/run/smtpfeed/lmtp.sock\nb.test smtp:[relay.test]:25\n")
	expect(t, p, "note: postfix: default_transport is smtp: only mail that a table chooses goes through smtpfeed")
}

func TestPostfixOldQueueManager(t *testing.T) {
	t.Parallel()
	services := strings.Replace(tunedServices, "1 qmgr", "1 oqmgr", 1)
	main := without(tuned, "smtpfeed_destination_recipient_limit") + "smtpfeed_destination_recipient_limit = 0\n"
	expect(t, readReal(t, main, services), "")
}

// TestPostfixMailboxes: local(8) does not start when a message may be larger than a mailbox.
func TestPostfixMailboxes(t *testing.T) {
	t.Parallel()
	main := without(tuned, "message_size_limit") + "mailbox_size_limit = 20000000\n"
	found := readReal(t, main, tunedServices).Check(ourFeed())
	require.Len(t, found, 1, "the size of messages is small")
	assert.Contains(t, found[0].Mend, "message_size_limit=20000000 ", "the advice stays below the mailbox")
	main += "virtual_mailbox_limit = 10240000\n"
	assert.Empty(t, readReal(t, main, tunedServices).Check(ourFeed()), "what would stop local mail is not advised")
}

// TestPostfixAdviceFollowsTheBudget: what is advised must be enough, however long the budget is.
func TestPostfixAdviceFollowsTheBudget(t *testing.T) {
	t.Parallel()
	f := ourFeed()
	f.Budget = 2 * time.Hour
	found := readReal(t, tuned, tunedServices).Check(f)
	require.Len(t, found, 1, "an hour is not enough any more: %s", summary(found))
	assert.Contains(t, found[0].Mend, "lmtp_data_done_timeout=7320s", "more than the budget is")
}

func TestPostfixSystemdSockets(t *testing.T) {
	t.Parallel()
	f := ourFeed()
	f.Listen = nil
	assert.Empty(t, summary(readReal(t, tuned, tunedServices).Check(f)), "a socket that systemd has may be anywhere")
}

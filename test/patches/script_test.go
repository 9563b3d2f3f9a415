package patches

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
)

// A conf is a configuration directory of Postfix that the script works on.
type conf struct{ dir string }

// site is what Debian's package adds for an "Internet Site" (postinst).
const site = `smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = lists.example.org
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
mydestination = $myhostname, localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = all
inet_protocols = all
`

// shipped makes a configuration as Debian's package leaves it on a machine with Internet access, and these lines behind it.
func shipped(t *testing.T, settings ...string) conf {
	t.Helper()
	feedd.NeedPostfix(t)
	c := conf{dir: t.TempDir()}
	ship(t, c.dir, settings...)
	return c
}

// ship does what the package does when it is installed. postconf -e would be the same, and takes a second each time.
func ship(t *testing.T, dir string, settings ...string) {
	t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join("/usr/share/postfix", name))
		require.NoError(t, err, "Debian's package has its configuration")
		return string(text)
	}
	main := read("main.cf.debian") + site
	for _, s := range settings {
		name, _, _ := strings.Cut(s, "=")
		main = regexp.MustCompile(`(?m)^`+name+` =.*\n`).ReplaceAllString(main, "") + s + "\n"
	}
	old := time.Now().Add(-time.Hour) // Postfix waits for two seconds when its configuration has only just changed
	for name, text := range map[string]string{"main.cf": main, "master.cf": read("master.cf.dist")} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644), "Postfix is configured")
		require.NoError(t, os.Chtimes(path, old, old), "an hour ago")
	}
}

func (c conf) postconf(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command("postconf", append([]string{"-c", c.dir}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Run(), "postconf %v works: %s", args, &errs)
	return out.String()
}

// get is the value in force.
func (c conf) get(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(c.postconf(t, "-h", name))
}

// A ran is what came of running the script.
type ran struct {
	code     int
	out, err string
}

// script runs it on this configuration.
func (c conf) script(t *testing.T, args ...string) ran {
	t.Helper()
	return runScript(t, nil, append(args, "-c", c.dir)...)
}

func runScript(t *testing.T, env []string, args ...string) ran {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(patchesFile(t, "postfix/smtpfeed-postfix"), args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &errs, env
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err, "the script runs")
	}
	return ran{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// do runs the script and wants it to succeed, without complaints.
func (c conf) do(t *testing.T, args ...string) string {
	t.Helper()
	r := c.script(t, args...)
	require.Zero(t, r.code, "%v succeeds: %s%s", args, r.out, r.err)
	assert.Empty(t, r.err, "%v complains of nothing", args)
	return r.out
}

// files are both configuration files and the names of all files, as one text.
func (c conf) files(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	require.NoError(t, filepath.WalkDir(c.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		info, _ := d.Info()
		all.WriteString("== " + strings.TrimPrefix(path, c.dir) + " " + info.Mode().String() + "\n" + string(text))
		return err
	}), "the directory is read")
	return all.String()
}

func TestShowChangesNothing(t *testing.T) {
	t.Parallel()
	c := shipped(t)
	before := c.files(t)
	out := c.do(t, "show")
	assert.Equal(t, before, c.files(t), "nothing is written, and nothing created")
	assert.Contains(t, out, "main.cf: default_transport: not set (smtp) -> smtpfeed:unix:/run/smtpfeed/lmtp.sock\n", "it tells old and new")
	assert.Contains(t, out, "main.cf: smtpd_recipient_limit: not set (1000) -> 200000\n", "of each setting")
	assert.Contains(t, out, "master.cf: smtpfeed/unix: none -> smtpfeed unix - - n - 200 lmtp ", "and of the service")
	assert.Contains(t, out, "there is no socket", "and what is missing")
}

// TestApplyDoesWhatShowTold: what differs between the configurations before and after is exactly what was told.
func TestApplyDoesWhatShowTold(t *testing.T) {
	t.Parallel()
	c := shipped(t)
	before := c.postconf(t, "-n")
	told := c.do(t, "show")
	did := c.do(t, "apply")
	changes, _, _ := strings.Cut(told, "note:")
	assert.True(t, strings.HasPrefix(did, changes), "apply tells the same as show")
	var added []string
	for line := range strings.Lines(c.postconf(t, "-n")) {
		if !strings.Contains(before, line) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
			added = append(added, name)
			assert.Contains(t, told, "main.cf: "+name+": ", "%s was told", name)
			assert.Contains(t, told, " -> "+value+"\n", "with its value")
		}
	}
	assert.Len(t, added, strings.Count(told, "main.cf: "), "and all that was told is there")
	for line := range strings.Lines(before) {
		assert.Contains(t, c.postconf(t, "-n"), line, "what was set before stays")
	}
	assert.Contains(t, did, "Now, without delay: postfix -c "+c.dir+" reload", "Postfix is not reloaded unasked, and the command is told")
}

func TestUndoIsByteForByte(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]string{
		"plain":                 nil,
		"the old queue manager": {"--oqmgr"},
		"one sender":            {"--sender", "list-bounces@lists.example.org"},
		"chroot":                {"--chroot"},
		"own sizes":             {"-p", "50", "-r", "500", "-s", "/run/other.sock"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Odd ways to write settings, which postconf would not write so.
			c := shipped(t, "smtpd_recipient_limit=\n\t5000 ", "default_transport=  smtp\t")
			before := c.files(t)
			c.do(t, append([]string{"apply"}, options...)...)
			require.NotEqual(t, before, c.files(t), "something was changed")
			out := c.do(t, "undo")
			assert.Equal(t, before, c.files(t), "everything is as it was")
			assert.Equal(t, 2, strings.Count(out, "byte for byte"), "and it says so")
		})
	}
}

// TestApplyAgain: the state that is kept is the one before the first time.
func TestApplyAgain(t *testing.T) {
	t.Parallel()
	c := shipped(t)
	before := c.files(t)
	c.do(t, "apply")
	once := c.files(t)
	assert.Contains(t, c.do(t, "apply"), "nothing to change", "the second time there is nothing to do")
	assert.Equal(t, once, c.files(t), "and nothing is done")
	c.do(t, "apply", "--sender", "@lists.example.org", "--oqmgr")
	assert.Equal(t, "smtp", c.get(t, "default_transport"), "what an earlier apply set and this one does not is put back")
	assert.Equal(t, "100000", c.get(t, "smtpfeed_destination_recipient_limit"), "and the rest is as this one wants it")
	c.do(t, "apply", "-p", "20")
	assert.Contains(t, c.postconf(t, "-M", "qmgr/unix"), " qmgr", "the queue manager is back too")
	c.do(t, "undo")
	assert.Equal(t, before, c.files(t), "undo takes all of it back")
}

func TestUndoKeepsWhatOthersEdited(t *testing.T) {
	t.Parallel()
	c := shipped(t)
	before := c.postconf(t, "-n")
	c.do(t, "apply")
	c.postconf(t, "-e", "message_strip_characters=\\0")
	c.do(t, "apply", "-p", "100") // must not hide the edit
	out := c.do(t, "undo")
	assert.Equal(t, "\\0", c.get(t, "message_strip_characters"), "what others set meanwhile stays")
	c.postconf(t, "-X", "message_strip_characters")
	assert.Equal(t, before, c.postconf(t, "-n"), "and ours is gone")
	assert.Contains(t, out, "main.cf: was changed by others", "and it says why the file may differ")
	assert.Contains(t, out, "master.cf: as before the first apply, byte for byte", "the other file is as it was")
	_, err := os.Stat(filepath.Join(c.dir, "smtpfeed.undo"))
	assert.ErrorIs(t, err, os.ErrNotExist, "nothing is kept any longer")
}

// TestInterrupted: killed between keeping the old state and the end, it can be repeated, and taken back.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	c := shipped(t)
	before := c.postconf(t, "-n") + c.postconf(t, "-M")
	c.do(t, "apply")
	for _, sum := range []string{"main.cf.sum", "master.cf.sum"} {
		require.NoError(t, os.Remove(filepath.Join(c.dir, "smtpfeed.undo", sum)), "what is written last is not there")
	}
	c.postconf(t, "-X", "duplicate_filter_limit")
	assert.Contains(t, c.do(t, "apply"), "duplicate_filter_limit", "what was left out is done")
	c.do(t, "undo")
	assert.Equal(t, before, c.postconf(t, "-n")+c.postconf(t, "-M"), "everything is as it was")
}

// TestShell: the script is for any POSIX shell.
func TestShell(t *testing.T) {
	script := patchesFile(t, "postfix/smtpfeed-postfix")
	out, err := exec.Command("sh", "-n", script).CombinedOutput()
	require.NoError(t, err, "it is one: %s", out)
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("NOT CHECKED: shellcheck is not installed (apt-get install shellcheck)")
	}
	out, err = exec.Command("shellcheck", "-s", "sh", script).CombinedOutput()
	assert.NoError(t, err, "shellcheck finds nothing: %s", out)
}

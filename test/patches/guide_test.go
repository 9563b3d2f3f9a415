package patches

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

// TestGuide does what the README for Postfix says, line by line, from Debian's package to the first list and back.
func TestGuide(t *testing.T) {
	onMachine(t, func(t *testing.T, m *machine) {
		before := conf{"/etc/postfix"}.files(t)
		m.startPostfix(t)
		printed := m.follow(t, "postfix/README.md", "## From nothing to the first list")
		m.arrived(t, 2)
		assert.Contains(t, printed, "main.cf: default_transport: not set (smtp) -> smtpfeed:unix:", "show tells what will change")
		require.Eventually(t, func() bool { return strings.Count(mailLog(t), "status=sent") == 2 }, patience, tick, "Postfix knows of both")
		assert.Contains(t, mailLog(t), "relay=lists.example.org[/run/smtpfeed/lmtp.sock]", "that they went through smtpfeed")
		assert.Contains(t, mailLog(t), ".hosts.example", "and to which exchanger")

		m.follow(t, "postfix/README.md", "## How to go back")
		assert.Equal(t, before, conf{"/etc/postfix"}.files(t), "the configuration is Debian's again")
	})
}

// follow runs the commands of a README's section; what they printed is one text. What belongs to a whole machine is done here in
// its place: Postfix is installed, smtpfeed built, and systemd's part is played by the test.
func (m *machine) follow(t *testing.T, readme, section string) string {
	t.Helper()
	var printed strings.Builder
	list := internet.List(m.config, 2)
	for _, line := range commands(t, readme, section) {
		switch {
		case strings.HasPrefix(line, "apt "):
			continue
		case strings.HasPrefix(line, "systemctl "):
			m.startSmtpfeed(t, "/run/smtpfeed/lmtp.sock")
			continue
		}
		line = strings.Replace(line, "make build && ", "", 1)
		line = strings.Replace(line, "$LIST", strings.Join(list, " "), 1)
		printed.WriteString(m.run(t, line))
	}
	return printed.String()
}

// commands are the indented lines of a section.
func commands(t *testing.T, readme, section string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(patchesFile(t, readme))
	require.NoError(t, err, "there is a README")
	_, rest, found := strings.Cut(string(text), "\n"+section)
	require.True(t, found || strings.HasPrefix(string(text), section), "it has a section %q", section)
	if !found {
		rest = string(text)
	}
	rest, _, _ = strings.Cut(rest[1:], "\n## ")
	for line := range strings.Lines(rest) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			lines = append(lines, strings.TrimSpace(command))
		}
	}
	require.NotEmpty(t, lines, "the section has commands")
	return lines
}

func mailLog(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/var/log/mail.log")
	require.NoError(t, err, "Postfix logs")
	return string(text)
}

package lists

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// report is a bounce with these recipients' groups of fields (RFC 3464 section 2.3), one in the other's place behind the other.
func report(groups ...string) string {
	return "Return-Path: <>\nTo: list+bounces-7@lists.test\n" +
		"Content-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"X\"\n\n" +
		"--X\nContent-Type: text/plain\n\nIt could not be delivered.\n\n" +
		"--X\nContent-Type: Message/Delivery-Status\n\nReporting-MTA: dns; lists.test\n\n" + strings.Join(groups, "\n") + "\n" +
		"--X\nContent-Type: message/rfc822\n\nSubject: news\n\nFor everybody.\n--X--\n"
}

// group is a recipient in a report.
func group(address, action string) string {
	return "Final-Recipient: rfc822; " + address + "\nOriginal-Recipient: rfc822;other@elsewhere.test\n" +
		"Action: " + action + "\nStatus: 5.0.0\n"
}

func TestMlmmjBounces(t *testing.T) {
	const passed = "mlmmj-receive -F -L /list"
	inner := strings.ReplaceAll(report(group("evil@a.test", "failed")), "\"X\"", "\"Y\"")
	for _, c := range []struct {
		rule, extension, mail string
		want                  []string
	}{
		{"a post is the list's", "", "Subject: news\n\nFor everybody.\n", []string{passed}},
		{"a command is the list's", "subscribe", "Subject: x\n\n", []string{passed}},
		{"a bounce that says whose it is is the list's", "bounces-7-gone=a.test", report(group("gone@a.test", "failed")),
			[]string{passed}},
		{"a bounce without a number is the list's", "bounces-", report(group("gone@a.test", "failed")), []string{passed}},
		{"each recipient that failed is told", "bounces-7", report(group("gone@a.test", "failed"), group("full@b.test", "Failed")),
			[]string{"mlmmj-bounce -L /list -a gone=a.test -n 7", "mlmmj-bounce -L /list -a full=b.test -n 7"}},
		{"what is only late is no bounce", "bounces-7", report(group("slow@a.test", "delayed"), group("gone@a.test", "failed")),
			[]string{"mlmmj-bounce -L /list -a gone=a.test -n 7"}},
		{"lines may end in CRLF", "bounces-7", strings.ReplaceAll(report(group("gone@a.test", "failed")), "\n", "\r\n"),
			[]string{"mlmmj-bounce -L /list -a gone=a.test -n 7"}},
		{"an address that is a path is nobody's", "bounces-7", report(group("../../x@a.test", "failed")), nil},
		{"an address that is an option is nobody's", "bounces-7", report(group("-P@a.test", "failed")), nil},
		{"a shell's words are only words", "bounces-7", report(group("$(id)`id`*@a.test", "failed")),
			[]string{"mlmmj-bounce -L /list -a $(id)`id`*=a.test -n 7"}},
		{"a returned report is not read", "bounces-7",
			strings.Replace(report(group("gone@a.test", "failed")), "For everybody.\n", inner, 1),
			[]string{"mlmmj-bounce -L /list -a gone=a.test -n 7"}},
		{"a mail that is no report tells nothing", "bounces-7",
			"Subject: I am on holiday\n\nAction: failed\nFinal-Recipient: rfc822; a@b.test\n", nil},
	} {
		t.Run(c.rule, func(t *testing.T) {
			assert.Equal(t, c.want, runBounces(t, c.mail, "", c.extension), "as pipe(8) runs it: %s", c.rule)
			assert.Equal(t, c.want, runBounces(t, c.mail, c.extension), "as local(8) runs it: %s", c.rule)
		})
	}
}

// runBounces gives a mail to mlmmj-bounces, with the extension in the environment and as arguments, and returns the commands
// that it ran.
func runBounces(t *testing.T, mail, extension string, args ...string) []string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"mlmmj-receive", "mlmmj-bounce"} {
		script := "#!/bin/sh\necho " + name + ` "$@" >>` + dir + "/calls\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755), "mlmmj is imitated")
	}
	p := exec.Command("../../patches/lists/mlmmj-bounces", append([]string{"/list"}, args...)...)
	p.Env = append(os.Environ(), "MLMMJ_PROGRAMS="+dir, "EXTENSION="+extension)
	p.Stdin = strings.NewReader(mail)
	out, err := p.CombinedOutput()
	require.NoError(t, err, "it succeeds: %s", out)
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err, "what it ran is known")
	return strings.Split(strings.TrimSuffix(string(calls), "\n"), "\n")
}

package patches

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A letter is one message for a list.
type letter struct {
	from  string
	to    []string
	lines int // of 80 octets
}

// submit gives a letter to Postfix's SMTP server and returns its final reply. Everything is pipelined (RFC 2920).
func submit(t *testing.T, l letter) string {
	t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:25")
	require.NoError(t, err, "Postfix takes mail")
	defer c.Close()
	var commands strings.Builder
	fmt.Fprintf(&commands, "MAIL FROM:<%s>\r\n", l.from)
	for _, r := range l.to {
		fmt.Fprintf(&commands, "RCPT TO:<%s>\r\n", r)
	}
	commands.WriteString("DATA\r\n")
	in := bufio.NewReader(c)
	reply(t, in, "220")
	fmt.Fprint(c, "EHLO list.example.org\r\n")
	for !strings.HasPrefix(reply(t, in, "250"), "250 ") {
		continue
	}
	written := make(chan error, 1) // from the writer, once: a group larger than the windows needs somebody who reads meanwhile
	go func() {
		_, err := fmt.Fprint(c, commands.String())
		written <- err
	}()
	for range 1 + len(l.to) {
		reply(t, in, "250")
	}
	reply(t, in, "354")
	require.NoError(t, <-written, "Postfix reads")
	fmt.Fprintf(c, "From: %s\r\nTo: list:;\r\nSubject: list\r\n\r\n%s.\r\n", l.from, strings.Repeat(strings.Repeat("x", 78)+"\r\n", l.lines))
	return reply(t, in, "")
}

// reply reads a line that begins with the code.
func reply(t *testing.T, in *bufio.Reader, code string) string {
	t.Helper()
	line, err := in.ReadString('\n')
	require.NoError(t, err, "Postfix replies")
	require.True(t, strings.HasPrefix(line, code), "with %s, not %s", code, line)
	return strings.TrimSpace(line)
}

// sendmail gives one message to sendmail(1).
func sendmail(t *testing.T, from string, to ...string) {
	t.Helper()
	cmd := exec.Command("sendmail", append([]string{"-i", "-f", from, "--"}, to...)...)
	cmd.Stdin = strings.NewReader("From: " + from + "\nTo: list:;\nSubject: list\n\nHello.\n")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "sendmail takes it: %s", out)
}

package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A beside is a system with another host MTA than Postfix. Its mail for the senders of lists goes through smtpfeed too, by a
// route.
type beside struct {
	*system
	host   hosts.Host
	listen string // smtpfeed's, as hosts.Setup.Feed
}

// besideTCP makes a system for a host MTA that connects by TCP, and is still to be started; besideUnix one that does not.
func besideTCP(t *testing.T, c systemConfig) *beside {
	t.Helper()
	b := newBeside(t, &c)
	b.feed, b.listen = startTCPDaemon(t, c.feed)
	return b
}

func besideUnix(t *testing.T, c systemConfig) *beside {
	t.Helper()
	b := newBeside(t, &c)
	b.feed = feedd.Start(t, c.feed)
	b.listen = "unix:" + b.feed.Socket()
	return b
}

func newBeside(t *testing.T, c *systemConfig) *beside {
	t.Helper()
	if os.Getenv("SMTPFEED_E2E") == "skip" {
		t.Skip("SMTPFEED_E2E=skip")
	}
	s := &system{world: startWorld(t, c.world), returns: startExchanger(t, mxsim.Config{})}
	c.feed.World = s.world
	routes := map[string][]string{"sender.test": {s.returns.host}}
	for domain, hosts := range c.feed.Routes {
		routes[domain] = hosts
	}
	c.feed.Routes = routes
	return &beside{system: s}
}

// startTCPDaemon is feedd.Start with sockets on TCP. The test holds the first one. The others are for OpenSMTPD, which needs
// many.
func startTCPDaemon(t *testing.T, c feedd.Config) (d *feedd.Daemon, listen string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.54.1:0") // an address where no client's port can be in the way
	require.NoError(t, err, "there is a socket for LMTP")
	for i := 2; i <= hosts.OpenSMTPDRelays; i++ {
		c.Listen = append(c.Listen, fmt.Sprintf("tcp:127.0.54.%d:%d", i, l.Addr().(*net.TCPAddr).Port))
	}
	return feedd.StartAt(t, c, l.(*net.TCPListener)), "tcp:" + l.Addr().String()
}

// list gives the host MTA a list.
func (b *beside) list(t *testing.T, c internet.Config, n int) {
	t.Helper()
	b.world.Reset()
	submit(t, b.host, mail{from: sender, to: internet.List(c, n), content: "Subject: list\r\n\r\nFor everybody.\r\n"})
}

// said are the recipients that failures were told of, and what was said about them.
func (b *beside) said() map[string]string {
	all := map[string]string{}
	for _, f := range b.returns.failures() {
		recipient := strings.TrimPrefix(f.recipient, "rfc822;")
		if all[recipient] = f.diagnostic; f.diagnostic == "" {
			all[recipient] = b.told(recipient)
		}
	}
	return all
}

// told is what a notification says to a person about a recipient. To programs Exim says nothing when driver lmtp was told, and
// OpenSMTPD never does. Exim writes the address, and then what it was told on lines with four blanks; OpenSMTPD "address: words".
func (b *beside) told(recipient string) (words string) {
	for _, content := range b.returns.contents() {
		if _, after, ok := strings.Cut(content, "\r\n"+recipient+": "); ok {
			words, _, _ = strings.Cut(after, "\r\n")
		}
		_, after, _ := strings.Cut(content, "\r\n  "+recipient+"\r\n    ")
		for line := range strings.Lines("    " + after) {
			if !strings.HasPrefix(line, "    ") {
				break
			}
			words += " " + strings.TrimSpace(line)
		}
	}
	return strings.TrimSpace(words)
}

// refused waits until n recipients of the list have bounced, with the words of the real exchanger.
func (b *beside) refused(t *testing.T, n int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Len(c, b.said(), n, "refused recipients in notifications")
	}, feedd.Patience, 20*time.Millisecond, "the host MTA tells the sender who was refused")
	for recipient, words := range b.said() {
		assert.Equal(t, internet.Refuse, internet.FateOf(recipient), "only refused recipients bounce")
		b.checkWords(t, recipient, words, "550 5.1.1 <"+recipient+">: no such user")
	}
}

// greylisted checks what the host MTA keeps for later.
func (b *beside) greylisted(t *testing.T, n int) {
	t.Helper()
	kept := settled(t, b.host, feedd.Patience)
	assert.Len(t, kept, n, "the host MTA keeps the greylisted recipients")
	for _, q := range kept {
		assert.Equal(t, internet.Grey, internet.FateOf(q.Address), "and no others")
		b.checkWords(t, q.Address, q.Reason, "450 4.2.0 greylisted, try again later")
	}
}

// under waits until n recipients have their mail, which is some of the list.
func (b *beside) under(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return b.world.Progress().Recipients >= n }, feedd.Patience, 5*time.Millisecond, "the list is on its way")
}

// try gives the host MTA a mail, which may not take connections just now.
func (b *beside) try(m mail) error {
	_, err := hosts.Submit(b.host.Addr(), hosts.Mail{From: m.from, To: m.to, Params: m.params, Content: m.content})
	return err
}

package security

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
)

// A nextHop is a real mail server behind smtpfeed. What it takes for a message it passes on, to where the test counts.
type nextHop struct {
	name string
	make func(s hosts.Setup) (hosts.Host, error)
	tcp  bool // it passes on over TCP
	set  []string
}

// nextHops are Debian's, told to be as lenient as they can.
func nextHops() []nextHop {
	return []nextHop{
		{"Postfix", func(s hosts.Setup) (hosts.Host, error) { return hosts.NewPostfix(s) }, false, []string{"smtpd_forbid_bare_newline = no"}},
		{"sendmail", func(s hosts.Setup) (hosts.Host, error) { return hosts.NewSendmail(s) }, false, nil},
		{"Exim", func(s hosts.Setup) (hosts.Host, error) { return hosts.NewExim(s) }, true, nil},
	}
}

// start starts the server. Its messages come to the receiver that is returned.
func (n nextHop) start(t *testing.T) (hosts.Host, *receiver) {
	t.Helper()
	end := receive(t, leniencies()[0], false)
	feed := "tcp:" + end.listener.Addr().String()
	if !n.tcp {
		feed = "unix:" + end.alsoAt(t)
	}
	h, err := n.make(hosts.Setup{Dir: feedd.NewDir(t, "nexthop-"), Feed: feed, Settings: n.set})
	require.NoError(t, err, "there is an instance of %s", n.name)
	feedd.ShowOnFailure(t, h.Log())
	require.NoError(t, h.Start(), "it starts")
	t.Cleanup(func() { assert.NoError(t, h.Stop(), "%s ends", n.name) })
	return h, end
}

// alsoAt makes a receiver listen on a unix socket too.
func (r *receiver) alsoAt(t *testing.T) (path string) {
	t.Helper()
	path = feedd.NewDir(t, "nexthop-") + "/s"
	l, err := net.Listen("unix", path)
	require.NoError(t, err, "there is a socket")
	require.NoError(t, os.Chmod(path, 0o666), "everybody may connect")
	r.running.Go(func() { r.accept(l) })
	t.Cleanup(func() { l.Close() })
	return path
}

// nextHopContents are those whose lines end in ways that real servers have taken for ends.
func nextHopContents() (all []string) {
	ends := []string{"\n", "\r", "\r\n", "\r\r\n", "\r\n\x00", "\n\x00"}
	for _, before := range ends {
		for _, behind := range ends {
			subject := fmt.Sprintf("Subject: number %d\r\n\r\ntext", len(all))
			all = append(all, complete(subject+before+"."+behind+forged))
		}
	}
	return all
}

func TestRealServersSeeOneMessage(t *testing.T) {
	if os.Getenv("SMTPFEED_E2E") == "skip" {
		t.Skip("SMTPFEED_E2E=skip")
	}
	feedd.NeedPostfix(t)
	for _, n := range nextHops() {
		t.Run(n.name, func(t *testing.T) {
			server, end := n.start(t)
			ip, port, err := net.SplitHostPort(server.Addr())
			require.NoError(t, err, "it listens somewhere")
			d := start(t, setting{routes: []string{fmt.Sprintf("victim.test [%s]:%s", ip, port)}})
			h := lhlo(t, d)
			sent := nextHopContents()
			for _, c := range sent {
				delivered(t, h.transaction(sender, []string{"a@victim.test"}, wire(c)))
			}
			h.quit()
			arrivesOnce(t, end, sent)
			assert.NotContains(t, feedd.ReadLog(t, server.Log()), "forged@", "%s never heard of who was forged", n.name)
		})
	}
}

// arrivesOnce asserts that each of the contents comes, and nothing else.
func arrivesOnce(t *testing.T, end *receiver, sent []string) {
	t.Helper()
	var got []letter
	require.Eventually(t, func() bool {
		got = append(got, end.taken()...)
		return len(got) >= len(sent)
	}, feedd.Patience, 10*time.Millisecond, "the server passes on what it took")
	require.Len(t, got, len(sent), "each content is one message")
	for i := range sent {
		subject := fmt.Sprintf("Subject: number %d\r\n", i)
		n := 0
		for _, l := range got {
			if strings.Contains(l.octets, subject) {
				n++
				assert.Contains(t, l.octets, "\r\nforged\r\n", "what stands behind the dot belongs to number %d", i)
			}
			assert.NotContains(t, strings.Join(l.commands, "\n"), "forged", "no envelope is forged")
		}
		assert.Equal(t, 1, n, "number %d comes once", i)
	}
}

package lists

import (
	"fmt"
	"net"
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

// A system is everything a list's mail passes: Postfix, smtpfeed, the world, and one more exchanger, for oddDomain, whose
// recipients are refused in ways that the world has not.
type system struct {
	world   *internet.World
	odd     *mxsim.Server
	feed    *feedd.Daemon
	postfix *hosts.Postfix
	dir     string // Postfix's
}

// A systemConfig is what differs between systems.
type systemConfig struct {
	world    internet.Config
	tables   string   // of smtpfeed's configuration
	settings []string // of Postfix's main.cf
}

const (
	listDomain = "lists.test"
	oddDomain  = "odd.test"
)

// startSystem starts all of it; it ends with the test.
func startSystem(t *testing.T, c systemConfig) *system {
	t.Helper()
	needServers(t)
	s := &system{dir: feedd.NewDir(t, "postfix-")}
	var err error
	s.world, err = internet.Start(c.world)
	require.NoError(t, err, "the world begins")
	t.Cleanup(s.world.Close)
	routes := map[string][]string{oddDomain: {s.startOdd(t)}}
	// However slow this machine is, sessions stay open for as long as a list server takes for a list.
	s.feed = feedd.Start(t, feedd.Config{World: s.world, Routes: routes, SMTP: `idle_timeout = "300s"`, Tables: c.tables})
	s.postfix, err = hosts.NewPostfix(hosts.Setup{Dir: s.dir, Feed: "unix:" + s.feed.Socket(), Settings: c.settings})
	require.NoError(t, err, "there is an instance of Postfix")
	feedd.ShowOnFailure(t, s.postfix.Log())
	require.NoError(t, s.postfix.Start(), "Postfix starts")
	t.Cleanup(func() { assert.NoError(t, s.postfix.Stop(), "Postfix ends") })
	return s
}

// startOdd starts the exchanger of oddDomain, and returns it as routes name it.
func (s *system) startOdd(t *testing.T) (host string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err, "there is a free port")
	s.odd = mxsim.New(mxsim.Config{
		Rcpt: func(to string, _ int) string {
			if to == goneSubscriber {
				return "550 5.1.1 <" + to + ">: no such user"
			}
			return ""
		},
		Final: func(m *mxsim.Message) string {
			if m.To[0] == fullSubscriber {
				return "552 5.2.2 mailbox full"
			}
			return ""
		},
	})
	s.odd.Start(l)
	t.Cleanup(s.odd.Close)
	return fmt.Sprintf("[127.0.0.1]:%d", l.Addr().(*net.TCPAddr).Port)
}

// What becomes of the recipients of oddDomain.
const (
	goneSubscriber = "gone@" + oddDomain // refused at RCPT
	fullSubscriber = "full@" + oddDomain // refused at the end of data, when alone or first in it
	lateSubscriber = "late@" + oddDomain // taken, and returned later by a mail of its host
)

// needServers fails loudly where the test cannot run.
func needServers(t *testing.T) {
	t.Helper()
	feedd.NeedPostfix(t)
	for _, name := range []string{"mlmmj", "mailman3", "sympa"} {
		if _, err := os.Stat(unpacked(name)); err != nil {
			t.Fatalf("%v: run test/hosts/need, or set SMTPFEED_E2E=skip", err)
		}
	}
}

// unpacked is where the files of one of Debian's packages are.
func unpacked(name ...string) string {
	return filepath.Join(append([]string{hosts.Root()}, name...)...)
}

// emptied waits until Postfix has nothing left and smtpfeed is idle, and returns what smtpfeed counted.
func (s *system) emptied(t *testing.T) feedd.Status {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		all, err := s.postfix.Queue()
		assert.NoError(c, err, "the queue can be listed")
		if len(all) > 0 {
			assert.Fail(c, fmt.Sprintf("%d recipients are in Postfix's queue, first %v", len(all), all[0]))
		}
	}, feedd.Patience, 100*time.Millisecond, "Postfix is done with every recipient")
	return s.feed.Idle(t)
}

// arrived waits until n recipients in the world have their mail.
func (s *system) arrived(t *testing.T, n int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Equal(c, n, s.world.Progress().Recipients, "recipients with their mail")
	}, feedd.Patience, 20*time.Millisecond, "mail arrives")
}

// sound checks what must hold whenever nothing is on its way, and returns the world's report.
func (s *system) sound(t *testing.T) internet.Report {
	t.Helper()
	r := s.world.Report()
	assert.Empty(t, r.Duplicates.First, "nobody gets a message twice")
	assert.Empty(t, r.Misrouted.First, "every recipient's mail goes to an exchanger of its domain")
	assert.Empty(t, r.Unknown.First, "no recipient is invented")
	assert.Empty(t, r.Missent.First, "every transaction's sender is the one that a bounce must go to")
	assert.Empty(t, r.Broken, "no host finds fault with smtpfeed's protocol")
	return r
}

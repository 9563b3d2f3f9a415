package main

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/resolver"
)

func TestExamineHostname(t *testing.T) {
	for name, problems := range map[string]int{"mail.example.org": 0, "[192.0.2.1]": 0, "[IPv6:::1]": 0, "mail": 1, "localhost": 1} {
		assert.Len(t, examineHostname(name), problems, "%s", name)
	}
}

func TestExamineResolver(t *testing.T) {
	zone := func(t *testing.T, text string) string {
		s, err := listenZone(text)
		require.NoError(t, err, "the DNS server listens")
		t.Cleanup(func() { s.Close() })
		return s.Addr()
	}
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err, "a server that says nothing listens")
	t.Cleanup(func() { silent.Close() })
	const soa = "org. SOA ns.org. root.org. 1 1 1 1 60\n"
	for _, c := range []struct {
		rule, server string
		problems     int
	}{
		{"no such name is an answer", zone(t, soa), 0},
		{"no data is an answer", zone(t, soa+"mail.example.org. TXT x\n"), 0},
		{"an address is an answer", zone(t, soa+"mail.example.org. A 192.0.2.1\n"), 0},
		{"a null MX is an answer", zone(t, soa+"mail.example.org. MX 0 .\n"), 0},
		{"silence is none", silent.LocalAddr().String(), 1},
		{"a closed port is none", "127.0.0.1:9", 1},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel() // who says nothing is waited for as long as a busy machine may take to answer
			conf := defaults()
			conf.Hostname = "mail.example.org"
			conf.DNS.Servers = []Server{{netip.MustParseAddrPort(zone(t, soa))}, {netip.MustParseAddrPort(c.server)}}
			answered, found := examineResolver(conf)
			require.Len(t, found, c.problems, "each server is asked by itself")
			assert.Len(t, answered, 2-c.problems, "and those that answer are told")
			if c.problems > 0 {
				assert.Contains(t, found[0], c.server, "and the bad one is named")
			}
		})
	}
}

func TestExamineSocket(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	require.NoError(t, os.Mkdir(open, 0o755), "a directory is made")
	require.NoError(t, os.Chmod(open, 0o777|os.ModeSticky), "everybody may write to it")
	below := filepath.Join(open, "below")
	require.NoError(t, os.Mkdir(below, 0o755), "a directory in it is made")
	require.NoError(t, writeFile(filepath.Join(dir, "file"), ""), "a file is made")
	for _, c := range []struct{ rule, listen, says string }{
		{"a directory of our own", "unix:" + dir + "/s", ""},
		{"TCP has no directory", "tcp:127.0.0.1:24", ""},
		{"no socket at all", "", ""},
		{"no directory", "unix:" + dir + "/none/s", "does not exist"},
		{"a file in its place", "unix:" + dir + "/file/s", "not a directory"},
		{"a directory everybody may write to", "unix:" + open + "/s", "everybody may write to " + open},
		{"below one with the sticky bit", "unix:" + below + "/s", ""},
	} {
		found := strings.Join(examineSocket("key", Listen{c.listen}), "\n")
		assert.Equal(t, c.says == "", found == "", "%s: %s", c.rule, found)
		assert.Contains(t, found, c.says, "%s", c.rule)
	}
	require.NoError(t, os.Chmod(open, 0o777), "the sticky bit goes")
	assert.NotEmpty(t, examineSocket("key", Listen{"unix:" + below + "/s"}), "then anybody can replace the directory itself")
}

func TestExamineDeliveries(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, writeFile(filepath.Join(dir, "there"), ""), "a file is made")
	for path, problems := range map[string]int{"": 0, "-": 0, dir: 1, dir + "/new": 0, dir + "/there": 0, dir + "/none/new": 1} {
		assert.Len(t, examineDeliveries(path), problems, "%q", path)
	}
	assert.NoFileExists(t, dir+"/new", "looking creates nothing")
}

func TestFitSessions(t *testing.T) {
	for _, c := range []struct{ files, sessions, want int }{
		{65536, 4000, 4000}, {4512, 4000, 4000}, {4511, 4000, 3999}, {1024, 4000, 512}, {256, 4000, 64}, {1, 4000, 1},
	} {
		conf := defaults()
		conf.SMTP.Sessions = c.sessions
		fitSessions(&conf, c.files, slog.New(slog.DiscardHandler))
		assert.Equal(t, c.want, conf.SMTP.Sessions, "with %d files a reserve stays", c.files)
	}
}

func TestConfigForTheParts(t *testing.T) {
	c, err := Parse("f", []byte("[dns]\nservers = [\"[::1]:53\"]\n[smtp]\nfamily = \"ipv6\"\nprohibited = [\"default\", \"203.0.113.0/24\"]\nfallback = [\"relay.example.org\"]\n[[route]]\ndomain = \"a.b\"\nhosts = [\"c.d:26\"]\n"))
	require.NoError(t, err, "the configuration is read")
	r := c.resolverConfig(nil)
	assert.Equal(t, []string{"[::1]:53"}, r.Servers, "servers are HOST:PORT")
	assert.Equal(t, resolver.OnlyIPv6, r.Families, "the other family is not even asked for")
	assert.Equal(t, []resolver.StaticRoute{{Domain: "a.b", Hosts: []string{"c.d:26"}}}, r.Static, "routes are passed on")
	f := c.feedConfig(nil, nil)
	assert.Equal(t, feed.OnlyIPv6, f.Family, "nor dialled")
	assert.Len(t, f.Prohibited, len(feed.Internal())+1, "default is written out")
	assert.Equal(t, feed.DefaultTimeouts, f.Timeouts, "timeouts are the engine's own")
	assert.EqualValues(t, 256<<10, f.ChunkingFrom, "large bodies go by BDAT")
	assert.Equal(t, 15*time.Minute, r.Stale, "answers serve past their TTL for a while")
	assert.Equal(t, 2*time.Second, f.GatherTime, "parts of a list wait for each other")
	c.SMTP.ChunkingFrom, c.DNS.Stale.Duration, c.SMTP.GatherTime.Duration = 0, 0, 0
	c.SMTP.DownTime, c.SMTP.LimitsTTL = seconds(7), seconds(70)
	c.VERP = []VERPSection{{Sender: "a@b.c", Template: "a+{local}={domain}@b.c", Header: "X: {local}", MaxLocal: 70}}
	f, r = c.feedConfig(nil, nil), c.resolverConfig(nil)
	assert.Negative(t, f.ChunkingFrom, "0 is never, not the default")
	assert.Negative(t, f.GatherTime, "0 is never, not the default")
	assert.Negative(t, r.Stale, "0 is never, not the default")
	assert.Equal(t, []time.Duration{7 * time.Second, 70 * time.Second}, []time.Duration{f.DownTime, f.LimitsTTL}, "what is remembered of hosts is passed on")
	assert.Equal(t, []feed.VERP{{Sender: "a@b.c", Template: "a+{local}={domain}@b.c", Header: "X: {local}", MaxLocal: 70}}, f.VERP, "rules are passed on")
	c.SMTP.Prohibited = nil
	assert.Empty(t, c.feedConfig(nil, nil).Prohibited, "an empty list prohibits nothing")
}

func TestSelf(t *testing.T) {
	s := newSelf()
	assert.False(t, s.is(netip.MustParseAddr("127.0.0.1")), "loopback says nothing about this machine")
	assert.False(t, s.is(netip.MustParseAddr("192.0.2.77")), "an address of nobody")
	for a := range interfaceAddrs() {
		assert.True(t, s.is(a), "%s is ours", a)
		if a.Is4() {
			assert.True(t, s.is(netip.AddrFrom16(a.As16())), "in whatever form")
		}
	}
}

func TestMachineName(t *testing.T) {
	assert.True(t, validHostname(machineName()), "the machine's name is fit for EHLO")
}

func TestChangedKeys(t *testing.T) {
	a, b := defaults(), defaults()
	assert.Empty(t, changedKeys(a, b), "equal configurations differ in nothing")
	b.SMTP.Timeouts.Quit = seconds(3)
	b.LMTP.Listen = nil
	b.Routes = []RouteSection{{Domain: "a"}}
	assert.Equal(t, []string{"lmtp.listen", "smtp.timeouts.quit", "route"}, changedKeys(a, b), "every changed key is named, in the order of the file")
}

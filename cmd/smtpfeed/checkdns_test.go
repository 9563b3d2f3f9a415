package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// lossy answers from a zone, and of the questions of a burst only every nth; the others are dropped, or refused.
func lossy(zone dnssim.Handler, nth uint64, instead dnssim.Answer) dnssim.Handler {
	var asked atomic.Uint64
	return func(q dns.Question, tcp bool) dnssim.Answer {
		if strings.HasSuffix(q.Name, ".127.in-addr.arpa.") && asked.Add(1)%nth != 0 {
			return instead
		}
		return zone(q, tcp)
	}
}

// lossy FILE serves a zone file for the rest of the script, at $DNS, and drops three of four questions of a burst.
func serveLossy(ts *testscript.TestScript, _ bool, args []string) {
	zone, err := dnssim.Zone(ts.ReadFile(args[0]))
	ts.Check(err)
	s, err := dnssim.Listen("127.0.0.1:0", lossy(zone, 4, dnssim.Answer{Drop: true}))
	ts.Check(err)
	ts.Defer(func() { s.Close() })
	ts.Setenv("DNS", s.Addr())
}

func TestExamineBursts(t *testing.T) {
	zone, err := dnssim.Zone("org. SOA ns.org. root.org. 1 1 1 1 60\n")
	require.NoError(t, err, "the zone is read")
	for _, c := range []struct {
		rule    string
		handler dnssim.Handler
		says    string
	}{
		{"a server that answers all", zone, ""},
		{"a server that drops some", lossy(zone, 2, dnssim.Answer{Drop: true}), "answered 250 of 500 questions that came at once, and refused 0"},
		{"a server that refuses some", lossy(zone, 4, dnssim.Answer{RCode: dns.RcodeServerFailure}), "answered 125 of 500 questions that came at once, and refused 375"},
		{"a server that says it late, but says it", lossy(zone, 4, dnssim.Answer{RCode: dns.RcodeNameError, Delay: burstWait / 8}), ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			s, err := dnssim.Listen("127.0.0.1:0", c.handler)
			require.NoError(t, err, "the server listens")
			defer s.Close()
			found := examineBursts(dnsServers{s.Addr()})
			if c.says == "" {
				assert.Empty(t, found, "there is nothing to say")
				return
			}
			require.Len(t, found, 1, "it is reported")
			assert.Contains(t, found[0].String(), "slow: dns.servers: "+s.Addr()+" "+c.says, "with what was counted")
			assert.Contains(t, found[0].Mend, "patches/recursors", "and what to do")
		})
	}
}

func TestExamineBurstsSilence(t *testing.T) {
	found := examineBursts(dnsServers{"127.0.0.1:9", "not an address"})
	require.Len(t, found, 2, "who answers nothing is reported")
	assert.Contains(t, found[0].Text, "answered 0 of 500", "with what was counted")
}

func TestAsk(t *testing.T) {
	s, err := listenZone("a.test. A 192.0.2.1\na.test. A 192.0.2.2\na.test. AAAA 2001:db8::1\nb.test. CNAME a.test.\nc.test. PTR Name.Test.\ntest. SOA ns.test. root.test. 1 1 1 1 60\n")
	require.NoError(t, err, "the server listens")
	defer s.Close()
	refusing, err := dnssim.Listen("127.0.0.1:0", func(dns.Question, bool) dnssim.Answer { return dnssim.Answer{RCode: dns.RcodeRefused} })
	require.NoError(t, err, "another one listens")
	defer refusing.Close()
	rubbish, err := dnssim.Listen("127.0.0.1:0", func(dns.Question, bool) dnssim.Answer { return dnssim.Answer{Raw: []byte{0, 0, 1}} })
	require.NoError(t, err, "and one that makes no sense")
	defer rubbish.Close()
	for _, c := range []struct {
		name string
		kind dnsmessage.Type
		want []string
	}{
		{"a.test", dnsmessage.TypeA, []string{"192.0.2.1", "192.0.2.2"}},
		{"a.test.", dnsmessage.TypeAAAA, []string{"2001:db8::1"}},
		{"b.test", dnsmessage.TypeA, []string{"192.0.2.1", "192.0.2.2"}},
		{"c.test", dnsmessage.TypePTR, []string{"name.test"}},
		{"c.test", dnsmessage.TypeA, nil},
		{"none.test", dnsmessage.TypeA, nil},
		{"..", dnsmessage.TypeA, nil},
		{strings.Repeat("x", 70) + ".test", dnsmessage.TypeA, nil},
	} {
		got, err := dnsServers{refusing.Addr(), rubbish.Addr(), s.Addr()}.ask(c.name, c.kind)
		require.NoError(t, err, "one of the servers answers for %s", c.name)
		assert.ElementsMatch(t, c.want, got, "%s %s", c.name, c.kind)
	}
	_, err = dnsServers{refusing.Addr()}.ask("a.test", dnsmessage.TypeA)
	assert.ErrorIs(t, err, errNoAnswer, "a refusal says nothing about the name")
	_, err = dnsServers{}.ask("a.test", dnsmessage.TypeA)
	assert.ErrorIs(t, err, errNoAnswer, "nobody says nothing")
}

func TestSystemServers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	assert.Equal(t, dnsServers{"127.0.0.1:53"}, systemServers(file), "without a file it is this machine")
	require.NoError(t, os.WriteFile(file, []byte("# x\nnameserver 192.0.2.1\nsearch a b\nnameserver\nnameserver fe80::1%lo\nnameserver name\n"), 0o600), "a file is made")
	assert.Equal(t, dnsServers{"192.0.2.1:53", "[fe80::1%lo]:53"}, systemServers(file), "addresses are read, nothing else")
}

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/assert"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/smtpfeed/smtpfeed/feed"
)

// sources NAME FILE puts records into a zone file that make NAME the forward-confirmed name of every address this machine
// sends from.
func appendSources(ts *testscript.TestScript, _ bool, args []string) {
	zone := ts.ReadFile(args[1]) + args[0] + ". A 192.0.2.200\n"
	for _, a := range sources(feed.AnyFamily) {
		zone += addressRecord(args[0], a) + "\n" + reverseName(a) + ". PTR " + args[0] + ".\n"
	}
	ts.Check(writeFile(ts.MkAbs(args[1]), zone))
}

// answersOf answers from lines of "NAME TYPE VALUE"; "?" as value is no answer.
func answersOf(text string) asker {
	return func(name string, kind dnsmessage.Type) (values []string, err error) {
		for line := range strings.Lines(text) {
			if f := strings.Fields(line); f[0] == name && "Type"+f[1] == kind.String() {
				values = append(values, f[2])
			}
		}
		if len(values) == 1 && values[0] == "?" {
			return nil, errors.New("no answer")
		}
		return values, nil
	}
}

func TestExamineName(t *testing.T) {
	const good = "mail.test A 192.0.2.1\n1.2.0.192.in-addr.arpa PTR mail.test\n"
	for _, c := range []struct{ rule, hostname, from, zone, says string }{
		{"forward-confirmed", "mail.test", "192.0.2.1", good, ""},
		{"a translated address: nothing to compare", "mail.test", "", "mail.test A 203.0.113.1\n", ""},
		{"no address", "mail.test", "", "", "unsafe: hostname: mail.test has no address in DNS"},
		{"a question without an answer proves nothing", "mail.test", "", "mail.test AAAA ?\n", ""},
		{"another address", "mail.test", "192.0.2.1", "mail.test A 203.0.113.1\n1.2.0.192.in-addr.arpa PTR out.test\nout.test A 192.0.2.1\n", "unsafe: hostname: mail.test has the address 203.0.113.1, and mail leaves from 192.0.2.1"},
		{"another name of the same address", "mail.test", "192.0.2.1", "mail.test A 192.0.2.1\n1.2.0.192.in-addr.arpa PTR out.test\nout.test A 192.0.2.1\n", ""},
		{"no reverse name", "mail.test", "192.0.2.1", "mail.test A 192.0.2.1\n", "unsafe: hostname: mail leaves from 192.0.2.1, which has no reverse name"},
		{"a reverse name that leads elsewhere", "mail.test", "192.0.2.1", "mail.test A 192.0.2.1\n1.2.0.192.in-addr.arpa PTR x.test\nx.test A 192.0.2.9\n", "unsafe: hostname: mail leaves from 192.0.2.1, whose reverse name x.test does not lead back"},
		{"a reverse question without an answer", "mail.test", "192.0.2.1", "mail.test A 192.0.2.1\n1.2.0.192.in-addr.arpa PTR ?\n", ""},
		{"an address literal has no name", "[192.0.2.1]", "", "", ""},
		{"a name without a dot is reported elsewhere", "mail", "", "", ""},
		{"IPv6 without a reverse name", "mail.test", "2001:db8::1", "mail.test AAAA 2001:db8::1\n", `family = "ipv4" in [smtp]`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			var from []netip.Addr
			if c.from != "" {
				from = append(from, netip.MustParseAddr(c.from))
			}
			var said strings.Builder
			for _, f := range examineName(c.hostname, from, answersOf(c.zone)) {
				fmt.Fprintln(&said, f)
			}
			assert.Equal(t, c.says == "", said.Len() == 0, "found: %s", said.String())
			assert.Contains(t, said.String(), c.says, "it says what is wrong")
		})
	}
}

func TestReverseName(t *testing.T) {
	for addr, name := range map[string]string{
		"192.0.2.1":   "1.2.0.192.in-addr.arpa",
		"2001:db8::1": "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	} {
		assert.Equal(t, name, reverseName(netip.MustParseAddr(addr)), "%s", addr)
	}
}

func TestSources(t *testing.T) {
	for _, a := range sources(feed.OnlyIPv4) {
		assert.True(t, a.Is4(), "%s is of the family that is sent by", a)
		assert.False(t, a.IsPrivate() || a.IsLoopback(), "what receivers do not see proves nothing")
	}
	for _, a := range sources(feed.OnlyIPv6) {
		assert.True(t, a.Is6(), "%s is of the family that is sent by", a)
	}
}

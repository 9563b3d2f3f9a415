package sts

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/netsim"
)

func addrs(texts ...string) (a []netip.Addr) {
	for _, t := range texts {
		a = append(a, netip.MustParseAddr(t))
	}
	return a
}

// TestPermitted: which addresses are tried, in which order.
func TestPermitted(t *testing.T) {
	inner := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("fe80::/10")}
	cases := []struct {
		rule       string
		prohibited []netip.Prefix
		have, want []netip.Addr
	}{
		{"all, if nothing is prohibited", nil, addrs("127.0.0.1", "::1"), addrs("::1", "127.0.0.1")},
		{"the families in turn", inner, addrs("2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1"), addrs("2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3")},
		{"each once, however it is written", inner, addrs("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"), addrs("192.0.2.1")},
		{"at most 6", inner, addrs("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6", "192.0.2.7"), addrs("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6")},
		{"not prohibited ones", inner, addrs("127.0.0.1", "10.1.2.3", "::1", "192.0.2.1"), addrs("192.0.2.1")},
		{"IPv4-mapped (RFC 4291 section 2.5.5.2)", inner, addrs("::ffff:10.0.0.1"), nil},
		{"IPv4-compatible (RFC 4291 section 2.5.5.1)", inner, addrs("::10.0.0.1"), nil},
		{"IPv4-translated (RFC 2765 section 2.1)", inner, addrs("::ffff:0:10.0.0.1"), nil},
		{"NAT64 (RFC 6052 section 2.1)", inner, addrs("64:ff9b::10.0.0.1"), nil},
		{"6to4 (RFC 3056 section 2)", inner, addrs("2002:a00:1::1"), nil},
		{"Teredo's server (RFC 4380 section 4)", inner, addrs("2001:0:a00:1::"), nil},
		{"Teredo's client", inner, addrs("2001:0:c000:201::f5ff:fffe"), nil},
		{"a zone does not hide an address", inner, addrs("fe80::1%eth0"), nil},
		{"NAT64 of an address outside", inner, addrs("64:ff9b::192.0.2.1"), addrs("64:ff9b::192.0.2.1")},
		{"no address is none", inner, []netip.Addr{{}}, nil},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			conf, err := Config{Prohibited: c.prohibited}.withDefaults()
			require.NoError(t, err, "the configuration is one")
			assert.Equal(t, c.want, fetcher{conf}.permitted("a.test", c.have), "these are dialled, in this order")
		})
	}
	_, err := Open(Config{Prohibited: []netip.Prefix{{}}})
	assert.Error(t, err, "a range that is none would prohibit nothing, silently")
}

// TestProhibited: DNS must not have us ask the machines behind our firewall. It is a matter for the security log.
func TestProhibited(t *testing.T) {
	sc := newScene(t, rightCert, plain(enough))
	sc.conf.Prohibited = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	sc.conf.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
		assert.Fail(t, "a prohibited address was dialled", addr)
		return nil, net.ErrClosed
	}
	sc.addrs = addrs("127.0.0.1", "::ffff:127.0.0.2", "64:ff9b::127.0.0.3")
	e := bad(t, sc.fetch(t))
	assert.Equal(t, &Error{ourDomain, FetchError, "mta-sts.example.com has a prohibited address only"}, e, "it counts as a failed fetch")
	assert.Equal(t, 3, sc.log.count("level=WARN msg=\"sts: security: the address of a policy host is prohibited and was not dialled\" domain=example.com host=mta-sts.example.com addr="),
		"each address is in the log: %s", sc.log.String())

	sc.conf.Dial, sc.addrs = nil, addrs("127.0.0.2", "127.0.0.1")
	sc.conf.Prohibited = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
	assert.NoError(t, sc.fetch(t).err, "another address of the same host may be asked")
}

// TestSeveralAddresses: a host is reached by any address that works; of those that do not, a wrong certificate is told.
func TestSeveralAddresses(t *testing.T) {
	sc := newScene(t, rightCert, plain(enough))
	sc.addrs = addrs("127.0.0.9", "127.0.0.8", "127.0.0.1") // nothing listens at the first two
	assert.NoError(t, sc.fetch(t).err, "the third address is tried")

	sc.addrs = addrs("127.0.0.9", "127.0.0.8")
	e := bad(t, sc.fetch(t))
	assert.Equal(t, FetchError, e.Result, "no address can be reached")
	assert.Contains(t, e.Reason, "connection refused", "and the reason says so")

	wrong := newScene(t, rightCert, plain(enough))
	wrong.conf.Roots = sc.ca.roots()
	wrong.addrs = addrs("127.0.0.1", "127.0.0.9")
	assert.Equal(t, WebPKIInvalid, bad(t, wrong.fetch(t)).Result, "that another address is dead does not hide the certificate")
}

// TestDeadAddress: an address that does not answer gets its share of the time only.
func TestDeadAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.site(ourDomain, plain(enough))
		w.net.Host(netip.MustParseAddr("2001:db8::1"), netsim.Link{BlackHole: true})
		s, err := Open(w.conf)
		require.NoError(t, err, "the store opens")
		defer s.Close()
		s.LookupWith(func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("2001:db8::1"), siteAddr}, nil
		})
		begun := time.Now()
		good(t, s, ourDomain, "1")
		assert.InDelta(t, 7.5, time.Since(begun).Seconds(), 0.5, "half of 15 s goes to each of two addresses")
	})
}

// TestStalledHandshake: neither does one that connects and then says nothing.
func TestStalledHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.site(ourDomain, plain(enough))
		mute := netip.MustParseAddr("192.0.2.81")
		l, err := w.net.Listen(netip.AddrPortFrom(mute, 443))
		require.NoError(t, err, "the mute host listens, and never accepts")
		defer l.Close()
		s, err := Open(w.conf)
		require.NoError(t, err, "the store opens")
		defer s.Close()
		s.LookupWith(func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{mute, siteAddr}, nil })
		good(t, s, ourDomain, "1")
	})
}

package resolver_test

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

const signed = `
. 900 SOA ns. root. 1 2 3 4 60
$SECURE example.
one.example. 300 MX 10 mx1.example.
mx1.example. 300 A 192.0.2.1
_25._tcp.mx1.example. 100 TLSA 3 1 1 aa
_2525._tcp.mx1.example. 100 TLSA 3 1 1 25
broken.example. 300 MX 10 mx2.example.
mx2.example. 300 A 192.0.2.2
$BOGUS _25._tcp.mx2.example.
plain.test. 300 MX 10 mx.plain.test.
mx.plain.test. 300 A 192.0.2.3
mx.plain.test. 300 AAAA 2001:db8::3
_25._tcp.mx.plain.test. TLSA 3 1 1 bb
`

// trusting is DANE with the lab's first server, and not its second, believed.
func trusting() resolver.Config {
	return resolver.Config{DANE: true, TrustAD: []netip.Prefix{netip.MustParsePrefix("192.0.2.53/32")}}
}

func TestDANE(t *testing.T) { synctest.Test(t, testDANE) }
func testDANE(t *testing.T) {
	h := host(t, signed)
	l := newLab(t, trusting(), h)
	start := time.Now()
	route := l.route("one.example")
	assert.Equal(t, 60*time.Millisecond, time.Since(start).Round(10*time.Millisecond), "addresses and TLSA records should take one round trip together")
	want := &resolver.DANE{Base: "mx1.example", Names: []string{"mx1.example", "one.example"}, Records: []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: "\xaa"}}}
	assert.True(t, route.MX[0].Secure, "the exchanger should be secure")
	assert.Equal(t, want, route.MX[0].DANE, "and its records known")
	assert.Equal(t, uint64(1), l.Stats().TLSAQuestions, "they are asked once")
	_, ok, err := l.Cached("one.example")
	assert.True(t, ok && err == nil, "all should be cached")
	time.Sleep(100 * time.Second)
	_, ok, _ = l.Cached("one.example")
	assert.False(t, ok, "until the TLSA records' TTL ends")

	route = l.route("broken.example")
	require.NotNil(t, route.MX[0].DANE, "DANE should apply where TLSA records may exist")
	var e *resolver.Error
	require.ErrorAs(t, route.MX[0].DANE.Err, &e, "with an error where they cannot be had")
	assert.Equal(t, resolver.Temporary, e.Kind, "that is temporary")
	assert.Equal(t, "resolver: TLSA _25._tcp.mx2.example: SERVFAIL (asked 192.0.2.53:53)", e.Error(), "and says what was asked")
}

func TestDANEInsecureDomainCostsNothing(t *testing.T) {
	synctest.Test(t, testDANEInsecureDomainCostsNothing)
}
func testDANEInsecureDomainCostsNothing(t *testing.T) {
	h := host(t, signed)
	l := newLab(t, trusting(), h)
	route := l.route("plain.test")
	assert.Equal(t, map[uint16]int{dns.TypeMX: 1}, h.Queries(), "the hints should serve, and no TLSA be asked")
	assert.False(t, route.MX[0].Secure, "the exchanger should not be secure")
	assert.Nil(t, route.MX[0].DANE, "and DANE not apply")
}

func TestDANEPort(t *testing.T) { synctest.Test(t, testDANEPort) }
func testDANEPort(t *testing.T) {
	c := trusting()
	c.Port = 2525
	route := newLab(t, c, host(t, signed)).route("one.example")
	require.NotNil(t, route.MX[0].DANE, "DANE should apply")
	assert.Equal(t, "\x25", route.MX[0].DANE.Records[0].Data, "with the records of the configured port")
}

// What a trusted server says is bogus must not become an insecure answer of another one.
func TestDANEAsksTrustedServersOnly(t *testing.T) { synctest.Test(t, testDANEAsksTrustedServersOnly) }
func testDANEAsksTrustedServersOnly(t *testing.T) {
	other := host(t, signed)
	l := newLab(t, resolver.Config{DANE: true, TrustAD: []netip.Prefix{netip.MustParsePrefix("192.0.2.53/32")}}, rcode(dns.RcodeServerFailure), other)
	assert.Equal(t, resolver.Temporary, l.failure("one.example").Kind, "the domain has no route for now")
	assert.Empty(t, other.Queries(), "the other server was not asked")
}

// TestDANEBelievesTrustedServersOnly has a first server that is not believed, or whose way strips AD, or is dead.
func TestDANEBelievesTrustedServersOnly(t *testing.T) {
	stripping := func(t *testing.T) *dnssim.Host {
		h := host(t, signed)
		answer := h.Handler
		h.Handler = func(q dns.Question, tcp bool) dnssim.Answer {
			a := answer(q, tcp)
			a.AD = false
			return a
		}
		return h
	}
	ordinary := func(t *testing.T) *dnssim.Host { return host(t, signed) }
	for _, c := range []struct {
		rule    string
		trusted []netip.Prefix
		first   func(*testing.T) *dnssim.Host
		want    bool
	}{
		{"a trusted server", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, ordinary, true},
		{"a server that is not trusted is not asked where one is", []netip.Prefix{netip.MustParsePrefix("192.0.2.54/32")}, ordinary, true},
		{"a server that is not on this machine, by default", nil, ordinary, false},
		{"nobody is trusted", []netip.Prefix{}, ordinary, false},
		{"a trusted server that strips AD", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, stripping, false},
		{"the second server answers, and is trusted", []netip.Prefix{netip.MustParsePrefix("192.0.2.54/32")},
			func(*testing.T) *dnssim.Host { return rcode(dns.RcodeRefused) }, true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, resolver.Config{DANE: true, TrustAD: c.trusted}, c.first(t), host(t, signed))
				mx := l.route("one.example").MX[0]
				assert.Equal(t, c.want, mx.Secure, "AD should be believed of trusted servers only")
				assert.Equal(t, c.want, mx.DANE != nil, "and DANE apply only then")
			})
		})
	}
}

// TestDANETrustsLoopback is about the default of Config.TrustAD.
func TestDANETrustsLoopback(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:53": true, "127.9.9.9:5353": true, "[::1]:53": true, "[::ffff:127.0.0.1]:53": true,
		"192.0.2.1:53": false, "[2001:db8::1]:53": false, "localhost:53": false} {
		synctest.Test(t, func(t *testing.T) {
			var network dnssim.Network
			network.Add(addr, host(t, signed))
			r, err := resolver.New(resolver.Config{Servers: []string{addr}, DANE: true, Dial: network.Dial})
			require.NoError(t, err, "the resolver should start")
			defer r.Close()
			route, err := r.Resolve(t.Context(), "one.example")
			require.NoError(t, err, "the domain should have a route")
			assert.Equal(t, want, route.MX[0].Secure, "%s should be trusted only on this machine", addr)
		})
	}
}

// TestDANEOverTCP: the bit of the whole answer counts, not that of the truncated one.
func TestDANEOverTCP(t *testing.T) { synctest.Test(t, testDANEOverTCP) }
func testDANEOverTCP(t *testing.T) {
	h := host(t, signed)
	answer := h.Handler
	h.Handler = func(q dns.Question, tcp bool) dnssim.Answer {
		a := answer(q, tcp)
		a.Truncate = true
		a.AD = a.AD && tcp
		return a
	}
	assert.NotNil(t, newLab(t, trusting(), h).route("one.example").MX[0].DANE, "what comes over TCP should be as secure")
}

// An eavesdropper sees whether questions that are written have the AD bit.
type eavesdropper struct {
	net.Conn
	with, without *atomic.Int32
}

func (e eavesdropper) Write(p []byte) (int, error) {
	if p[3]&0x20 != 0 {
		e.with.Add(1)
	} else {
		e.without.Add(1)
	}
	return e.Conn.Write(p)
}

func TestADIsAskedForDANEOnly(t *testing.T) {
	for _, dane := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var network dnssim.Network
			var with, without atomic.Int32
			network.Add(first, host(t, signed))
			c := trusting()
			c.DANE, c.Servers = dane, []string{first}
			c.Dial = func(ctx context.Context, kind, addr string) (net.Conn, error) {
				conn, err := network.Dial(ctx, kind, addr)
				return eavesdropper{conn, &with, &without}, err
			}
			r, err := resolver.New(c)
			require.NoError(t, err, "the resolver should start")
			defer r.Close()
			route, err := r.Resolve(t.Context(), "one.example")
			require.NoError(t, err, "the domain should have a route")
			assert.Equal(t, dane, with.Load() > 0 && without.Load() == 0, "the bit should be set of all questions, and only for DANE")
			assert.Equal(t, dane, without.Load() == 0, "without DANE of none")
			assert.Equal(t, dane, route.MX[0].Secure, "and without DANE nothing is secure")
			assert.Equal(t, dane, r.Stats().TLSAQuestions > 0, "nor is TLSA asked")
		})
	}
}

// TestStaleFactsStaySecure: a server that fails for a while does not turn DANE off (RFC 8767 within Config.Stale).
func TestStaleFactsStaySecure(t *testing.T) { synctest.Test(t, testStaleFactsStaySecure) }
func testStaleFactsStaySecure(t *testing.T) {
	h := host(t, signed)
	answer := h.Handler
	var failing atomic.Bool
	h.Handler = func(q dns.Question, tcp bool) dnssim.Answer {
		if failing.Load() {
			return dnssim.Answer{RCode: dns.RcodeServerFailure}
		}
		return answer(q, tcp)
	}
	l := newLab(t, trusting(), h)
	before := l.route("one.example").MX[0]
	failing.Store(true)
	time.Sleep(301 * time.Second)
	after := l.route("one.example").MX[0]
	assert.True(t, after.Secure, "what was secure should serve on as secure")
	assert.Equal(t, before.DANE, after.DANE, "with its records")
}

package resolver_test

import (
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// start serves on a real port until the test ends.
func start(t *testing.T, c dnssim.Config) *dnssim.Server {
	t.Helper()
	c.Addr = "127.0.0.1:0"
	s, err := dnssim.Start(c)
	require.NoError(t, err, "the DNS server should start")
	t.Cleanup(func() { assert.NoError(t, s.Close(), "the DNS server should close") })
	return s
}

func open(t *testing.T, c resolver.Config) *resolver.Resolver {
	t.Helper()
	r, err := resolver.New(c)
	require.NoError(t, err, "the resolver should start")
	t.Cleanup(func() { assert.NoError(t, r.Close(), "the resolver should close") })
	return r
}

func TestRealSockets(t *testing.T) {
	s := start(t, dnssim.Config{Handler: list{hosts: 50}.answer, Delay: 5 * time.Millisecond})
	r := open(t, resolver.Config{Servers: []string{s.Addr()}, Timeout: patient})
	assert.Zero(t, resolveAll(t.Context(), r, 2000), "every domain should have a route")
	assert.GreaterOrEqual(t, s.Queries()[dns.TypeMX], 2000, "every domain should have been asked about")
	stats := r.Stats()
	assert.Equal(t, uint64(2000), stats.MXQuestions, "each domain once")
	assert.Equal(t, uint64(50), stats.AQuestions, "each host once")
	assert.Equal(t, 2100, stats.Entries, "all answers should be cached")
}

func TestRealTruncation(t *testing.T) {
	s := start(t, dnssim.Config{Handler: many})
	r := open(t, resolver.Config{Servers: []string{s.Addr()}, Timeout: patient})
	route, err := r.Resolve(t.Context(), "one.example")
	require.NoError(t, err, "the answer should come over TCP")
	assert.Equal(t, "a-rather-long-name-59.one.example", route.MX[0].Name, "and be whole")
}

// TestRealTruncationOfAList has every answer too long for a datagram: all of the list goes over one pipelined connection.
func TestRealTruncationOfAList(t *testing.T) {
	const domains = 500
	s := start(t, dnssim.Config{Handler: many, Delay: 5 * time.Millisecond})
	r := open(t, resolver.Config{Servers: []string{s.Addr()}, Families: resolver.OnlyIPv4, Timeout: patient})
	for domain, result := range collect(r, domainNames(domains)) {
		require.NoError(t, result.Err, "every domain should have a route")
		require.Equal(t, "a-rather-long-name-59."+domain, result.Route.MX[0].Name, "from the whole set")
	}
	assert.Equal(t, uint64(domains), r.Stats().Truncated, "each should have been truncated once")
}

// TestRealSilentFirstServer has a first server that takes everything and says nothing.
func TestRealSilentFirstServer(t *testing.T) {
	hole, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err, "a socket should be opened")
	defer hole.Close()
	s := start(t, dnssim.Config{Handler: list{hosts: 10}.answer})
	r := open(t, resolver.Config{Servers: []string{hole.LocalAddr().String(), s.Addr()}, Timeout: patient})
	assert.Zero(t, startAll(r, domainNames(5000)), "the second server should answer for the first")
	assert.Equal(t, uint64(5020), r.Stats().Questions, "each question being one")
}

func TestRealRefusedPort(t *testing.T) {
	const closed = "127.0.0.1:1" // nobody is given a port of this kind by chance
	s := start(t, dnssim.Config{Handler: list{hosts: 10}.answer})
	r := open(t, resolver.Config{Servers: []string{closed, s.Addr()}, Timeout: patient})
	assert.Zero(t, startAll(r, domainNames(1000)), "the second server should answer for the first, where nobody listens")
}

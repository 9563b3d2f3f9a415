package internet

import (
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNamesAndAddressesAreUndone(t *testing.T) {
	for range 1000 {
		i, j := rand.IntN(1<<30), rand.IntN(maxHosts)
		gotDomain, ok := domainIndex(Domain(i))
		assert.True(t, ok && gotDomain == i, "domain %d has its own name", i)
		gotHost, ok := hostIndex(HostName(j))
		assert.True(t, ok && gotHost == j, "host %d has its own name", j)
		gotHost, ok = hostOf(HostAddr(j))
		assert.True(t, ok && gotHost == j, "host %d has its own address %v", j, HostAddr(j))
		assert.True(t, HostAddr(j).IsLoopback(), "all hosts are in 127.0.0.0/8")
	}
	assert.Equal(t, "127.10.1.1", HostAddr(0).String())
	assert.Equal(t, "127.255.250.250", HostAddr(maxHosts-1).String())
	for _, name := range []string{"", "d", "d.1.example", "d-1.1.example", "x1.1.example", "d1.1.example.org", "mx.hosts.example", "mx01.hosts.example", "mx1.example", "d01.1.example",
		"d17.2.example", "d99999999999999999999.1.example", "dd1.1.example"} {
		_, domain := domainIndex(name)
		_, host := hostIndex(name)
		assert.False(t, domain || host, "%q is no name of this world", name)
	}
}

func TestRecipients(t *testing.T) {
	c := Config{Domains: 250, Hosts: 10, Refused: 20, Grey: 5, Full: 1, TempFail: 2, Seed: 42}
	fates := map[Fate]int{}
	for i, a := range List(c, 2000) {
		assert.Equal(t, Recipient(i, c), a, "a list is its recipients in order")
		local, domain, _ := strings.Cut(a, "@")
		n, ok := c.numberOf(local)
		assert.True(t, ok && n == i, "a recipient knows its number")
		d, ok := domainIndex(domain)
		assert.True(t, ok && d == c.domainOf(i), "and its domain")
		fates[FateOf(a)]++
	}
	assert.Equal(t, map[Fate]int{User: 2000 - 56, Refuse: 40, Grey: 10, Full: 2, TempFail: 4}, fates, "fates are dealt out exactly")
	seen := map[string]bool{}
	for _, a := range List(c, 250) {
		_, domain, _ := strings.Cut(a, "@")
		seen[domain] = true
	}
	assert.Len(t, seen, 250, "as many recipients as domains are all at different ones")
	other := c
	other.Seed++
	assert.NotEqual(t, List(c, 10), List(other, 10), "the seed changes the order")
	for _, local := range []string{"", "user", "7", "user07", "user7x", "refuse7", "user-7"} {
		_, ok := c.numberOf(local)
		assert.False(t, ok, "%q is in no list", local)
	}
}

func TestDeadHostsLeaveALivingExchanger(t *testing.T) {
	c := Config{Domains: 1000, Hosts: 10, DeadHosts: 3}
	for i := range 1000 {
		e := c.exchangers(i)
		assert.GreaterOrEqual(t, e[len(e)-1], 3, "the last exchanger of every domain lives")
		assert.Equal(t, i%10 < 3, len(e) == 2, "only domains of dead hosts have a second one")
		assert.True(t, c.serves(e[0], i) && !c.serves(10, i), "a host serves its domains only")
	}
}

func TestOneListenerServesAllHostsWhenDescriptorsAreFew(t *testing.T) {
	few := func(int) bool { return false }
	w, err := start(Config{Domains: 50000, Hosts: 50000}, few)
	require.NoError(t, err, "a world without dead hosts needs one listener")
	defer w.Close()
	for _, j := range []int{0, 49999} {
		c, err := net.Dial("tcp", hostPort(HostAddr(j), w.Port()))
		require.NoError(t, err, "every host can be reached")
		greeting := make([]byte, 100)
		k, _ := c.Read(greeting)
		assert.Equal(t, "220 "+HostName(j)+" ESMTP\r\n", string(greeting[:k]), "and knows its name")
		c.Close()
	}
	for _, a := range []string{"127.0.0.1", HostAddr(50000).String()} {
		c, err := net.Dial("tcp", hostPort(netip.MustParseAddr(a), w.Port()))
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF, "no host has the address %s", a)
		c.Close()
	}
	assert.Equal(t, 2, w.Report().Sessions, "sessions belong to their hosts")

	_, err = start(Config{Domains: 10, Hosts: 10, DeadHosts: 1}, few)
	assert.ErrorContains(t, err, "dead hosts need a listener", "dead hosts cannot share one")
}

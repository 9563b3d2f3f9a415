package internet

import (
	"net/netip"
	"strconv"
	"strings"
)

const (
	domainEnd = ".example"
	hostEnd   = ".hosts.example"
	zones     = 16 // second-level names that the domains are spread over
)

// Domain is the name of domain i.
func Domain(i int) string {
	return "d" + strconv.Itoa(i) + "." + strconv.Itoa(i%zones) + domainEnd
}

// domainIndex undoes Domain, for lower case names without a trailing dot. It is asked once for each recipient: no allocation.
func domainIndex(name string) (i int, ok bool) {
	name, begin := strings.CutPrefix(name, "d")
	i, name, first := number(name)
	name, dot := strings.CutPrefix(name, ".")
	zone, name, second := number(name)
	return i, begin && first && dot && second && zone == i%zones && name == domainEnd
}

// number takes a decimal number, written as strconv.Itoa does, from the front of s.
func number(s string) (n int, rest string, ok bool) {
	k := 0
	for ; k < len(s) && '0' <= s[k] && s[k] <= '9' && k < 18; k++ {
		n = 10*n + int(s[k]-'0')
	}
	return n, s[k:], k == 1 || k > 1 && s[0] != '0'
}

// HostName is the name of host j.
func HostName(j int) string { return "mx" + strconv.Itoa(j) + hostEnd }

func hostIndex(name string) (j int, ok bool) {
	name, begin := strings.CutPrefix(name, "mx")
	j, name, ok = number(name)
	return j, begin && ok && name == hostEnd
}

// Hosts are spread over 127.10.1.1 to 127.255.250.250 without octets that look like a network's or a broadcast address.
const (
	firstNet = 10
	perOctet = 250
	perNet   = perOctet * perOctet
	maxHosts = (256 - firstNet) * perNet
)

// HostAddr is the address of host j.
func HostAddr(j int) netip.Addr {
	r := j % perNet
	return netip.AddrFrom4([4]byte{127, byte(firstNet + j/perNet), byte(1 + r/perOctet), byte(1 + r%perOctet)})
}

// hostOf undoes HostAddr.
func hostOf(a netip.Addr) (j int, ok bool) {
	b := a.Unmap().As4()
	j = (int(b[1])-firstNet)*perNet + (int(b[2])-1)*perOctet + int(b[3]) - 1
	return j, j >= 0 && HostAddr(j) == a.Unmap()
}

// domains and hosts are how many there are, with the big one and its.
func (c *Config) domains() int { return c.Domains + min(c.Big, 1) }
func (c *Config) hosts() int   { return c.Hosts + c.BigHosts }

// isBig says that domain i is the big one.
func (c *Config) isBig(i int) bool { return c.Big > 0 && i == c.Domains }

// exchangers are the hosts of domain i, best first; those of the big one are equal.
func (c *Config) exchangers(i int) []int {
	if c.isBig(i) {
		all := make([]int, c.BigHosts)
		for k := range all {
			all[k] = c.Hosts + k
		}
		return all
	}
	first := i % c.Hosts
	if first >= c.DeadHosts {
		return []int{first}
	}
	return []int{first, c.DeadHosts + i%(c.Hosts-c.DeadHosts)}
}

// Takers are the hosts that the mail for an address goes to when its mailer knows everything: the living exchangers of its domain,
// all equally good. An address that is not in the world has none.
func Takers(address string, c Config) []int {
	i, ok := domainIndex(address[strings.LastIndexByte(address, '@')+1:])
	if !ok || i >= c.domains() {
		return nil
	}
	e := c.exchangers(i)
	if c.isBig(i) {
		return e
	}
	return e[len(e)-1:]
}

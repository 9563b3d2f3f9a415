package resolver

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

// Families says which address families are asked for and used.
type Families int

const (
	Both     Families = iota // A and AAAA
	OnlyIPv4                 // AAAA is never asked
	OnlyIPv6                 // A is never asked
)

// A Config is what New needs. Its zero value works on a machine with a resolv.conf.
type Config struct {
	Servers      []string              // recursive servers as "HOST:PORT", best an address; nil: those of /etc/resolv.conf
	Timeout      time.Duration         // of one question on the wire, all its retries together; 0: 5 s
	Window       int                   // questions in flight at start, adapted by what the servers bear; 0: 200
	Families     Families              // which addresses are asked; 0: both
	Static       []StaticRoute         // domains whose route is configured: neither MX nor MTA-STS is asked; never for literals
	Fallback     []string              // hosts appended to every route at FallbackPreference; syntax of StaticRoute.Hosts
	Self         func(netip.Addr) bool // is this address ours (RFC 5321 section 5.1); nil: never
	CacheEntries int                   // answers kept at most; 0: 500,000
	Stale        time.Duration         // how long past its TTL an answer serves while asking again fails; 0: 15 min; negative: never

	DANE    bool           // ask for TLSA records where the DNS is signed (RFC 7672)
	TrustAD []netip.Prefix // servers whose AD bit is believed; nil: loopback. The way to them must be safe from forgery
	Port    uint16         // of exchangers whose route names none, for the names of TLSA records; 0: 25
	STS     *sts.Store     // MTA-STS policies; nil: none are looked for. Whoever made it closes it, after the Resolver

	// Dial connects to a server; network is "udp" or "tcp". Nil: a net.Dialer. Tests give an in-memory network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// A StaticRoute sends a domain to named hosts instead of its MX records.
type StaticRoute struct {
	Domain string   // "example.net", ".example.net" for all its subdomains, or "*" for all domains; the longest match wins
	Hosts  []string // "[192.0.2.1]:25", "relay.example.org", "relay.example.org:587"; the first is preferred
}

const (
	defaultPort         = 25
	defaultTimeout      = 5 * time.Second
	defaultWindow       = 200
	defaultCacheEntries = 500_000
	defaultStale        = 15 * time.Minute
	resolvConf          = "/etc/resolv.conf"
)

// trusts says whether the AD bit of a server is believed. A server whose name would have to be looked up first is not.
func (c Config) trusts(server string) bool {
	at, err := netip.ParseAddrPort(server)
	if err != nil || !c.DANE {
		return false
	}
	addr := at.Addr().Unmap().WithZone("")
	if c.TrustAD == nil {
		return addr.IsLoopback() // what comes from this machine was not forged on the way
	}
	return slices.ContainsFunc(c.TrustAD, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// withDefaults fills what is zero and checks the rest.
func (c Config) withDefaults() (Config, error) {
	if len(c.Servers) == 0 {
		servers, err := systemServers(resolvConf)
		if err != nil {
			return c, err
		}
		c.Servers = servers
	}
	for _, s := range c.Servers {
		if host, port, err := net.SplitHostPort(s); err != nil || host == "" || port == "" {
			return c, fmt.Errorf("resolver: server %q: want HOST:PORT, as in \"127.0.0.1:53\"", s)
		}
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Window <= 0 {
		c.Window = defaultWindow
	}
	if c.CacheEntries <= 0 {
		c.CacheEntries = defaultCacheEntries
	}
	if c.Port == 0 {
		c.Port = defaultPort
	}
	if c.Stale == 0 {
		c.Stale = defaultStale
	}
	if c.Self == nil {
		c.Self = func(netip.Addr) bool { return false }
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	return c, nil
}

// systemServers reads the name servers of a resolv.conf(5). Its other lines (search, options) do not concern mail:
// a mail domain is always complete, and retries follow the measured round trip.
func systemServers(path string) ([]string, error) {
	conf, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("resolver: no server configured and %s cannot be read; set dns.servers: %w", path, err)
	}
	if len(conf.Servers) == 0 {
		return nil, fmt.Errorf("resolver: no server configured and %s has no nameserver line; set dns.servers", path)
	}
	servers := make([]string, len(conf.Servers))
	for i, s := range conf.Servers {
		servers[i] = net.JoinHostPort(s, conf.Port)
	}
	return servers, nil
}

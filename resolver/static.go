package resolver

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A relay is a host named by the configuration: a name whose addresses are asked, or an address.
type relay struct {
	name string     // folded; a literal's text in brackets
	addr netip.Addr // of a literal
	port uint16     // 0: the SMTP port
}

// routes is the static routing map: domain, or suffix with its leading dot, to hosts in order.
type routes map[string][]relay

// newRoutes reads the configured map; an error names the entry.
func newRoutes(static []StaticRoute) (routes, error) {
	m := make(routes, len(static))
	for _, s := range static {
		suffix, sub := strings.CutPrefix(s.Domain, ".")
		domain, err := Fold(suffix)
		if err != nil || strings.HasPrefix(domain, "[") {
			return nil, fmt.Errorf("resolver: route %q: want a domain, or a domain after a dot for its subdomains", s.Domain)
		}
		if sub {
			domain = "." + domain
		}
		if len(s.Hosts) == 0 {
			return nil, fmt.Errorf("resolver: route %q: has no hosts", s.Domain)
		}
		if m[domain], err = parseRelays(s.Hosts); err != nil {
			return nil, fmt.Errorf("resolver: route %q: %w", s.Domain, err)
		}
	}
	return m, nil
}

// find returns the hosts of the longest entry that covers the domain. ".example.net" does not cover example.net itself.
func (m routes) find(domain string) ([]relay, bool) {
	if len(m) == 0 {
		return nil, false
	}
	if hosts, ok := m[domain]; ok {
		return hosts, true
	}
	for i := strings.IndexByte(domain, '.'); i >= 0; {
		if hosts, ok := m[domain[i:]]; ok {
			return hosts, true
		}
		next := strings.IndexByte(domain[i+1:], '.')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return nil, false
}

func parseRelays(hosts []string) ([]relay, error) {
	relays := make([]relay, len(hosts))
	for i, h := range hosts {
		r, err := parseRelay(h)
		if err != nil {
			return nil, err
		}
		relays[i] = r
	}
	return relays, nil
}

// parseRelay reads "relay.example.org", "relay.example.org:587", "[192.0.2.1]", "[2001:db8::1]:25", "[IPv6:2001:db8::1]:25".
func parseRelay(s string) (relay, error) {
	host, port, err := splitPort(s)
	if err != nil {
		return relay{}, err
	}
	if strings.HasPrefix(host, "[") {
		addr, ok := literalAddr(host)
		if !ok {
			addr, ok = literalAddr("[IPv6:" + host[1:])
		}
		if !ok {
			return relay{}, fmt.Errorf("host %q: want an address between the brackets", s)
		}
		return relay{name: literal(addr), addr: addr, port: port}, nil
	}
	name, err := Fold(host)
	if err != nil {
		return relay{}, fmt.Errorf("host %q: want NAME, NAME:PORT, [ADDRESS] or [ADDRESS]:PORT", s)
	}
	return relay{name: name, port: port}, nil
}

// splitPort cuts an optional ":PORT" behind a name or a closing bracket.
func splitPort(s string) (host string, port uint16, err error) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 || colon < strings.LastIndexByte(s, ']') {
		return s, 0, nil
	}
	n, err := strconv.ParseUint(s[colon+1:], 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("host %q: %q is no port", s, s[colon+1:])
	}
	return s[:colon], uint16(n), nil
}

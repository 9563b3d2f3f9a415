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

// routes is the static routing map, as Match reads it, to hosts in order.
type routes map[string][]relay

// newRoutes reads the configured map; an error names the entry.
func newRoutes(static []StaticRoute) (routes, error) {
	m := make(routes, len(static))
	for _, s := range static {
		domain, ok := pattern(s.Domain)
		if !ok {
			return nil, fmt.Errorf("resolver: route %q: want a domain, a domain after a dot for its subdomains, or \"*\"", s.Domain)
		}
		if len(s.Hosts) == 0 {
			return nil, fmt.Errorf("resolver: route %q: has no hosts", s.Domain)
		}
		relays, err := parseRelays(s.Hosts)
		if err != nil {
			return nil, fmt.Errorf("resolver: route %q: %w", s.Domain, err)
		}
		m[domain] = relays
	}
	return m, nil
}

// every is the pattern that covers all domains.
const every = "*"

// pattern brings a pattern of a map for Match to the form of its keys; false: it is none.
func pattern(s string) (string, bool) {
	if s == every {
		return every, true
	}
	suffix, below := strings.CutPrefix(s, ".")
	domain, err := Fold(suffix)
	if err != nil || strings.HasPrefix(domain, "[") {
		return "", false
	}
	if below {
		domain = "." + domain
	}
	return domain, true
}

// Match returns the value of the longest pattern that covers a domain, as folded by Fold. Patterns are the keys of m: a domain as
// folded, ".example.net" for all its subdomains at any depth and not for example.net itself, or "*" for what no other one covers.
// An address literal is covered by itself and by "*".
func Match[T any](m map[string]T, domain string) (T, bool) {
	if len(m) == 0 {
		var none T
		return none, false
	}
	if v, ok := m[domain]; ok {
		return v, true
	}
	if !strings.HasPrefix(domain, "[") {
		for i := strings.IndexByte(domain, '.'); i >= 0; i = nextDot(domain, i) {
			if v, ok := m[domain[i:]]; ok {
				return v, true
			}
		}
	}
	v, ok := m[every]
	return v, ok
}

// nextDot is the index of the first dot behind index i, or -1.
func nextDot(s string, i int) int {
	n := strings.IndexByte(s[i+1:], '.')
	if n < 0 {
		return -1
	}
	return i + 1 + n
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

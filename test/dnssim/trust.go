package dnssim

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// A trust is what a validating recursor makes of a name's records (RFC 4033 section 5).
type trust int

const (
	insecure trust = iota
	secure
	bogus
)

// splitTrust takes the lines that say what is secure out of a zone's text.
func splitTrust(text string) (records string, trusts map[string]trust, err error) {
	trusts = make(map[string]trust)
	words := map[string]trust{"$INSECURE": insecure, "$SECURE": secure, "$BOGUS": bogus}
	var rest strings.Builder
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			rest.WriteString(line)
			continue
		}
		t, ok := words[fields[0]]
		if !ok {
			rest.WriteString(line)
			continue
		}
		if len(fields) != 2 || !dns.IsFqdn(fields[1]) {
			return "", nil, fmt.Errorf("dnssim: zone: %q: want one name with its final dot", strings.TrimSpace(line))
		}
		trusts[dns.CanonicalName(fields[1])] = t
		rest.WriteByte('\n') // the parser's line numbers stay right
	}
	return rest.String(), trusts, nil
}

// trusted is what the line of the nearest name above says, itself included.
func (z *zone) trusted(name string) trust {
	for end := false; !end; {
		if t, ok := z.trust[name]; ok {
			return t
		}
		var next int
		next, end = dns.NextLabel(name, 0)
		name = name[next:]
	}
	return z.trust["."]
}

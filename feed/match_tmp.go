package feed

import (
	"strings"

	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

func stsMatches(p *sts.Policy, host string) bool {
	for _, m := range p.MX {
		if m == host || strings.HasPrefix(m, "*.") && strings.HasSuffix(host, m[1:]) {
			return true
		}
	}
	return false
}

func matchDomain(m map[string]*Destination, domain string) (*Destination, bool) { d, ok := m[domain]; return d, ok }

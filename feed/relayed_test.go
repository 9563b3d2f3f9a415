package feed

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

// That a relay wants a password is the operator's to mend, for the domains that he sends there. What it tells others, who found it in the
// DNS, is final, whoever rides along.
func TestRelayThatWantsAPassword(t *testing.T) {
	for _, verb := range []string{"MAIL", "RCPT"} {
		for name, to := range map[string][]string{"alone": {"a@one.test"}, "with others": {"a@one.test", "b@two.test"}} {
			t.Run(verb+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.twoDomains(false)
					w.table.mu.Lock()
					w.table.routes["one.test"].MX[0].Configured = true
					w.table.mu.Unlock()
					w.refuser(best, []string{"PIPELINING"}, func(line string) string {
						if strings.HasPrefix(line, verb) {
							return "530 5.7.0 Authentication required"
						}
						return ""
					})
					want := []string{"deferred 4.7.8", "failed 5.7.0"}
					assert.Equal(t, want[:len(to)], w.send(shortContent, to...).wait(), "what becomes of each")
				})
			})
		}
	}
}

// An IPv6 address that was asked for belongs to the host, wherever its IPv4 one came from; one that nobody was asked for does not.
func TestWhichAddressesAHostGets(t *testing.T) {
	v4, v6 := "/192.0.2.1", "/2001:db8::1"
	for _, c := range []struct{ name, first, second, dialled string }{
		{"IPv4 by the additional section, IPv6 asked for", "additional=10/mx.test" + v4, "additional4=10/mx.test" + v4 + v6, "[2001:db8::1]:25"},
		{"both asked for, one after the other", "mx=10/mx.test" + v4, "mx=10/mx.test" + v4 + v6, "[2001:db8::1]:25"},
		{"IPv6 by another domain's additional section", "mx=10/mx.test" + v4, "additional=10/mx.test" + v4 + v6, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := replay(t, "config per_host=4\nsent e1 from=list@example.org to=a@one.test\nresolved one.test "+c.first+
				"\nsent e2 from=list@example.org body=b to=a@two.test\nresolved two.test "+c.second+"\nended s1 connect err=\"refused\"\n")
			if c.dialled == "" {
				assert.NotContains(t, got, "2001:db8::1]", "it is not dialled")
			} else {
				assert.Contains(t, got, "dial s2 "+c.dialled, "it is dialled when the other one fails")
			}
			assert.Equal(t, 1, strings.Count(got, "dial s1"), "the domains share the host")
			assert.NotContains(t, got, "dial s3", "and no other one is made")
		})
	}
}

package resolver_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// The additional section has an IPv4 address only.
func TestIPv6BehindAHintIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := host(t, zone)
		answer := h.Handler
		h.Handler = func(q dns.Question, tcp bool) dnssim.Answer {
			a := answer(q, tcp)
			if q.Qtype == dns.TypeMX {
				var ex []dns.RR
				for _, rr := range a.Extra {
					if rr.Header().Rrtype == dns.TypeA {
						ex = append(ex, rr)
					}
				}
				a.Extra = ex
			}
			return a
		}
		l := newLab(t, resolver.Config{}, h)
		var mu sync.Mutex // of last: results come from the readers of several sockets
		var last resolver.Result
		l.Start([]string{"one.example"}, func(r []resolver.Result) {
			mu.Lock()
			defer mu.Unlock()
			last = r[len(r)-1]
		})
		time.Sleep(10 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		assert.Len(t, last.Route.MX[0].Addrs, 2, "it has both addresses")
		assert.False(t, last.Route.MX[0].Hinted6, "the IPv6 one was asked for")
		assert.True(t, last.Route.MX[0].Additional, "the IPv4 one was not")
	})
}

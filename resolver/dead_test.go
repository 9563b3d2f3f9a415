package resolver_test

import (
	"hash/fnv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// TestDeadServersEndALongListSoon is about recursors whose own way to the world is cut: they answer SERVFAIL, or nothing, to all or to
// most. A list must not meet that one window after the other until the host MTA's patience is over.
func TestDeadServersEndALongListSoon(t *testing.T) {
	const domains = 10_000
	served := list{hosts: 20}.answer
	// some answers one name of so many, as from a cache, and the others in this way.
	some := func(of uint32, other dnssim.Answer) dnssim.Handler {
		return func(q dns.Question, tcp bool) dnssim.Answer {
			h := fnv.New32a()
			h.Write([]byte(q.Name))
			if h.Sum32()%of == 0 {
				return served(q, tcp)
			}
			return other
		}
	}
	none := func(a dnssim.Answer) dnssim.Handler { return func(dns.Question, bool) dnssim.Answer { return a } }
	tests := []struct {
		rule    string
		handler dnssim.Handler
	}{
		{"no answer", none(dnssim.Answer{Drop: true})},
		{"SERVFAIL to all", none(dnssim.Answer{RCode: dns.RcodeServerFailure})},
		{"SERVFAIL to all, late", none(dnssim.Answer{RCode: dns.RcodeServerFailure, Delay: 2 * time.Second})},
		{"REFUSED to all", none(dnssim.Answer{RCode: dns.RcodeRefused})},
		{"SERVFAIL to nine of ten", some(10, dnssim.Answer{RCode: dns.RcodeServerFailure})},
		{"SERVFAIL to half", some(2, dnssim.Answer{RCode: dns.RcodeServerFailure})},
		{"REFUSED to nine of ten", some(10, dnssim.Answer{RCode: dns.RcodeRefused})},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, resolver.Config{}, &dnssim.Host{Handler: tt.handler, Latency: 5 * time.Millisecond})
				began := time.Now()
				failed := startAll(l.Resolver, domainNames(domains))
				s := l.Stats()
				t.Logf("%d of %d domains have no route after %v; %d questions, sent again %d, window %d", failed, domains, time.Since(began), s.Questions, s.Retries, s.Window)
				assert.Less(t, time.Since(began), 15*time.Second, "all should be known within three times the timeout of one question")
			})
		})
	}
}

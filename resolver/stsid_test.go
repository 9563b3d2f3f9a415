package resolver_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver/sts"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// RFC 8461: a policy that was replaced must not come back because its old id is seen again.
func TestOldIDDoesNotBringBackOldPolicy(t *testing.T) { synctest.Test(t, testOldID) }
func testOldID(t *testing.T) {
	var id atomic.Value
	id.Store("one")
	h := delaying(t, func(q dns.Question, a *dnssim.Answer) {})
	answer := h.Handler
	h.Handler = func(q dns.Question, tcp bool) dnssim.Answer {
		a := answer(q, tcp)
		if q.Qtype == dns.TypeTXT && q.Name == "_mta-sts.a.example." {
			rr, err := dns.NewRR(fmt.Sprintf(`_mta-sts.a.example. 60 TXT "v=STSv1; id=%s;"`, id.Load()))
			require.NoError(t, err)
			a.Answer = []dns.RR{rr}
		}
		return a
	}
	s := &moded{shelf: shelf{takes: 100 * time.Millisecond}}
	l := newSTSLab(t, s, h)
	s.mode.Store(int32(sts.Testing))
	route := l.route("a.example")
	require.Equal(t, sts.Testing, route.STS.Mode, "first the domain tests")
	time.Sleep(2 * time.Hour)
	id.Store("two")
	s.mode.Store(int32(sts.Enforce))
	route = l.route("a.example")
	require.Equal(t, sts.Enforce, route.STS.Mode, "then it enforces")
	time.Sleep(2 * time.Hour)
	id.Store("one") // a forged TXT answer, or a name server that lags behind
	route = l.route("a.example")
	assert.Equal(t, sts.Enforce, route.STS.Mode, "the policy host says enforce to whoever asks")
}

// moded is a shelf whose fetches bring the mode of the day, valid for a week.
type moded struct {
	shelf
	mode atomic.Int32
}

func (s *moded) Fetch(domain, id string, done func(*sts.Policy, error)) {
	s.mu.Lock()
	s.fetched = append(s.fetched, domain+" "+id)
	s.mu.Unlock()
	time.AfterFunc(s.takes, func() {
		p := &sts.Policy{Domain: domain, ID: id, Mode: sts.Mode(s.mode.Load()), MX: []string{"mx.example"}, Expires: time.Now().Add(7 * 24 * time.Hour)}
		s.mu.Lock()
		if s.cached == nil {
			s.cached = map[string]*sts.Policy{}
		}
		s.cached[domain] = p
		s.mu.Unlock()
		done(p, nil)
	})
}

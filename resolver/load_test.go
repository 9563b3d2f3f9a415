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

// A crowd is a server that works on so many questions at once; what it does with others is up to the test.
type crowd struct {
	limit   int
	latency time.Duration
	handler dnssim.Handler
	beyond  dnssim.Answer

	mu      sync.Mutex
	working map[dns.Question]bool
	most    int
}

func (c *crowd) answer(q dns.Question, tcp bool) dnssim.Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.working[q] {
		return dnssim.Answer{Drop: true} // a question that is being worked on is answered once, as recursors do
	}
	if len(c.working) >= c.limit {
		return c.beyond
	}
	if c.working == nil {
		c.working = make(map[dns.Question]bool)
	}
	c.working[q] = true
	c.most = max(c.most, len(c.working))
	time.AfterFunc(c.latency, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.working, q)
	})
	a := c.handler(q, tcp)
	a.Delay = c.latency
	return a
}

// TestServerThatTakesOnlySoMany is about recursors that are flooded: unbound drops (wait-limit), BIND answers SERVFAIL to the
// questions beyond its quota (recursive-clients).
func TestServerThatTakesOnlySoMany(t *testing.T) {
	for rule, beyond := range map[string]dnssim.Answer{
		"and drops the others":               {Drop: true},
		"and answers SERVFAIL to the others": {RCode: dns.RcodeServerFailure},
	} {
		t.Run(rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &crowd{limit: 300, latency: 30 * time.Millisecond, handler: list{hosts: 200}.answer, beyond: beyond}
				l := newLab(t, resolver.Config{}, &dnssim.Host{Handler: c.answer})
				assert.Zero(t, startAll(l.Resolver, domainNames(5000)), "no domain should be lost")
				s := l.Stats()
				t.Logf("%d questions, sent again %d, window %d", s.Questions, s.Retries, s.Window)
				assert.Equal(t, uint64(5400), s.Questions, "each should be one question")
				assert.Zero(t, s.Timeouts, "and none given up")
				assert.Equal(t, 300, c.most, "the server should not starve")
				assert.Less(t, s.Retries, uint64(5400), "nor be flooded: less than one repetition a question")
				assert.LessOrEqual(t, s.Window, 2500, "and the window stop to open")
			})
		})
	}
}

func TestLossesAtTheEndAreRepairedSoon(t *testing.T) {
	synctest.Test(t, testLossesAtTheEndAreRepairedSoon)
}
func testLossesAtTheEndAreRepairedSoon(t *testing.T) {
	h := &dnssim.Host{Handler: list{hosts: 1, additional: true}.answer, Latency: 30 * time.Millisecond, Lose: func(n int) bool { return n >= 150 && n < 200 }}
	l := newLab(t, resolver.Config{}, h)
	begin := time.Now()
	assert.Zero(t, startAll(l.Resolver, domainNames(200)), "every domain should have a route")
	assert.Less(t, time.Since(begin), 500*time.Millisecond, "what is lost of the first burst should be sent again after the first wait")
	assert.Equal(t, uint64(50), l.Stats().Retries, "once")
}

func TestStalledQuestionTakesALateAnswer(t *testing.T) {
	synctest.Test(t, testStalledQuestionTakesALateAnswer)
}
func testStalledQuestionTakesALateAnswer(t *testing.T) {
	h := &dnssim.Host{Handler: list{hosts: 1, additional: true}.answer, Latency: time.Second}
	l := newLab(t, resolver.Config{Window: 4}, h)
	assert.Zero(t, startAll(l.Resolver, domainNames(40)), "every domain should have a route, though its answers come when its wait is over")
	s := l.Stats()
	assert.Zero(t, s.InFlight, "the count of what is in flight should come out even")
	assert.Equal(t, uint64(40), s.Questions, "each should be one question")
}

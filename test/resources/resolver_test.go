package resources

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hostsim"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// deadBudget is lmtp.budget where DNS is dead: far more than it takes, also on a machine that is busy.
const deadBudget = 2 * time.Minute

// defaultResolve are the lines of [dns] where its default timeout is what the test is about.
const defaultResolve = `timeout = "5s"`

// startDNS starts a server that answers as told.
func startDNS(t *testing.T, h dnssim.Handler) string {
	t.Helper()
	s, err := dnssim.Listen("127.0.0.1:0", h)
	require.NoError(t, err, "there is a DNS server")
	t.Cleanup(func() { s.Close() })
	return s.Addr()
}

// nobody is an address where nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err, "there is a free port")
	require.NoError(t, c.Close(), "nobody uses it")
	return c.LocalAddr().String()
}

func TestDeadResolver(t *testing.T) {
	tests := []struct {
		rule   string
		server func(t *testing.T) string
	}{
		{"no answer", func(t *testing.T) string {
			return startDNS(t, func(dns.Question, bool) dnssim.Answer { return dnssim.Answer{Drop: true} })
		}},
		{"connection refused", nobody},
		{"SERVFAIL", func(t *testing.T) string {
			return startDNS(t, func(dns.Question, bool) dnssim.Answer { return dnssim.Answer{RCode: dns.RcodeServerFailure} })
		}},
		{"REFUSED", func(t *testing.T) string {
			return startDNS(t, func(dns.Question, bool) dnssim.Answer { return dnssim.Answer{RCode: dns.RcodeRefused} })
		}},
		{"garbage", func(t *testing.T) string {
			return startDNS(t, func(dns.Question, bool) dnssim.Answer {
				return dnssim.Answer{Raw: []byte("\x00\x00\x81\x80\x00\x01\xff\xffnothing that can be read")}
			})
		}},
	}
	var all sync.WaitGroup // they mostly wait: more of them at once than t.Parallel allows
	for _, tt := range tests {
		all.Go(func() { t.Run(tt.rule, func(t *testing.T) { checkDeadResolver(t, tt.server(t)) }) })
	}
	all.Wait()
}

// checkDeadResolver hands over 10,000 recipients in as many domains. The last is answered inside the budget, and all within a few times
// dns.timeout: waits do not add up, however many questions there are.
func checkDeadResolver(t *testing.T, server string) {
	binary, err := plainBinary() // several of them at once
	require.NoError(t, err, "smtpfeed is built")
	p := start(t, setup{binary: binary, dns: server, resolve: defaultResolve, lmtp: "budget = \"" + deadBudget.String() + "\""})
	const domains = 10_000
	m := hostsim.Message{From: "list@sender.test", Body: content(0, 1000), To: internet.List(internet.Config{Domains: domains, Hosts: 1}, domains)}
	outcomes, took := p.mustDeliver(t, m)
	t.Logf("answered within %v of the final dot: %v", took.Round(time.Millisecond), tally(outcomes))
	assert.Equal(t, domains, tally(outcomes)["451 4.4.3"], "every recipient is told that DNS is at fault: %v", tally(outcomes))
	assert.Less(t, took, deadBudget, "inside the budget, which is a promise")
	s := p.status(t)
	t.Logf("%d questions, %d sent again, %d without an answer; %v", s.DNS.Questions, s.DNS.Retries, s.DNS.Timeouts, p.footprint(t))

	again, took := p.mustDeliver(t, hostsim.Message{From: m.From, Body: content(1, 1000), To: m.To[:100]})
	assert.Equal(t, 100, tally(again)["451 4.4.3"], "so it is when the host MTA tries again")
	t.Logf("100 of them again: %v", took.Round(time.Millisecond))
	assert.Empty(t, feedd.LinesWith(feedd.ReadLog(t, p.path("log")), "level=ERROR"), "smtpfeed itself has no trouble")
}

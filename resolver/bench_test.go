package resolver_test

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// list is a list server's world: domain d<i>.example has one exchanger, mx<i mod hosts>.example.
type list struct {
	hosts      int
	additional bool
}

// answer computes what the world's recursor says.
func (l list) answer(q dns.Question, _ bool) dnssim.Answer {
	label, _, _ := strings.Cut(q.Name, ".")
	switch {
	case q.Qtype == dns.TypeMX:
		n, _ := strconv.Atoi(strings.TrimPrefix(label, "d"))
		mx := dnssim.MX{Preference: 10, Name: fmt.Sprintf("mx%d.example.", n%l.hosts)}
		if l.additional {
			mx.Addrs = hostAddrs(n % l.hosts)
		}
		return dnssim.Answer{MX: []dnssim.MX{mx}}
	case strings.HasPrefix(label, "mx"):
		n, _ := strconv.Atoi(strings.TrimPrefix(label, "mx"))
		return dnssim.Answer{Addrs: hostAddrs(n)}
	}
	return dnssim.Answer{RCode: dns.RcodeNameError}
}

func hostAddrs(n int) []netip.Addr {
	return []netip.Addr{
		netip.AddrFrom4([4]byte{127, 1, byte(n >> 8), byte(n)}),
		netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(n >> 8), 15: byte(n)}),
	}
}

// resolveAll resolves d0 to d<n-1> at once and returns how many failed.
func resolveAll(ctx context.Context, r *resolver.Resolver, n int) (failed int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if _, err := r.Resolve(ctx, fmt.Sprintf("d%d.example", i)); err != nil {
				mu.Lock()
				failed++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return failed
}

// BenchmarkResolve10k resolves 10,000 domains on 200 hosts through a server on 127.0.0.1 that answers after 30 ms. The CPU
// time is that of the whole process: server, resolver and benchmark.
func BenchmarkResolve10k(b *testing.B) {
	for _, l := range []list{{200, true}, {200, false}, {10_000, false}} {
		b.Run(fmt.Sprintf("hosts=%d/additional=%v", l.hosts, l.additional), func(b *testing.B) {
			benchmarkList(b, l, 10_000)
		})
	}
}

func benchmarkList(b *testing.B, l list, domains int) {
	server, err := dnssim.Start(dnssim.Config{Addr: "127.0.0.1:0", Handler: l.answer, Delay: 30 * time.Millisecond})
	require.NoError(b, err, "the DNS server should start")
	defer server.Close()
	var asked, retries uint64
	cpu := cpuTime()
	for b.Loop() {
		r, err := resolver.New(resolver.Config{Servers: []string{server.Addr()}})
		require.NoError(b, err, "the resolver should start")
		require.Zero(b, resolveAll(b.Context(), r, domains), "every domain should have a route")
		s := r.Stats()
		asked += s.Questions
		retries += s.Retries
		require.NoError(b, r.Close(), "the resolver should close")
	}
	b.ReportMetric(float64(asked)/b.Elapsed().Seconds(), "questions/s")
	b.ReportMetric(float64(cpuTime()-cpu)/1e3/float64(asked), "us-cpu/question")
	b.ReportMetric(float64(retries)/float64(b.N), "retries/op")
}

// cpuTime is what the process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

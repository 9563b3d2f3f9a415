package resolver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
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
	return dnssim.Answer{RCode: dns.RcodeNameError, Ns: []dns.RR{soa()}}
}

// soa is what recursors add to negative answers (RFC 2308 section 3).
func soa() dns.RR {
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: "example.", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 300},
		Ns:  "ns.example.", Mbox: "postmaster.example.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: 300,
	}
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

// collect resolves domains with Start and waits for all results.
func collect(r *resolver.Resolver, domains []string) map[string]resolver.Result {
	var mu sync.Mutex
	got := make(map[string]resolver.Result, len(domains))
	all := make(chan struct{}) // closed with the last result
	done := func(results []resolver.Result) {
		mu.Lock()
		defer mu.Unlock()
		before := len(got)
		for _, result := range results {
			got[result.Domain] = result
		}
		if before < len(domains) && len(got) == len(domains) {
			close(all)
		}
	}
	done(r.Start(domains, done))
	<-all
	return got
}

// startAll is resolveAll without a goroutine a domain.
func startAll(r *resolver.Resolver, domains []string) (failed int) {
	var mu sync.Mutex
	left := len(domains)
	all := make(chan struct{}) // closed with the last result
	done := func(results []resolver.Result) {
		mu.Lock()
		defer mu.Unlock()
		for _, result := range results {
			if result.Grown {
				continue
			}
			if result.Err != nil {
				failed++
			}
			if left--; left == 0 {
				close(all)
			}
		}
	}
	done(r.Start(domains, done))
	<-all
	return failed
}

// domainNames are d0 to d<n-1>.
func domainNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("d%d.example", i)
	}
	return names
}

// serveVariable, when set, makes the test binary a DNS server: "HOSTS ADDITIONAL DELAY". A benchmark's server is another process,
// so that CPU time and profile are the resolver's own.
const serveVariable = "RESOLVER_TEST_SERVE"

func TestMain(m *testing.M) {
	if world := os.Getenv(serveVariable); world != "" {
		serve(world)
		return
	}
	os.Exit(m.Run())
}

// serve answers until its standard input ends, which it does with the process that started it.
func serve(world string) {
	var l list
	var delay time.Duration
	if _, err := fmt.Sscan(world, &l.hosts, &l.additional, (*int64)(&delay)); err != nil {
		panic(err)
	}
	server, err := dnssim.Start(dnssim.Config{Addr: "127.0.0.1:0", Handler: l.answer, Delay: delay})
	if err != nil {
		panic(err)
	}
	defer server.Close()
	fmt.Println(server.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startServer starts a world's server as a process of its own and returns its address.
func startServer(b *testing.B, l list, delay time.Duration) string {
	b.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), serveVariable+"="+fmt.Sprint(l.hosts, l.additional, int64(delay)))
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	require.NoError(b, err, "the server's input should be a pipe")
	stdout, err := c.StdoutPipe()
	require.NoError(b, err, "the server's output should be a pipe")
	require.NoError(b, c.Start(), "the server's process should start")
	b.Cleanup(func() {
		stdin.Close()
		_ = c.Wait()
	})
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(b, err, "the server should say its address")
	return strings.TrimSpace(addr)
}

// BenchmarkResolve resolves domains through a server on 127.0.0.1 that answers after 30 ms. The CPU time is the resolver's
// and the benchmark's, without the server's.
func BenchmarkResolve(b *testing.B) {
	for _, domains := range []int{10_000, 100_000} {
		for _, l := range []list{{200, true}, {200, false}, {10_000, false}} {
			b.Run(fmt.Sprintf("domains=%d/hosts=%d/additional=%v", domains, l.hosts, l.additional), func(b *testing.B) {
				benchmarkList(b, l, domains, resolver.Config{}, nil)
			})
		}
	}
}

// BenchmarkResolveWithPolicies is what DANE and MTA-STS cost where no domain is signed and none announces a policy: nothing for DANE,
// a question more for each domain for MTA-STS.
func BenchmarkResolveWithPolicies(b *testing.B) {
	for _, l := range []list{{200, true}, {200, false}} {
		for name, p := range map[string]resolver.Policies{"dane": nil, "dane+sts": &shelf{}} {
			b.Run(fmt.Sprintf("%s/additional=%v", name, l.additional), func(b *testing.B) {
				benchmarkList(b, l, 10_000, resolver.Config{DANE: true}, p)
			})
		}
	}
}

func benchmarkList(b *testing.B, l list, domains int, c resolver.Config, p resolver.Policies) {
	server := startServer(b, l, 30*time.Millisecond)
	names := domainNames(domains)
	var asked, retries uint64
	cpu := cpuTime()
	b.ReportAllocs()
	for b.Loop() {
		c.Servers = []string{server}
		r, err := resolver.NewWithPolicies(c, p)
		require.NoError(b, err, "the resolver should start")
		require.Zero(b, startAll(r, names), "every domain should have a route")
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

package patches

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// hosts answers for domains d0.example, d1.example ..., each with an exchanger of its own: three questions a domain.
func hosts(q dns.Question, _ bool) dnssim.Answer {
	label, _, _ := strings.Cut(q.Name, ".")
	n, err := strconv.Atoi(strings.TrimLeft(label, "dmx"))
	switch {
	case err != nil:
		return dnssim.Answer{RCode: dns.RcodeNameError}
	case q.Qtype == dns.TypeMX:
		return dnssim.Answer{MX: []dnssim.MX{{Preference: 10, Name: fmt.Sprintf("mx%d.example.", n)}}}
	}
	return dnssim.Answer{Addrs: []netip.Addr{
		netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)}),
		netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(n >> 8), 15: byte(n)}),
	}}
}

// A measured is what resolving a list's domains took.
type measured struct {
	took     time.Duration
	failed   int // domains
	cpu      float64
	memory   int // kB, at the peak
	resolver resolver.Stats
}

// A variant is how the recursor is configured and how the resolver begins.
type variant struct {
	name    string
	snippet string // its file; "": as shipped
	window  int    // dns.window; 0: the default
}

// measure has all domains resolved at once, as for a list, by a recursor that has just started.
func measure(t *testing.T, r recursor, domains int, delay time.Duration, v variant) (m measured) {
	t.Helper()
	world, err := dnssim.Start(dnssim.Config{Addr: "127.0.0.1:0", Handler: hosts, Delay: delay})
	require.NoError(t, err, "there is an authoritative server")
	defer world.Close()
	t.Run("run", func(t *testing.T) { // a test of its own, so that the server ends with it
		addr, p := r.run(t, world.Addr(), v.snippet)
		res, err := resolver.New(resolver.Config{Servers: []string{addr}, Window: v.window})
		require.NoError(t, err, "the resolver starts")
		defer res.Close()
		names := make([]string, domains)
		for i := range names {
			names[i] = fmt.Sprintf("d%d.example", i)
		}
		begin := time.Now()
		m.failed = resolveAll(res, names)
		m.took, m.resolver = time.Since(begin), res.Stats()
		m.cpu, m.memory = usage(t, p.Pid)
	})
	return m
}

// resolveAll waits for all results and counts those without an address.
func resolveAll(r *resolver.Resolver, names []string) (failed int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	all.Add(len(names))
	done := func(results []resolver.Result) {
		mu.Lock()
		defer mu.Unlock()
		for _, result := range results {
			if result.Err != nil || len(result.Route.MX) == 0 || len(result.Route.MX[0].Addrs) == 0 {
				failed++
			}
			all.Done()
		}
	}
	done(r.Start(names, done))
	all.Wait()
	return failed
}

// usage is a process's CPU seconds, and its memory at the peak in kB.
func usage(t *testing.T, pid int) (cpu float64, memory int) {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err, "the process lives")
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err, "the process lives")
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	_, err = fmt.Sscan(peak, &memory)
	require.NoError(t, err, "the kernel tells the peak")
	return float64(user+system) / 100, memory
}

// TestSnippets: each server takes its snippet and gives every answer.
func TestSnippets(t *testing.T) {
	for name, r := range recursors {
		t.Run(name, func(t *testing.T) {
			needRecursor(t, r)
			m := measure(t, r, 3000, 20*time.Millisecond, variant{snippet: patchesFile(t, "recursors/"+r.snippet)})
			assert.Zero(t, m.failed, "no domain fails")
		})
	}
}

// TestMeasureRecursors prints the table of patches/recursors/README.md.
func TestMeasureRecursors(t *testing.T) {
	if os.Getenv("SMTPFEED_RECURSORS") != "measure" {
		t.Skip("SMTPFEED_RECURSORS=measure runs it; it asserts nothing")
	}
	const rounds = 3
	for _, name := range []string{"unbound", "BIND", "PowerDNS"} {
		t.Run(name, func(t *testing.T) {
			r := recursors[name]
			needRecursor(t, r)
			tuned := patchesFile(t, "recursors/"+r.snippet)
			variants := []variant{{"as shipped", "", 0}, {"snippet", tuned, 0}, {"snippet, window 2000", tuned, 2000}}
			for _, delay := range []time.Duration{30 * time.Millisecond, 200 * time.Millisecond} {
				runs := make([][]measured, len(variants))
				for range rounds { // in turn: whatever else the machine does concerns all
					for i, v := range variants {
						runs[i] = append(runs[i], measure(t, r, 10000, delay, v))
					}
				}
				for i, v := range variants {
					t.Logf("| %s | %d ms | %s | %s", name, delay.Milliseconds(), v.name, median(runs[i]))
				}
			}
		})
	}
}

// median is the run that took the middle time, as a line of a table.
func median(runs []measured) string {
	slices.SortFunc(runs, func(a, b measured) int { return int(a.took - b.took) })
	m := runs[len(runs)/2]
	return fmt.Sprintf("%.2f s | %d | %d | %d | %d | %.2f s | %d |", m.took.Seconds(), m.failed, m.resolver.Questions, m.resolver.Retries,
		m.resolver.Window, m.cpu, m.memory/1024)
}

package resolver_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// A recorder is a dial function that remembers its connections.
type recorder struct {
	network *dnssim.Network
	mu      sync.Mutex
	conns   []net.Conn
	dials   map[string]int
}

func (r *recorder) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := r.network.Dial(ctx, network, addr)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dials == nil {
		r.dials = make(map[string]int)
	}
	r.dials[network]++
	if err == nil {
		r.conns = append(r.conns, c)
	}
	return c, err
}

// closeAll breaks all connections.
func (r *recorder) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

func (r *recorder) count(network string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dials[network]
}

// many answers MX questions with 60 exchangers, more than fits into a datagram. The best one stands last, so that a
// partial set would give another route.
func many(q dns.Question, _ bool) dnssim.Answer {
	var a dnssim.Answer
	for i := range 60 {
		a.MX = append(a.MX, dnssim.MX{Preference: uint16(100 - i), Name: fmt.Sprintf("a-rather-long-name-%d.%s", i, q.Name), Addrs: hostAddrs(i)[:1]})
	}
	return a
}

func TestTruncatedAnswersGoOverOneConnection(t *testing.T) {
	synctest.Test(t, testTruncatedAnswersGoOverOneConnection)
}
func testTruncatedAnswersGoOverOneConnection(t *testing.T) {
	r := &recorder{}
	c := resolver.Config{Dial: r.dial, Families: resolver.OnlyIPv4}
	l := newLab(t, c, &dnssim.Host{Handler: many, Latency: 30 * time.Millisecond})
	r.network = &l.network
	start := time.Now()
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			domain := fmt.Sprintf("d%d.example", i)
			route, err := l.Resolve(t.Context(), domain)
			if assert.NoError(t, err, "DNS-11 a long answer should be fetched over TCP") {
				assert.Equal(t, "a-rather-long-name-59."+domain, route.MX[0].Name, "DNS-10 the set should be whole")
			}
		})
	}
	wg.Wait()
	assert.Less(t, time.Since(start), 100*time.Millisecond, "all questions should be pipelined")
	assert.Equal(t, 1, r.count("tcp"), "on one connection")
	assert.Equal(t, uint64(100), l.Stats().Truncated, "and be counted")

	time.Sleep(time.Minute)
	l.route("later.example")
	assert.Equal(t, 2, r.count("tcp"), "an idle connection should be closed, and a new one opened")
}

func TestTruncatedAndNoTCP(t *testing.T) {
	stalling := func(q dns.Question, tcp bool) dnssim.Answer {
		a := many(q, tcp)
		a.Drop = tcp
		return a
	}
	for _, c := range []struct {
		rule   string
		host   func() *dnssim.Host
		within time.Duration
	}{
		{"DNS-10 TCP refused", func() *dnssim.Host { return &dnssim.Host{Handler: many, NoTCP: true} }, time.Second},
		{"DNS-10 TCP stalls", func() *dnssim.Host { return &dnssim.Host{Handler: stalling} }, 5 * time.Second},
		{"truncated over TCP too", func() *dnssim.Host { return &dnssim.Host{Handler: alwaysTruncated} }, time.Second},
	} {
		t.Run(c.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				e := newLab(t, resolver.Config{}, c.host()).failure("one.example")
				assert.Equal(t, resolver.Temporary, e.Kind, "the partial set should not be used")
				assert.LessOrEqual(t, time.Since(start), c.within, "and the question should end in time")
			})
		})
		t.Run(c.rule+", another server answers", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				newLab(t, resolver.Config{}, c.host(), host(t, zone)).route("one.example")
				assert.LessOrEqual(t, time.Since(start), 2*time.Second, "the other server should be asked soon")
			})
		})
	}
}

// alwaysTruncated sets TC on whatever way.
func alwaysTruncated(q dns.Question, _ bool) dnssim.Answer {
	m := new(dns.Msg).SetQuestion(q.Name, q.Qtype)
	m.Response, m.Truncated = true, true
	wire, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return dnssim.Answer{Raw: wire}
}

func TestTruncatedInMidRecord(t *testing.T) { synctest.Test(t, testTruncatedInMidRecord) }
func testTruncatedInMidRecord(t *testing.T) {
	answer, err := dnssim.Zone(zone)
	require.NoError(t, err, "the zone should be read")
	l := newLab(t, resolver.Config{}, &dnssim.Host{Handler: func(q dns.Question, tcp bool) dnssim.Answer {
		if tcp {
			return answer(q, tcp)
		}
		a := lyingLength(q, tcp)
		a.Raw[2] |= 0x02 // TC
		return a
	}})
	l.route("one.example")
	assert.Equal(t, uint64(1), l.Stats().Truncated, "TC should be seen before the message is unpacked")
}

func TestConnectionThatBreaksIsReplaced(t *testing.T) {
	synctest.Test(t, testConnectionThatBreaksIsReplaced)
}
func testConnectionThatBreaksIsReplaced(t *testing.T) {
	r := &recorder{}
	h := &dnssim.Host{Latency: 30 * time.Millisecond, Handler: many}
	l := newLab(t, resolver.Config{Dial: r.dial}, h)
	r.network = &l.network
	var wg sync.WaitGroup
	wg.Go(func() { l.route("one.example") })
	time.Sleep(45 * time.Millisecond) // the datagram is answered, the connection not yet
	r.mu.Lock()
	r.conns[len(r.conns)-1].Close()
	r.mu.Unlock()
	wg.Wait()
	assert.Equal(t, 2, r.count("tcp"), "a question left by one connection should be asked on another")
}

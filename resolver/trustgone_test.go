package resolver_test

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// No socket to the trusted server can be opened at all ([::1] on a machine without IPv6): nobody can listen there.
func TestTrustedServerWithoutAnAddress(t *testing.T) { synctest.Test(t, testWithoutAddress) }
func testWithoutAddress(t *testing.T) {
	trusted, other := host(t, signed), host(t, signed)
	c := trusting()
	var l *lab
	var n dnssim.Network
	n.Add(second, other)
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == first {
			return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s: %w", addr, syscall.EADDRNOTAVAIL)}
		}
		return n.Dial(ctx, network, addr)
	}
	l = newLab(t, c, trusted, other)
	for range 3 {
		_, _ = l.Resolve(t.Context(), "plain.test")
		time.Sleep(time.Minute)
	}
	_, err := l.Resolve(t.Context(), "plain.test")
	assert.NoError(t, err, "the other server answers")
}

// unreach is a connection to a machine that is off.
type unreach struct{ net.Conn }

func (unreach) Read(b []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	return 0, &net.OpError{Op: "read", Net: "udp", Err: syscall.EHOSTUNREACH}
}
func TestTrustedMachineIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trusted, other := silent(), host(t, signed)
		c := trusting()
		var n dnssim.Network
		n.Add(second, other)
		n.Add(first, trusted)
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := n.Dial(ctx, network, addr)
			if addr == first {
				return unreach{conn}, err
			}
			return conn, err
		}
		l := newLab(t, c, trusted, other)
		for range 3 {
			_, _ = l.Resolve(t.Context(), "plain.test")
			time.Sleep(time.Minute)
		}
		_, err := l.Resolve(t.Context(), "plain.test")
		assert.NoError(t, err, "the other server answers")
	})
}

// What the other server said while the trusted one was away is not served on when the trusted one finds it bogus.
func TestInsecureAnswersAreNotServedStale(t *testing.T) { synctest.Test(t, testNotStale) }
func testNotStale(t *testing.T) {
	trusted := rcode(dns.RcodeServerFailure) // bogus, it says
	other := host(t, "one.example. 86400 MX 10 mx.evil.test.\nmx.evil.test. 86400 A 192.0.2.66\n. 900 SOA ns. root. 1 2 3 4 60\n")
	l := newLab(t, trusting(), trusted, other)
	trusted.NoUDP = true
	require.Equal(t, "mx.evil.test", l.route("one.example").MX[0].Name, "the other server answers while nobody listens at the trusted one")
	time.Sleep(time.Second)
	trusted.NoUDP = false
	time.Sleep(40 * time.Second)
	_, err := l.Resolve(t.Context(), "one.example")
	assert.Error(t, err, "bogus means no route for now")
}

// The trusted server starts anew for a second, and takes a while for names that it has not in its cache.
func TestDANEIsBackThoughItsServerIsSlow(t *testing.T) {
	for _, delay := range []time.Duration{300 * time.Millisecond, 600 * time.Millisecond, 1200 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				trusted := host(t, signed)
				trusted.Latency = time.Millisecond
				other := host(t, signed)
				l := newLab(t, trusting(), trusted, other)
				l.route("plain.test")
				trusted.NoUDP = true
				l.Resolve(t.Context(), "x.test")
				time.Sleep(time.Second)
				trusted.NoUDP = false
				answer := trusted.Handler
				trusted.Handler = func(q dns.Question, tcp bool) dnssim.Answer {
					a := answer(q, tcp)
					a.Delay = delay
					return a
				}
				for i := range 60 {
					l.Resolve(t.Context(), fmt.Sprintf("new%d.test", i))
					time.Sleep(time.Second)
				}
				assert.True(t, l.route("one.example").MX[0].Secure, "a minute after the trusted server is back")
			})
		})
	}
}

// Patience with a SERVFAIL is that with the servers which may be asked.
func TestServfailForASecondBesideAnUntrustedServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trusted := host(t, signed)
		answer := trusted.Handler
		begun := time.Now()
		trusted.Handler = func(q dns.Question, tcp bool) dnssim.Answer {
			if time.Since(begun) < time.Second {
				return dnssim.Answer{RCode: dns.RcodeServerFailure}
			}
			return answer(q, tcp)
		}
		l := newLab(t, trusting(), trusted, host(t, signed))
		_, err := l.Resolve(t.Context(), "one.example")
		assert.NoError(t, err, "it is asked again for longer than a second")
	})
}

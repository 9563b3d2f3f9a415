package resolver_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// A burst of twelve slow questions must not send the question of a signed domain to a server that is not trusted.
func TestSlowNamesDoNotSwitchDANEOff(t *testing.T) { synctest.Test(t, testSlowNames) }
func testSlowNames(t *testing.T) {
	trusted := host(t, signed)
	answer := trusted.Handler
	trusted.Handler = func(q dns.Question, tcp bool) dnssim.Answer {
		if strings.HasPrefix(q.Name, "slow") {
			return dnssim.Answer{Drop: true} // the recursor is still at work on it
		}
		return answer(q, tcp)
	}
	other := host(t, signed)
	l := newLab(t, trusting(), trusted, other)
	l.route("plain.test") // the trusted server is well
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() { l.Resolve(t.Context(), fmt.Sprintf("slow%d.test", i)) })
	}
	time.Sleep(600 * time.Millisecond)
	mx := l.route("one.example").MX[0]
	assert.True(t, mx.Secure, "the trusted server answers, so DANE applies")
	all.Wait()
	time.Sleep(10 * time.Second)
	mx = l.route("one.example").MX[0]
	assert.True(t, mx.Secure, "and later at least")
}

// A restart of the trusted server of one second must not switch DANE off for as long as the TTLs of the other server's answers last.
func TestDANEIsBackSoonAfterItsServer(t *testing.T) { synctest.Test(t, testDANEIsBack) }
func testDANEIsBack(t *testing.T) {
	const long = ". 900 SOA ns. root. 1 2 3 4 60\n$SECURE example.\none.example. 86400 MX 10 mx1.example.\nmx1.example. 86400 A 192.0.2.1\n_25._tcp.mx1.example. 86400 TLSA 3 1 1 aa\n"
	trusted, other := host(t, long), host(t, long)
	l := newLab(t, trusting(), trusted, other)
	trusted.NoUDP = true // connection refused: unbound starts anew
	assert.False(t, l.route("one.example").MX[0].Secure, "the other server answers meanwhile, as doc.go has it")
	time.Sleep(time.Second)
	trusted.NoUDP = false
	time.Sleep(time.Minute)
	assert.True(t, l.route("one.example").MX[0].Secure, "a minute after the trusted server is back DANE applies again")
}

// What the trusted server finds to be bogus, and takes two seconds for (unbound asks all name servers again before it says so), must not
// become an insecure answer of the other server. One domain, nothing else asked.
func TestBogusSlowly(t *testing.T) { synctest.Test(t, testBogusSlowly) }
func testBogusSlowly(t *testing.T) {
	trusted := host(t, signed)
	trusted.Latency = time.Millisecond // on this machine
	answer := trusted.Handler
	trusted.Handler = func(q dns.Question, tcp bool) dnssim.Answer {
		if strings.HasSuffix(q.Name, "one.example.") {
			return dnssim.Answer{RCode: dns.RcodeServerFailure, Delay: 2 * time.Second}
		}
		return answer(q, tcp)
	}
	other := host(t, "one.example. 86400 MX 10 mx.evil.test.\nmx.evil.test. 86400 A 192.0.2.66\n")
	l := newLab(t, trusting(), trusted, other)
	l.route("plain.test")
	_, err := l.Resolve(t.Context(), "one.example")
	assert.Error(t, err, "RFC 7672 section 2.1.1: bogus means no route for now")
	assert.Empty(t, other.Queries(), "and the server that is not trusted is not asked while the trusted one answers")
}

// The same for a signed domain that takes the trusted server 1.5 seconds.
func TestSecureSlowly(t *testing.T) { synctest.Test(t, testSecureSlowly) }
func testSecureSlowly(t *testing.T) {
	trusted := host(t, signed)
	trusted.Latency = time.Millisecond
	answer := trusted.Handler
	trusted.Handler = func(q dns.Question, tcp bool) dnssim.Answer {
		a := answer(q, tcp)
		if strings.HasSuffix(q.Name, "one.example.") {
			a.Delay = 1500 * time.Millisecond
		}
		return a
	}
	other := host(t, signed)
	l := newLab(t, trusting(), trusted, other)
	l.route("plain.test")
	mx := l.route("one.example").MX[0]
	assert.True(t, mx.Secure, "DANE applies")
}

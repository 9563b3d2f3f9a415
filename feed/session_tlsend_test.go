package feed

import (
	"crypto/tls"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// stalls are scripts of hosts that fall silent on the way to TLS, by where they do.
func stalls(server *tls.Config) map[string]mxsim.Script {
	offer := mxsim.Hello("mx1.test", "PIPELINING", "STARTTLS")
	return map[string]mxsim.Script{
		"before the invitation":       {offer, mxsim.Expect("STARTTLS"), mxsim.StallForever()},
		"in the invitation":           {offer, mxsim.Expect("STARTTLS"), mxsim.Send("22"), mxsim.StallForever()},
		"behind the ClientHello":      {offer, mxsim.Invite(), mxsim.ReadHello(), mxsim.StallForever()},
		"in the ServerHello":          {offer, mxsim.Invite(), mxsim.HandshakeCut(50, server), mxsim.StallForever()},
		"in the certificate":          {offer, mxsim.Invite(), mxsim.HandshakeCut(400, server), mxsim.StallForever()},
		"before the reply inside TLS": {offer, mxsim.StartTLS(server), mxsim.Expect("EHLO "), mxsim.StallForever()},
		"not reading at all":          {offer, mxsim.Invite(), mxsim.StopReading()},
	}
}

// TestStallsEnd has the deadlines of TLS: each is absolute, and mail goes on in time.
func TestTLSStallsEnd(t *testing.T) {
	for name := range stalls(nil) {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, func(c *Config) {
				c.TLS.Mode, c.Timeouts.StartTLS, c.Timeouts.Hello = TLSRequired, 20*time.Second, 20*time.Second
			}, func(t *testing.T, w *tlsWorld) {
				w.twoDomains(true)
				s := stalls(w.server)[name]
				w.play(best, s, s, s)
				w.serve(backup, mxsim.Config{TLS: w.server})
				d := w.send(shortContent, "a@one.test")
				require.Equal(t, []string{"delivered"}, d.wait(), "the next exchanger gets it")
				assert.Less(t, d.latest(), 65*time.Second, "each wait ends: two connections, each with the timeout for the 220 and again for the handshake")
			})
		})
	}
}

// One octet a second keeps no wait alive: a deadline is for the whole.
func TestTLSDeadlinesAreAbsolute(t *testing.T) {
	offer := mxsim.Hello("mx1.test", "PIPELINING", "STARTTLS")
	for name, slow := range map[string]func(*tls.Config) mxsim.Script{
		"the invitation": func(*tls.Config) mxsim.Script {
			return mxsim.Script{offer, mxsim.Expect("STARTTLS"), dripping(time.Second, "220 "+strings.Repeat("x", 300)+"\r\n"), mxsim.StallForever()}
		},
		"the handshake": func(c *tls.Config) mxsim.Script {
			return mxsim.Script{offer, mxsim.Invite(), mxsim.HandshakeSlowly(time.Second, c), mxsim.StallForever()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, func(c *Config) { c.TLS.Mode, c.Timeouts.StartTLS = TLSRequired, 30*time.Second }, func(t *testing.T, w *tlsWorld) {
				w.play(best, slow(w.server), slow(w.server))
				d := w.send(shortContent, "a@one.test")
				assert.Equal(t, []string{"deferred 4.7.5"}, d.wait(), "a host that is too slow has no TLS")
				assert.Less(t, d.latest(), 62*time.Second, "it was tried twice, for the timeout each time")
				assert.Equal(t, 2, w.dials(best), "the second time with a small ClientHello")
			})
		})
	}
}

// TestTLSSessionsEndWithTheProcess has a drain, and a stop at once, at every moment on the way to TLS; finish wants no connection left, and the
// bubble no goroutine.
func TestTLSSessionsEndWithTheProcess(t *testing.T) {
	for name := range stalls(nil) {
		for how, end := range map[string]func(*tlsWorld){"drain": func(w *tlsWorld) { w.feeder.Drain() }, "stop": func(w *tlsWorld) { w.halt() }} {
			t.Run(how+" "+name, func(t *testing.T) {
				inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
					w.play(best, stalls(w.server)[name])
					d := w.send(shortContent, "a@one.test")
					time.Sleep(5 * time.Second)
					begun := time.Now()
					end(w)
					assert.Equal(t, []string{"deferred 4.3.2"}, d.wait(), "the host MTA has the mail")
					<-w.over
					assert.Less(t, time.Since(begun), 5*time.Second, "nobody is waited for")
				})
			})
		}
	}
}

func TestStopInTheMiddleOfABodyOverTLS(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		w.play(best, mxsim.Script{mxsim.Hello("mx1.test", "PIPELINING", "STARTTLS"), mxsim.StartTLS(w.server), mxsim.Expect("EHLO "), mxsim.Reply("250-mx1.test", "250 PIPELINING"),
			mxsim.ExpectAll("MAIL", "RCPT", "DATA"), mxsim.Reply("250 ok", "250 ok", "354 go"), mxsim.StopReading()})
		d := w.send(text(4<<20), "a@one.test")
		time.Sleep(5 * time.Second)
		begun := time.Now()
		w.halt()
		assert.Equal(t, []string{"deferred 4.3.2"}, d.wait(), "no end of data was written")
		<-w.over
		assert.Less(t, time.Since(begun), 5*time.Second, "a peer that does not read holds nobody up")
	})
}

// A budget that ends during a handshake ends the wait of its recipients, and the connection goes when it has nobody left.
func TestBudgetEndsInTheHandshake(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		w.play(best, stalls(w.server)["behind the ClientHello"], stalls(w.server)["behind the ClientHello"], clearly())
		d := w.sendIn(30*time.Second, shortContent, "a@one.test")
		assert.Equal(t, []string{"deferred 4.4.7"}, d.wait(), "mail waits no longer than its budget")
		assert.LessOrEqual(t, d.latest(), 30*time.Second, "to the second")
	})
}

func TestImplicitTLS(t *testing.T) {
	configure := func(c *Config) {
		c.TLS.Relays = []Destination{{Domain: "one.test", Mode: TLSVerified, Implicit: true}}
	}
	t.Run("the greeting comes inside", func(t *testing.T) {
		inTLSWorld(t, configure, func(t *testing.T, w *tlsWorld) {
			s := w.serve(best, mxsim.Config{TLS: w.server, Implicit: true})
			w.change("one.test", func(rt *resolver.Route) { rt.MX[0].Configured = true })
			d := w.send(shortContent, "a@one.test", "b@one.test")
			require.Equal(t, repeated("delivered", 2), d.wait(), "mail is delivered")
			assert.True(t, d.firstVia().Verified, "to the host that it should be")
			assert.True(t, s.Messages()[0].TLS, "all of it encrypted")
			assert.NotContains(t, w.tapsTo(best)[0].text(), "EHLO", "not a word in clear")
		})
	})
	t.Run("a host that speaks first in clear", func(t *testing.T) {
		inTLSWorld(t, configure, func(t *testing.T, w *tlsWorld) {
			s := w.serve(best, mxsim.Config{TLS: w.server})
			w.change("one.test", func(rt *resolver.Route) { rt.MX[0].Configured = true })
			assert.Equal(t, []string{"deferred 4.7.5"}, w.send(shortContent, "a@one.test").wait(), "mail waits")
			assert.Empty(t, s.Messages(), "nothing is sent in clear")
		})
	})
}

// TestManyTLSSessionsNeedLittleMemory keeps what a session costs within bounds: there may be 4,000.
func TestTLSSessionsNeedLittleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	const sessions, most = 200, 100 << 10 // both ends of each are in this process
	synctest.Test(t, func(t *testing.T) {
		w := newTLSWorld(t, func(c *Config) { c.SessionsPerHost, c.RecipientsPerTransaction = sessions, 1 })
		s := w.serve(best, mxsim.Config{TLS: w.server, Processing: time.Minute})
		before := octetsInUse()
		d := w.send(shortContent, addresses(sessions, "one.test")...)
		time.Sleep(50 * time.Second)
		n := s.Stats().Open
		require.Greater(t, n, sessions/2, "there are many sessions at once")
		assert.Less(t, (octetsInUse()-before)/n, most, "octets for each")
		d.wait()
	})
}

// octetsInUse is how many octets are in use.
func octetsInUse() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

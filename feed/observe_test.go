package feed

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

func TestSuccessCountsOnceADomainAndSession(t *testing.T) {
	inTLSWorld(t, func(c *Config) { c.RecipientsPerTransaction = 2 }, func(t *testing.T, w *tlsWorld) {
		w.serve(best, mxsim.Config{TLS: w.server})
		to := append(addresses(7, "one.test"), "c@two.test")
		require.Equal(t, repeated("delivered", 8), w.send(shortContent, to...).wait(), "all are delivered")
		require.Equal(t, []string{"delivered"}, w.send(againContent, "b@one.test").wait(), "and so is the next message")
		time.Sleep(time.Minute) // the session is idle for too long
		require.Equal(t, []string{"delivered"}, w.send("Subject: third\r\n\r\n", "b@one.test").wait(), "and the one after it")
		w.finish()
		assert.Equal(t, 2, w.dials(best), "there were two sessions")
		assert.ElementsMatch(t, []string{"one.test no-policy-found success", "two.test no-policy-found success", "one.test no-policy-found success"}, w.observed.words(),
			"each counts once for each domain that it had mail for")
	})
}

// A domain has a route for each thing that messages say of TLS, and routes are asked anew: a session still counts once.
func TestSuccessCountsOnceForAllRoutesOfADomain(t *testing.T) {
	inTLSWorld(t, func(c *Config) { c.IdleTimeout = time.Hour }, func(t *testing.T, w *tlsWorld) {
		w.serve(best, mxsim.Config{TLS: w.server})
		w.change("one.test", func(rt *resolver.Route) { rt.Expires = time.Now().Add(time.Minute) })
		require.Equal(t, []string{"delivered"}, w.send(shortContent, "a@one.test").wait(), "a message")
		require.Equal(t, []string{"delivered"}, w.sendWith(Params{TLSOptional: true}, againContent, "a@one.test").wait(), "one that does not insist on policies")
		time.Sleep(2 * time.Minute) // the route has expired
		w.change("one.test", func(rt *resolver.Route) { rt.Expires = time.Now().Add(time.Minute) })
		require.Equal(t, []string{"delivered"}, w.send("Subject: third\r\n\r\n", "a@one.test").wait(), "one that is routed anew")
		w.finish()
		assert.Equal(t, 1, w.dials(best), "all went by one session")
		assert.Equal(t, []string{"one.test no-policy-found success"}, w.observed.words(), "which counts once")
	})
}

func TestFailureCountsForEachDomainThatWaits(t *testing.T) {
	inTLSWorld(t, func(c *Config) { c.TLS.Mode = TLSRequired }, func(t *testing.T, w *tlsWorld) {
		w.play(best, mxsim.Script{mxsim.Hello("mx1.test", "PIPELINING"), mxsim.Bye()})
		w.send(shortContent, "a@one.test", "b@one.test", "c@two.test").wait()
		w.finish()
		assert.Equal(t, []string{"one.test no-policy-found starttls-not-supported", "two.test no-policy-found starttls-not-supported"}, w.observed.words(), "once, whatever it has recipients")
		r := w.observed.results[0]
		assert.Equal(t, "mx1.test", r.MX, "with the exchanger's name")
		assert.Equal(t, best, r.Addr.String(), "and its address")
		assert.True(t, r.Source.IsValid(), "and ours")
		assert.NotEmpty(t, r.Reason, "and more about it")
	})
}

func TestNobodyIsToldOfSessionsThatAreNotToHaveTLS(t *testing.T) {
	inTLSWorld(t, func(c *Config) { c.TLS.Mode = TLSOff }, func(t *testing.T, w *tlsWorld) {
		s := w.serve(best, mxsim.Config{TLS: w.server})
		w.sure("one.test", sts.Enforce)
		require.Equal(t, []string{"delivered"}, w.send(shortContent, "a@one.test").wait(), "mail is delivered")
		assert.False(t, s.Messages()[0].TLS, "in plaintext")
		w.finish()
		assert.Empty(t, w.observed.words(), "and nothing is told")
	})
}

// RFC 8460 section 1.1: "when mail is routed to a "smarthost" gateway by local policy, the "smarthost" domain name is used instead". A report to
// the recipient's domain would tell it of hosts that it has nothing to do with, and others where our relay stands.
func TestReceiversAreNotToldOfOurRelays(t *testing.T) {
	inTLSWorld(t, func(c *Config) { c.TLS.Mode = TLSRequired }, func(t *testing.T, w *tlsWorld) {
		w.play(best, mxsim.Script{mxsim.Hello("mx1.test", "PIPELINING"), mxsim.Bye()})
		for _, domain := range []string{"one.test", "two.test"} {
			w.change(domain, func(rt *resolver.Route) { rt.MX[0].Configured = domain == "one.test" })
		}
		w.send(shortContent, "a@one.test", "c@two.test").wait()
		w.finish()
		assert.Equal(t, []string{"two.test no-policy-found starttls-not-supported"}, w.observed.words(), "the host is a relay to one and an exchanger of the other")
	})
}

func TestPoliciesThatCannotBeHadAreTold(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		w.serve(best, mxsim.Config{TLS: w.server})
		w.change("one.test", func(rt *resolver.Route) {
			rt.STSError = &sts.Error{Result: "sts-policy-fetch-error", Reason: "404\x1b[2J"}
		})
		w.change("two.test", func(rt *resolver.Route) {
			rt.MX[0].DANE = &resolver.DANE{Base: "mx1.test", Err: &resolver.Error{Reason: "SERVFAIL"}}
		})
		assert.Equal(t, []string{"delivered", "deferred 4.7.5"}, w.send(shortContent, "a@one.test", "c@two.test").wait(), "what is announced by halves does not stop mail; what may be forged does")
		w.finish()
		assert.ElementsMatch(t, []string{"one.test sts sts-policy-fetch-error", "one.test no-policy-found success", "two.test tlsa dnssec-invalid"}, w.observed.words(), "both are told")
		assert.NotContains(t, w.observed.results[0].Reason, "\x1b", "in clean words")
	})
}

// Beside TLSA records of which none is usable it is the MTA-STS policy that is not met, and its publisher who is told.
func TestAPolicyThatIsNotMetIsToldAsWhatItIs(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		w.serve(best, mxsim.Config{TLS: w.server})
		w.change("one.test", func(rt *resolver.Route) {
			rt.MX[0].DANE = &resolver.DANE{Base: "mx1.test", Names: []string{"mx1.test"}, Records: []resolver.TLSA{unusableKey}}
			rt.STS = &sts.Policy{Domain: "one.test", Mode: sts.Enforce, MX: []string{"other.test"}}
		})
		assert.Equal(t, []string{"deferred 4.7.5"}, w.send(shortContent, "a@one.test").wait(), "the exchanger must not be used")
		w.finish()
		assert.Equal(t, []string{"one.test sts validation-failure"}, w.observed.words(), "by that policy")
	})
}

// What is told without a session is told of mail that the policy is for, once: not of domains that were only looked up, as for a probe.
func TestPoliciesThatCannotBeHadCountWithMail(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		w.serve(best, mxsim.Config{TLS: w.server})
		w.change("one.test", func(rt *resolver.Route) { rt.STSError = &sts.Error{Result: "sts-policy-invalid", Reason: "no mx"} })
		w.change("two.test", func(rt *resolver.Route) {
			rt.MX[0].DANE = &resolver.DANE{Base: "mx1.test", Err: &resolver.Error{Question: "TLSA _25._tcp.mx1.test", Reason: "SERVFAIL", Server: "192.0.2.53:53"}}
		})
		w.feeder.Hint("one.test")
		w.feeder.Hint("two.test")
		time.Sleep(time.Second)
		optional := w.sendWith(Params{TLSOptional: true}, shortContent, "a@one.test", "c@two.test").wait()
		require.Equal(t, []string{"delivered", "delivered"}, optional, "mail that waives policies goes on")
		assert.Empty(t, w.observed.words(), "and is no news to their owners")
		w.send(againContent, "a@one.test", "c@two.test").wait()
		w.finish()
		assert.ElementsMatch(t, []string{"one.test sts sts-policy-invalid", "one.test no-policy-found success", "two.test tlsa dnssec-invalid"},
			w.observed.words(), "other mail is, once")
		for _, r := range w.observed.results {
			assert.NotContains(t, r.Reason, "192.0.2.53", "which server of ours was asked is nobody's business")
		}
	})
}

// Strings and patterns are those of the policy that was applied.
func TestResultsHaveThePolicy(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		id := w.authority.Issue("mx1.test")
		w.serve(best, mxsim.Config{TLS: id.Config()})
		w.dane("one.test", tlsaOf(3, id))
		w.change("two.test", func(rt *resolver.Route) {
			rt.STS = &sts.Policy{Domain: "two.test", Mode: sts.Enforce, MX: []string{"*.test"}, Text: []string{"version: STSv1", "mode: enforce"}}
		})
		require.Equal(t, []string{"delivered", "delivered"}, w.send(shortContent, "a@one.test", "c@two.test").wait(), "both are delivered")
		w.finish()
		require.Len(t, w.observed.results, 2, "there are two results")
		for _, r := range w.observed.results {
			switch r.Policy {
			case PolicyTLSA:
				assert.Equal(t, []string{tlsaOf(3, id).String()}, r.Strings, "the records")
				assert.Equal(t, "mx1.test", r.Base, "and where they stand")
			case PolicySTS:
				assert.Equal(t, []string{"version: STSv1", "mode: enforce"}, r.Strings, "the policy's lines")
				assert.Equal(t, []string{"*.test"}, r.Patterns, "its patterns")
			default:
				t.Errorf("a result for policy %s", r.Policy)
			}
		}
	})
}

// A forgetful Observer only counts what it hears.
type forgetful struct{ heard int }

func (d *forgetful) ObserveTLS(r []TLSResult) { d.heard += len(r) }

// A session that lives for days carries mail for any number of domains; it does not keep them all.
func TestObservedDomainsAreForgotten(t *testing.T) {
	const domains, most = 20_000, 2 << 20
	e := newEngine(Config{Seed: 1, TLS: TLS{Mode: TLSOpportunistic}, Observer: &forgetful{}}.withDefaults())
	now := epoch
	tell := func(ev event) (acts []action) {
		now = now.Add(time.Second)
		e.step(now, ev)
		return append(acts, e.take()...)
	}
	octets := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := octets()
	for i := range domains {
		domain := fmt.Sprintf("d%d.test", i)
		to := mustAddress(t, "a@"+domain)
		tell(sent{envelope: &Envelope{ID: domain, Recipients: []wire.Address{to}, Routes: []string{domain}, Body: bodyOf("x"), Deadline: now.Add(budget)}})
		acts := tell(parseEvent(t, now, "resolved "+domain+" ttl=60s mx=10/mx.test/192.0.2.1"))
		if i == 0 {
			acts = tell(parseEvent(t, now, "opened s1 tls"))
		}
		for _, a := range acts {
			if o, ok := a.(transmit); ok {
				ok := wire.Reply{Code: 250}
				tell(finished{session: o.session, report: &report{transaction: o.order.transaction, mail: ok, rcpts: []wire.Reply{ok}, data: wire.Reply{Code: 354}, final: ok, dotted: true}})
			}
		}
	}
	assert.Len(t, e.sessions, 1, "one session carried it all")
	assert.Less(t, octets()-before, most, "and what it carried long ago is let go")
	runtime.KeepAlive(e)
}

// Many connections that fail while many domains wait for their host: what is told of them costs no more than a moment of the loop.
func BenchmarkObserveFailures(b *testing.B) {
	const domains = 10_000
	for b.Loop() {
		b.StopTimer()
		e := newEngine(Config{Seed: 1, TLS: TLS{Mode: TLSRequired}, Observer: &forgetful{}}.withDefaults())
		env := &Envelope{ID: "e1", Body: bodyOf("x"), Deadline: epoch.Add(budget)}
		for i := range domains {
			domain := fmt.Sprintf("d%d.test", i)
			env.Recipients, env.Routes = append(env.Recipients, mustAddress(b, "a@"+domain)), append(env.Routes, domain)
		}
		e.step(epoch, sent{envelope: env})
		mx := resolver.MX{Name: "mx.test", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
		for _, domain := range env.Routes {
			e.step(epoch, resolved{domain: domain, route: resolver.Route{Domain: domain, Expires: epoch.Add(time.Hour), MX: []resolver.MX{mx}}})
		}
		e.take()
		b.StartTimer()
		for id := range e.sessions {
			e.step(epoch, ended{session: id, closing: closing{stage: stageHandshake, err: errNoTLS, tls: &tlsError{result: "validation-failure", status: status475, hello: true, err: errNoTLS}}})
		}
		e.take()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "µs/failure")
}

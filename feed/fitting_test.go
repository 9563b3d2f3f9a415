package feed

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

const eightBit = "Subject: x\r\n\r\nä\r\n"

// RFC 3207 section 4.2: a host may offer other things inside of TLS. It does not lack them because TLS fails for a moment, and whoever can
// break a handshake must not be able to have mail bounced.
func TestWhatIsOfferedInsideTLSOnlyIsWaitedFor(t *testing.T) {
	inside := []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 100000"}
	for name, c := range map[string]struct {
		p           Params
		content, to string
		plain       []string
	}{
		"8BITMIME": {Params{EightBitMIME: true}, eightBit, "a@one.test", []string{"PIPELINING"}},
		"SMTPUTF8": {Params{SMTPUTF8: true}, shortContent, "ä@one.test", []string{"PIPELINING"}},
		"SIZE":     {Params{}, text(2000), "a@one.test", []string{"PIPELINING", "SIZE 1000"}},
	} {
		for how, reply := range map[string]string{"454 to STARTTLS": "454 4.7.0 TLS not available now", "the handshake fails": mxsim.HangUp} {
			t.Run(name+", "+how, func(t *testing.T) {
				inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
					w.serve(best, mxsim.Config{TLS: w.server, Keywords: c.plain, TLSKeywords: inside, StartTLS: func(int) string { return reply }})
					assert.Contains(t, w.sendWith(c.p, c.content, c.to).wait()[0], "deferred ", "TLS may be there at the next try")
				})
			})
		}
		t.Run(name+", with TLS", func(t *testing.T) {
			inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
				w.serve(best, mxsim.Config{TLS: w.server, Keywords: c.plain, TLSKeywords: inside})
				assert.Equal(t, []string{"delivered"}, w.sendWith(c.p, c.content, c.to).wait(), "it is taken")
			})
		})
		t.Run(name+", which the host has never", func(t *testing.T) {
			inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
				w.serve(best, mxsim.Config{TLS: w.server, Keywords: c.plain})
				assert.Contains(t, w.sendWith(c.p, c.content, c.to).wait()[0], "failed 5.", "it is refused at once")
			})
		})
	}
}

// An exchanger that cannot be resolved now may take later what another one cannot take.
func TestWhatAnUnresolvedExchangerMayTakeWaits(t *testing.T) {
	for name, c := range map[string]struct {
		p           Params
		content, to string
		offers      []string
	}{
		"SIZE":       {Params{}, text(2000), "a@three.test", []string{"PIPELINING", "SIZE 1000"}},
		"8BITMIME":   {Params{EightBitMIME: true}, eightBit, "a@three.test", []string{"PIPELINING"}},
		"SMTPUTF8":   {Params{SMTPUTF8: true}, shortContent, "ä@three.test", []string{"PIPELINING"}},
		"REQUIRETLS": {Params{RequireTLS: true}, shortContent, "a@three.test", []string{"PIPELINING"}},
	} {
		for _, kind := range []resolver.Kind{resolver.Temporary, resolver.NoAddress} {
			t.Run(name, func(t *testing.T) {
				inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
					w.table.set("three.test", "10 mx1.test "+best, "20 mx2.test")
					w.change("three.test", func(rt *resolver.Route) {
						rt.MX[0].Secure, rt.MX[1].Secure = true, true
						rt.MX[1].Err = &resolver.Error{Kind: kind, Domain: "mx2.test", Question: "A mx2.test", Reason: "SERVFAIL"}
					})
					w.serve(best, mxsim.Config{TLS: w.server, Keywords: c.offers})
					got := w.sendWith(c.p, c.content, c.to).wait()
					if kind == resolver.Temporary {
						assert.Equal(t, []string{"deferred 4.4.3"}, got, "it is asked for again")
					} else {
						assert.Contains(t, got[0], "failed 5.", "where there is none, that is final")
					}
				})
			})
		}
	}
}

// RFC 8689 section 5: with the null sender REQUIRETLS does not lose a notification only because a host does not offer it.
func TestRequireTLSOfNotifications(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		w.signAll("one.test")
		s := w.serve(best, mxsim.Config{TLS: w.server})
		d := w.prepare(budget, shortContent, "a@one.test")
		d.envelope.From, d.envelope.Params = wire.Address{}, Params{RequireTLS: true}
		w.feeder.Send(d.envelope)
		assert.Equal(t, []string{"delivered"}, d.wait(), "the host, whose certificate was verified, gets it")
		_, told := s.Messages()[0].Param("REQUIRETLS")
		assert.False(t, told, "without the parameter that it does not know")
	})
}

// An MTA-STS policy that is announced and cannot be fetched now may vouch for the exchanger later.
func TestRequireTLSWaitsForThePolicy(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		w.change("one.test", func(rt *resolver.Route) {
			rt.STSError = &sts.Error{Result: "sts-policy-fetch-error", Reason: "timed out"}
		})
		w.serve(best, mxsim.Config{TLS: w.server, RequireTLS: true})
		assert.Equal(t, []string{"deferred 4.7.30"}, w.sendWith(Params{RequireTLS: true}, shortContent, "a@one.test").wait(), "nobody vouches yet")
	})
}

// RFC 6531 section 3.2: a host without SMTPUTF8 is told nothing beyond ASCII. Domains have another form for it.
func TestALabelsForHostsWithoutSMTPUTF8(t *testing.T) {
	for name, c := range map[string]struct {
		from, to, want string
		verp           []VERP
	}{
		"a sender's domain": {"user@bücher.test", "a@one.test", "MAIL FROM:<user@xn--bcher-kva.test>", nil},
		"a sender by a rule, and a header line": {"list@example.org", "user@bücher.test", "MAIL FROM:<b+user=xn--bcher-kva.test@example.org>",
			[]VERP{{Sender: "list@example.org", Template: "b+{local}={domain}@example.org", Header: "X-To: {local}@{domain}"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(c2 *Config) { c2.VERP = c.verp })
				w.twoDomains(false)
				w.table.set("xn--bcher-kva.test", "10 mx1.test "+best)
				w.serve(best, mxsim.Config{})
				d := w.prepare(budget, shortContent, c.to)
				d.envelope.From, d.envelope.Params.SMTPUTF8 = mustAddress(t, c.from), true
				d.envelope.Routes[0] = strings.Replace(c.to[strings.IndexByte(c.to, '@')+1:], "bücher", "xn--bcher-kva", 1)
				w.feeder.Send(d.envelope)
				require.Equal(t, []string{"delivered"}, d.wait(), "it needs no more than A-labels")
				for _, tap := range w.tapsTo(best) {
					assert.Contains(t, tap.text(), c.want, "the sender is written so")
					assert.NotRegexp(t, `[^\x00-\x7f]`, tap.text(), "nothing is beyond ASCII")
				}
			})
		})
	}
	t.Run("a sender's local part", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.twoDomains(false)
			w.serve(best, mxsim.Config{})
			d := w.prepare(budget, shortContent, "a@one.test")
			d.envelope.From, d.envelope.Params.SMTPUTF8 = mustAddress(t, "ü@one.test"), true
			w.feeder.Send(d.envelope)
			assert.Equal(t, []string{"failed 5.6.7"}, d.wait(), "it has no other form")
		})
	})
}

// A personal header line counts, and another exchanger may take more.
func TestSizeWithAPersonalHeaderLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.VERP = []VERP{{Sender: "list@example.org", Header: "X-To: {local}@{domain}"}} })
		w.twoDomains(true)
		w.serve(best, mxsim.Config{Keywords: []string{"PIPELINING", "SIZE 1000"}})
		s := w.serve(backup, mxsim.Config{})
		assert.Equal(t, []string{"delivered"}, w.send(text(990), "a@one.test").wait(), "the other one takes it")
		assert.Len(t, s.Messages(), 1, "whole")
		for _, tap := range w.tapsTo(best) {
			assert.NotContains(t, tap.text(), "MAIL", "the first is not even asked")
		}
	})
}

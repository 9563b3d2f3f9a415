package feed

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A tlsWorld is a world whose exchanger mx1.test has a certificate from an authority that the Feeder trusts.
type tlsWorld struct {
	*world
	authority *mxsim.Authority
	server    *tls.Config
	observed  *observations
}

// observations is an Observer that remembers. It is called from the loop, and read when that has ended.
type observations struct{ results []TLSResult }

func (o *observations) ObserveTLS(r []TLSResult) { o.results = append(o.results, r...) }

// words are the results as "domain policy result".
func (o *observations) words() []string {
	var all []string
	for _, r := range o.results {
		result := r.Result
		if result == "" {
			result = "success"
		}
		all = append(all, r.Domain+" "+string(r.Policy)+" "+result)
	}
	return all
}

// newTLSWorld starts a Feeder whose TLS is opportunistic, unless configure says otherwise.
func newTLSWorld(t *testing.T, configure func(*Config)) *tlsWorld {
	w := &tlsWorld{authority: mxsim.NewAuthority("test"), observed: &observations{}}
	w.server = &tls.Config{Certificates: []tls.Certificate{w.authority.Issue("mx1.test").TLS}}
	roots := x509.NewCertPool()
	roots.AddCert(w.authority.Certificate)
	w.world = newWorld(t, func(c *Config) {
		c.TLS = TLS{Mode: TLSOpportunistic, Roots: roots}
		c.Observer = w.observed
		if configure != nil {
			configure(c)
		}
	})
	w.twoDomains(false)
	return w
}

// change changes what is known of a domain.
func (w *tlsWorld) change(domain string, f func(*resolver.Route)) {
	rt := w.table.routes[domain]
	f(&rt)
	w.table.routes[domain] = rt
}

// via is where the first recipient went.
func (d *delivery) firstVia() Via { return *d.settled[0].Outcome.Via }

func inTLSWorld(t *testing.T, configure func(*Config), f func(t *testing.T, w *tlsWorld)) {
	synctest.Test(t, func(t *testing.T) { f(t, newTLSWorld(t, configure)) })
}

func TestOpportunisticTLS(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		s := w.serve(best, mxsim.Config{TLS: w.server, KeepContent: true})
		d := w.send(shortContent, "a@one.test", "c@two.test")
		require.Equal(t, []string{"delivered", "delivered"}, d.wait(), "mail is delivered over TLS")
		via := d.firstVia()
		assert.Equal(t, "TLSv1.3 TLS_AES_128_GCM_SHA256", via.TLS, "its record says how")
		assert.Empty(t, via.Policy, "nobody demanded it")
		assert.False(t, via.Verified, "nobody was asked for")
		assert.Equal(t, "mx1.test", s.Messages()[0].Channel.ServerName, "the server was told whom we want")
		w.finish()
		assert.Equal(t, []string{"one.test no-policy-found success", "two.test no-policy-found success"}, w.observed.words(), "both domains count")
	})
}

func TestTicketsResumeSessions(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		s := w.serve(best, mxsim.Config{TLS: w.server})
		w.send(shortContent, "a@one.test").wait()
		time.Sleep(2 * time.Minute) // the session is idle for too long
		w.send(againContent, "a@one.test").wait()
		require.Equal(t, 2, w.dials(best), "there was another session")
		m := s.Messages()
		assert.False(t, m[0].Channel.Resumed, "the first one is new")
		assert.True(t, m[1].Channel.Resumed, "the second one is resumed")
	})
}

// A server may refuse a name that it does not know, which is the name that anybody's domain gave it.
func TestUnknownNamesAreLeftOut(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		named := func(h mxsim.ClientHello) bool { return h.ServerName != "" }
		const unrecognizedName = 112 // RFC 6066 section 3
		picky := mxsim.Script{mxsim.Hello("mx1.test", "PIPELINING", "STARTTLS"), mxsim.Invite(), mxsim.RefuseHello(named, mxsim.Alert(unrecognizedName), mxsim.Drop()),
			mxsim.Handshake(w.server), mxsim.Expect("EHLO "), mxsim.Reply("250-mx1.test", "250 PIPELINING"), mxsim.Deliver(1), mxsim.Bye()}
		w.play(best, picky, picky)
		d := w.send(shortContent, "a@one.test")
		require.Equal(t, []string{"delivered"}, d.wait())
		assert.NotEmpty(t, d.firstVia().TLS, "without the name there is TLS")
	})
}

// clearly takes a message for one recipient in plaintext.
func clearly() mxsim.Script {
	return mxsim.Script{mxsim.Hello("mx1.test", "PIPELINING", "STARTTLS"), mxsim.Deliver(1), mxsim.Bye()}
}

func TestFallbackToPlaintext(t *testing.T) {
	offer := mxsim.Hello("mx1.test", "PIPELINING", "STARTTLS")
	for name, fails := range map[string]mxsim.Step{
		"the handshake is cut":      mxsim.Seq(offer, mxsim.Invite(), mxsim.ReadHello(), mxsim.Drop()),
		"the handshake stalls":      mxsim.Seq(offer, mxsim.Invite(), mxsim.ReadHello(), mxsim.StallForever()),
		"garbage for a ServerHello": mxsim.Seq(offer, mxsim.Invite(), mxsim.ReadHello(), mxsim.Raw("250 what?\r\n"), mxsim.Drop()),
		"an alert":                  mxsim.Seq(offer, mxsim.Invite(), mxsim.ReadHello(), mxsim.Alert(40), mxsim.Drop()),
	} {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
				p := w.play(best, mxsim.Script{fails}, mxsim.Script{fails}, clearly(), clearly())
				d := w.send(shortContent, "a@one.test")
				assert.Equal(t, []string{"delivered"}, d.wait(), "mail is delivered in plaintext in the end")
				assert.Empty(t, d.firstVia().TLS, "and the record says so")
				assert.Contains(t, learnedOf(w.world, "mx1.test"), "no TLS", "it is remembered")
				time.Sleep(time.Minute)
				assert.Equal(t, []string{"delivered"}, w.send(againContent, "a@one.test").wait(), "the next message is not tried with TLS")
				w.finish()
				assert.NoError(t, p.Err(), "the client keeps to the script")
				hellos := append(p.Results()[0].Hellos, p.Results()[1].Hellos...)
				require.Len(t, hellos, 2, "TLS is tried twice")
				assert.Less(t, hellos[1].Size, 600, "the second time with a ClientHello that fits a packet")
				assert.Greater(t, hellos[0].Size, 1200, "the first time with a post-quantum key share")
			})
		})
	}
}

func TestMandatoryTLS(t *testing.T) {
	for name, c := range map[string]struct {
		scripts []mxsim.Script
		want    string
	}{
		"STARTTLS is not offered": {script(mxsim.Hello("mx1.test", "PIPELINING"), mxsim.Bye()), "deferred 4.7.4"},
		"STARTTLS is refused": {script(mxsim.Hello("mx1.test", "PIPELINING", "STARTTLS"), mxsim.Expect("STARTTLS"),
			mxsim.Reply("454 4.7.0 not now"), mxsim.Bye()), "deferred 4.7.4"},
	} {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, func(c *Config) { c.TLS.Mode = TLSRequired }, func(t *testing.T, w *tlsWorld) {
				w.play(best, c.scripts...)
				assert.Equal(t, []string{c.want}, w.send(shortContent, "a@one.test").wait(), "mail waits")
			})
		})
	}
}

func TestRefusedStartTLSGoesOnInPlaintext(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		p := w.play(best, mxsim.Script{mxsim.Hello("mx1.test", "PIPELINING", "STARTTLS"), mxsim.Expect("STARTTLS"),
			mxsim.Reply("454 4.7.0 not now"), mxsim.Deliver(1), mxsim.Bye()})
		assert.Equal(t, []string{"delivered"}, w.send(shortContent, "a@one.test").wait(), "on the same session")
		w.finish()
		assert.NoError(t, p.Err(), "the client keeps to the script")
	})
}

// A host that refuses TLS for now, and mail without it, is to be tried again.
func TestTLSRefusedForNowAndWanted(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		p := w.play(best, mxsim.Script{mxsim.Hello("mx1.test", "PIPELINING", "STARTTLS"), mxsim.Expect("STARTTLS"),
			mxsim.Reply("454 4.7.0 not now"), mxsim.ExpectAll("MAIL FROM", "RCPT TO", "DATA"),
			mxsim.Reply("530 5.7.0 Must issue STARTTLS", "503 no", "503 no"), mxsim.Expect("QUIT")})
		assert.Equal(t, []string{"deferred 4.7.4"}, w.send(shortContent, "a@one.test").wait(), "mail waits")
		w.finish()
		assert.NoError(t, p.Err(), "the client keeps to the script")
	})
}

func TestOctetsBehindTheInvitation(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		w.play(best, mxsim.Script{mxsim.Hello("mx1.test", "PIPELINING", "STARTTLS"), mxsim.Expect("STARTTLS"),
			mxsim.Reply("220 go", "250 fake"), mxsim.StallForever()})
		assert.Equal(t, []string{"deferred 4.7.0"}, w.send(shortContent, "a@one.test").wait(), "it is an attack")
		assert.Equal(t, 1, w.dials(best), "and nothing is tried in plaintext")
	})
}

func TestDANE(t *testing.T) {
	for name, c := range map[string]struct {
		records func(*mxsim.Identity) []resolver.TLSA
		want    string
	}{
		"3 1 1 that matches": {func(i *mxsim.Identity) []resolver.TLSA { return []resolver.TLSA{tlsaOf(3, i)} }, "delivered"},
		"3 1 1 of another key": {func(*mxsim.Identity) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: string(make([]byte, 32))}}
		}, "deferred 4.7.5"},
		"unusable records": {func(*mxsim.Identity) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 1, Selector: 1, Matching: 1, Data: string(make([]byte, 32))}}
		}, "delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
				id := w.authority.Issue("other.test")
				s := w.serve(best, mxsim.Config{TLS: &tls.Config{Certificates: []tls.Certificate{id.TLS}}})
				w.change("one.test", func(rt *resolver.Route) {
					rt.MX[0].Secure = true
					rt.MX[0].DANE = &resolver.DANE{Base: "mx1.test", Names: []string{"mx1.test"}, Records: c.records(id)}
				})
				d := w.send(shortContent, "a@one.test")
				assert.Equal(t, []string{c.want}, d.wait(), "the certificate decides")
				assert.Equal(t, "dane", d.firstVia().Policy, "the record names the policy")
				if c.want != "delivered" {
					assert.Empty(t, s.Messages(), "nothing was sent")
				}
			})
		})
	}
}

// tlsaOf is a record with the SHA-256 of a certificate's public key.
func tlsaOf(usage uint8, i *mxsim.Identity) resolver.TLSA {
	return resolver.TLSA{Usage: usage, Selector: 1, Matching: 1, Data: string(i.TLSA(usage, 1, 1))}
}

func TestPoliciesDoNotShareSessions(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		s := w.serve(best, mxsim.Config{TLS: w.server})
		w.change("two.test", func(rt *resolver.Route) {
			rt.STS = &sts.Policy{Domain: "two.test", Mode: sts.Enforce, MX: []string{"mx1.test"}}
		})
		d := w.send(shortContent, "a@one.test", "c@two.test")
		require.Equal(t, []string{"delivered", "delivered"}, d.wait(), "both are delivered")
		assert.Len(t, s.Messages(), 2, "each in a transaction of its own")
		assert.Equal(t, 2, w.dials(best), "on a session of its own")
		assert.False(t, d.settled[0].Outcome.Via.Verified, "one unverified")
		assert.True(t, d.settled[1].Outcome.Via.Verified, "one verified")
		assert.Equal(t, "mta-sts", d.settled[1].Outcome.Via.Policy, "as its domain wants it")
	})
}

func TestPasswordsGoToVerifiedHostsOnly(t *testing.T) {
	for name, c := range map[string]struct {
		names   []string
		inClear bool
		want    string
		user    string
	}{
		"verified":              {[]string{"mx1.test"}, false, "delivered", "me"},
		"another host":          {[]string{"other.test"}, false, "deferred 4.7.5", ""},
		"in clear, as demanded": {nil, true, "delivered", "me"},
	} {
		t.Run(name, func(t *testing.T) {
			relay := Destination{Domain: "one.test", Mode: TLSVerified, Names: c.names, Auth: &Credentials{User: "me", Password: "secret"}}
			if c.inClear {
				relay.Mode, relay.AuthInClear = TLSOff, true
			}
			inTLSWorld(t, func(cc *Config) { cc.TLS.Relays = []Destination{relay} }, func(t *testing.T, w *tlsWorld) {
				asked := 0
				s := w.serve(best, mxsim.Config{TLS: w.server, AuthInClear: c.inClear, AuthNeeded: true, Auth: func(user, password string) string {
					asked++
					return map[bool]string{false: "535 5.7.8 no", true: ""}[user == "me" && password == "secret"]
				}})
				w.change("one.test", func(rt *resolver.Route) { rt.MX[0].Configured = true })
				assert.Equal(t, []string{c.want}, w.send(shortContent, "a@one.test").wait(), "mail is relayed, or waits")
				if c.user == "" {
					assert.Zero(t, asked, "the password was not sent")
					return
				}
				assert.Equal(t, c.user, s.Messages()[0].User, "under our name")
			})
		})
	}
}

func TestNotificationsArePassedOn(t *testing.T) {
	for name, offered := range map[string]bool{"to a host with DSN": true, "not to one without": false} {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
				s := w.serve(best, mxsim.Config{DSN: offered})
				d := w.prepare(budget, shortContent, "a@one.test", "b@one.test")
				d.envelope.Params.DSN = wire.MailDSN{Ret: "HDRS", EnvID: "QQ 314"}
				d.envelope.Notify = []wire.RcptParams{{Notify: wire.NotifySuccess | wire.NotifyFailure, ORCPT: "rfc822;a+b@one.test"}, {}}
				w.feeder.Send(d.envelope)
				require.Equal(t, []string{"delivered", "delivered"}, d.wait(), "mail is delivered")
				assert.Equal(t, offered, d.firstVia().DSN, "the record says who has the duty to notify")
				m := s.Messages()[0]
				env, told := m.Param("ENVID")
				orcpt, _ := m.ToParam(0, "ORCPT")
				assert.Equal(t, offered, told, "what MAIL said is passed on where that is understood")
				if offered {
					assert.Equal(t, "QQ+20314", env, "ENVID is in xtext")
					assert.Equal(t, "rfc822;a+2Bb@one.test", orcpt, "and so is the original recipient")
				}
			})
		})
	}
}

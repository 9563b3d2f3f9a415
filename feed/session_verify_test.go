package feed

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// sure makes a domain's MTA-STS policy name all exchangers below test.
func (w *tlsWorld) sure(domain string, mode sts.Mode) {
	w.change(domain, func(rt *resolver.Route) { rt.STS = &sts.Policy{Domain: domain, Mode: mode, MX: []string{"*.test"}} })
}

// certificates are what a host may show whose name is mx1.test, and the result of RFC 8460 that it means.
func certificates(a *mxsim.Authority) map[string]struct {
	*mxsim.Identity
	result string
} {
	return map[string]struct {
		*mxsim.Identity
		result string
	}{
		"in order":                  {a.Issue("mx1.test"), ""},
		"for several names":         {a.Issue("www.test", "mx1.test"), ""},
		"for a wildcard":            {a.Issue("*.test"), ""},
		"without the root":          {a.IssueOrder(mxsim.Order{Names: []string{"mx1.test"}, OmitRoot: true}), ""},
		"from an authority below":   {a.Sub("below").Issue("mx1.test"), ""},
		"expired":                   {a.IssueOrder(mxsim.Order{Names: []string{"mx1.test"}, Validity: mxsim.Expired}), "certificate-expired"},
		"not valid yet":             {a.IssueOrder(mxsim.Order{Names: []string{"mx1.test"}, Validity: mxsim.NotYetValid}), "certificate-expired"},
		"for another name":          {a.Issue("mx2.test"), "certificate-host-mismatch"},
		"for the recipient's":       {a.Issue("one.test"), "certificate-host-mismatch"},
		"for a wildcard above":      {a.Issue("*.mx1.test"), "certificate-host-mismatch"},
		"with a common name only":   {a.IssueOrder(mxsim.Order{CommonName: "mx1.test"}), "certificate-host-mismatch"},
		"self-signed":               {mxsim.SelfSigned(mxsim.Order{Names: []string{"mx1.test"}}), "certificate-not-trusted"},
		"from somebody":             {mxsim.NewAuthority("somebody").Issue("mx1.test"), "certificate-not-trusted"},
		"signed by nobody's bottom": {mxsim.NewAuthority("somebody").Sub("below").Issue("mx1.test"), "certificate-not-trusted"},
	}
}

func TestEnforcedPolicyWantsACertificate(t *testing.T) {
	for name, c := range certificates(mxsim.NewAuthority("named only")) {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
				id := certificates(w.authority)[name]
				s := w.serve(best, mxsim.Config{TLS: id.Config()})
				w.sure("one.test", sts.Enforce)
				d := w.send(shortContent, "a@one.test")
				got := d.wait()
				w.finish()
				if c.result == "" {
					assert.Equal(t, []string{"delivered"}, got, "it is the host that the policy names")
					assert.True(t, d.firstVia().Verified, "and the record says so")
					assert.Equal(t, []string{"one.test sts success"}, w.observed.words(), "the Observer hears of a success")
					return
				}
				assert.Equal(t, []string{"deferred 4.7.5"}, got, "it may be another")
				assert.Empty(t, s.Messages(), "nothing was sent")
				assert.Equal(t, "mta-sts", d.firstVia().Policy, "the record names the policy")
				assert.Equal(t, []string{"one.test sts " + c.result}, w.observed.words(), "the Observer hears why")
			})
		})
	}
}

func TestTestedPolicyDelivers(t *testing.T) {
	for name, c := range certificates(mxsim.NewAuthority("named only")) {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
				s := w.serve(best, mxsim.Config{TLS: certificates(w.authority)[name].Config()})
				w.sure("one.test", sts.Testing)
				d := w.send(shortContent, "a@one.test")
				require.Equal(t, []string{"delivered"}, d.wait(), "RFC 8461 section 5: mail is delivered all the same")
				assert.True(t, s.Messages()[0].TLS, "with TLS")
				assert.Equal(t, c.result == "", d.firstVia().Verified, "the record says whether it would have been enforced")
				w.finish()
				want := "one.test sts success"
				if c.result != "" {
					want = "one.test sts " + c.result
				}
				assert.Equal(t, []string{want}, w.observed.words(), "the Observer hears what would have happened")
			})
		})
	}
}

// RFC 8461 section 5: with "testing" a sender reports what would have failed; an exchanger that the policy does not name would have.
func TestTestedPolicyThatDoesNotNameTheExchanger(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		w.serve(best, mxsim.Config{TLS: w.server})
		w.change("one.test", func(rt *resolver.Route) {
			rt.STS = &sts.Policy{Domain: "one.test", Mode: sts.Testing, MX: []string{"other.test"}}
		})
		assert.Equal(t, []string{"delivered"}, w.send(shortContent, "a@one.test").wait(), "mail is delivered all the same")
		w.finish()
		assert.Contains(t, w.observed.words(), "one.test sts validation-failure", "the Observer hears that it would not have been")
	})
}

func TestPolicyFallsToTheNextExchanger(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		w.twoDomains(true)
		first := w.serve(best, mxsim.Config{TLS: w.authority.Issue("other.test").Config()})
		second := w.serve(backup, mxsim.Config{TLS: w.authority.Issue("mx2.test").Config()})
		w.sure("one.test", sts.Enforce)
		d := w.send(shortContent, "a@one.test")
		require.Equal(t, []string{"delivered"}, d.wait(), "the second exchanger is the one it says to be")
		assert.Equal(t, "mx2.test", d.via(0), "it got the mail")
		assert.Empty(t, first.Messages(), "the first one did not")
		assert.Len(t, second.Messages(), 1, "and it came once")
		w.finish()
		assert.Equal(t, []string{"one.test sts certificate-host-mismatch", "one.test sts success"}, w.observed.words(), "the Observer hears of both")
	})
}

// daneCase is a certificate chain, and a record that fits it or not.
func TestDANETrustAnchors(t *testing.T) {
	for name, c := range map[string]struct {
		order mxsim.Order
		usage uint8
		want  string
	}{
		"2 1 1 for the exchanger's name":      {mxsim.Order{Names: []string{"mx1.test"}}, 2, "delivered"},
		"2 1 1 for another name":              {mxsim.Order{Names: []string{"other.test"}}, 2, "deferred 4.7.5"},
		"2 1 1 expired":                       {mxsim.Order{Names: []string{"mx1.test"}, Validity: mxsim.Expired}, 2, "deferred 4.7.5"},
		"3 1 1 expired, for another name":     {mxsim.Order{Names: []string{"other.test"}, Validity: mxsim.Expired}, 3, "delivered"},
		"2 1 1 of which the chain says none":  {mxsim.Order{Names: []string{"mx1.test"}, OmitRoot: true}, 2, "deferred 4.7.5"},
		"1 1 1 is unusable: any will do":      {mxsim.Order{Names: []string{"other.test"}, Validity: mxsim.Expired}, 1, "delivered"},
		"3 1 1 with a certificate of 20 KB":   {mxsim.Order{Names: []string{"mx1.test"}, Padding: 20_000}, 3, "delivered"},
		"3 1 1 without any name is as good":   {mxsim.Order{CommonName: "whatever"}, 3, "delivered"},
		"2 1 1 for the common name in itself": {mxsim.Order{CommonName: "mx1.test"}, 2, "delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
				root := mxsim.NewAuthority("a private one") // that nobody trusts but for the record
				id := root.IssueOrder(c.order)
				record := resolver.TLSA{Usage: c.usage, Selector: 1, Matching: 1, Data: string(mxsim.Association(root.Certificate, 1, 1))}
				if c.usage%2 == 1 {
					record = tlsaOf(c.usage, id)
				}
				w.serve(best, mxsim.Config{TLS: id.Config()})
				w.dane("one.test", record)
				assert.Equal(t, []string{c.want}, w.send(shortContent, "a@one.test").wait(), "the records decide, and no authority")
			})
		})
	}
}

// dane gives the first exchanger of a domain TLSA records.
func (w *tlsWorld) dane(domain string, records ...resolver.TLSA) {
	w.change(domain, func(rt *resolver.Route) {
		rt.MX[0].Secure = true
		rt.MX[0].DANE = &resolver.DANE{Base: rt.MX[0].Name, Names: []string{rt.MX[0].Name, domain}, Records: records}
	})
}

// The domains of a provider with DANE have the same TLSA records, and share its sessions: their names count for trust anchors only.
func TestDANEDomainsShareSessions(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		id := w.authority.Issue("mx1.test")
		s := w.serve(best, mxsim.Config{TLS: id.Config()})
		w.dane("one.test", tlsaOf(3, id))
		w.dane("two.test", tlsaOf(3, id))
		require.Equal(t, []string{"delivered", "delivered"}, w.send(shortContent, "a@one.test", "c@two.test").wait(), "both are delivered")
		assert.Len(t, s.Messages(), 1, "in one transaction")
		assert.Equal(t, 1, w.dials(best), "on one session")
	})
}

// A ticket carries the certificate of the session before, at which another policy may not have looked.
func TestTicketsServeOnePolicy(t *testing.T) {
	for name, c := range map[string]struct {
		names []string
		want  string
	}{
		"a certificate for another name": {[]string{"other.test"}, "deferred 4.7.5"},
		"the right one":                  {[]string{"mx1.test"}, "delivered"},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(name+", "+tls.VersionName(version), func(t *testing.T) {
				inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
					server := w.authority.Issue(c.names...).Config()
					server.MaxVersion = version
					s := w.serve(best, mxsim.Config{TLS: server})
					w.sure("two.test", sts.Enforce)
					require.Equal(t, []string{"delivered"}, w.send(shortContent, "a@one.test").wait(), "opportunistic TLS takes any")
					time.Sleep(time.Minute)
					assert.Equal(t, []string{c.want}, w.send(againContent, "a@two.test").wait(), "a policy does not")
					assert.Zero(t, s.Stats().Resumed, "no session is resumed under another policy")
				})
			})
		}
	}
}

// A host that renews its certificate may go on taking the tickets of the old one: what fails then is tried again without a ticket.
func TestResumedSessionsAreJudgedAgain(t *testing.T) {
	a := mxsim.NewAuthority("test")
	kit := newTLSKit(TLS{Mode: TLSOpportunistic, Roots: a.Pool()})
	for _, resumed := range []bool{false, true} {
		state := tls.ConnectionState{DidResume: resumed, PeerCertificates: []*x509.Certificate{a.Issue("other.test").Leaf}}
		var wrong *tlsError
		require.ErrorAs(t, kit.verify(verify("mta-sts", []string{"mx1.test"}, "mx1.test"), state, new(protection)), &wrong, "another host's certificate is refused")
		assert.Equal(t, resumed, wrong.again, "that of a resumed session may be an old one")
	}
}

// A strict exchanger counts connections, and not our policies: what waits for one policy and what waits for another share the few that it
// takes. What one learned of it serves the other.
func TestPoliciesShareAServersSessions(t *testing.T) {
	inTLSWorld(t, func(c *Config) { c.RecipientsPerTransaction, c.SessionsPerHost = 1, 10 }, func(t *testing.T, w *tlsWorld) {
		w.sure("one.test", sts.Enforce)
		s := w.serve(best, mxsim.Config{TLS: w.server, MaxSessions: 2, Processing: 200 * time.Millisecond})
		require.Equal(t, repeated("delivered", 40), w.send(shortContent, many(40, "two.test")...).wait(), "that it takes no more is found without loss")
		require.Equal(t, "2 sessions", learnedOf(w.world, "mx1.test"))
		failed := w.snapshot().DialsFailed
		s.Reset()
		long := w.send(againContent, many(100, "two.test")...)
		time.Sleep(2 * time.Second)
		begun := time.Now()
		short := w.send(againContent+"to you", many(5, "one.test")...)
		require.Equal(t, slices.Repeat([]string{"delivered"}, 5), short.wait())
		assert.Less(t, time.Since(begun), 3*time.Second, "it does not wait for the other's end")
		assert.True(t, short.firstVia().Verified)
		require.Equal(t, slices.Repeat([]string{"delivered"}, 100), long.wait())
		assert.False(t, long.firstVia().Verified, "each keeps to its policy")
		assert.Equal(t, failed, w.snapshot().DialsFailed, "nobody is turned away any more")
		assert.Equal(t, 2, s.Stats().MaxOpen, "for a session that makes room is gone before the next one comes")
	})
}

// A place is another session's when the server has closed the connection, and if it does not, after Timeouts.Quit.
func TestPlacesAreTakenWhenTheyAreFree(t *testing.T) {
	for name, c := range map[string]struct {
		end  mxsim.Step
		wait time.Duration
	}{
		"the server takes its time": {mxsim.Seq(mxsim.Stall(time.Second), mxsim.Reply("221 bye"), mxsim.Drop()), time.Second},
		"it forgets to close":       {mxsim.Seq(mxsim.Reply("221 bye"), mxsim.StallForever()), 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, func(c *Config) {
				c.SessionsPerHost = 1
				c.TLS.Destinations = []Destination{{Domain: "two.test", Mode: TLSOff}}
			}, func(t *testing.T, w *tlsWorld) {
				plain := mxsim.Seq(mxsim.Hello("mx1.test", "PIPELINING"), mxsim.Deliver(1))
				w.play(best, mxsim.Script{plain, mxsim.Expect("QUIT"), c.end}, mxsim.Script{plain, mxsim.Bye()})
				require.Equal(t, []string{"delivered"}, w.send(shortContent, "a@one.test").wait())
				begun := time.Now()
				require.Equal(t, []string{"delivered"}, w.send(shortContent, "a@two.test").wait(), "the session of another policy makes room")
				assert.Equal(t, c.wait, time.Since(begun).Truncate(time.Second), "and is waited for, with some round trips")
			})
		})
	}
}

// many are recipients of a domain.
func many(n int, domain string) (to []string) {
	for i := range n {
		to = append(to, fmt.Sprintf("u%d@%s", i, domain))
	}
	return to
}

package feed

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// sendWith hands over a message with parameters.
func (w *tlsWorld) sendWith(p Params, content string, to ...string) *delivery {
	d := w.prepare(budget, content, to...)
	d.envelope.Params = p
	w.feeder.Send(d.envelope)
	return d
}

// signAll makes the names of a domain's exchangers come from DNSSEC.
func (w *tlsWorld) signAll(domain string) {
	w.change(domain, func(rt *resolver.Route) {
		for i := range rt.MX {
			rt.MX[i].Secure = true
		}
	})
}

func TestRequireTLSTravels(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		w.twoDomains(true)
		w.signAll("one.test")
		first := w.serve(best, mxsim.Config{TLS: w.server}) // does not offer it
		second := w.serve(backup, mxsim.Config{TLS: w.authority.Issue("mx2.test").Config(), RequireTLS: true})
		d := w.sendWith(Params{RequireTLS: true}, shortContent, "a@one.test")
		require.Equal(t, []string{"delivered"}, d.wait(), "the second exchanger takes it")
		assert.Empty(t, first.Messages(), "the first one is not sent it")
		_, told := second.Messages()[0].Param("REQUIRETLS")
		assert.True(t, told, "RFC 8689 section 4.2.1: MAIL has the parameter")
		assert.Equal(t, "requiretls", d.firstVia().Policy, "the record says why it was verified")
		assert.True(t, d.firstVia().Verified, "and that it was")
		assert.Equal(t, []string{"delivered"}, w.send(againContent, "b@one.test").wait(), "other mail still goes to the first one")
		assert.Len(t, first.Messages(), 1, "as before")
	})
}

func TestRequireTLSFails(t *testing.T) {
	for name, c := range map[string]struct {
		server func(*tlsWorld) mxsim.Config
		route  func(*tlsWorld)
		want   string
	}{
		"no exchanger offers it": {func(w *tlsWorld) mxsim.Config { return mxsim.Config{TLS: w.server} },
			func(w *tlsWorld) { w.signAll("one.test") }, "failed 5.7.30"},
		"the exchanger is insecure": {func(w *tlsWorld) mxsim.Config { return mxsim.Config{TLS: w.server, RequireTLS: true} },
			func(*tlsWorld) {}, "failed 5.7.30"},
		"its certificate is another's": {func(w *tlsWorld) mxsim.Config {
			return mxsim.Config{TLS: w.authority.Issue("other.test").Config(), RequireTLS: true}
		}, func(w *tlsWorld) { w.signAll("one.test") }, "deferred 4.7.5"},
		"it has no TLS": {func(*tlsWorld) mxsim.Config { return mxsim.Config{} }, func(w *tlsWorld) { w.sure("one.test", sts.Enforce) }, "deferred 4.7.4"},
	} {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
				s := w.serve(best, c.server(w))
				c.route(w)
				d := w.sendWith(Params{RequireTLS: true}, shortContent, "a@one.test")
				assert.Equal(t, []string{c.want}, d.wait(), "it is not sent")
				assert.Empty(t, s.Messages(), "to nobody")
				if c.want == "failed 5.7.30" {
					assert.Contains(t, d.settled[0].Outcome.Reason(), "REQUIRETLS support required", "RFC 8689 section 4.2.2 has the words")
				}
			})
		})
	}
}

func TestTLSRequiredNo(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		s := w.serve(best, mxsim.Config{TLS: w.authority.Issue("other.test").Config()})
		w.sure("one.test", sts.Enforce)
		d := w.sendWith(Params{TLSOptional: true}, shortContent, "a@one.test")
		require.Equal(t, []string{"delivered"}, d.wait(), "RFC 8689 section 5: delivery counts more than the policy")
		assert.True(t, s.Messages()[0].TLS, "it is encrypted where that can be had")
		assert.Empty(t, d.firstVia().Policy, "nobody demanded it")
		assert.NotContains(t, s.Messages()[0].Params, "REQUIRETLS", "and MAIL says nothing")
	})
}

// What a message needs and an exchanger does not offer takes it past that exchanger, and where none does to the sender.
func TestMessagesThatAHostCannotTake(t *testing.T) {
	plain := []string{"PIPELINING"}
	for name, c := range map[string]struct {
		params  Params
		content string
		to      string
		first   []string // what the first exchanger offers
		second  []string
		status  string
	}{
		"larger than SIZE":        {Params{}, text(2000), "a@one.test", []string{"PIPELINING", "SIZE 1000"}, []string{"PIPELINING", "SIZE 0"}, "failed 5.3.4"},
		"8-bit without 8BITMIME":  {Params{EightBitMIME: true}, "Subject: x\r\n\r\n\xc3\xa4\r\n", "a@one.test", plain, []string{"PIPELINING", "8BITMIME"}, "failed 5.6.3"},
		"UTF-8 without SMTPUTF8":  {Params{SMTPUTF8: true}, shortContent, "\u00e4@one.test", plain, []string{"PIPELINING", "SMTPUTF8"}, "failed 5.6.7"},
		"UTF-8 in the header":     {Params{SMTPUTF8: true}, "Subject: \xc3\xa4\r\n\r\nx\r\n", "a@one.test", []string{"PIPELINING", "8BITMIME"}, []string{"PIPELINING", "SMTPUTF8"}, "failed 5.6.7"},
		"SIZE is one octet short": {Params{}, text(2000), "a@one.test", []string{"PIPELINING", "SIZE 1999"}, []string{"PIPELINING", "SIZE 2000"}, "failed 5.3.4"},
	} {
		for _, taken := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", but not the second", false: ", nor the second"}[taken], func(t *testing.T) {
				inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
					w.twoDomains(true)
					first := w.serve(best, mxsim.Config{TLS: w.server, Keywords: c.first})
					last := c.first
					if taken {
						last = c.second
					}
					second := w.serve(backup, mxsim.Config{TLS: w.server, Keywords: last})
					d := w.sendWith(c.params, c.content, c.to)
					got := d.wait()
					assert.Empty(t, first.Messages(), "the first exchanger cannot take it")
					assert.Equal(t, 1, w.dials(backup), "the second one is asked")
					if taken {
						assert.Equal(t, []string{"delivered"}, got, "and takes it")
						assert.Len(t, second.Messages(), 1, "once")
						return
					}
					assert.Equal(t, []string{c.status}, got, "the sender is told")
					assert.Equal(t, "mx2.test", d.via(0), "whose want it is")
					assert.True(t, strings.HasPrefix(d.firstVia().TLS, "TLSv1.3"), "and how that host was spoken to")
				})
			})
		}
	}
}

package resolver_test

import (
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// TestVerify: the additional section of a zone's MX answer is out of date. Whoever asks again is told of the exchanger's own records, and so
// is everybody after that.
func TestVerify(t *testing.T) { synctest.Test(t, testVerify) }
func testVerify(t *testing.T) {
	h := host(t, "a.example. MX 10 mx.example.\nmx.example. A 192.0.2.1")
	zone := h.Handler
	h.Handler = func(q dns.Question, tcp bool) dnssim.Answer {
		a := zone(q, tcp)
		for i, rr := range a.Extra {
			stale, err := dns.NewRR("mx.example. A 192.0.2.66")
			require.NoError(t, err, "the record should be one")
			stale.Header().Ttl = rr.Header().Ttl
			a.Extra[i] = stale
		}
		return a
	}
	l := newLab(t, resolver.Config{Families: resolver.OnlyIPv4}, h)
	addr := func(rt resolver.Route, err error) string {
		require.NoError(t, err, "there should be a route")
		return rt.MX[0].Addrs[0].String()
	}
	assert.Equal(t, "192.0.2.66", addr(l.Resolve(t.Context(), "a.example")), "the additional address should serve")
	assert.Equal(t, 0, h.Asked("mx.example", dns.TypeA), "nobody should be asked for it")

	answers := make(chan resolver.Result, 1)
	require.Empty(t, l.Verify([]string{"a.example"}, func(r []resolver.Result) { answers <- r[0] }), "what must be asked for is not known")
	r := <-answers
	assert.Equal(t, "192.0.2.1", addr(r.Route, r.Err), "the exchanger's own address should be had")
	assert.Equal(t, 1, h.Asked("a.example", dns.TypeMX), "its domain's records should not be asked for again")
	assert.Equal(t, "192.0.2.1", addr(l.Resolve(t.Context(), "a.example")), "which everybody should be told from now on")

	known := l.Verify([]string{"a.example"}, nil)
	require.Len(t, known, 1, "what was verified is known")
	assert.Equal(t, "192.0.2.1", addr(known[0].Route, known[0].Err), "and stays what it is")
	assert.Equal(t, 1, h.Asked("mx.example", dns.TypeA), "once should be enough")
}

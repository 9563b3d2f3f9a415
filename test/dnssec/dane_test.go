package dnssec

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
)

const key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// zones are a signed one, and below it an unsigned one, one with hashed denial, and one whose signatures have expired.
func zones() []Zone {
	text := `
secure.example. MX 10 mx.example.
mx.example. A 192.0.2.1
mx.example. AAAA 2001:db8::1
_25._tcp.mx.example. TLSA 3 1 1 KEY
nodata.example. MX 10 mxnodata.example.
mxnodata.example. A 192.0.2.2
_25._tcp.mxnodata.example. TXT "no TLSA"
nxdomain.example. MX 10 mxnone.example.
mxnone.example. A 192.0.2.3
spoilt.example. MX 10 mxspoilt.example.
spoilt.example. MX 20 mx.example.
mxspoilt.example. A 192.0.2.4
_25._tcp.mxspoilt.example. TLSA 3 1 1 FEED
badmx.example. MX 66 mx.example.
alias.example. MX 10 cname.example.
cname.example. CNAME mx.example.
domainalias.example. CNAME secure.example.
out.example. MX 10 outhost.example.
outhost.example. CNAME mx.plain.example.
_25._tcp.outhost.example. TLSA 3 1 1 KEY
outnone.example. MX 10 outnone2.example.
outnone2.example. CNAME mx.plain.example.
toplain.example. MX 10 mx.plain.example.
*.wild.example. MX 10 mx.example.
wildhost.example. MX 10 a.wildmx.example.
*.wildmx.example. A 192.0.2.5
implicit.example. A 192.0.2.6
_25._tcp.implicit.example. TLSA 3 1 1 KEY
tohashed.example. MX 10 mx.hashed.example.
tohashednone.example. MX 10 none.hashed.example.
tostale.example. MX 10 mx.stale.example.
`
	text = strings.NewReplacer("KEY", key, "FEED", strings.Repeat("feed", 16)).Replace(text)
	changed := func(signed string) string { // behind the signatures' back
		return strings.NewReplacer(strings.Repeat("FEED", 16), strings.Repeat("BEEF", 16), "MX\t66 ", "MX\t67 ").Replace(signed)
	}
	return []Zone{
		{Name: "example.", Text: text, Spoil: changed},
		{Name: "plain.example.", Unsigned: true, Text: "insecure.plain.example. MX 10 mx.example.\nmx.plain.example. A 192.0.2.7\n" +
			"_25._tcp.mx.plain.example. TLSA 3 1 1 " + key + "\nplaincname.plain.example. CNAME secure.example.\n"},
		{Name: "hashed.example.", NSEC3: true, Text: "mx.hashed.example. A 192.0.2.8\n_25._tcp.mx.hashed.example. TLSA 3 1 1 " + key +
			"\nnone.hashed.example. A 192.0.2.9\n"},
		{Name: "stale.example.", SignedAt: time.Now().AddDate(0, -2, 0), Text: "stale.example. MX 10 mx.example.\nmx.stale.example. A 192.0.2.10\n" +
			"_25._tcp.mx.stale.example. TLSA 3 1 1 " + key + "\n"},
	}
}

// start fails in CI, and skips loudly elsewhere, where the servers are not installed.
func start(t *testing.T) *World {
	t.Helper()
	if missing := Missing(); len(missing) > 0 && os.Getenv("CI") == "" {
		t.Skipf("NOT CHECKED: DNSSEC as real servers have it (apt-get install %s)", strings.Join(missing, " "))
	}
	w, err := Start(zones())
	require.NoError(t, err, "the signed zones should be served")
	t.Cleanup(func() { assert.NoError(t, w.Close(), "the servers should end") })
	return w
}

func open(t *testing.T, c resolver.Config) *resolver.Resolver {
	t.Helper()
	c.Timeout = 30 * time.Second // for a machine that has much else to do
	r, err := resolver.New(c)
	require.NoError(t, err, "the resolver should start")
	t.Cleanup(func() { assert.NoError(t, r.Close(), "the resolver should close") })
	return r
}

// text is what a domain's best exchanger is, and what DNSSEC and DANE say of it.
func text(t *testing.T, r *resolver.Resolver, domain string) string {
	t.Helper()
	route, err := r.Resolve(t.Context(), domain)
	var e *resolver.Error
	if errors.As(err, &e) {
		return map[bool]string{true: "permanent: ", false: "temporary: "}[e.Kind.Permanent()] + e.Question + " " + e.Reason
	}
	require.NoError(t, err, "an error should be an *Error")
	mx := route.MX[0]
	said := mx.Name
	if mx.Secure {
		said += " secure"
	}
	if mx.DANE == nil {
		return said
	}
	said += " DANE " + strings.Join(mx.DANE.Names, ",")
	if errors.As(mx.DANE.Err, &e) {
		return said + " " + e.Question + " " + e.Reason
	}
	return said + " " + mx.DANE.Records[0].String()
}

func TestDANE(t *testing.T) {
	w := start(t)
	r := open(t, resolver.Config{Servers: []string{w.Recursor()}, DANE: true})
	const record = " 3 1 1 " + key
	for _, c := range []struct{ rule, domain, want string }{
		{"a secure exchanger with TLSA", "secure.example", "mx.example secure DANE mx.example,secure.example" + record},
		{"an insecure delegation", "insecure.plain.example", "mx.example"},
		{"a secure MX into an insecure delegation with TLSA", "toplain.example", "mx.plain.example"},
		{"POL-02 secure NODATA", "nodata.example", "mxnodata.example secure"},
		{"POL-02 secure NXDOMAIN", "nxdomain.example", "mxnone.example secure"},
		{"POL-02 secure NXDOMAIN, hashed", "tohashednone.example", "none.hashed.example secure"},
		{"hashed denial beside it", "tohashed.example", "mx.hashed.example secure DANE mx.hashed.example,tohashed.example" + record},
		{"POL-01 a TLSA record that its signature does not fit", "spoilt.example",
			"mxspoilt.example secure DANE mxspoilt.example,spoilt.example TLSA _25._tcp.mxspoilt.example SERVFAIL"},
		{"an MX record that its signature does not fit", "badmx.example", "temporary: MX badmx.example SERVFAIL"},
		{"expired signatures", "stale.example", "temporary: MX stale.example SERVFAIL"},
		{"expired signatures of the exchanger", "tostale.example", "temporary: A mx.stale.example SERVFAIL"},
		{"2.2.2 an exchanger that is an alias: its expanded name", "alias.example", "cname.example secure DANE mx.example,alias.example" + record},
		{"3.2.2 a domain that is an alias", "domainalias.example", "mx.example secure DANE mx.example,domainalias.example,secure.example" + record},
		{"2.2.2 a secure alias of an insecure host: its own name", "out.example", "outhost.example DANE outhost.example,out.example" + record},
		{"2.2.2 a secure alias of an insecure host without TLSA", "outnone.example", "outnone2.example"},
		{"an insecure alias of a secure domain", "plaincname.plain.example", "mx.example"},
		{"a wildcard MX", "any.wild.example", "mx.example secure DANE mx.example,any.wild.example" + record},
		{"a wildcard exchanger", "wildhost.example", "a.wildmx.example secure"},
		{"2.2.2 an implicit exchanger", "implicit.example", "implicit.example secure DANE implicit.example" + record},
		{"no such domain", "nowhere.example", "permanent: MX nowhere.example NXDOMAIN"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel() // those that fail take their time
			assert.Equal(t, c.want, text(t, r, c.domain), "what validation says should be told as it is")
		})
	}
}

func TestDANEAtOnce(t *testing.T) {
	w := start(t)
	r := open(t, resolver.Config{Servers: []string{w.Recursor()}, DANE: true})
	domains := []string{"secure.example", "toplain.example", "nodata.example", "nxdomain.example", "alias.example", "out.example", "implicit.example"}
	results := make(chan resolver.Result, 2*len(domains)) // from the resolver to this test, with room for all
	for _, known := range r.Start(domains, func(some []resolver.Result) {
		for _, result := range some {
			results <- result
		}
	}) {
		results <- known
	}
	for range domains {
		result := <-results
		assert.NoError(t, result.Err, "%s should have a route, asked together with others", result.Domain)
	}
}

// TestAD is about whose word counts.
func TestAD(t *testing.T) {
	w := start(t)
	elsewhere := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	for _, c := range []struct {
		rule   string
		config resolver.Config
		want   string
	}{
		{"a recursor that is not trusted", resolver.Config{Servers: []string{w.Recursor()}, DANE: true, TrustAD: elsewhere}, "mx.example"},
		{"DANE is off", resolver.Config{Servers: []string{w.Recursor()}}, "mx.example"},
		{"a server that validates nothing", resolver.Config{Servers: []string{w.Authoritative()}, DANE: true}, "mx.example"},
		{"a relay that is configured", resolver.Config{Servers: []string{w.Recursor()}, DANE: true,
			Static: []resolver.StaticRoute{{Domain: "*", Hosts: []string{"cname.example"}}}}, "cname.example secure DANE mx.example 3 1 1 " + key},
	} {
		t.Run(c.rule, func(t *testing.T) {
			assert.Equal(t, c.want, text(t, open(t, c.config), "secure.example"), "AD should count only where it is trusted")
		})
	}
}

func TestStartTellsMistakes(t *testing.T) {
	if len(Missing()) > 0 {
		t.Skip("NOT CHECKED: the servers are not installed")
	}
	for rule, zone := range map[string]Zone{
		"a zone that is none": {Name: "example.", Text: "this is no record"},
		"nothing to spoil":    {Name: "example.", Spoil: func(s string) string { return s }},
	} {
		t.Run(rule, func(t *testing.T) {
			w, err := Start([]Zone{zone})
			if err == nil {
				_ = w.Close()
			}
			assert.Error(t, err, "the mistake should be told")
		})
	}
}

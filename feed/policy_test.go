package feed

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

// A policyCase is one exchanger, what is known and wanted of it, and what policyOf makes of that.
type policyCase struct {
	rule   string
	tls    TLS
	need   need
	mx     resolver.MX
	sts    *sts.Policy
	want   string // the policy in words, or "refused 4.7.5"
	kind   PolicyType
	sni    string
	result string // of a refusal, for the Observer
}

var (
	opportunistic = TLS{Mode: TLSOpportunistic}
	someKey       = resolver.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: "0123456789abcdef0123456789abcdef"}
	unusableKey   = resolver.TLSA{Usage: 0, Selector: 1, Matching: 1, Data: someKey.Data}
)

// exchanger is one whose DNS is insecure.
func exchanger() resolver.MX { return resolver.MX{Preference: 10, Name: "mx1.test"} }

// secured is one with TLSA records.
func secured(records ...resolver.TLSA) resolver.MX {
	mx := exchanger()
	mx.Secure = true
	mx.DANE = &resolver.DANE{Base: "mx1.test", Names: []string{"mx1.test", "one.test"}, Records: records}
	return mx
}

func signed() resolver.MX {
	mx := exchanger()
	mx.Secure = true
	return mx
}

// unknowable is one whose TLSA records could not be had.
func unknowable() resolver.MX {
	mx := secured()
	mx.DANE.Err = &resolver.Error{Domain: "one.test", Question: "TLSA _25._tcp.mx1.test", Reason: "SERVFAIL"}
	return mx
}

// relay is a host that the operator named, fallback one of smtp.fallback.
func relay() resolver.MX { return resolver.MX{Name: "relay.test", Configured: true} }

func fallback() resolver.MX {
	return resolver.MX{Name: "relay.test", Configured: true, Preference: resolver.FallbackPreference}
}

func published(mode sts.Mode, patterns ...string) *sts.Policy {
	return &sts.Policy{Domain: "one.test", Mode: mode, MX: patterns}
}

func policyCases() []policyCase {
	enforce, testing, none := published(sts.Enforce, "mx1.test"), published(sts.Testing, "*.test"), published(sts.None, "mx1.test")
	other := published(sts.Enforce, "other.test")
	return []policyCase{
		{rule: "nothing known", tls: opportunistic, mx: exchanger(), want: "opportunistic", kind: PolicyNone},
		{rule: "mode off", mx: secured(someKey), sts: enforce, want: "no TLS", kind: PolicyNone},
		{rule: "mode required", tls: TLS{Mode: TLSRequired}, mx: exchanger(), want: "required", kind: PolicyNone},
		{rule: "DANE", tls: opportunistic, mx: secured(someKey), want: "dane mx1.test (3 1 1 30313233)", kind: PolicyTLSA, sni: "mx1.test"},
		{rule: "RFC 8461 section 2: DANE before MTA-STS", tls: opportunistic, mx: secured(someKey), sts: enforce, want: "dane mx1.test (3 1 1 30313233)", kind: PolicyTLSA, sni: "mx1.test"},
		{rule: "even one that it does not name", tls: opportunistic, mx: secured(someKey), sts: other, want: "dane mx1.test (3 1 1 30313233)", kind: PolicyTLSA, sni: "mx1.test"},
		{rule: "RFC 7672 section 2.2: unusable records demand TLS", tls: opportunistic, mx: secured(unusableKey), want: "dane mx1.test (0 1 1 30313233)", kind: PolicyTLSA, sni: "mx1.test"},
		{rule: "TLSA records that cannot be had", tls: opportunistic, mx: unknowable(), sts: enforce, want: "refused 4.7.5", result: "dnssec-invalid"},
		{rule: "a secure exchanger without TLSA records", tls: opportunistic, mx: signed(), want: "opportunistic", kind: PolicyNone},
		{rule: "MTA-STS enforce", tls: opportunistic, mx: exchanger(), sts: enforce, want: "mta-sts mx1.test", kind: PolicySTS, sni: "mx1.test"},
		{rule: "MTA-STS enforce where the operator requires TLS", tls: TLS{Mode: TLSRequired}, mx: exchanger(), sts: enforce, want: "mta-sts mx1.test", kind: PolicySTS, sni: "mx1.test"},
		{rule: "an exchanger that it does not name", tls: opportunistic, mx: exchanger(), sts: other, want: "refused 4.7.5", result: "validation-failure"},
		{rule: "MTA-STS testing", tls: opportunistic, mx: exchanger(), sts: testing, want: "opportunistic, mta-sts testing", kind: PolicySTS, sni: "mx1.test"},
		{rule: "MTA-STS none", tls: opportunistic, mx: exchanger(), sts: none, want: "opportunistic", kind: PolicyNone},
		{rule: "MTA-STS says nothing of a configured host", tls: opportunistic, mx: relay(), sts: other, want: "opportunistic", kind: PolicyNone},
		{rule: "nor of a fallback host", tls: opportunistic, mx: fallback(), sts: enforce, want: "opportunistic", kind: PolicyNone},
		{rule: "TLS-Required: No", tls: opportunistic, need: needDelivery, mx: secured(someKey), sts: enforce, want: "opportunistic", kind: PolicyNone},
		{rule: "TLS-Required: No bears TLSA records that cannot be had", tls: opportunistic, need: needDelivery, mx: unknowable(), want: "opportunistic", kind: PolicyNone},
		{rule: "TLS-Required: No does not bend the operator's word", tls: TLS{Mode: TLSRequired}, need: needDelivery, mx: exchanger(), want: "required", kind: PolicyNone},
	}
}

// requireTLSCases are those of RFC 8689 section 4.2.1.
func requireTLSCases() []policyCase {
	enforce, testing, none := published(sts.Enforce, "mx1.test"), published(sts.Testing, "mx1.test"), published(sts.None, "mx1.test")
	other := published(sts.Enforce, "other.test")
	return []policyCase{
		{rule: "an insecure exchanger", tls: opportunistic, need: needTLS, mx: exchanger(), want: "refused 5.7.30"},
		{rule: "an insecure one where TLS is required", tls: TLS{Mode: TLSRequired}, need: needTLS, mx: exchanger(), want: "refused 5.7.30"},
		{rule: "DANE", tls: opportunistic, need: needTLS, mx: secured(someKey), want: "dane mx1.test (3 1 1 30313233)", kind: PolicyTLSA, sni: "mx1.test"},
		{rule: "TLSA records that cannot be had", tls: opportunistic, need: needTLS, mx: unknowable(), want: "refused 4.7.5", result: "dnssec-invalid"},
		{rule: "an exchanger from DNSSEC", tls: opportunistic, need: needTLS, mx: signed(), want: "requiretls mx1.test", sni: "mx1.test"},
		{rule: "one that an MTA-STS policy names", tls: opportunistic, need: needTLS, mx: exchanger(), sts: enforce, want: "requiretls mx1.test", sni: "mx1.test"},
		{rule: "one that is being tested", tls: opportunistic, need: needTLS, mx: exchanger(), sts: testing, want: "requiretls mx1.test", sni: "mx1.test"},
		{rule: "one of a policy without force", tls: opportunistic, need: needTLS, mx: exchanger(), sts: none, want: "refused 5.7.30"},
		{rule: "one that it does not name", tls: opportunistic, need: needTLS, mx: exchanger(), sts: other, want: "refused 5.7.30"},
		{rule: "one from DNSSEC that it does not name", tls: opportunistic, need: needTLS, mx: signed(), sts: other, want: "refused 4.7.5", result: "validation-failure"},
		{rule: "a configured host", tls: opportunistic, need: needTLS, mx: relay(), want: "requiretls relay.test", sni: "relay.test"},
	}
}

func TestPolicyOf(t *testing.T) {
	for _, c := range append(policyCases(), requireTLSCases()...) {
		t.Run(c.rule, func(t *testing.T) {
			p, no := c.policy()
			if no != nil {
				assert.Equal(t, c.want, "refused "+no.status.String(), "the exchanger must not be used")
				assert.Equal(t, no.status.Class == 5, no.failed, "whether for good is what its status says")
				assert.Equal(t, c.result, no.result, "the Observer is told why")
				assert.Error(t, no.err, "and so is the host MTA")
				return
			}
			require.NotNil(t, p, "there is a policy, or a reason why not")
			assert.Equal(t, c.want, p.String(), "it is this one")
			assert.Equal(t, c.sni, p.sni, "the name to ask for, if it is another than the exchanger's")
			if c.kind != "" {
				assert.Equal(t, c.kind, p.kind, "the Observer is told which")
			}
		})
	}
}

func (c policyCase) policy() (*policy, *refusal) {
	e := newEngine(Config{TLS: c.tls}.withDefaults())
	return e.policyOf(&route{domain: "one.test", need: c.need}, &resolver.Route{Domain: "one.test", MX: []resolver.MX{c.mx}, STS: c.sts}, &c.mx)
}

func TestLevels(t *testing.T) {
	for _, c := range []struct {
		policyCase
		level   level
		demands bool
	}{
		{policyCase{rule: "off", mx: exchanger()}, levelNone, false},
		{policyCase{rule: "opportunistic", tls: opportunistic, mx: exchanger()}, levelMay, false},
		{policyCase{rule: "testing", tls: opportunistic, mx: exchanger(), sts: published(sts.Testing, "mx1.test")}, levelMay, false},
		{policyCase{rule: "required", tls: TLS{Mode: TLSRequired}, mx: exchanger()}, levelEncrypt, true},
		{policyCase{rule: "unusable records", tls: opportunistic, mx: secured(unusableKey)}, levelEncrypt, true},
		{policyCase{rule: "usable records", tls: opportunistic, mx: secured(unusableKey, someKey)}, levelDANE, true},
		// RFC 8461 section 2 forbids that MTA-STS overrides DANE validation that fails. Here there is none to fail.
		{policyCase{rule: "unusable records, and enforce", tls: opportunistic, mx: secured(unusableKey), sts: published(sts.Enforce, "mx1.test")}, levelVerify, true},
		{policyCase{rule: "unusable records, and testing", tls: opportunistic, mx: secured(unusableKey), sts: published(sts.Testing, "mx1.test")}, levelEncrypt, true},
		{policyCase{rule: "usable records, and enforce", tls: opportunistic, mx: secured(someKey), sts: published(sts.Enforce, "mx1.test")}, levelDANE, true},
		{policyCase{rule: "enforce", tls: opportunistic, mx: exchanger(), sts: published(sts.Enforce, "mx1.test")}, levelVerify, true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			p, no := c.policy()
			require.Nil(t, no, "the exchanger may be used")
			assert.Equal(t, c.level, p.level, "how much TLS a session must have")
			assert.Equal(t, c.demands, p.demands(), "whether there is a session without")
		})
	}
}

// REQUIRETLS with records of which none is usable: they prove nothing about who answers, so the message must not go there by them.
func TestRequireTLSDoesNotTrustUnusableRecords(t *testing.T) {
	c := policyCase{tls: opportunistic, need: needTLS, mx: secured(unusableKey)}
	p, no := c.policy()
	if p != nil {
		assert.Equal(t, levelVerify, p.level, "if it is used, then verified")
		return
	}
	assert.Equal(t, status5730, no.status, "else it must not be used")
	assert.ErrorIs(t, no.err, errUnvouched, "for that reason")
}

func TestTestingPolicyIsNotNamedByItsPatterns(t *testing.T) {
	c := policyCase{tls: opportunistic, mx: exchanger(), sts: published(sts.Testing, "*.test")}
	p, no := c.policy()
	require.Nil(t, no, "nothing is demanded")
	assert.Equal(t, []string{"mx1.test"}, p.names, "RFC 8461 section 4.1: the certificate is for the exchanger's name, not for the pattern")
	assert.True(t, p.testing, "and what is found is only told")
}

// Where operators see policies each record is told from others by the beginning of its data, of a long one by that of its digest.
func TestRecordsAreToldApart(t *testing.T) {
	long := func(c string) string { return recordText(resolver.TLSA{Usage: 3, Data: strings.Repeat(c, 500)}) }
	assert.Equal(t, "3 1 1 01234567, 3 0 0 SHA-256:"+strings.TrimPrefix(long("a"), "3 0 0 SHA-256:")[:8], brief([]string{"3 1 1 0123456789abcdef", long("a")}), "eight digits")
	assert.NotEqual(t, brief([]string{long("a")}), brief([]string{long("b")}), "whole certificates too")
}

func TestRefusalsTellTheTemporaryOneFirst(t *testing.T) {
	e := newEngine(Config{TLS: opportunistic}.withDefaults())
	rt, mx := &route{domain: "one.test"}, exchanger()
	e.refuse(rt, &mx, &refusal{failed: true, status: status5730, err: errNeedsTLS})
	assert.Equal(t, Failed, rt.refused.Class, "one that can never be used")
	e.refuse(rt, &mx, &refusal{status: status475, err: errors.New("not now")})
	assert.Equal(t, Deferred, rt.refused.Class, "one that might later counts more")
	e.refuse(rt, &mx, &refusal{failed: true, status: status5730, err: errNeedsTLS})
	assert.Equal(t, Deferred, rt.refused.Class, "whatever comes behind it")
}

func TestRefusalsNameTheirPolicy(t *testing.T) {
	for word, c := range map[string]policyCase{
		"mta-sts":    {tls: opportunistic, mx: exchanger(), sts: published(sts.Enforce, "other.test")},
		"dane":       {tls: opportunistic, mx: unknowable()},
		"requiretls": {tls: opportunistic, need: needTLS, mx: exchanger()},
	} {
		e := newEngine(Config{TLS: opportunistic}.withDefaults())
		rt := &route{domain: "one.test"}
		_, no := c.policy()
		require.NotNil(t, no, "the exchanger is refused")
		e.refuse(rt, &c.mx, no)
		assert.Equal(t, word, rt.refused.Via.Policy, "the delivery record says by which policy")
	}
}

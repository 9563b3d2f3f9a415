package feed

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

var me = &Credentials{User: "me", Password: "secret"}

// relays is the configuration of one entry of the routing map beside opportunistic TLS.
func relays(d Destination) TLS { return TLS{Mode: TLSOpportunistic, Relays: []Destination{d}} }

// to is the configuration of one destination beside opportunistic TLS.
func to(d Destination) TLS { return TLS{Mode: TLSOpportunistic, Destinations: []Destination{d}} }

func TestDestinationsPrecedePolicies(t *testing.T) {
	enforce := published(sts.Enforce, "mx1.test")
	for _, c := range []policyCase{
		{rule: "off", tls: to(Destination{Domain: "one.test", Mode: TLSOff}), mx: secured(someKey), sts: enforce, want: "no TLS"},
		{rule: "opportunistic", tls: to(Destination{Domain: "one.test", Mode: TLSOpportunistic}), mx: secured(someKey), sts: enforce, want: "opportunistic"},
		{rule: "required", tls: to(Destination{Domain: "one.test", Mode: TLSRequired}), mx: unknowable(), want: "required"},
		{rule: "verified for names", tls: to(Destination{Domain: "one.test", Mode: TLSVerified, Names: []string{"a.test", ".b.test"}}), mx: exchanger(),
			want: "configured a.test .b.test", sni: "mx1.test"},
		{rule: "verified for the host's own name", tls: to(Destination{Domain: "one.test", Mode: TLSVerified}), mx: relay(), want: "configured relay.test", sni: "relay.test"},
		{rule: "the usual mode is off, this one is not", tls: TLS{Destinations: []Destination{{Domain: "one.test", Mode: TLSRequired}}}, mx: exchanger(), want: "required"},
		{rule: "the longest match", tls: TLS{Destinations: []Destination{{Domain: "*", Mode: TLSRequired}, {Domain: ".test", Mode: TLSOpportunistic}, {Domain: "one.test", Mode: TLSOff}}},
			mx: exchanger(), want: "no TLS"},
		{rule: "a suffix", tls: TLS{Destinations: []Destination{{Domain: "*", Mode: TLSRequired}, {Domain: ".test", Mode: TLSOff}}}, mx: exchanger(), want: "no TLS"},
		{rule: "a suffix is not the domain itself", tls: to(Destination{Domain: ".one.test", Mode: TLSRequired}), mx: exchanger(), want: "opportunistic"},
		{rule: "all", tls: to(Destination{Domain: "*", Mode: TLSRequired}), mx: exchanger(), want: "required"},
		{rule: "another domain", tls: to(Destination{Domain: "two.test", Mode: TLSRequired}), mx: exchanger(), want: "opportunistic"},
		{rule: "REQUIRETLS where the operator says off", tls: to(Destination{Domain: "one.test", Mode: TLSOff}), need: needTLS, mx: exchanger(), want: "refused 5.7.30"},
		{rule: "REQUIRETLS where the operator has names", tls: to(Destination{Domain: "one.test", Mode: TLSVerified, Names: []string{"a.test"}}), need: needTLS, mx: exchanger(),
			want: "configured a.test", sni: "mx1.test"},
		{rule: "TLS-Required: No does not bend it", tls: to(Destination{Domain: "one.test", Mode: TLSVerified, Names: []string{"a.test"}}), need: needDelivery, mx: exchanger(),
			want: "configured a.test", sni: "mx1.test"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			p, no := c.policy()
			if no != nil {
				assert.Equal(t, c.want, "refused "+no.status.String(), "the exchanger must not be used")
				return
			}
			assert.Equal(t, c.want, p.String(), "the operator's word counts")
			assert.Equal(t, c.sni, p.sni, "the name to ask for, if it is another than the exchanger's")
		})
	}
}

func TestCredentialsAreForTheRoutesHosts(t *testing.T) {
	for _, c := range []struct {
		rule string
		mx   resolver.MX
		want bool
	}{
		{"a host of the route", relay(), true},
		{"a fallback host", fallback(), false},
		{"an exchanger that the DNS names", exchanger(), false},
		{"one with DNSSEC", secured(someKey), false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			for _, n := range []need{needNothing, needTLS, needDelivery} {
				d := Destination{Domain: "one.test", Mode: TLSVerified, Implicit: true, Auth: me, AuthInClear: true}
				p, no := policyCase{tls: relays(d), need: n, mx: c.mx}.policy()
				if no != nil {
					assert.False(t, c.want, "nobody else has to be used")
					continue
				}
				assert.Equal(t, c.want, p.auth != nil, "whether it is told who we are")
				assert.Equal(t, c.want, p.implicit, "whether it speaks TLS from the first octet")
				assert.Equal(t, c.want, p.inClear, "and what the operator bears there")
				assert.Equal(t, c.want, p.word == "configured" || p.word == "requiretls" && p.auth != nil, "and whether his names count")
			}
		})
	}
}

// The operator's relay needs its password, and TLS from the first octet, for REQUIRETLS as for any other mail.
func TestRequireTLSKeepsWhatARelayNeeds(t *testing.T) {
	for _, mode := range []TLSMode{TLSOpportunistic, TLSRequired, TLSVerified} {
		d := Destination{Domain: "one.test", Mode: mode, Implicit: true, Auth: me, AuthInClear: true}
		p, no := policyCase{tls: relays(d), need: needTLS, mx: relay()}.policy()
		require.Nil(t, no, "it may be used")
		assert.Equal(t, levelVerify, p.level, "RFC 8689 section 4.2.1: its certificate is verified")
		assert.True(t, p.implicit, "it is spoken to in TLS from the first octet")
		assert.NotNil(t, p.auth, "and told who we are")
	}
}

func TestImplicitNeedsTLS(t *testing.T) {
	p, no := policyCase{tls: to(Destination{Domain: "one.test", Mode: TLSOff, Implicit: true}), mx: relay()}.policy()
	require.Nil(t, no, "it may be used")
	assert.False(t, p.implicit, "off is off")
}

// An entry of the routing map hides those that match less, also where it says nothing of TLS: "*" has the password of a smarthost, and the
// hosts of another entry must not be told it.
func TestEntriesHideShorterMatches(t *testing.T) {
	all := Destination{Domain: "*", Mode: TLSVerified, Auth: me}
	for rule, c := range map[string]struct {
		entries []Destination
		mx      resolver.MX
		want    bool
	}{
		"only the general one":              {[]Destination{all}, relay(), true},
		"a plain one for the domain":        {[]Destination{all, {Domain: "one.test", Plain: true}}, relay(), false},
		"a plain one for a suffix":          {[]Destination{all, {Domain: ".test", Plain: true}}, relay(), false},
		"a plain one for another domain":    {[]Destination{all, {Domain: "two.test", Plain: true}}, relay(), true},
		"a fallback host below the general": {[]Destination{all}, fallback(), false},
	} {
		t.Run(rule, func(t *testing.T) {
			p, no := policyCase{tls: TLS{Mode: TLSOpportunistic, Relays: c.entries}, mx: c.mx}.policy()
			require.Nil(t, no, "it may be used")
			assert.Equal(t, c.want, p.auth != nil, "whether it is told who we are")
			if !c.want {
				assert.Equal(t, "opportunistic", p.String(), "it is spoken to as any other")
			}
		})
	}
}

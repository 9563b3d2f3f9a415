package tlsrpt

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
)

func TestPoliciesAreToldApart(t *testing.T) {
	other := sts(good("a.example"), "*.a.example")
	other.Strings = append([]string{}, other.Strings...)
	other.Strings[1] = "mode: testing"
	at := func(r feed.TLSResult, base string) feed.TLSResult { r.Base = base; return r }
	for name, c := range map[string]struct {
		results []feed.TLSResult
		want    int
	}{
		"TLSA records of another exchanger":      {[]feed.TLSResult{at(tlsa(good("a.example"), "A"), "x.example"), at(tlsa(good("a.example"), "A"), "y.example")}, 2},
		"only TLSA records have a base domain":   {[]feed.TLSResult{at(sts(good("a.example"), "A"), "x.example"), sts(good("a.example"), "A")}, 1},
		"a base domain that is none":             {[]feed.TLSResult{at(tlsa(good("a.example"), "A"), "\x1b../"), tlsa(good("a.example"), "A")}, 1},
		"the same policy from another slice":     {[]feed.TLSResult{sts(good("a.example"), "mx"), sts(good("a.example"), "mx")}, 1},
		"another mode":                           {[]feed.TLSResult{sts(good("a.example"), "*.a.example"), other}, 2},
		"other patterns":                         {[]feed.TLSResult{sts(good("a.example"), "x"), sts(good("a.example"), "y")}, 2},
		"TLSA records in another order":          {[]feed.TLSResult{tlsa(good("a.example"), "3 1 1 A", "3 1 1 B"), tlsa(good("a.example"), "3 1 1 B", "3 1 1 A")}, 1},
		"policy lines in another order":          {[]feed.TLSResult{sts(good("a.example"), "x", "y"), sts(good("a.example"), "y", "x")}, 2},
		"one TLSA record more":                   {[]feed.TLSResult{tlsa(good("a.example"), "3 1 1 A"), tlsa(good("a.example"), "3 1 1 A", "3 1 1 B")}, 2},
		"one type with, one without records":     {[]feed.TLSResult{tlsa(good("a.example")), tlsa(good("a.example"), "3 1 1 A")}, 2},
		"types":                                  {[]feed.TLSResult{good("a.example"), tlsa(good("a.example")), sts(good("a.example"))}, 3},
		"a type that is unknown is no policy":    {[]feed.TLSResult{good("a.example"), {Domain: "a.example", Policy: "pgp", Strings: []string{"x"}}}, 1},
		"hostile octets do not make it new":      {[]feed.TLSResult{tlsa(good("a.example"), "\x1b[2J\xff"), tlsa(good("a.example"), "\x1b[2J\xff")}, 1},
		"a policy that was too long is the same": {[]feed.TLSResult{tlsa(good("a.example"), strings.Repeat("A", 20000)), tlsa(good("a.example"), strings.Repeat("A", 20000))}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := counted(0, c.results...)
			assert.Len(t, d.domains["a.example"].policies, c.want, "so many are counted")
			again := counted(0)
			again.merge(d)
			assert.Len(t, again.domains["a.example"].policies, c.want, "also after a restart")
		})
	}
}

// RFC 8460 section 1.1: "For DANE, the Policy Domain is the "TLSA base domain" of the receiving SMTP server".
func TestThePolicyDomainOfDANEIsTheExchangers(t *testing.T) {
	r := tlsa(good("a.example"), "3 1 1 A")
	r.Base = "mx.provider.example"
	d := counted(0, r, tlsa(good("a.example"), "3 1 1 B"), sts(good("a.example"), "x"))
	var domains []string
	for _, p := range d.domains["a.example"].policies {
		domains = append(domains, p.report("a.example").Policy.Domain)
	}
	assert.Equal(t, []string{"mx.provider.example", "a.example", "a.example"}, domains, "where it is known")
}

func TestFailuresAreToldApart(t *testing.T) {
	base := bad("a.example", "validation-failure", "x")
	mapped, zone, mx, addr, unset := base, base, base, base, base
	mapped.Addr = netip.MustParseAddr("::ffff:203.0.113.5")
	zone.Source = netip.MustParseAddr("fe80::1%eth0")
	mx.MX = "mx2.a.example"
	addr.Addr = netip.MustParseAddr("203.0.113.6")
	unset.Addr, unset.Source, unset.MX = netip.Addr{}, netip.Addr{}, ""
	d := counted(0, base, mapped, zone, mx, addr, unset, bad("a.example", "certificate-expired", "x"), bad("a.example", "validation-failure", "y"), base)
	r := d.domains["a.example"].policies[0].report("a.example")
	var got []string
	for _, f := range r.Details {
		got = append(got, fmt.Sprintf("%s %s %s %s %s %d", f.Result, f.Source, f.MX, f.Addr, f.Reason, f.Sessions))
	}
	assert.Equal(t, []string{
		"certificate-expired 192.0.2.1 mx.a.example 203.0.113.5 x 1",
		"validation-failure    x 1",
		"validation-failure 192.0.2.1 mx.a.example 203.0.113.5 x 3",
		"validation-failure 192.0.2.1 mx.a.example 203.0.113.5 y 1",
		"validation-failure 192.0.2.1 mx.a.example 203.0.113.6 x 1",
		"validation-failure 192.0.2.1 mx2.a.example 203.0.113.5 x 1",
		"validation-failure fe80::1 mx.a.example 203.0.113.5 x 1",
	}, got, "by type, addresses, exchanger and reason, in a fixed order")
	assert.Equal(t, uint64(9), r.Summary.Failures, "and all are counted")
}

func TestWhatIsPastABoundIsCounted(t *testing.T) {
	t.Run("kinds of failure are folded", func(t *testing.T) {
		d := newDay(0, Config{Domains: 10, Details: 3}.bounds())
		for i := range 10 {
			r := bad("a.example", []string{"validation-failure", "certificate-expired"}[i%2], fmt.Sprint(i))
			d.add(&r)
		}
		p := d.domains["a.example"].policies[0]
		assert.Len(t, p.details, 3+2, "there are three, and one more of each type")
		var sum uint64
		for _, n := range p.details {
			sum += n
		}
		assert.Equal(t, []uint64{10, 10, 7}, []uint64{sum, p.failures, d.folded}, "their sum is still right")
	})
	t.Run("domains", func(t *testing.T) {
		d := newDay(0, Config{Domains: 3, Details: 3}.bounds())
		for i := range 10 {
			r := good(fmt.Sprintf("d%d.example", i%5))
			d.add(&r)
		}
		assert.Len(t, d.domains, 3, "the first are counted")
		assert.Equal(t, uint64(4), d.overflow, "and what the others had is told")
	})
	t.Run("policies", func(t *testing.T) {
		d := newDay(0, someBounds())
		for i := range maxPolicies + 4 {
			r := tlsa(good("a.example"), fmt.Sprint(i))
			d.add(&r)
		}
		assert.Len(t, d.domains["a.example"].policies, maxPolicies, "the first are counted")
		assert.Equal(t, uint64(4), d.overflow, "and the others told")
	})
	t.Run("octets", func(t *testing.T) {
		d := newDay(0, Config{Domains: 100, Details: 100}.bounds())
		for i := range 100 {
			r := tlsa(good(fmt.Sprintf("d%d.example", i)), strings.Repeat(fmt.Sprint(i%10), 8000))
			d.add(&r)
		}
		assert.Len(t, d.domains, 100*octetsPerDomain/8500, "policies that are too long leave no room for others")
		for i := range 1000 {
			r := bad("d0.example", "validation-failure", fmt.Sprint(i)+strings.Repeat("x", 190))
			d.add(&r)
		}
		assert.LessOrEqual(t, d.used, d.maxOctets, "nothing goes past the bound")
	})
}

func TestPeersTextIsCleanedAndCut(t *testing.T) {
	r := bad("a.example", "validation-failure", "\x1b]0;x\x07\r\n<script>\xff"+strings.Repeat("y", 1000))
	r.MX = strings.Repeat("\n", 10) + "mx\x00" + strings.Repeat("z", 1000)
	r = tlsa(r, "3 1 1 \x1b\xff", strings.Repeat("A", maxString+1), "3 1 1 B")
	d := counted(0, r)
	p := d.domains["a.example"].policies[0].report("a.example")
	assert.Equal(t, []string{"3 1 1 ?", "3 1 1 B"}, p.Policy.Strings, "a record is whole or not there")
	assert.Equal(t, " mx?z", p.Details[0].MX[:5], "the exchanger's name is clean")
	assert.Equal(t, []int{maxDomain, maxReason}, []int{len(p.Details[0].MX), len(p.Details[0].Reason)}, "and cut, as the reason is")
	assert.Len(t, cleaned(make([]string, 500)), maxStrings, "of many lines the first are told")
}

func TestResultTypes(t *testing.T) {
	for i, name := range resultNames() {
		if i > 0 {
			assert.Equal(t, result(i), resultOf(name), "%s is known", name)
		}
		assert.Equal(t, name, result(i).String(), "and has its name")
	}
	assert.Equal(t, success, resultOf(""), "no failure is a success")
	for _, s := range []string{"success", "Certificate-Expired", "certificate-expired ", "x"} {
		assert.Equal(t, validationFailure, resultOf(s), "%q is some failure", s)
	}
}

func TestDomainNames(t *testing.T) {
	for s, want := range map[string]bool{
		"a.example": true, "xn--bcher-kva.example": true, "_x.a-b.example": true, "localhost": true, "1.2.3.4": true, strings.Repeat("a", 63): true,
		"": false, ".": false, "..": false, "../x": false, "a..b": false, ".a": false, "a.": false, "a/b": false, `a\b`: false, "a b": false, "A.example": false,
		"[192.0.2.1]": false, "a\x00": false, "a\n": false, "b\u00fccher.example": false, "a!b": false, strings.Repeat("a", 64): false,
		strings.Repeat("a.", 126) + "ab": false, "a%2fb": false, "a:b": false, "*.a.example": false,
	} {
		assert.Equal(t, want, isDomain(s), "%q is a domain name or not", s)
	}
}

func TestFileNames(t *testing.T) {
	names := reportNames()
	long := strings.Repeat("a23456789.", 25) + "abc"
	for _, domain := range []string{"a.example", long} {
		name := fileName("mx.sender.test", domain, 10957, "0123456789ab")
		end, ours := endOf(names, name)
		assert.True(t, ours, "%s is ours", name)
		assert.Equal(t, int64(946771199), end.Unix(), "and its day is known")
		assert.LessOrEqual(t, len(name), maxFileName, "and the file system takes it")
	}
	assert.NotEqual(t, fileName("x.test", long, 1, "0123456789ab"), fileName("y.test", long, 1, "0123456789ab"), "long names are told apart")
	for _, name := range []string{
		stateName, lockName, damagedName, "report.json", "a!b!1!2.json", "a!b!1!2!0123456789ab.json.gz", "a!b!1!2!0123456789AB.json",
		"a!b!x!2!0123456789ab.json", "a b!c!1!2!0123456789ab.json", "a!b!1!2!0123456789ab.json\n", "x!a!b!1!2!0123456789ab.json",
	} {
		_, ours := endOf(names, name)
		assert.False(t, ours, "%q is not ours", name)
	}
}

func TestDates(t *testing.T) {
	for text, want := range map[string]string{
		"2000-01-01T00:00:00Z": "2000-01-01", "2000-01-01T23:59:59.999Z": "2000-01-01", "2026-11-22T01:00:00+09:00": "2026-11-21",
		"1969-12-31T23:59:59Z": "1969-12-31", "1970-01-01T00:00:00Z": "1970-01-01",
	} {
		at, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err, "it is a time")
		d := dateOf(at)
		assert.Equal(t, want, d.String(), "%s is of the day in UTC", text)
		back, err := parseDate(d.String())
		require.NoError(t, err, "it is a date")
		assert.Equal(t, d, back, "that is read back")
	}
}

func TestUnknownResultIsItsOwnReason(t *testing.T) {
	for _, c := range [][3]string{
		{"certificate-revoked", "", "certificate-revoked"}, {"certificate-revoked", "by its issuer", "by its issuer"},
		{"validation-failure", "", ""}, {"dane-required", "", ""}, {"\x1b[2J", "", "?[2J"},
	} {
		r := bad("a.example", c[0], c[1])
		assert.Equal(t, c[2], detailOf(&r).reason, "the reason of %q (%q)", c[0], c[1])
	}
}

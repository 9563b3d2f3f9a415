package tlsrpt

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
)

func someBounds() bounds { return Config{}.withDefaults().bounds() }

// counted is a day with results.
func counted(d date, results ...feed.TLSResult) *day {
	day := newDay(d, someBounds())
	for i := range results {
		day.add(&results[i])
	}
	return day
}

func sample() *day {
	return counted(10957, good("a.example"), good("a.example"), sts(good("a.example"), "*.a.example", "mx.a.example"),
		sts(bad("a.example", "sts-webpki-invalid", `"quoted" <&> \ text`), "*.a.example", "mx.a.example"),
		based(tlsa(bad("b.example", "tlsa-invalid", ""), "3 1 1 ABCD", "2 1 1 EF")),
		feed.TLSResult{Domain: "c.example", Policy: feed.PolicySTS, Result: "sts-policy-fetch-error", Reason: "404"})
}

// based gives a result a TLSA base domain.
func based(r feed.TLSResult) feed.TLSResult {
	r.Base = "mx.b.example"
	return r
}

func written(t testing.TB, days ...savedDay) []byte {
	for i := range days {
		if days[i].left == nil {
			days[i].left = copies(days[i].day)
		}
	}
	var b bytes.Buffer
	require.NoError(t, writeState(&b, days), "it is written")
	return b.Bytes()
}

// sealed is text as a state file with a right end.
func sealed(lines ...string) []byte {
	text := strings.Join(lines, "\n") + "\n"
	return fmt.Appendf([]byte(text), "{\"end\":%d,\"crc\":%d}\n", len(lines), crc32.ChecksumIEEE([]byte(text)))
}

func TestStateIsReadBack(t *testing.T) {
	first, second := sample(), counted(10958, good("d.example"))
	first.domains["b.example"].mailed = []string{"x@b.example"}
	due := time.Unix(946771200+77, 5).UTC()
	text := written(t, savedDay{day: first, due: due}, savedDay{day: second})
	got, err := readState(bytes.NewReader(text), someBounds())
	require.NoError(t, err, "it is read")
	require.Len(t, got, 2, "with all days")
	assert.Equal(t, []any{first.date, first.id, due, time.Time{}}, []any{got[0].date, got[0].id, got[0].due, got[1].due}, "their names and times")
	assert.Equal(t, []string{"x@b.example"}, got[0].domains["b.example"].mailed, "who has the report already")
	assert.Equal(t, string(text), string(written(t, savedDay{day: got[0].day, due: due}, savedDay{day: got[1].day})), "and all counts")
	c := Config{Hostname: "mx.sender.test", Contact: "a@b.test", Organization: "x"}
	for name, m := range first.domains {
		before, err := c.render(first, m)
		require.NoError(t, err, "a report is made")
		after, err := c.render(got[0].day, got[0].domains[name])
		require.NoError(t, err, "and another")
		assert.Equal(t, string(before), string(after), "they are the same for %s", name)
	}
}

func TestCountingGoesOnAfterReading(t *testing.T) {
	got, err := readState(bytes.NewReader(written(t, savedDay{day: sample()})), someBounds())
	require.NoError(t, err, "it is read")
	d := got[0].day
	r := sts(bad("a.example", "sts-webpki-invalid", `"quoted" <&> \ text`), "*.a.example", "mx.a.example")
	d.add(&r)
	m := d.domains["a.example"]
	require.Len(t, m.policies, 2, "what has the same policy is counted there")
	assert.Equal(t, []uint64{1, 2}, []uint64{m.policies[1].successes, m.policies[1].failures}, "with what was counted before")
	assert.Len(t, m.policies[1].details, 1, "also the kinds of failure")
}

func TestDamagedStateIsRefused(t *testing.T) {
	whole := string(written(t, savedDay{day: sample()}))
	const head, today = `{"tlsrpt":1}`, `{"day":"2000-01-01","id":"0123456789ab"}`
	domain := `{"domain":"a.example","policies":[{"type":"sts","ok":1}]}`
	require.NotPanics(t, func() {
		_, err := readState(bytes.NewReader(sealed(head, today, domain)), someBounds())
		require.NoError(t, err, "lines are right")
	})
	for name, text := range map[string]string{
		"empty":                      "",
		"no end":                     whole[:strings.LastIndex(whole, `{"end"`)],
		"cut in a line":              whole[:len(whole)/2],
		"a count that changed":       strings.Replace(whole, `"ok":2`, `"ok":3`, 1),
		"a line too few":             strings.Replace(string(sealed(head, today, domain)), domain+"\n", "", 1),
		"no head":                    string(sealed(today, domain)),
		"another version":            string(sealed(`{"tlsrpt":2}`, today)),
		"a domain of no day":         string(sealed(head, domain)),
		"a line of nothing":          string(sealed(head, today, `{}`)),
		"no JSON":                    string(sealed(head, today, `domain`)),
		"a day that is none":         string(sealed(head, `{"day":"2000-02-30","id":"0123456789ab"}`)),
		"an id that leads elsewhere": string(sealed(head, `{"day":"2000-01-01","id":"../../../etc"}`)),
		"a domain that does":         string(sealed(head, today, `{"domain":"../a"}`)),
		"a success as a failure":     string(sealed(head, today, `{"domain":"a.example","policies":[{"type":"sts","details":[{"result":"","count":1}]}]}`)),
		"a count below zero":         string(sealed(head, today, `{"domain":"a.example","policies":[{"type":"sts","ok":-1}]}`)),
		"an address that is none":    string(sealed(head, today, `{"domain":"a.example","policies":[{"type":"sts","details":[{"result":"x","addr":"1.2","count":1}]}]}`)),
		"too many addresses":         string(sealed(head, today, `{"domain":"a.example","mailed":["","","","","",""]}`)),
		"too many days":              string(sealed(append([]string{head}, strings.Split(strings.Repeat(today+"\n", 65), "\n")[:65]...)...)),
		"a line that is too long":    string(sealed(head, strings.Repeat(" ", maxLine+1))),
	} {
		t.Run(name, func(t *testing.T) {
			days, err := readState(strings.NewReader(text), someBounds())
			assert.Error(t, err, "it is refused")
			assert.Empty(t, days, "and nothing is taken from it")
		})
	}
}

func TestStateIsReadWithinBounds(t *testing.T) {
	d := newDay(10957, someBounds())
	for i := range 100 {
		r := bad(fmt.Sprintf("d%d.example", i%50), "validation-failure", fmt.Sprint(i))
		d.add(&r)
	}
	got, err := readState(bytes.NewReader(written(t, savedDay{day: d})), Config{Domains: 10, Details: 1}.bounds())
	require.NoError(t, err, "a file of a larger configuration is read")
	assert.Len(t, got[0].domains, 10, "up to the bounds of this one")
	for name, m := range got[0].domains {
		assert.Len(t, m.policies[0].details, 2, "a kind of failure and all others at %s", name)
	}
}

// A peer that fails in ever new ways must not cost everybody's counts when the program starts again.
func TestLongestLineIsReadBack(t *testing.T) {
	d := newDay(10957, Config{Domains: 100_000, Details: MaxDetails}.withDefaults().bounds())
	at, name := netip.MustParseAddr("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"), strings.Repeat(strings.Repeat("m", 61)+".", 4)
	for p := range maxPolicies {
		for i := range MaxDetails {
			r := tlsa(bad("a.example", "certificate-not-trusted", fmt.Sprint(i, strings.Repeat(`"`, maxReason))), fmt.Sprintf("3 1 1 %0128d", p))
			r.MX, r.Addr, r.Source = name, at, at
			d.add(&r)
		}
	}
	text := written(t, savedDay{day: d})
	days, err := readState(bytes.NewReader(text), Config{Domains: 100_000, Details: MaxDetails}.bounds())
	require.NoError(t, err, "the file of %d octets is read", len(text))
	assert.Len(t, days[0].domains["a.example"].policies, maxPolicies, "with all that it has")
	assert.GreaterOrEqual(t, len(days[0].domains["a.example"].policies[0].details), MaxDetails, "and each failure")
}

func FuzzState(f *testing.F) {
	f.Add(written(f, savedDay{day: sample(), due: time.Unix(946771277, 0).UTC()}))
	f.Add(sealed(`{"tlsrpt":1}`, `{"day":"2000-01-01","id":"0123456789ab"}`, `{"domain":"a.example","policies":[{"type":"x","strings":["a"]}]}`))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, b := range [][]byte{text, sealed(strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")...)} {
			days, err := readState(bytes.NewReader(b), someBounds())
			if err != nil {
				require.Empty(t, days, "nothing is taken from a damaged file")
				continue
			}
			again, err := readState(bytes.NewReader(written(t, days...)), someBounds())
			require.NoError(t, err, "what was read can be written and read")
			require.Len(t, again, len(days), "as many days")
			for i, d := range days {
				require.Len(t, again[i].domains, len(d.domains), "with as many domains")
				require.LessOrEqual(t, d.used, d.maxOctets, "within the bounds")
			}
		}
	})
}

package tlsrpt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A shape checks a JSON value against RFC 8460 section 4.4. at is where the value stands, for the error.
type shape func(at string, v any) error

// A member of an object.
type member struct {
	shape
	optional bool
}

// validate is strict: unknown members are refused, and so are those that stand twice (RFC 7493 section 2.3) and anything behind
// the report.
func validate(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := value(d)
	if err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something stands behind the report")
	}
	return reportShape()("report", v)
}

func reportShape() shape {
	return object(map[string]member{
		"organization-name": {shape: isText},
		"date-range":        {shape: object(map[string]member{"start-datetime": {shape: isTime}, "end-datetime": {shape: isTime}})},
		"contact-info":      {shape: isAddrSpec},
		"report-id":         {shape: isText},
		"policies":          {shape: array(policyShape())},
	})
}

func policyShape() shape {
	return object(map[string]member{
		"policy": {shape: object(map[string]member{
			"policy-type":   {shape: oneOf("tlsa", "sts", "no-policy-found")},
			"policy-string": {shape: array(isText), optional: true},
			"policy-domain": {shape: isALabels},
			"mx-host":       {shape: array(isPattern), optional: true},
		})},
		"summary": {shape: object(map[string]member{
			"total-successful-session-count": {shape: isCount}, "total-failure-session-count": {shape: isCount},
		})},
		"failure-details": {shape: array(detailShape()), optional: true},
	})
}

func detailShape() shape {
	return object(map[string]member{
		"result-type": {shape: oneOf("starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted",
			"validation-failure", "tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error", "sts-policy-invalid",
			"sts-webpki-invalid")},
		// A failure before an exchanger was chosen, as with a policy that cannot be fetched, has none of these four.
		"sending-mta-ip":         {shape: isAddress, optional: true},
		"receiving-mx-hostname":  {shape: isText, optional: true},
		"receiving-mx-helo":      {shape: isText, optional: true},
		"receiving-ip":           {shape: isAddress, optional: true},
		"failed-session-count":   {shape: isCount},
		"additional-information": {shape: isText, optional: true},
		"failure-reason-code":    {shape: isText, optional: true},
	})
}

func object(members map[string]member) shape {
	return func(at string, v any) error {
		o, is := v.(map[string]any)
		if !is {
			return fmt.Errorf("%s is no object", at)
		}
		for name, v := range o {
			m, known := members[name]
			if !known {
				return fmt.Errorf("%s has an unknown member %s", at, name)
			}
			if err := m.shape(at+"."+name, v); err != nil {
				return err
			}
		}
		for name, m := range members {
			if _, there := o[name]; !there && !m.optional {
				return fmt.Errorf("%s has no %s", at, name)
			}
		}
		return nil
	}
}

func array(element shape) shape {
	return func(at string, v any) error {
		a, is := v.([]any)
		if !is || len(a) == 0 {
			return fmt.Errorf("%s is no array with something in it", at)
		}
		for i, v := range a {
			if err := element(fmt.Sprintf("%s[%d]", at, i), v); err != nil {
				return err
			}
		}
		return nil
	}
}

// textual checks a string.
func textual(what string, ok func(s string) bool) shape {
	return func(at string, v any) error {
		if s, is := v.(string); !is || s == "" || !ok(s) {
			return fmt.Errorf("%s is not %s: %v", at, what, v)
		}
		return nil
	}
}

func oneOf(words ...string) shape {
	return textual("one of "+strings.Join(words, ", "), func(s string) bool { return slices.Contains(words, s) })
}

func isText(at string, v any) error {
	return textual("a text", func(string) bool { return true })(at, v)
}

func isTime(at string, v any) error {
	return textual("a time of RFC 3339", func(s string) bool { _, err := time.Parse(time.RFC3339, s); return err == nil })(at, v)
}

func isAddrSpec(at string, v any) error {
	return textual("an addr-spec", func(s string) bool {
		a, err := mail.ParseAddress(s)
		return err == nil && a.Name == "" && !strings.ContainsAny(s, "<> ")
	})(at, v)
}

func isAddress(at string, v any) error {
	return textual("an IP address", func(s string) bool { a, err := netip.ParseAddr(s); return err == nil && a.Zone() == "" })(at, v)
}

func isALabels(at string, v any) error { return textual("a domain of A-labels", isDomain)(at, v) }

func isPattern(at string, v any) error {
	return textual("an mx pattern", func(s string) bool { return isDomain(strings.TrimPrefix(s, "*.")) })(at, v)
}

func isCount(at string, v any) error {
	n, is := v.(json.Number)
	if !is {
		return fmt.Errorf("%s is no number", at)
	}
	if strings.Trim(n.String(), "0123456789") != "" {
		return fmt.Errorf("%s is no count: %s", at, n)
	}
	return nil
}

// value reads any JSON value, and refuses members that stand twice.
func value(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		o := map[string]any{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			if _, twice := o[name.(string)]; twice {
				return nil, fmt.Errorf("%s stands twice", name)
			}
			if o[name.(string)], err = value(d); err != nil {
				return nil, err
			}
		}
		_, err = d.Token()
		return o, err
	case json.Delim('['):
		a := []any{}
		for d.More() {
			v, err := value(d)
			if err != nil {
				return nil, err
			}
			a = append(a, v)
		}
		_, err = d.Token()
		return a, err
	}
	return t, nil
}

// appendixB is the example of RFC 8460.
const appendixB = `{
  "organization-name": "Company-X",
  "date-range": {
    "start-datetime": "2016-04-01T00:00:00Z",
    "end-datetime": "2016-04-01T23:59:59Z"
  },
  "contact-info": "sts-reporting@company-x.example",
  "report-id": "5065427c-23d3-47ca-b6e0-946ea0e8c4be",
  "policies": [{
    "policy": {
      "policy-type": "sts",
      "policy-string": ["version: STSv1","mode: testing",
            "mx: *.mail.company-y.example","max_age: 86400"],
      "policy-domain": "company-y.example",
      "mx-host": ["*.mail.company-y.example"]
    },
    "summary": {
      "total-successful-session-count": 5326,
      "total-failure-session-count": 303
    },
    "failure-details": [{
      "result-type": "certificate-expired",
      "sending-mta-ip": "2001:db8:abcd:0012::1",
      "receiving-mx-hostname": "mx1.mail.company-y.example",
      "failed-session-count": 100
    }, {
      "result-type": "starttls-not-supported",
      "sending-mta-ip": "2001:db8:abcd:0013::1",
      "receiving-mx-hostname": "mx2.mail.company-y.example",
      "receiving-ip": "203.0.113.56",
      "failed-session-count": 200,
      "additional-information": "https://reports.company-x.example/report_info ? id = 5065427 c - 23 d3# StarttlsNotSupported "
    }, {
      "result-type": "validation-failure",
      "sending-mta-ip": "198.51.100.62",
      "receiving-ip": "203.0.113.58",
      "receiving-mx-hostname": "mx-backup.mail.company-y.example",
      "failed-session-count": 3,
      "failure-reason-code": "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"
    }]
  }]
}`

func TestValidatorTakesTheExampleOfTheRFC(t *testing.T) {
	require.NoError(t, validate([]byte(appendixB)), "the example of RFC 8460 appendix B is valid")
}

func TestValidatorRefusesMutations(t *testing.T) {
	for name, c := range map[string]struct{ from, to string }{
		"a member that is not in the schema":   {`"report-id":`, `"report-uri": "x", "report-id":`},
		"a member that stands twice":           {`"report-id":`, `"report-id": "x", "report-id":`},
		"no organization-name":                 {`"organization-name": "Company-X",`, ``},
		"an empty report-id":                   {`"5065427c-23d3-47ca-b6e0-946ea0e8c4be"`, `""`},
		"a contact that is a name and address": {`"sts-reporting@company-x.example"`, `"X <sts-reporting@company-x.example>"`},
		"a date without a time":                {`2016-04-01T00:00:00Z`, `2016-04-01`},
		"a time without a zone":                {`2016-04-01T23:59:59Z`, `2016-04-01T23:59:59`},
		"a date-range of numbers":              {`"2016-04-01T00:00:00Z"`, `1459468800`},
		"no end of the range":                  {"\"2016-04-01T00:00:00Z\",\n    \"end-datetime\": \"2016-04-01T23:59:59Z\"", `"2016-04-01T00:00:00Z"`},
		"another policy-type":                  {`"policy-type": "sts"`, `"policy-type": "dane"`},
		"a policy-string that is no array":     {`["*.mail.company-y.example"]`, `"*.mail.company-y.example"`},
		"an mx-host that is no pattern":        {`["*.mail.company-y.example"]`, `["mx: *.mail.company-y.example"]`},
		"a policy-domain with U-labels":        {`"policy-domain": "company-y.example"`, `"policy-domain": "bücher.example"`},
		"a count that is a string":             {`5326`, `"5326"`},
		"a count that is no integer":           {`303`, `303.5`},
		"a count below zero":                   {`303`, `-303`},
		"no summary":                           {`"summary"`, `"summaries"`},
		"another result-type":                  {`"certificate-expired"`, `"certificate-revoked"`},
		"success as a result-type":             {`"certificate-expired"`, `"success"`},
		"no failed-session-count":              {",\n      \"failed-session-count\": 100", ``},
		"an address with a port":               {`203.0.113.56`, `203.0.113.56:25`},
		"a null":                               {`"X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"`, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(appendixB, c.from, c.to, 1)
			require.NotEqual(t, appendixB, text, "the example is changed")
			assert.Error(t, validate([]byte(text)), "it is refused")
		})
	}
	assert.Error(t, validate([]byte(appendixB+"{}")), "two reports in a file are refused")
	assert.Error(t, validate([]byte(appendixB[:len(appendixB)-3])), "half a report is refused")
}

package tlsrpt

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
)

// A report is the document of RFC 8460 section 4.4. What is optional and unknown is left out: a failure to fetch a policy has
// no exchanger, and an empty string would be a wrong one. receiving-mx-helo and additional-information are never known.
type report struct {
	Organization string         `json:"organization-name"`
	Range        dateRange      `json:"date-range"`
	Contact      string         `json:"contact-info"`
	ID           string         `json:"report-id"`
	Policies     []policyReport `json:"policies"`
}

type dateRange struct {
	Start time.Time `json:"start-datetime"`
	End   time.Time `json:"end-datetime"`
}

type policyReport struct {
	Policy  policyText      `json:"policy"`
	Summary summary         `json:"summary"`
	Details []failureDetail `json:"failure-details,omitempty"`
}

type policyText struct {
	Type    feed.PolicyType `json:"policy-type"`
	Strings []string        `json:"policy-string,omitempty"`
	Domain  string          `json:"policy-domain"`
	MXHost  []string        `json:"mx-host,omitempty"`
}

type summary struct {
	Successes uint64 `json:"total-successful-session-count"`
	Failures  uint64 `json:"total-failure-session-count"`
}

type failureDetail struct {
	Result   string `json:"result-type"`
	Source   string `json:"sending-mta-ip,omitempty"`
	MX       string `json:"receiving-mx-hostname,omitempty"`
	Addr     string `json:"receiving-ip,omitempty"`
	Sessions uint64 `json:"failed-session-count"`
	Reason   string `json:"failure-reason-code,omitempty"`
}

// reportID is the same for a domain's day however often it is asked for.
func (c Config) reportID(d *day, m *domain) string {
	return d.date.begin().Format("20060102") + "." + d.id + "." + m.name + "@" + c.Hostname
}

// render is the report on a domain's day, as text.
func (c Config) render(d *day, m *domain) ([]byte, error) {
	r := report{
		Organization: c.Organization,
		// RFC 8460 section 4.1: "The report SHOULD cover a full day, from 00:00-24:00 UTC." Its example ends with the last second.
		Range:   dateRange{d.date.begin(), d.date.last()},
		Contact: c.Contact,
		ID:      c.reportID(d, m),
	}
	for _, p := range m.policies {
		r.Policies = append(r.Policies, p.report(m.name))
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(r)
	return b.Bytes(), err
}

// report is a policy's part of the report on a domain. RFC 8460 section 1.1: "For DANE, the Policy Domain is the "TLSA base domain" of the
// receiving SMTP server". Who asks for the report, and is named by it, is the domain of the mail all the same.
func (p *policy) report(domain string) policyReport {
	r := policyReport{
		Policy:  policyText{Type: p.kind, Strings: p.strings, Domain: cmp.Or(p.base, domain), MXHost: p.patterns},
		Summary: summary{p.successes, p.failures},
	}
	for _, k := range p.sorted() {
		r.Details = append(r.Details, failureDetail{
			Result: k.result.String(), Source: text(k.source), MX: k.mx, Addr: text(k.addr), Sessions: p.details[k], Reason: k.reason,
		})
	}
	return r
}

// text is "" for no address.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

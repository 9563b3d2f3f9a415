package internet

import (
	"maps"
	"slices"
	"time"
)

// A Report is what came of a world since it started or was reset. Times are seconds since then.
type Report struct {
	Recipients int       `json:"recipients"` // accepted by final replies
	Contents   int       `json:"contents"`   // distinct message contents
	Duplicates Addresses `json:"duplicates"` // the same recipient and content again
	Misrouted  Addresses `json:"misrouted"`  // arrived at a host that is no exchanger of the domain
	Unknown    Addresses `json:"unknown"`    // at domains that do not exist
	Missent    Addresses `json:"missent"`    // envelope senders that are not Config.Sender's
	Refused    int       `json:"refused"`    // RCPT without 2xx
	Violations int       `json:"violations"` // of the protocol, see Broken

	Transactions int   `json:"transactions"` // with a final 2xx
	Sessions     int   `json:"sessions"`     // connections accepted
	Open         int   `json:"open"`         // of those, still open
	Octets       int64 `json:"octets"`       // of message content, once for each transaction
	Read         int64 `json:"read"`         // octets on sessions, commands too

	HostsUsed          int      `json:"hosts_used"`
	MaxSessionsPerHost int      `json:"max_sessions_per_host"` // open at once
	Broken             []string `json:"broken,omitempty"`      // the first violations: host, rule, octets

	Handshakes int            `json:"tls_handshakes"` // that succeeded
	Resumed    int            `json:"tls_resumed"`    // of those, with a session that was there before
	Unshaken   int            `json:"tls_failed"`
	Channels   map[string]int `json:"channels"` // transactions by what protected them: "TLS 1.3 TLS_AES_128_GCM_SHA256", "plaintext"

	MX    int64 `json:"dns_mx"` // questions
	A     int64 `json:"dns_a"`
	AAAA  int64 `json:"dns_aaaa"`
	TXT   int64 `json:"dns_txt"`
	TLSA  int64 `json:"dns_tlsa"`
	Other int64 `json:"dns_other"`
	TCP   int64 `json:"dns_tcp"` // of the above

	First  float64 `json:"first"` // arrivals of recipients
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	Last   float64 `json:"last"`
}

// A Progress is the part of a Report that is cheap to ask for often.
type Progress struct {
	Recipients int     `json:"recipients"`
	Last       float64 `json:"last"` // seconds from the start or reset to the latest arrival
}

// Report says what has arrived so far.
func (w *World) Report() Report {
	var r Report
	w.mu.Lock()
	start := w.start
	w.reportHosts(&r)
	w.mu.Unlock()
	w.tally.report(&r, start)
	r.Read = w.read.Load()
	w.zone.report(&r)
	return r
}

// Progress says how many recipients have arrived so far.
func (w *World) Progress() Progress {
	w.mu.Lock()
	start := w.start
	w.mu.Unlock()
	w.tally.mu.Lock()
	defer w.tally.mu.Unlock()
	p := Progress{Recipients: w.tally.recipients}
	if n := len(w.tally.arrivals); n > 0 {
		p.Last = w.tally.arrivals[n-1].at.Sub(start).Seconds()
	}
	return p
}

// Missing lists which of the first n recipients of Recipient have not arrived although the world would take them.
func (w *World) Missing(n int) Addresses { return w.tally.missing(n) }

// reportHosts sums the hosts up. The caller holds w.mu.
func (w *World) reportHosts(r *Report) {
	for j, s := range w.servers {
		if s == nil {
			continue
		}
		st := s.Stats()
		if st.Sessions+st.Open > 0 {
			r.HostsUsed++
		}
		r.Sessions += st.Sessions
		r.Open += st.Open
		r.Refused += st.Refused
		r.Violations += st.Violations
		r.Handshakes += st.Handshakes
		r.Resumed += st.Resumed
		r.Unshaken += st.Unshaken
		r.MaxSessionsPerHost = max(r.MaxSessionsPerHost, st.MaxOpen)
		if st.Violations == 0 {
			continue
		}
		for _, v := range s.Violations()[:min(st.Violations, maxListed-len(r.Broken))] {
			r.Broken = append(r.Broken, HostName(j)+": "+v.What+": "+v.Octets)
		}
	}
}

func (z *zone) report(r *Report) {
	for kind, n := range map[int]*int64{
		askedMX: &r.MX, askedA: &r.A, askedAAAA: &r.AAAA, askedTXT: &r.TXT, askedTLSA: &r.TLSA, askedOther: &r.Other,
	} {
		*n = z.asked[kind].Load()
	}
	r.TCP = z.tcp.Load()
}

// Questions is how many there were.
func (r *Report) Questions() int64 { return r.MX + r.A + r.AAAA + r.TXT + r.TLSA + r.Other }

func (t *tally) report(r *Report, start time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Recipients, r.Transactions, r.Contents, r.Octets = t.recipients, len(t.arrivals), len(t.contents), t.octets
	r.Duplicates, r.Misrouted, r.Unknown = t.duplicates.copy(), t.misrouted.copy(), t.unknown.copy()
	r.Missent, r.Channels = t.missent.copy(), maps.Clone(t.channels)
	sorted := slices.SortedFunc(slices.Values(t.arrivals), func(a, b arrival) int { return a.at.Compare(b.at) })
	at := func(share float64) float64 {
		return quantile(sorted, int(share*float64(t.recipients-1))).Sub(start).Seconds()
	}
	if len(sorted) > 0 {
		r.First, r.Median, r.P90, r.Last = at(0), at(0.5), at(0.9), at(1)
	}
}

// quantile is when recipient number n arrived, counted from 0 in the order of time.
func quantile(sorted []arrival, n int) time.Time {
	for _, a := range sorted {
		if n < a.n {
			return a.at
		}
		n -= a.n
	}
	return sorted[len(sorted)-1].at
}

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/ledger"
	"github.com/smtpfeed/smtpfeed/feed/tlsrpt"
	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/lmtp"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

// A Status is what the daemon tells of itself; its JSON form is /status.json.
type Status struct {
	Version  string    `json:"version"`
	PID      int       `json:"pid"`
	Hostname string    `json:"hostname"`
	Started  time.Time `json:"started"`
	Now      time.Time `json:"now"`
	Draining bool      `json:"draining"`
	Answers  bool      `json:"answers"` // false: the delivery loop did not answer, Feed is zero

	Feed    feed.Snapshot  `json:"feed"`
	DNS     resolver.Stats `json:"dns"`
	LMTP    lmtp.Stats     `json:"lmtp"`
	Records RecordCounts   `json:"records"`
	Ledger  *ledger.Stats  `json:"ledger"` // null without one
	STS     sts.Stats      `json:"sts"`
	Reports tlsrpt.Stats   `json:"tls_reports"`
	Turned  uint64         `json:"turned_away"` // connections refused by lmtp.peers
}

// RecordCounts are the delivery records since the start.
type RecordCounts struct {
	Written uint64     `json:"written"`
	Lost    uint64     `json:"lost"`
	Late    uint64     `json:"late"`              // of those lost, written after all
	Trouble string     `json:"trouble,omitempty"` // why they are not written now
	Since   *time.Time `json:"since,omitempty"`   // when that began
}

// recordCounts are those of a state.
func recordCounts(s recordState) RecordCounts {
	c := RecordCounts{Written: s.Written, Lost: s.Lost, Late: s.Late, Trouble: s.Trouble}
	if s.Trouble != "" {
		c.Since = &s.Since
	}
	return c
}

// write writes what a person must know of the records.
func (c RecordCounts) write(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "  records\t%d written, %d lost", c.Written, c.Lost)
	if c.Late > 0 {
		fmt.Fprintf(w, " (%d of these written late)", c.Late)
	}
	if c.Trouble != "" {
		fmt.Fprintf(w, "; NOT WRITTEN for %s: %s", now.Sub(*c.Since).Round(time.Second), wire.Clean(c.Trouble, 200))
	}
	fmt.Fprintln(w)
}

// status asks every part.
func (d *daemon) status(ctx context.Context) Status {
	s, ok := d.sample(ctx)
	st := Status{
		Version: version(), PID: os.Getpid(), Hostname: d.hostname, Started: d.started, Now: time.Now(), Draining: s.draining, Answers: ok,
		Feed: s.feed, DNS: s.dns, LMTP: s.lmtp, Records: recordCounts(s.records), Turned: s.turned,
		STS: s.sts, Reports: s.reports,
	}
	if d.delivery.ledger != nil {
		st.Ledger = &s.ledger
	}
	return st
}

// write writes the status for a person.
func (s Status) write(w io.Writer) {
	state := "serving"
	if s.Draining {
		state = "draining"
	}
	fmt.Fprintf(w, "smtpfeed %s on %s: %s, process %d, up %s\n", s.Version, s.Hostname, state, s.PID, s.Now.Sub(s.Started).Round(time.Second))
	switch {
	case s.Answers:
	case s.Draining:
		fmt.Fprintln(w, "\nEvery recipient is settled; the last replies are being written. What follows about mail is not known any more.")
	default:
		fmt.Fprintln(w, "\nThe delivery loop does not answer: what follows about mail is not known. Please report this with /debug/pprof/goroutine?debug=2.")
	}
	s.writeAlarms(w)
	s.writeNow(w)
	s.writeTotals(w)
	s.writeHosts(w)
}

// writeAlarms writes what an operator has to mend.
func (s Status) writeAlarms(w io.Writer) {
	if s.Records.Trouble != "" {
		fmt.Fprintf(w, "\nDelivery records are not written: %s\n", wire.Clean(s.Records.Trouble, 200))
	}
	if n := s.LMTP.NotificationsFailed; n > 0 {
		fmt.Fprintf(w, "\nSenders were not notified of %s although they wanted to be: submission.host did not take it, see the log.\n", count(n, "delivery"))
	}
	if s.Ledger != nil && !s.Ledger.Open {
		fmt.Fprintf(w, "\nThe ledger is not in use, so what is delivered now may be delivered again after a crash: %s\n", s.Ledger.Trouble)
	}
}

// writeNow writes the gauges.
func (s Status) writeNow(w io.Writer) {
	f := s.Feed
	fmt.Fprintln(w, "\nNow")
	t := tabwriter.NewWriter(w, 0, 8, 1, ' ', 0)
	defer t.Flush()
	fmt.Fprintf(t, "  mail\t%s of %s in %s; %s looked up\n", count(f.Recipients, "recipient"), count(f.Messages, "message"), count(f.Envelopes, "envelope"), count(f.Resolving, "domain"))
	fmt.Fprintf(t, "  SMTP\t%s, %d idle, to %s known; %d down, %d waiting for a session\n", count(f.Sessions, "session"), f.Idle, count(f.Hosts, "host"), f.HostsDown, f.Saturated)
	fmt.Fprintf(t, "  DNS\t%s in flight of %d at most; %s cached\n", count(s.DNS.InFlight, "question"), s.DNS.Window, count(s.DNS.Entries, "answer"))
	fmt.Fprintf(t, "  LMTP\t%s, %s; %s held\n", count(s.LMTP.Connections, "connection"), count(s.LMTP.Transactions, "transaction"), octets(s.LMTP.Bytes))
	if l := s.Ledger; l != nil {
		fmt.Fprintf(t, "  ledger\t%s whose replies may not have been read; %s in the file, %s\n", count(f.Remembered, "delivery"), count(l.Recipients, "recipient"), octets(l.Bytes))
	}
}

// writeTotals writes the counters.
func (s Status) writeTotals(w io.Writer) {
	f := s.Feed
	fmt.Fprintln(w, "\nSince the start")
	t := tabwriter.NewWriter(w, 0, 8, 1, ' ', 0)
	defer t.Flush()
	fmt.Fprintf(t, "  mail\t%s of %s: %d delivered, %d deferred (%d uncertain), %d failed\n", count(f.RecipientsTotal, "recipient"), count(f.MessagesTotal, "message"), f.Delivered, f.Deferred, f.Uncertain, f.Failed)
	fmt.Fprintf(t, "  SMTP\t%s on %s; %d reused a session, %d pipelined, %d with several domains, %d chunked, %d personal\n", count(f.Transactions, "transaction"), count(f.SessionsTotal, "session"), f.SessionsReused, f.Pipelined, f.Piggybacked, f.Chunked, f.Personal)
	fmt.Fprintf(t, "  TLS\t%s, %d resumed, %d verified; %s failed, %d of them tried again with less\n", count(f.TLSSessions, "session"), f.TLSResumed, f.TLSVerified, count(f.TLSFailed, "session"), f.TLSFallbacks)
	if p := s.STS; p.Policies > 0 || p.Fetches > 0 {
		fmt.Fprintf(t, "  MTA-STS\t%s known; %d fetched, %d could not be\n", count(p.Policies, "policy"), p.Fetches-failures(p), failures(p))
	}
	if r := s.Reports; r.Results != nil {
		fmt.Fprintf(t, "  TLS reports\t%s today; %d written, %d mailed, %d failed; sessions: %s\n", count(r.Domains, "domain"), r.Written, r.Mailed, r.Failed, resultWords(r))
	}
	fmt.Fprintf(t, "  limits\t%s met; %d sessions retired, %d evicted, %d found stale; %s tried again with care\n", count(f.Splits, "limit"), f.SessionsRetired, f.SessionsEvicted, f.Stale, count(f.Fallbacks, "transaction"))
	fmt.Fprintf(t, "  trouble\t%d of %s failed, %d begun beside a silent one, %d to probe; %s moved to another host, %d to an equal one\n", f.DialsFailed, count(f.Dials, "dial"), f.Hedges, f.Probes, count(f.Regrouped, "recipient"), f.Shared)
	fmt.Fprintf(t, "  DNS\t%s, %d from the cache; %d sent again, %d without an answer\n", count(s.DNS.Questions, "question"), s.DNS.CacheHits, s.DNS.Retries, s.DNS.Timeouts)
	fmt.Fprintf(t, "  LMTP\t%s, %d not in lmtp.peers; %s refused; %d hosts left early, %d refused for lack of memory\n", count(s.LMTP.ConnectionsTotal, "connection"), s.Turned, count(s.LMTP.Refused, "recipient"), s.LMTP.HostsLeft, s.LMTP.OverMemory)
	if l := s.Ledger; l != nil {
		fmt.Fprintf(t, "  ledger\t%d kept in %s; %d answered from it; %d told before it had them, %d dropped, %d crowded out; %s\n", l.Kept, count(l.Commits, "commit"), f.Recalled, f.Unkept, l.Dropped, f.Curbed, count(l.Failures, "failure"))
	}
	s.Records.write(t, s.Now)
}

// resultWords is how often TLS went how, since the start.
func resultWords(r tlsrpt.Stats) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(r.Results)) {
		if n := r.Results[name]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, name))
		}
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// hostLines is how many hosts are shown; the JSON form has all.
const hostLines = 40

// writeHosts writes the hosts with the most waiting recipients, then those that are down.
func (s Status) writeHosts(w io.Writer) {
	hosts := slices.Clone(s.Feed.HostStates)
	slices.SortStableFunc(hosts, func(a, b feed.HostState) int {
		return cmp.Or(b.Waiting-a.Waiting, b.Down.Compare(a.Down), b.Sessions-a.Sessions)
	})
	if len(hosts) == 0 {
		return
	}
	fmt.Fprintln(w, "\nHosts")
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "  WAITING\tSESSIONS\tHOST\tSTATE")
	for _, h := range hosts[:min(len(hosts), hostLines)] {
		fmt.Fprintf(t, "  %d\t%d of %d\t%s\t%s\n", h.Waiting, h.Sessions, h.Cap, h.Name, hostState(h, s.Now))
	}
	t.Flush()
	if more := len(hosts) - hostLines; more > 0 {
		fmt.Fprintf(w, "  and %s; smtpfeed status --json has all\n", count(more, "more host"))
	}
}

// hostState says what is remembered of a host.
func hostState(h feed.HostState, now time.Time) string {
	var words []string
	if h.Policy != "" && h.Policy != "opportunistic" {
		words = append(words, "TLS: "+wire.Clean(h.Policy, 120))
	}
	if h.Down.After(now) {
		words = append(words, fmt.Sprintf("down for %s: %s", h.Down.Sub(now).Round(time.Second), wire.Clean(h.Reason, 120)))
	}
	if h.Learned != "" {
		words = append(words, h.Learned)
	}
	return strings.Join(words, "; ")
}

// count is "1 host" or "2 hosts".
func count[T int | uint64](n T, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if stem, ok := strings.CutSuffix(thing, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// octets is a size with a unit a person reads.
func octets(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	default:
		return fmt.Sprintf("%d octets", n)
	}
}

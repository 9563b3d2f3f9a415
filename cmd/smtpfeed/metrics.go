package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/ledger"
	"github.com/smtpfeed/smtpfeed/feed/tlsrpt"
	"github.com/smtpfeed/smtpfeed/lmtp"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

// sampleTimeout is how long the feeder's loop has to answer. It does within milliseconds; a monitor shall not hang when it does not.
const sampleTimeout = 5 * time.Second

// A sample is the counters and gauges of all parts at one moment.
type sample struct {
	feed     feed.Snapshot
	dns      resolver.Stats
	lmtp     lmtp.Stats
	ledger   ledger.Stats // zero without one
	sts      sts.Stats    // likewise
	reports  tlsrpt.Stats // likewise
	turned   uint64       // connections refused by lmtp.peers
	records  recordState
	draining bool
}

// sample asks every part; ok is false when the feeder did not answer.
func (d *daemon) sample(ctx context.Context) (s sample, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	s.dns, s.lmtp, s.draining = d.delivery.resolver.Stats(), d.delivery.lmtp.Stats(), d.draining.Load()
	s.records = d.delivery.records.current()
	s.turned = d.peers.Refused()
	if d.delivery.ledger != nil {
		s.ledger = d.delivery.ledger.Stats()
	}
	s.sts, s.reports = d.delivery.tlsStats()
	var err error
	s.feed, err = d.delivery.feeder.Snapshot(ctx)
	return s, err == nil
}

// A metric is one line of /metrics. None has a label: whatever mail comes, their number stays the same.
type metric struct {
	name, help string
	kind       prometheus.ValueType
	read       func(*sample) float64
}

// A collector makes metrics of samples when they are asked for, so that counting costs nothing while nobody looks.
type collector struct {
	take    func(context.Context) (sample, bool)
	up      *prometheus.Desc
	metrics []metric
	descs   []*prometheus.Desc // of metrics, by index
}

func newCollector(take func(context.Context) (sample, bool)) *collector {
	c := &collector{take: take, metrics: allMetrics()}
	c.up = prometheus.NewDesc("smtpfeed_up", "1 when the delivery loop answers.", nil, nil)
	for _, m := range c.metrics {
		c.descs = append(c.descs, prometheus.NewDesc(m.name, m.help, nil, nil))
	}
	return c
}

// Describe is part of prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.up
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect takes one sample. Without an answer of the loop only smtpfeed_up is there: a gap is honest, a zero is not.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s, ok := c.take(context.Background())
	if !ok {
		ch <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, 0)
		return
	}
	ch <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, 1)
	for i, m := range c.metrics {
		ch <- prometheus.MustNewConstMetric(c.descs[i], m.kind, m.read(&s))
	}
}

// allMetrics are the metrics of all parts.
func allMetrics() []metric {
	var all []metric
	all = append(all, queueMetrics()...)
	all = append(all, outcomeMetrics()...)
	all = append(all, smtpMetrics()...)
	all = append(all, tlsMetrics()...)
	all = append(all, dnsMetrics()...)
	all = append(all, lmtpMetrics()...)
	all = append(all, ledgerMetrics()...)
	return all
}

// gauge makes a metric of something that goes up and down.
func gauge[T int | int64](name, help string, read func(*sample) T) metric {
	return metric{"smtpfeed_" + name, help, prometheus.GaugeValue, func(s *sample) float64 { return float64(read(s)) }}
}

// counter makes a metric of something that only grows.
func counter(name, help string, read func(*sample) uint64) metric {
	return metric{"smtpfeed_" + name + "_total", help, prometheus.CounterValue, func(s *sample) float64 { return float64(read(s)) }}
}

// oneIf is 1 for true, as Prometheus wants it.
func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// queueMetrics are what the feeder holds now.
func queueMetrics() []metric {
	return []metric{
		gauge("messages", "Distinct messages with an unsettled recipient.", func(s *sample) int { return s.feed.Messages }),
		gauge("envelopes", "Envelopes with an unsettled recipient.", func(s *sample) int { return s.feed.Envelopes }),
		gauge("recipients", "Unsettled recipients.", func(s *sample) int { return s.feed.Recipients }),
		gauge("resolving", "Domains being looked up.", func(s *sample) int { return s.feed.Resolving }),
		gauge("hosts", "Hosts known: with recipients, sessions or something remembered.", func(s *sample) int { return s.feed.Hosts }),
		gauge("hosts_down", "Hosts not tried for now because they could not be reached.", func(s *sample) int { return s.feed.HostsDown }),
		gauge("hosts_saturated", "Hosts that wait for the process's session budget.", func(s *sample) int { return s.feed.Saturated }),
		gauge("sessions", "SMTP sessions open or being opened.", func(s *sample) int { return s.feed.Sessions }),
		gauge("sessions_idle", "SMTP sessions without a transaction.", func(s *sample) int { return s.feed.Idle }),
		gauge("remembered", "Recipients delivered whose replies the host MTA is not known to have read.", func(s *sample) int { return s.feed.Remembered }),
		gauge("unwritten", "Recipients whose host MTA is told when the ledger has their delivery.", func(s *sample) int { return s.feed.Unwritten }),
		gauge("draining", "1 while the daemon ends.", func(s *sample) int { return oneIf(s.draining) }),
	}
}

// outcomeMetrics are what became of the mail.
func outcomeMetrics() []metric {
	return []metric{
		counter("envelopes", "Envelopes taken from host MTAs.", func(s *sample) uint64 { return s.feed.EnvelopesTotal }),
		counter("messages", "Messages; envelopes joined into one count once.", func(s *sample) uint64 { return s.feed.MessagesTotal }),
		counter("recipients", "Recipients taken from host MTAs.", func(s *sample) uint64 { return s.feed.RecipientsTotal }),
		counter("delivered", "Recipients delivered.", func(s *sample) uint64 { return s.feed.Delivered }),
		counter("deferred", "Recipients the host MTA keeps.", func(s *sample) uint64 { return s.feed.Deferred }),
		counter("failed", "Recipients the host MTA bounces.", func(s *sample) uint64 { return s.feed.Failed }),
		counter("uncertain", "Recipients deferred although they may have been delivered.", func(s *sample) uint64 { return s.feed.Uncertain }),
		counter("recalled", "Recipients delivered in an earlier attempt, answered from the ledger.", func(s *sample) uint64 { return s.feed.Recalled }),
		counter("unkept", "Recipients whose host MTA was told before the ledger had their delivery.", func(s *sample) uint64 { return s.feed.Unkept }),
		counter("curbed", "Recipients no longer remembered because there were more than ledger.recipients.", func(s *sample) uint64 { return s.feed.Curbed }),
		counter("regrouped", "Recipients that moved to another host.", func(s *sample) uint64 { return s.feed.Regrouped }),
		counter("records_written", "Delivery records written before their recipients were answered.", func(s *sample) uint64 { return s.records.Written }),
		counter("records_lost", "Delivery records that could not be written, or that mail did not wait for.", func(s *sample) uint64 { return s.records.Lost }),
		counter("records_late", "Delivery records counted as lost that were written after all.", func(s *sample) uint64 { return s.records.Late }),
		gauge("records_failing", "1 while delivery records cannot be written.", func(s *sample) int { return oneIf(s.records.Trouble != "") }),
	}
}

// smtpMetrics are how it was sent.
func smtpMetrics() []metric {
	return []metric{
		counter("lookups", "Routes asked of the resolver.", func(s *sample) uint64 { return s.feed.Lookups }),
		counter("dials", "Connections tried.", func(s *sample) uint64 { return s.feed.Dials }),
		counter("lanes_gathered", "Times that recipients at a host waited for more of their message to be handed over or resolved.", func(s *sample) uint64 { return s.feed.Gathered }),
		counter("dials_ahead", "Connections begun before the host MTA's final dot.", func(s *sample) uint64 { return s.feed.Ahead }),
		counter("hedges", "Connections begun beside one that did not answer.", func(s *sample) uint64 { return s.feed.Hedges }),
		counter("dials_failed", "Connections that could not be made.", func(s *sample) uint64 { return s.feed.DialsFailed }),
		counter("sessions", "SMTP sessions that reached the end of EHLO.", func(s *sample) uint64 { return s.feed.SessionsTotal }),
		counter("sessions_reused", "Transactions on a session that had carried one before.", func(s *sample) uint64 { return s.feed.SessionsReused }),
		counter("sessions_evicted", "Idle sessions closed because the session budget of the process or the host was full.", func(s *sample) uint64 { return s.feed.SessionsEvicted }),
		counter("sessions_stale", "Reused sessions that turned out dead and were replaced.", func(s *sample) uint64 { return s.feed.Stale }),
		counter("sessions_retired", "Sessions closed because the host takes only so many messages or domains a session, or to make room for another policy.", func(s *sample) uint64 { return s.feed.SessionsRetired }),
		counter("sessions_stuck", "Sessions that made no progress and were given up: faults of ours.", func(s *sample) uint64 { return s.feed.Stuck }),
		counter("probes", "Dials to a host that was down, to see whether it still is.", func(s *sample) uint64 { return s.feed.Probes }),
		counter("shared", "Recipients that an equally preferred host with free hands took over.", func(s *sample) uint64 { return s.feed.Shared }),
		counter("transactions", "SMTP transactions.", func(s *sample) uint64 { return s.feed.Transactions }),
		counter("transactions_pipelined", "Transactions whose MAIL rode behind the previous body.", func(s *sample) uint64 { return s.feed.Pipelined }),
		counter("transactions_chunked", "Transactions whose body goes by BDAT.", func(s *sample) uint64 { return s.feed.Chunked }),
		counter("transactions_personal", "Transactions with an envelope sender of their own (VERP).", func(s *sample) uint64 { return s.feed.Personal }),
		counter("transactions_careful", "Transactions tried again command by command, or by DATA.", func(s *sample) uint64 { return s.feed.Fallbacks }),
		counter("transactions_piggybacked", "Transactions with recipients of several domains.", func(s *sample) uint64 { return s.feed.Piggybacked }),
		counter("transactions_split", "Limits that a host showed, met by cutting the work again.", func(s *sample) uint64 { return s.feed.Splits }),
	}
}

// dnsMetrics are the resolver's.
func dnsMetrics() []metric {
	return []metric{
		gauge("dns_in_flight", "DNS questions on the wire.", func(s *sample) int { return s.dns.InFlight }),
		gauge("dns_window", "DNS questions that may be on the wire.", func(s *sample) int { return s.dns.Window }),
		gauge("dns_cache_entries", "DNS answers kept.", func(s *sample) int { return s.dns.Entries }),
		counter("dns_questions", "DNS questions asked.", func(s *sample) uint64 { return s.dns.Questions }),
		counter("dns_questions_mx", "DNS questions for MX records.", func(s *sample) uint64 { return s.dns.MXQuestions }),
		counter("dns_questions_a", "DNS questions for A records.", func(s *sample) uint64 { return s.dns.AQuestions }),
		counter("dns_questions_aaaa", "DNS questions for AAAA records.", func(s *sample) uint64 { return s.dns.AAAAQuestions }),
		counter("dns_retries", "DNS datagrams sent again.", func(s *sample) uint64 { return s.dns.Retries }),
		counter("dns_truncated", "DNS answers fetched over TCP.", func(s *sample) uint64 { return s.dns.Truncated }),
		counter("dns_timeouts", "DNS questions no server answered in time.", func(s *sample) uint64 { return s.dns.Timeouts }),
		counter("dns_spoofed", "DNS datagrams that answered nothing we asked.", func(s *sample) uint64 { return s.dns.Spoofed }),
		counter("dns_stale", "DNS questions answered by the cache past the TTL, because asking again failed.", func(s *sample) uint64 { return s.dns.Stale }),
		counter("dns_cache_hits", "DNS questions answered by the cache.", func(s *sample) uint64 { return s.dns.CacheHits }),
	}
}

// lmtpMetrics are those of the side of the host MTA.
func lmtpMetrics() []metric {
	return []metric{
		gauge("lmtp_connections", "Connections of host MTAs.", func(s *sample) int { return s.lmtp.Connections }),
		gauge("lmtp_transactions", "LMTP transactions open.", func(s *sample) int { return s.lmtp.Transactions }),
		gauge("lmtp_waiting", "Recipients handed over and not settled.", func(s *sample) int { return s.lmtp.Waiting }),
		gauge("lmtp_bytes", "Octets of message contents held.", func(s *sample) int64 { return s.lmtp.Bytes }),
		gauge("lmtp_bodies", "Distinct message contents held.", func(s *sample) int { return s.lmtp.Bodies }),
		counter("lmtp_connections", "Connections of host MTAs.", func(s *sample) uint64 { return s.lmtp.ConnectionsTotal }),
		counter("lmtp_connections_refused", "Connections of users who are not in lmtp.peers.", func(s *sample) uint64 { return s.turned }),
		counter("lmtp_envelopes", "Envelopes handed over.", func(s *sample) uint64 { return s.lmtp.Envelopes }),
		counter("lmtp_accepted", "Recipients accepted at RCPT.", func(s *sample) uint64 { return s.lmtp.Accepted }),
		counter("lmtp_refused", "Recipients refused at RCPT.", func(s *sample) uint64 { return s.lmtp.Refused }),
		counter("lmtp_shared", "Envelopes whose content was in memory already.", func(s *sample) uint64 { return s.lmtp.Shared }),
		counter("lmtp_hosts_left", "Host MTAs that left before our last reply.", func(s *sample) uint64 { return s.lmtp.HostsLeft }),
		counter("lmtp_over_memory", "Transactions refused because lmtp.memory was full.", func(s *sample) uint64 { return s.lmtp.OverMemory }),
		counter("lmtp_too_large", "Messages larger than lmtp.max_message_size.", func(s *sample) uint64 { return s.lmtp.TooLarge }),
		counter("lmtp_overdue", "Recipients not settled in time: a fault of ours.", func(s *sample) uint64 { return s.lmtp.Overdue }),
		counter("lmtp_crowded", "Times that host MTAs had to wait to be accepted, because of the limit of open files.", func(s *sample) uint64 { return s.lmtp.Crowded }),
		counter("lmtp_panics", "Panics: faults of ours.", func(s *sample) uint64 { return s.lmtp.Panics }),
	}
}

// ledgerMetrics are those of the ledger's file.
func ledgerMetrics() []metric {
	return []metric{
		gauge("ledger_open", "1 while the ledger's file is in use.", func(s *sample) int { return oneIf(s.ledger.Open) }),
		gauge("ledger_messages", "Messages in the ledger's file.", func(s *sample) int { return s.ledger.Messages }),
		gauge("ledger_recipients", "Recipients in the ledger's file.", func(s *sample) int { return s.ledger.Recipients }),
		gauge("ledger_bytes", "Size of the ledger's file.", func(s *sample) int64 { return s.ledger.Bytes }),
		gauge("ledger_queued", "Changes that wait for the ledger's file.", func(s *sample) int { return s.ledger.Queued }),
		counter("ledger_commits", "Changes of the ledger's file.", func(s *sample) uint64 { return uint64(s.ledger.Commits) }),
		counter("ledger_kept", "Recipients written to the ledger.", func(s *sample) uint64 { return uint64(s.ledger.Kept) }),
		counter("ledger_forgotten", "Messages the ledger forgot.", func(s *sample) uint64 { return uint64(s.ledger.Forgotten) }),
		counter("ledger_failures", "Times the ledger's file could not be opened or changed.", func(s *sample) uint64 { return uint64(s.ledger.Failures) }),
		counter("ledger_dropped", "Recipients that were never written to the ledger.", func(s *sample) uint64 { return uint64(s.ledger.Dropped) }),
		counter("ledger_set_aside", "Ledgers that were damaged.", func(s *sample) uint64 { return uint64(s.ledger.SetAside) }),
	}
}

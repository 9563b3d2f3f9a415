package main

import (
	"github.com/smtpfeed/smtpfeed/feed/tlsrpt"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

// tlsMetrics are those of protection: sessions, policies, and what is told of both.
func tlsMetrics() []metric {
	return []metric{
		counter("tls_sessions", "SMTP sessions with TLS.", func(s *sample) uint64 { return s.feed.TLSSessions }),
		counter("tls_resumed", "SMTP sessions whose TLS was resumed.", func(s *sample) uint64 { return s.feed.TLSResumed }),
		counter("tls_verified", "SMTP sessions whose peer has the certificate that a policy wants.", func(s *sample) uint64 { return s.feed.TLSVerified }),
		counter("tls_failed", "Connections that ended over TLS.", func(s *sample) uint64 { return s.feed.TLSFailed }),
		counter("tls_fallbacks", "Connections tried again with a reduced ClientHello, or in plaintext.", func(s *sample) uint64 { return s.feed.TLSFallbacks }),
		counter("dns_questions_tlsa", "DNS questions for TLSA records.", func(s *sample) uint64 { return s.dns.TLSAQuestions }),
		counter("dns_questions_txt", "DNS questions for TXT records.", func(s *sample) uint64 { return s.dns.TXTQuestions }),
		counter("dns_policy_fetches", "MTA-STS policies that routes waited for.", func(s *sample) uint64 { return s.dns.PolicyFetches }),
		gauge("sts_policies", "MTA-STS policies known.", func(s *sample) int { return s.sts.Policies }),
		counter("sts_fetches", "MTA-STS policies fetched, or tried to.", func(s *sample) uint64 { return s.sts.Fetches }),
		counter("sts_failures", "MTA-STS policies that could not be had.", func(s *sample) uint64 { return failures(s.sts) }),
		counter("tls_reports_written", "Reports on TLS written to tls.report.directory.", func(s *sample) uint64 { return s.reports.Written }),
		counter("tls_reports_mailed", "Reports on TLS handed to the host MTA.", func(s *sample) uint64 { return s.reports.Mailed }),
		counter("tls_reports_failed", "Reports on TLS that were wanted and could not be made or mailed.", func(s *sample) uint64 { return s.reports.Failed }),
		counter("notifications", "Deliveries of which smtpfeed notified the sender (lmtp.dsn).", func(s *sample) uint64 { return s.lmtp.Notifications }),
		counter("notifications_failed", "Deliveries of which the sender was not notified although it wanted to be.", func(s *sample) uint64 { return s.lmtp.NotificationsFailed }),
	}
}

// failures are all kinds of them.
func failures(s sts.Stats) (n uint64) {
	for _, count := range s.Failures {
		n += count
	}
	return n
}

// tlsStats asks the parts that not every configuration has.
func (d *delivery) tlsStats() (policies sts.Stats, reports tlsrpt.Stats) {
	if d.policies != nil {
		policies = d.policies.Stats()
	}
	if d.reporter != nil {
		reports = d.reporter.Stats()
	}
	return policies, reports
}

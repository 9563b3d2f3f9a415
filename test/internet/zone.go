package internet

import (
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/miekg/dns"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// A zone answers every question about the world, from the names alone.
type zone struct {
	c           *Config
	port        int          // of the hosts, for the names of TLSA records
	association [32]byte     // of all hosts' TLSA records
	asked       [6]questions // by kind
	tcp         questions    // of all
	soa         []dns.RR     // under negative answers
}

// questions are counted by many readers at once.
type questions = atomic.Int64

// Kinds of questions.
const (
	askedMX = iota
	askedA
	askedAAAA
	askedTXT
	askedTLSA
	askedOther
)

func newZone(c *Config) *zone {
	// RFC 2308 section 5: without the SOA a negative answer cannot be cached.
	soa := &dns.SOA{
		Hdr: dns.RR_Header{Name: "example.", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 300},
		Ns:  "ns.example.", Mbox: "postmaster.example.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: 300,
	}
	return &zone{c: c, soa: []dns.RR{soa}}
}

// answer is a dnssim.Handler.
func (z *zone) answer(q dns.Question, tcp bool) dnssim.Answer {
	z.count(q.Qtype, tcp)
	a := z.facts(q)
	a.AD = z.c.AD
	return a
}

// facts are what the world says.
func (z *zone) facts(q dns.Question) dnssim.Answer {
	name := strings.TrimSuffix(strings.ToLower(q.Name), ".")
	if strings.HasPrefix(name, "_") {
		return z.security(q, name)
	}
	if strings.HasPrefix(name, "servfail") {
		return dnssim.Answer{RCode: dns.RcodeServerFailure}
	}
	if i, ok := domainIndex(name); ok && i < z.c.domains() {
		return z.domain(i, q.Qtype)
	}
	if j, ok := hostIndex(name); ok && j < z.c.hosts() {
		return z.host(j, q.Qtype)
	}
	return dnssim.Answer{RCode: dns.RcodeNameError, Ns: z.soa}
}

func (z *zone) count(qtype uint16, tcp bool) {
	if tcp {
		z.tcp.Add(1)
	}
	kind := askedOther
	switch qtype {
	case dns.TypeMX:
		kind = askedMX
	case dns.TypeA:
		kind = askedA
	case dns.TypeAAAA:
		kind = askedAAAA
	case dns.TypeTXT:
		kind = askedTXT
	case dns.TypeTLSA:
		kind = askedTLSA
	}
	z.asked[kind].Add(1)
}

// forget begins to count anew.
func (z *zone) forget() {
	for i := range z.asked {
		z.asked[i].Store(0)
	}
	z.tcp.Store(0)
}

// domain is about a mail domain: it has MX records and no address.
func (z *zone) domain(i int, qtype uint16) dnssim.Answer {
	answer := dnssim.Answer{TTL: z.c.TTL}
	if qtype != dns.TypeMX {
		answer.Ns = z.soa
		return answer
	}
	for k, j := range z.c.exchangers(i) {
		mx := dnssim.MX{Preference: uint16(10 * (k + 1)), Name: HostName(j) + "."}
		if z.c.isBig(i) {
			mx.Preference = 10
		}
		if z.c.Additional {
			mx.Addrs = []netip.Addr{HostAddr(j)}
		}
		answer.MX = append(answer.MX, mx)
	}
	return answer
}

func (z *zone) host(j int, qtype uint16) dnssim.Answer {
	if qtype != dns.TypeA {
		return dnssim.Answer{TTL: z.c.TTL, Ns: z.soa}
	}
	return dnssim.Answer{TTL: z.c.TTL, Addrs: []netip.Addr{HostAddr(j)}}
}

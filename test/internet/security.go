package internet

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// What the DNS says of a host's certificate (RFC 7672) and of a domain's policy (RFC 8461).

const (
	stsPrefix = "_mta-sts."
	stsRecord = "v=STSv1; id=1;"
	tlsaUnder = "._tcp." // between a port and a host
)

// security answers questions for names that begin with an underscore. Without records such a name does not exist.
func (z *zone) security(q dns.Question, name string) dnssim.Answer {
	rr := z.stsRecord(name)
	if rr == nil {
		rr = z.tlsaRecord(name)
	}
	switch {
	case rr == nil:
		return dnssim.Answer{RCode: dns.RcodeNameError, Ns: z.soa}
	case rr.Header().Rrtype != q.Qtype:
		return dnssim.Answer{Ns: z.soa}
	}
	ttl := z.c.TTL
	if ttl == 0 {
		ttl = 300
	}
	*rr.Header() = dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: ttl}
	return dnssim.Answer{Answer: []dns.RR{rr}}
}

// stsRecord is the one of a name; nil: there is none.
func (z *zone) stsRecord(name string) dns.RR {
	domain, ok := strings.CutPrefix(name, stsPrefix)
	if !ok || !z.c.STS {
		return nil
	}
	if i, ok := domainIndex(domain); !ok || i >= z.c.domains() {
		return nil
	}
	return &dns.TXT{Hdr: dns.RR_Header{Rrtype: dns.TypeTXT}, Txt: []string{stsRecord}}
}

// tlsaRecord is the one of a name, "_25._tcp.mx7.hosts.example"; nil: there is none.
func (z *zone) tlsaRecord(name string) dns.RR {
	port, host, ok := strings.Cut(name, tlsaUnder)
	if !ok || !z.c.TLSA || port != "_"+strconv.Itoa(z.port) {
		return nil
	}
	if j, ok := hostIndex(host); !ok || j >= z.c.hosts() {
		return nil
	}
	return &dns.TLSA{Hdr: dns.RR_Header{Rrtype: dns.TypeTLSA}, Usage: 3, Selector: 1, MatchingType: 1, Certificate: hex.EncodeToString(z.association[:])}
}

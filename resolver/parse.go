package resolver

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Caps on what one answer may make us do.
const (
	maxRecords   = 100 // of each section; the rest is not looked at
	maxExchanges = 16  // the most preferred
	maxHops      = 10  // CNAMEs in a row
	maxTexts     = 20  // TXT records
	maxText      = 4096
)

// parse turns an answer to k into facts. It is pure, believes only records that belong to the question, and leaves to the
// caller to have checked the message's ID, question and TC. Response codes other than NOERROR and NXDOMAIN are failed.
func parse(now time.Time, m *dns.Msg, k key) *facts {
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return failure(now, rcodeName(m.Rcode), "")
	}
	end := chainEnd{name: k.name, ttl: 1<<31 - 1}
	if k.qtype != dns.TypeCNAME {
		end = walk(m.Answer[:min(len(m.Answer), maxRecords)], end)
	}
	switch {
	case slices.ContainsFunc(m.Answer, hollow):
		return failure(now, "record without data", "")
	case slices.ContainsFunc(m.Answer, foreign):
		return failure(now, "record of another class", "")
	case end.hops > maxHops:
		return failure(now, "too many CNAMEs", "")
	case m.Rcode == dns.RcodeNameError:
		// RFC 6604 section 3: behind a CNAME chain the code is about the chain's last name.
		return negative(now, m, noName, end)
	}
	f := &facts{expires: now.Add(maxTTL)}
	end.note(f)
	ttl, n := f.collect(m, end.name, k.qtype)
	if n == 0 {
		return empty(now, m, end)
	}
	f.finishMX(now, m)
	f.addrs = tidy(f.addrs)
	f.expires = now.Add(positiveTTL(min(ttl, end.ttl)))
	return f
}

// rcodeName is "SERVFAIL".
func rcodeName(rcode int) string {
	if s, ok := dns.RcodeToString[rcode]; ok {
		return s
	}
	return "unknown response code"
}

// A chainEnd is where the CNAME records of an answer lead from the question's name.
type chainEnd struct {
	name string // as foldName has it
	hops uint8
	ttl  uint32 // the smallest of the chain's
}

// note writes the chain into the facts of its end.
func (e chainEnd) note(f *facts) {
	if f.hops = e.hops; e.hops > 0 {
		f.follow = e.name
	}
}

// walk follows CNAMEs from the question's name whatever the order of the records: load balancers shuffle them. DNAME records
// need no step of their own: the server adds the CNAME (RFC 6672 section 3.1). A circle ends past maxHops.
func walk(records []dns.RR, end chainEnd) chainEnd {
	for end.hops <= maxHops {
		target, ok := cname(records, end.name)
		if !ok {
			return end
		}
		end.name = foldName(target.Target)
		end.ttl = min(end.ttl, secondsOf(target))
		end.hops++
	}
	return end
}

func cname(records []dns.RR, owner string) (*dns.CNAME, bool) {
	for _, rr := range records {
		if c, ok := rr.(*dns.CNAME); ok && belongs(rr, owner) {
			return c, true
		}
	}
	return nil, false
}

// collect reads the records of the type asked at the chain's end: the smallest TTL and how many there are. An MX record
// counts even if it is "."; an address that cannot be used counts as none.
func (f *facts) collect(m *dns.Msg, owner string, qtype uint16) (ttl uint32, n int) {
	ttl = 1<<31 - 1
	for _, rr := range m.Answer[:min(len(m.Answer), maxRecords)] {
		if rr.Header().Rrtype != qtype || !belongs(rr, owner) {
			continue
		}
		if f.take(rr) {
			ttl = min(ttl, secondsOf(rr))
			n++
		}
	}
	return ttl, n
}

// take adds a record's data; false: it counts as none.
func (f *facts) take(rr dns.RR) bool {
	switch rr := rr.(type) {
	case *dns.MX:
		f.mx = append(f.mx, newExchange(rr))
		return true
	case *dns.TLSA:
		return f.takeTLSA(rr)
	case *dns.TXT:
		return f.takeText(rr)
	case *dns.CNAME:
		return true
	}
	addr, ok := address(rr)
	if ok {
		f.addrs = append(f.addrs, addr)
	}
	return ok
}

// empty tells the three meanings of an answer without the records asked apart.
func empty(now time.Time, m *dns.Msg, end chainEnd) *facts {
	soa := findSOA(m)
	// RFC 2308 section 2.2: NODATA has an answer section without records, or with CNAMEs only. Records of other names say that the server is
	// confused, not that this one has none.
	if len(m.Answer) > 0 && end.hops == 0 && !slices.ContainsFunc(m.Answer, func(rr dns.RR) bool { return belongs(rr, end.name) }) {
		return failure(now, "records of other names only", "")
	}
	if end.hops > 0 && soa == nil {
		if reason := checkName(end.name); reason != "" {
			return failure(now, "CNAME to a name that is none: "+reason, "")
		}
		f := &facts{status: alias, expires: now.Add(positiveTTL(end.ttl))}
		end.note(f)
		return f
	}
	// RFC 2308 section 2.2: NS records without a SOA are a referral. The server does not recurse; it did not say NODATA.
	if soa == nil && slices.ContainsFunc(m.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeNS }) {
		return failure(now, "referral: the server does not recurse", "")
	}
	return negative(now, m, noData, end)
}

// negative is an answer that something does not exist, with the life its SOA record gives it.
func negative(now time.Time, m *dns.Msg, s status, end chainEnd) *facts {
	ttl := noSOA
	if soa := findSOA(m); soa != nil {
		ttl = negativeTTL(soa.Hdr.Ttl, soa.Minttl)
	}
	f := &facts{status: s, expires: now.Add(ttl)}
	end.note(f)
	return f
}

func findSOA(m *dns.Msg) *dns.SOA {
	for _, rr := range m.Ns[:min(len(m.Ns), maxRecords)] {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa
		}
	}
	return nil
}

// finishMX sorts the exchangers, recognises the null MX, and reads the additional section for those that are left.
func (f *facts) finishMX(now time.Time, m *dns.Msg) {
	if len(f.mx) == 0 {
		return
	}
	// RFC 7505 section 3: a domain with a null MX "MUST NOT advertise any other MX RR". If it does, the others count.
	hosts := slices.DeleteFunc(f.mx, func(x exchange) bool { return x.host == "" })
	if len(hosts) == 0 {
		f.mx, f.status = nil, nullMX
		return
	}
	f.mx = sortExchanges(hosts)
	f.hints = hints(now, m, f.mx)
}

// sortExchanges orders by preference, keeps a host named twice at its better preference, and cuts at maxExchanges.
func sortExchanges(xs []exchange) []exchange {
	slices.SortFunc(xs, func(a, b exchange) int {
		return cmp.Or(cmp.Compare(a.preference, b.preference), strings.Compare(a.host, b.host))
	})
	kept := xs[:0]
	for _, x := range xs {
		same := func(y exchange) bool { return y.host == x.host }
		if len(kept) < maxExchanges && !slices.ContainsFunc(kept, same) {
			kept = append(kept, x)
		}
	}
	return slices.Clip(kept)
}

// newExchange reads an MX record. Some name an address where RFC 1035 section 3.3.9 wants a host; it is clear what is meant.
func newExchange(mx *dns.MX) exchange {
	x := exchange{preference: mx.Preference, host: foldName(mx.Mx)}
	if x.host == "" {
		return x
	}
	if addr, err := netip.ParseAddr(x.host); err == nil && addr.Is4() {
		x.addr, x.host = addr, literal(addr)
		return x
	}
	x.invalid = checkName(x.host)
	return x
}

// hints gathers addresses of the exchangers from the additional section; records of other names are ignored.
func hints(now time.Time, m *dns.Msg, xs []exchange) []hint {
	var hs []hint
	for _, rr := range m.Extra[:min(len(m.Extra), maxRecords)] {
		addr, ok := address(rr)
		if !ok || rr.Header().Class != dns.ClassINET {
			continue
		}
		k := key{foldName(rr.Header().Name), rr.Header().Rrtype}
		if !slices.ContainsFunc(xs, func(x exchange) bool { return x.host == k.name }) {
			continue
		}
		hs = addHint(hs, k, addr, now.Add(positiveTTL(rr.Header().Ttl)))
	}
	for i := range hs {
		hs[i].addrs = tidy(hs[i].addrs)
	}
	return hs
}

func addHint(hs []hint, k key, addr netip.Addr, expires time.Time) []hint {
	for i := range hs {
		if hs[i].key == k {
			hs[i].addrs = append(hs[i].addrs, addr)
			if expires.Before(hs[i].expires) {
				hs[i].expires = expires
			}
			return hs
		}
	}
	return append(hs, hint{key: k, addrs: []netip.Addr{addr}, expires: expires})
}

// address reads an A or AAAA record. An IPv4 address inside an AAAA record is none: it could only be dialled as IPv4, past
// what was configured for that family.
func address(rr dns.RR) (netip.Addr, bool) {
	switch rr := rr.(type) {
	case *dns.A:
		addr, ok := netip.AddrFromSlice(rr.A.To4())
		return addr, ok
	case *dns.AAAA:
		addr, ok := netip.AddrFromSlice(rr.AAAA)
		return addr, ok && addr.Is6() && !addr.Is4In6()
	}
	return netip.Addr{}, false
}

// hollow says that a record has no data, or is an MX record that ends behind its preference. The codec lets both pass, and they would
// look like a null MX, for which the codec has ".": a bounce for what is a broken server. A TLSA record without data is unusable as
// others are, and says all the same that there is TLS.
func hollow(rr dns.RR) bool {
	switch rr := rr.(type) {
	case *dns.MX:
		return rr.Hdr.Rdlength == 0 || rr.Mx == ""
	case *dns.TLSA:
		return false
	}
	return rr.Header().Rdlength == 0
}

// foreign says that a record is of another class than that of the internet, which is what was asked.
func foreign(rr dns.RR) bool { return rr.Header().Class != dns.ClassINET }

// belongs says that a record is about the name, in the class of the internet.
func belongs(rr dns.RR, owner string) bool {
	return rr.Header().Class == dns.ClassINET && foldName(rr.Header().Name) == owner
}

// foldName brings a name of the codec (escaped, in the sender's case, with the final dot) to our form.
func foldName(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

func secondsOf(rr dns.RR) uint32 {
	if ttl := rr.Header().Ttl; ttl&(1<<31) == 0 {
		return ttl
	}
	return 0
}

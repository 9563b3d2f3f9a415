package resolver

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// maxScanned is how many answer records scan reads; they are below every cap that parse applies.
const maxScanned = maxExchanges

// scan reads an answer of the plain kind, which nearly all are: only records of the type asked, of the name asked, and addresses in
// the additional section; or nothing but the SOA record that says there are none. Nil leaves the answer to the codec and to parse, and so does everything odd: that is the one place
// that judges it. What scan returns is what parse would, in a third of the time
// and with a tenth of the allocations; the caller has compared the question.
func scan(now time.Time, msg []byte, k key) *facts {
	s := scanner{msg: msg, at: headerSize + k.sectionSize()}
	count := func(i int) int { return int(binary.BigEndian.Uint16(msg[i:])) }
	answers, authorities, additional := count(6), count(8), count(10)
	if answers == 0 && authorities == 1 {
		return s.negative(now, int(msg[3]&rcodeMask), additional)
	}
	if !k.scanned() || msg[3]&rcodeMask != 0 || answers == 0 || answers > maxScanned || authorities > 0 || additional > maxRecords {
		return nil
	}
	f := s.newFacts(additional > 1)
	ttl, ok := s.answers(f, k, answers)
	if !ok || !s.additional(now, f, additional) {
		return nil
	}
	for i := range f.hints {
		f.hints[i].addrs = tidy(f.hints[i].addrs)
	}
	f.addrs = tidy(f.addrs)
	f.expires = now.Add(positiveTTL(ttl))
	return f
}

// negative reads an answer that says by a SOA record that there are no records of the type, or no such name (RFC 2308 section 2). Most
// domains answer so when they are asked for an MTA-STS record or an IPv6 address.
func (s *scanner) negative(now time.Time, rcode, additional int) *facts {
	f := &facts{status: noData}
	if rcode == dns.RcodeNameError {
		f.status = noName
	}
	r, ok := s.record()
	if !ok || rcode != dns.RcodeSuccess && rcode != dns.RcodeNameError || additional > maxRecords ||
		r.rtype != dns.TypeSOA || r.class != dns.ClassINET {
		return nil
	}
	var primary, mailbox name
	data := s.msg[:r.end]
	at := primary.read(data, r.start)
	if at > 0 {
		at = mailbox.read(data, at)
	}
	const numbers = 20 // octets, behind the names; the last four are the minimum (RFC 1035 section 3.3.13)
	if at < 0 || at+numbers != r.end || !s.additional(now, f, additional) {
		return nil
	}
	f.expires = now.Add(negativeTTL(r.ttl, binary.BigEndian.Uint32(data[r.end-4:])))
	return f
}

// scanned says that the question is of those that scan reads the answers to.
func (k key) scanned() bool {
	return k.qtype == dns.TypeMX || k.qtype == dns.TypeA || k.qtype == dns.TypeAAAA
}

// A roomy is facts with room for what most answers with additional records hold, so that they are one object.
type roomy struct {
	facts
	firstMX    [1]exchange
	firstHints [2]hint
	hintAddrs  [2]netip.Addr
}

// newFacts makes room for hints if there will be any: an OPT record alone gives none.
func (s *scanner) newFacts(hints bool) *facts {
	if !hints {
		return new(facts)
	}
	r := new(roomy)
	r.mx, r.hints, s.addrs = r.firstMX[:0], r.firstHints[:0], r.hintAddrs[:0]
	return &r.facts
}

// tidy sorts addresses and removes what stands twice.
func tidy(addrs []netip.Addr) []netip.Addr {
	if len(addrs) < 2 {
		return addrs
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

// A scanner walks over a message.
type scanner struct {
	msg   []byte
	at    int
	owner name         // of the record read last
	addrs []netip.Addr // of the hints so far, one each
}

// A record is the fixed part of a resource record (RFC 1035 section 4.1.3).
type record struct {
	rtype uint16
	class uint16
	ttl   uint32
	start int // of the data
	end   int
}

// answers reads the answer section and returns the smallest TTL.
func (s *scanner) answers(f *facts, k key, n int) (ttl uint32, ok bool) {
	ttl = 1<<31 - 1
	for range n {
		r, ok := s.record()
		if !ok || r.rtype != k.qtype || r.class != dns.ClassINET || string(s.owner.text()) != k.name || !s.answer(f, r) {
			return 0, false
		}
		if r.ttl&(1<<31) != 0 { // RFC 2181 section 8
			r.ttl = 0
		}
		ttl = min(ttl, r.ttl)
	}
	if k.qtype == dns.TypeMX {
		f.mx = sortExchanges(f.mx)
	}
	return ttl, true
}

// answer reads the data of one answer record.
func (s *scanner) answer(f *facts, r record) bool {
	if r.rtype == dns.TypeMX {
		x, ok := s.exchange(r)
		f.mx = append(f.mx, x)
		return ok
	}
	addr, ok := s.address(r)
	f.addrs = append(f.addrs, addr)
	return ok
}

// exchange reads an MX record that names a host.
func (s *scanner) exchange(r record) (exchange, bool) {
	var host name
	if r.end-r.start < 3 || host.read(s.msg[:r.end], r.start+2) != r.end || !host.isHost() {
		return exchange{}, false
	}
	return exchange{preference: binary.BigEndian.Uint16(s.msg[r.start:]), host: string(host.text())}, true
}

// address reads an A or AAAA record; false for other types too.
func (s *scanner) address(r record) (netip.Addr, bool) {
	data := s.msg[r.start:r.end]
	switch {
	case r.class != dns.ClassINET:
		return netip.Addr{}, false
	case r.rtype == dns.TypeA && len(data) == 4:
		return netip.AddrFrom4([4]byte(data)), true
	case r.rtype == dns.TypeAAAA && len(data) == 16:
		addr := netip.AddrFrom16([16]byte(data))
		return addr, !addr.Is4In6()
	}
	return netip.Addr{}, false
}

// additional reads addresses of exchangers from the additional section; false: something there is for the codec.
func (s *scanner) additional(now time.Time, f *facts, n int) bool {
	for range n {
		r, ok := s.record()
		if !ok {
			return false
		}
		if r.rtype == dns.TypeOPT {
			// An OPT record holds bits of the response code (RFC 6891 section 6.1.3), and options are the codec's.
			if r.ttl>>24 != 0 || r.start != r.end || len(s.owner.text()) > 0 {
				return false
			}
			continue
		}
		addr, ok := s.address(r)
		if !ok {
			return false
		}
		i := slices.IndexFunc(f.mx, func(x exchange) bool { return x.host == string(s.owner.text()) })
		if i < 0 {
			continue
		}
		s.hint(f, key{f.mx[i].host, r.rtype}, addr, now.Add(positiveTTL(r.ttl)))
	}
	return true
}

// hint adds an address. The first of each host and family stand in one array.
func (s *scanner) hint(f *facts, k key, addr netip.Addr, expires time.Time) {
	if slices.ContainsFunc(f.hints, func(h hint) bool { return h.key == k }) {
		f.hints = addHint(f.hints, k, addr, expires)
		return
	}
	s.addrs = append(s.addrs, addr)
	f.hints = append(f.hints, hint{key: k, addrs: slices.Clip(s.addrs[len(s.addrs)-1:]), expires: expires})
}

// record reads a record up to its data and steps over it.
func (s *scanner) record() (record, bool) {
	at := s.owner.read(s.msg, s.at)
	if at < 0 || len(s.msg) < at+10 {
		return record{}, false
	}
	fixed := s.msg[at:]
	r := record{
		rtype: binary.BigEndian.Uint16(fixed),
		class: binary.BigEndian.Uint16(fixed[2:]),
		ttl:   binary.BigEndian.Uint32(fixed[4:]),
		start: at + 10,
	}
	r.end = r.start + int(binary.BigEndian.Uint16(fixed[8:]))
	s.at = r.end
	return r, r.end <= len(s.msg)
}

// A name is a domain name in our text form: lower case, no trailing dot. Only names whose octets a host name may have are read.
type name struct {
	octets [maxName + 1]byte
	n      int // with the trailing dot
}

func (n *name) text() []byte { return n.octets[:max(n.n-1, 0)] }

// maxJumps bounds compression; names as servers write them jump once or twice.
const maxJumps = 8

// read reads the name at an offset and returns where the message goes on behind it; negative: not one of those.
func (n *name) read(msg []byte, at int) int {
	end, jumps := -1, 0
	n.n = 0
	for at < len(msg) {
		size := int(msg[at])
		switch {
		case size == 0:
			if jumps == 0 {
				end = at + 1
			}
			return end
		case size <= maxLabel:
			if !n.label(msg, at+1, size) {
				return -1
			}
			at += 1 + size
			continue
		case size < 0xc0 || at+1 >= len(msg) || jumps == maxJumps:
			return -1
		}
		if jumps == 0 {
			end = at + 2
		}
		jumps++
		at = (size&0x3f)<<8 | int(msg[at+1])
	}
	return -1
}

// label appends a label and its dot.
func (n *name) label(msg []byte, at, size int) bool {
	if at+size > len(msg) || n.n+size+1 > len(n.octets) {
		return false
	}
	for _, c := range msg[at : at+size] {
		c = lower(c)
		if notHostByte(rune(c)) {
			return false
		}
		n.octets[n.n] = c
		n.n++
	}
	n.octets[n.n] = '.'
	n.n++
	return true
}

// isHost says that the name is a host's for certain. One that ends in a digit may be an address, which is for parse.
func (n *name) isHost() bool {
	text := n.text()
	if len(text) == 0 || '0' <= text[len(text)-1] && text[len(text)-1] <= '9' {
		return false
	}
	for i, c := range text {
		if c == '-' && (i == 0 || i == len(text)-1 || text[i-1] == '.' || text[i+1] == '.') {
			return false // a label begins or ends with a hyphen: parse says so
		}
	}
	return true
}

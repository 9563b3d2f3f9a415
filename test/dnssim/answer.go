package dnssim

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// An Answer is what the server does about one question.
type Answer struct {
	RCode             int
	AD                bool // DNSSEC holds for all of it: said to askers who set AD or DO (RFC 6840 sections 5.7 and 5.8)
	Answer, Ns, Extra []dns.RR

	// The fast way: records of the question's name, packed by hand. They stand before those above.
	Addrs []netip.Addr // those of the question's family become A or AAAA records
	MX    []MX         // MX records of a question for MX, with their Addrs in the additional section
	TTL   uint32       // of Addrs and MX; 0: 300

	Truncate bool          // over UDP: set TC and keep only the first record
	Drop     bool          // say nothing
	Delay    time.Duration // on top of the server's
	Garbage  [][]byte      // datagrams sent before the answer
	Forged   [][]byte      // the same, with the question's ID in their first two bytes
	Raw      []byte        // sent instead of all records, with the question's ID in its first two bytes
	NoOPT    bool          // leave the OPT record out
}

// An MX is one mail exchanger of an Answer.
type MX struct {
	Preference uint16
	Name       string
	Addrs      []netip.Addr // additional records
}

// A Handler answers a question; q.Name has its final dot and the asker's case.
type Handler func(q dns.Question, tcp bool) Answer

const (
	headerSize = 12
	plainSize  = 512 // what fits without EDNS (RFC 1035 section 4.2.1)
	defaultTTL = 300
	bitAD      = 0x20 // of a header's fourth octet
	bitDO      = 0x80 // of the third octet of an OPT record's TTL
)

// A query is a question as it came.
type query struct {
	question dns.Question
	section  []byte // header and question, as they came
	size     int    // what the asker takes over UDP
	edns     bool
	wantsAD  bool
}

// readQuery returns false for what is no single question.
func readQuery(msg []byte) (query, bool) {
	if len(msg) < headerSize || msg[2]&0x80 != 0 || binary.BigEndian.Uint16(msg[4:]) != 1 {
		return query{}, false
	}
	name, end, err := dns.UnpackDomainName(msg, headerSize)
	if err != nil || len(msg) < end+4 {
		return query{}, false
	}
	q := query{section: msg[:end+4], size: plainSize}
	q.wantsAD = msg[3]&bitAD != 0
	q.question = dns.Question{Name: name, Qtype: binary.BigEndian.Uint16(msg[end:]), Qclass: binary.BigEndian.Uint16(msg[end+2:])}
	// An OPT record stands first and alone in what resolvers send: root name, then its type.
	if rest := msg[end+4:]; len(rest) >= 11 && rest[0] == 0 && binary.BigEndian.Uint16(rest[1:]) == dns.TypeOPT {
		q.edns = true
		q.size = max(int(binary.BigEndian.Uint16(rest[3:])), plainSize)
		q.wantsAD = q.wantsAD || rest[7]&bitDO != 0
	}
	return q, true
}

// A packer appends records to a message until the limit.
type packer struct {
	buf    []byte
	limit  int
	full   bool
	counts [3]uint16
}

// strays returns the datagrams that precede the answer.
func (a *Answer) strays(q query) [][]byte {
	strays := slices.Clone(a.Garbage)
	for _, f := range a.Forged {
		f = slices.Clone(f)
		copy(f, q.section[:min(2, len(f))])
		strays = append(strays, f)
	}
	return strays
}

// pack appends the answer's message to buf.
func (a *Answer) pack(buf []byte, q query, tcp bool) []byte {
	if a.Raw != nil {
		buf = append(buf, a.Raw...)
		copy(buf, q.section[:min(2, len(buf))])
		return buf
	}
	p := &packer{buf: append(buf, q.section...), limit: q.size}
	if tcp {
		p.limit = 1<<16 - 1
	}
	a.records(p, q.question, a.Truncate && !tcp)
	bits := uint16(0x8180) | uint16(a.RCode&15) // QR, RD, RA
	if p.full {
		bits |= 0x0200
	}
	if a.AD && q.wantsAD {
		bits |= bitAD
	}
	if q.edns && !a.NoOPT && len(p.buf)+11 <= p.limit {
		p.buf = append(p.buf, 0, 0, 41, 4, 208, byte(a.RCode>>4), 0, 0, 0, 0, 0)
		p.counts[2]++
	}
	binary.BigEndian.PutUint16(p.buf[2:], bits)
	for i, n := range p.counts {
		binary.BigEndian.PutUint16(p.buf[6+2*i:], n)
	}
	return p.buf
}

func (a *Answer) records(p *packer, q dns.Question, truncate bool) {
	a.fast(p, q)
	for _, rr := range a.Answer {
		p.rr(0, rr)
	}
	if truncate {
		p.full = true
	}
	for _, rr := range a.Ns {
		p.rr(1, rr)
	}
	if q.Qtype == dns.TypeMX {
		for _, mx := range a.MX {
			for _, addr := range mx.Addrs {
				p.record(2, packName(nil, mx.Name), addrType(addr), a.ttl(), addr.AsSlice())
			}
		}
	}
	for _, rr := range a.Extra {
		p.rr(2, rr)
	}
	if truncate {
		p.cut(q)
	}
}

// fast packs Addrs and MX with a pointer to the question's name.
func (a *Answer) fast(p *packer, q dns.Question) {
	name := []byte{0xc0, headerSize}
	for _, addr := range a.Addrs {
		if addrType(addr) == q.Qtype {
			p.record(0, name, q.Qtype, a.ttl(), addr.AsSlice())
		}
	}
	if q.Qtype != dns.TypeMX {
		return
	}
	for _, mx := range a.MX {
		p.record(0, name, dns.TypeMX, a.ttl(), packName(binary.BigEndian.AppendUint16(nil, mx.Preference), mx.Name))
	}
}

func (a *Answer) ttl() uint32 {
	if a.TTL == 0 {
		return defaultTTL
	}
	return a.TTL
}

func (p *packer) record(section int, name []byte, rtype uint16, ttl uint32, data []byte) {
	if p.full || len(p.buf)+len(name)+10+len(data) > p.limit {
		p.full = p.full || section == 0 // RFC 2181 section 9: TC is about what was asked, not about additional records
		return
	}
	p.buf = append(p.buf, name...)
	p.buf = binary.BigEndian.AppendUint16(p.buf, rtype)
	p.buf = binary.BigEndian.AppendUint16(p.buf, dns.ClassINET)
	p.buf = binary.BigEndian.AppendUint32(p.buf, ttl)
	p.buf = binary.BigEndian.AppendUint16(p.buf, uint16(len(data)))
	p.buf = append(p.buf, data...)
	p.counts[section]++
}

func (p *packer) rr(section int, rr dns.RR) {
	if p.full {
		return
	}
	rr = dns.Copy(rr) // the codec writes to the record, and zones share theirs
	packed := make([]byte, dns.Len(rr)+1)
	n, err := dns.PackRR(rr, packed, 0, nil, false)
	if err != nil {
		panic("BUG: dnssim: " + err.Error() + " in " + rr.String())
	}
	if len(p.buf)+n > p.limit {
		p.full = p.full || section == 0
		return
	}
	p.buf = append(p.buf, packed[:n]...)
	p.counts[section]++
}

// cut leaves one answer record of a truncated message: the partial set that nobody may use.
func (p *packer) cut(q dns.Question) {
	end := len(packName(nil, q.Name)) + headerSize + 4
	if p.counts[0] > 0 {
		if _, next, err := dns.UnpackRR(p.buf, end); err == nil {
			end = next
		}
		p.counts[0] = 1
	}
	p.buf = p.buf[:end]
}

func addrType(a netip.Addr) uint16 {
	if a.Is4() {
		return dns.TypeA
	}
	return dns.TypeAAAA
}

// packName appends a name without compression; it has no escapes.
func packName(buf []byte, name string) []byte {
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label != "" {
			buf = append(buf, byte(len(label)))
			buf = append(buf, label...)
		}
	}
	return append(buf, 0)
}

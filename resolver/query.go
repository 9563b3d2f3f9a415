package resolver

import (
	"encoding/binary"
	"strings"

	"github.com/miekg/dns"
)

// Offsets and bits of the header (RFC 1035 section 4.1.1).
const (
	headerSize = 12
	bitQR      = 1 << 15
	bitTC      = 1 << 9
	bitRD      = 1 << 8
	rcodeMask  = 15
)

// udpSize is the answer size we announce (RFC 6891): it fits into one packet on any path, so nothing is lost to fragments.
const udpSize = 1232

// opt is the OPT record of a query: root, type 41, our size, no flags, no data.
const opt = "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"

// packQuery writes a recursive question with ID 0 and an OPT record; end is where the question section ends. The name is one
// that checkName accepts, so there is nothing to unescape and no length to overflow.
func packQuery(k key) (wire []byte, end int) {
	wire = make([]byte, headerSize, headerSize+len(k.name)+2+4+len(opt))
	binary.BigEndian.PutUint16(wire[2:], bitRD)
	binary.BigEndian.PutUint16(wire[4:], 1)  // QDCOUNT
	binary.BigEndian.PutUint16(wire[10:], 1) // ARCOUNT
	for label := range strings.SplitSeq(k.name, ".") {
		wire = append(wire, byte(len(label)))
		wire = append(wire, label...)
	}
	wire = append(wire, 0)
	wire = binary.BigEndian.AppendUint16(wire, k.qtype)
	wire = binary.BigEndian.AppendUint16(wire, dns.ClassINET)
	return append(wire, opt...), len(wire)
}

// setID puts a transmission's ID into a packed query.
func setID(wire []byte, id uint16) { binary.BigEndian.PutUint16(wire, id) }

// withoutEDNS is a copy without the OPT record; the original may be on its way to a socket.
func withoutEDNS(wire []byte, end int) []byte {
	plain := append(make([]byte, 2, end), wire[2:end]...) // the ID's place may be in use
	binary.BigEndian.PutUint16(plain[10:], 0)
	return plain
}

// A header is what is read of an answer before it is unpacked.
type header struct {
	id        uint16
	response  bool
	truncated bool
	rcode     int
	questions int
}

// readHeader returns false for what is no DNS message.
func readHeader(msg []byte) (header, bool) {
	if len(msg) < headerSize {
		return header{}, false
	}
	bits := binary.BigEndian.Uint16(msg[2:])
	return header{
		id:        binary.BigEndian.Uint16(msg),
		response:  bits&bitQR != 0,
		truncated: bits&bitTC != 0,
		rcode:     int(bits & rcodeMask),
		questions: int(binary.BigEndian.Uint16(msg[4:])),
	}, true
}

// answers says that a message with this header is about the question that was packed: same name in any case (some servers
// fold it), same type and class. A server that could not read the question may leave it out of its refusal.
func (h header) answers(msg, wire []byte, end int) bool {
	if h.questions == 0 {
		return h.rcode == dns.RcodeFormatError || h.rcode == dns.RcodeNotImplemented
	}
	if h.questions != 1 || len(msg) < end {
		return false
	}
	for i := headerSize; i < end; i++ {
		if lower(msg[i]) != lower(wire[i]) {
			return false
		}
	}
	return true
}

// lower folds a letter. Length octets are below 64 and our types and class below 'A': folding cannot confuse them.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

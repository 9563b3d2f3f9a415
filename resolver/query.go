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
	bitAD      = 1 << 5 // RFC 4035 section 3.2.3
	rcodeMask  = 15
)

// udpSize is the answer size we announce (RFC 6891): it fits into one packet on any path, so nothing is lost to fragments.
const udpSize = 1232

// opt is the OPT record of a query: root, type 41, our size, no flags, no data.
const opt = "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"

// A form is how a question is put.
type form uint8

const (
	plain  form = 1 << iota // without an OPT record
	wantAD                  // with the AD bit set
)

// appendQuery writes a recursive question, with an OPT record unless its form is plain. The name is one that checkName accepts, so
// there is nothing to unescape and no length to overflow.
//
// RFC 6840 section 5.7: "setting the AD bit in a query" is "a signal indicating that the requester understands and is interested in
// the value of the AD bit in the response". So no DO bit is needed, and answers stay as small as without DNSSEC.
func appendQuery(buf []byte, id uint16, k key, f form) []byte {
	var bits uint16 = bitRD
	if f&wantAD != 0 {
		bits |= bitAD
	}
	additional := byte(1)
	if f&plain != 0 {
		additional = 0
	}
	buf = binary.BigEndian.AppendUint16(buf, id)
	buf = binary.BigEndian.AppendUint16(buf, bits)
	buf = append(buf, 0, 1, 0, 0, 0, 0, 0, additional) // one question
	for name, more := k.name, true; more; {
		var label string
		label, name, more = strings.Cut(name, ".")
		buf = append(buf, byte(len(label)))
		buf = append(buf, label...)
	}
	buf = append(buf, 0, byte(k.qtype>>8), byte(k.qtype), 0, dns.ClassINET)
	if f&plain != 0 {
		return buf
	}
	return append(buf, opt...)
}

// A header is what is read of an answer before it is unpacked.
type header struct {
	id        uint16
	response  bool
	truncated bool
	validated bool // AD: the server says that DNSSEC holds for all of the answer
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
		validated: bits&bitAD != 0,
		rcode:     int(bits & rcodeMask),
		questions: int(binary.BigEndian.Uint16(msg[4:])),
	}, true
}

// answers says that a message with this header is about a question: same name in any case (some servers fold it), same type
// and class. A server that could not read the question may leave it out of its refusal.
func (h header) answers(msg []byte, k key) bool {
	if h.questions == 0 {
		return h.rcode == dns.RcodeFormatError || h.rcode == dns.RcodeNotImplemented
	}
	return h.questions == 1 && isQuestion(msg[headerSize:], k)
}

// isQuestion compares a question section with what was asked. A server repeats the section as it came, so a compressed name
// is none of ours.
func isQuestion(section []byte, k key) bool {
	for name, more := k.name, true; more; {
		var label string
		label, name, more = strings.Cut(name, ".")
		if len(section) <= len(label) || int(section[0]) != len(label) {
			return false
		}
		for i := range len(label) {
			if lower(section[1+i]) != label[i] {
				return false
			}
		}
		section = section[1+len(label):]
	}
	return len(section) >= 5 && section[0] == 0 &&
		binary.BigEndian.Uint16(section[1:]) == k.qtype && binary.BigEndian.Uint16(section[3:]) == dns.ClassINET
}

// sectionSize is the length of a question section.
func (k key) sectionSize() int { return 1 + len(k.name) + 1 + 4 }

// lower folds a letter.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

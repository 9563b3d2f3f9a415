package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// A value on disk is one delivery:
//
//	octet     valueVersion, or valueWithDSN where the host took over the duty to notify
//	16        message
//	8         when, nanoseconds since 1970, big endian
//	uvarints  status: class, subject, detail; reply: code, class, subject, detail
//	strings   reply's text; exchanger; address and port as netip has it: a uvarint of the length and the octets
//	uvarint   number of recipients, and 16 octets for each
//	4         CRC-32C of all before it, big endian
const (
	valueVersion = 1
	valueWithDSN = 2
)

const (
	idSize  = 16
	sumSize = 4
	// maxText bounds what is kept of a text. wire.Reply.String shows 400 octets, and a host name has at most 255.
	maxText = 1024
)

var (
	errShort   = errors.New("value is cut short")
	errSum     = errors.New("checksum is wrong")
	errVersion = errors.New("value is of another version")
	errNumber  = errors.New("number is out of range")
	errLong    = errors.New("octets behind the last recipient")
)

// castagnoli makes the table once: crc32 keeps it, and takes it to the CPU's own instruction.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// appendDelivery appends d as a value. Texts are cut at maxText.
func appendDelivery(b []byte, d *feed.Delivery) []byte {
	start := len(b)
	version := byte(valueVersion)
	if d.DSN {
		version = valueWithDSN
	}
	b = append(b, version)
	b = append(b, d.Message[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(d.At.UnixNano()))
	b = appendEnhanced(b, d.Status)
	b = binary.AppendUvarint(b, uint64(d.Reply.Code))
	b = appendEnhanced(b, d.Reply.Enhanced)
	b = appendText(b, d.Reply.Text)
	b = appendText(b, d.MX)
	b = appendAddr(b, d.Addr)
	b = binary.AppendUvarint(b, uint64(len(d.Recipients)))
	for i := range d.Recipients {
		b = append(b, d.Recipients[i][:]...)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli()))
}

func appendEnhanced(b []byte, e wire.Enhanced) []byte {
	b = binary.AppendUvarint(b, uint64(e.Class))
	b = binary.AppendUvarint(b, uint64(e.Subject))
	return binary.AppendUvarint(b, uint64(e.Detail))
}

func appendText(b []byte, s string) []byte {
	s = s[:min(len(s), maxText)]
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendAddr leaves out an address whose zone is longer than any interface's name.
func appendAddr(b []byte, a netip.AddrPort) []byte {
	octets, err := a.MarshalBinary()
	if err != nil || len(octets) > maxText {
		octets = nil
	}
	return append(binary.AppendUvarint(b, uint64(len(octets))), octets...)
}

// parseDelivery reads a value. Whatever b is, the delivery takes at most as much memory as b, and holds no part of it.
func parseDelivery(b []byte) (feed.Delivery, error) {
	if len(b) < 1+sumSize {
		return feed.Delivery{}, errShort
	}
	if b[0] != valueVersion && b[0] != valueWithDSN {
		return feed.Delivery{}, errVersion
	}
	body := b[:len(b)-sumSize]
	if crc32.Checksum(body, castagnoli()) != binary.BigEndian.Uint32(b[len(body):]) {
		return feed.Delivery{}, errSum
	}
	v := value{rest: body[1:]}
	d := v.delivery()
	d.DSN = b[0] == valueWithDSN
	if v.err == nil && len(v.rest) > 0 {
		v.err = errLong
	}
	if v.err != nil {
		return feed.Delivery{}, v.err
	}
	return d, nil
}

// A value is what is left to read of one. After an error everything it gives is zero.
type value struct {
	rest []byte
	err  error
}

func (v *value) delivery() (d feed.Delivery) {
	d.Message = feed.MessageID(v.id())
	d.At = time.Unix(0, int64(v.uint64()))
	d.Status = v.enhanced()
	d.Reply.Code = int(v.uint16())
	d.Reply.Enhanced = v.enhanced()
	d.Reply.Text = string(v.text())
	d.MX = string(v.text())
	d.Addr = v.addr()
	d.Recipients = v.recipients()
	return d
}

// cut takes the next n octets.
func (v *value) cut(n int) []byte {
	if v.err == nil && n > len(v.rest) {
		v.err = errShort
	}
	if v.err != nil {
		return nil
	}
	b := v.rest[:n]
	v.rest = v.rest[n:]
	return b
}

func (v *value) id() (id [idSize]byte) {
	copy(id[:], v.cut(idSize))
	return id
}

func (v *value) uint64() uint64 {
	if b := v.cut(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (v *value) uvarint() uint64 {
	n, size := binary.Uvarint(v.rest)
	if v.err == nil && size <= 0 {
		v.err = errShort
	}
	if v.err != nil {
		return 0
	}
	v.rest = v.rest[size:]
	return n
}

func (v *value) uint16() uint16 {
	n := v.uvarint()
	if n > 0xffff {
		v.err = errNumber
		return 0
	}
	return uint16(n)
}

func (v *value) enhanced() wire.Enhanced {
	return wire.Enhanced{Class: v.uint16(), Subject: v.uint16(), Detail: v.uint16()}
}

func (v *value) text() []byte {
	n := v.uvarint()
	if n > maxText {
		v.err = errNumber
		return nil
	}
	return v.cut(int(n))
}

func (v *value) addr() (a netip.AddrPort) {
	b := v.text()
	if len(b) == 0 {
		return a
	}
	if err := a.UnmarshalBinary(b); err != nil {
		v.err = fmt.Errorf("address: %w", err)
	}
	return a
}

// recipients makes room only for what is really there.
func (v *value) recipients() []feed.RecipientID {
	n := v.uvarint()
	if n > uint64(len(v.rest)/idSize) {
		v.err = errShort
	}
	if v.err != nil || n == 0 {
		return nil
	}
	ids := make([]feed.RecipientID, n)
	for i := range ids {
		ids[i] = feed.RecipientID(v.id())
	}
	return ids
}

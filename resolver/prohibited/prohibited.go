package prohibited

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Contains says that an address is in one of the ranges, or reaches one that is: some IPv6 addresses are only a way to write an
// IPv4 address, and a gateway, a tunnel or the kernel sends what goes there to that one.
func Contains(ranges []netip.Prefix, a netip.Addr) bool {
	if len(ranges) == 0 {
		return false
	}
	a = a.WithZone("") // a prefix contains no address that has a zone
	return slices.ContainsFunc(append(embedded(a), a.Unmap()), func(a netip.Addr) bool {
		return slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(a) })
	})
}

// embedded are the IPv4 addresses that an IPv6 address is made of. Without it 64:ff9b::a00:1 would be the way from DNS into network
// 10 wherever there is a NAT64.
func embedded(a netip.Addr) []netip.Addr {
	if !a.Is6() || a.Is4In6() {
		return nil
	}
	b := a.As16()
	v4 := func(from int) netip.Addr { return netip.AddrFrom4([4]byte(b[from : from+4])) }
	switch {
	case binary.BigEndian.Uint64(b[:]) == 0 && binary.BigEndian.Uint32(b[8:]) == 0, // RFC 4291 section 2.5.5.1: IPv4-compatible
		binary.BigEndian.Uint64(b[:]) == 0 && binary.BigEndian.Uint32(b[8:]) == 0xffff_0000,           // RFC 2765 section 2.1: IPv4-translated
		binary.BigEndian.Uint64(b[:]) == 0x0064_ff9b_0000_0000 && binary.BigEndian.Uint32(b[8:]) == 0: // RFC 6052 section 2.1: NAT64
		return []netip.Addr{v4(12)}
	case b[0] == 0x20 && b[1] == 0x02: // RFC 3056 section 2: 6to4
		return []netip.Addr{v4(2)}
	case binary.BigEndian.Uint32(b[:]) == 0x2001_0000: // RFC 4380 section 4: Teredo, its server, and its client with all bits turned
		client := binary.BigEndian.Uint32(b[12:])
		binary.BigEndian.PutUint32(b[12:], ^client)
		return []netip.Addr{v4(4), v4(12)}
	}
	return nil
}

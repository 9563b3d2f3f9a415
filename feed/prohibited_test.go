package feed

import (
	"net/netip"
	"testing"

	"github.com/smtpfeed/smtpfeed/resolver/prohibited"
	"github.com/stretchr/testify/assert"
)

func TestProhibits(t *testing.T) {
	tests := []struct {
		rule, addr string
		want       bool
	}{
		{"a private address", "10.1.2.3", true},
		{"a public one", "192.0.2.1", false},
		{"mapped", "::ffff:10.1.2.3", true},
		{"mapped, public", "::ffff:192.0.2.1", false},
		{"compatible", "::10.1.2.3", true},
		{"translated", "::ffff:0:10.1.2.3", true},
		{"behind NAT64", "64:ff9b::10.1.2.3", true},
		{"behind NAT64, public: what DNS64 makes of hosts without IPv6", "64:ff9b::192.0.2.1", false},
		{"behind NAT64 of one's own prefix", "64:ff9b:1::192.0.2.1", true},
		{"6to4", "2002:a01:203::1", true},
		{"6to4, public", "2002:c000:201::1", false},
		{"Teredo's server", "2001:0:a01:203::", true},
		{"Teredo's client", "2001:0:c000:201:0:0:f5fe:fdfc", true},
		{"Teredo, both public", "2001:0:c000:201:0:0:3fff:fdfe", false},
		{"a private address in the lower half alone means nothing", "2001:db8::10.1.2.3", false},
		{"site-local (RFC 3879)", "fec0::1", true},
		{"unique local", "fd00::1", true},
		{"loopback", "::1", true},
		{"unspecified", "::", true},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			assert.Equal(t, tt.want, prohibited.Contains(Internal(), netip.MustParseAddr(tt.addr)), "%s", tt.addr)
			assert.False(t, prohibited.Contains(nil, netip.MustParseAddr(tt.addr)), "nothing is prohibited without a range")
		})
	}
}

// FuzzProhibits: in whatever form an IPv4 address is written, what is prohibited of it is prohibited; and no address makes it panic.
func FuzzProhibits(f *testing.F) {
	f.Add(uint32(0x0a010203), []byte("\x00\x64\xff\x9b\x00\x00\x00\x00\x00\x00\x00\x00\x0a\x01\x02\x03"))
	f.Add(uint32(0xc0000201), []byte("\x20\x02\x0a\x01\x02\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, v4 uint32, v6 []byte) {
		b := [4]byte{byte(v4 >> 24), byte(v4 >> 16), byte(v4 >> 8), byte(v4)}
		a := netip.AddrFrom4(b)
		want := prohibited.Contains(Internal(), a)
		nat64 := netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b, 12: b[0], b[1], b[2], b[3]})
		sixToFour := netip.AddrFrom16([16]byte{0x20, 0x02, b[0], b[1], b[2], b[3], 15: 1})
		for _, form := range []netip.Addr{netip.AddrFrom16(a.As16()), nat64, sixToFour} {
			assert.Equal(t, want, prohibited.Contains(Internal(), form), "%s is prohibited as %s is", form, a)
		}
		if long, ok := netip.AddrFromSlice(v6); ok {
			assert.NotPanics(t, func() { prohibited.Contains(Internal(), long) }, "whatever it is")
		}
	})
}

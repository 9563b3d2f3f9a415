package ledger

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

func TestValueRoundTrip(t *testing.T) {
	full := delivery(7, 3)
	cases := map[string]func(*feed.Delivery){
		"as usual":                       func(*feed.Delivery) {},
		"a host that speaks DSN":         func(d *feed.Delivery) { d.DSN = true },
		"a reply without enhanced code":  func(d *feed.Delivery) { d.Reply.Enhanced = wire.Enhanced{} },
		"a reply without text":           func(d *feed.Delivery) { d.Reply.Text = "" },
		"the largest numbers":            func(d *feed.Delivery) { d.Status = wire.Enhanced{Class: 5, Subject: 65535, Detail: 65535} },
		"no address":                     func(d *feed.Delivery) { d.Addr = netip.AddrPort{} },
		"an IPv6 address with a zone":    func(d *feed.Delivery) { d.Addr = netip.MustParseAddrPort("[fe80::1%eth0]:25") },
		"an IPv4 address mapped to IPv6": func(d *feed.Delivery) { d.Addr = netip.MustParseAddrPort("[::ffff:192.0.2.1]:25") },
		"a time before 1970":             func(d *feed.Delivery) { d.At = time.Unix(-1, 5) },
		"no recipient":                   func(d *feed.Delivery) { d.Recipients = nil },
		"many recipients":                func(d *feed.Delivery) { d.Recipients = make([]feed.RecipientID, 5000) },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			d := full
			change(&d)
			got, err := parseDelivery(appendDelivery([]byte("before"), &d)[len("before"):])
			require.NoError(t, err, "what was written can be read")
			assert.Equal(t, d, got, "and is the same")
		})
	}
}

func TestLongTextsAreCut(t *testing.T) {
	d := delivery(1, 1)
	d.Reply.Text, d.MX = strings.Repeat("x", maxText+1), strings.Repeat("y", maxText+1)
	d.Addr = netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone(strings.Repeat("z", maxText)), 25)
	got, err := parseDelivery(appendDelivery(nil, &d))
	require.NoError(t, err, "what was written can be read")
	assert.Len(t, got.Reply.Text, maxText, "a text is cut")
	assert.Len(t, got.MX, maxText, "and so is a name")
	assert.False(t, got.Addr.IsValid(), "an address is not cut but left out")
	assert.Equal(t, d.Recipients, got.Recipients, "who it was for is whole")
}

// sealed is a value with a right checksum, whatever its octets.
func sealed(body []byte) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, castagnoli()))
}

func TestWrongValues(t *testing.T) {
	d := delivery(1, 2)
	d.Addr = netip.AddrPort{}
	good := appendDelivery(nil, &d)
	body := good[:len(good)-sumSize]
	status := 1 + idSize + 8
	with := func(at int, octets ...byte) []byte {
		b := bytes.Clone(body)
		copy(b[at:], octets)
		return sealed(b)
	}
	for name, c := range map[string]struct {
		value []byte
		want  error
	}{
		"nothing":                        {nil, errShort},
		"only a checksum":                {good[len(body):], errShort},
		"another version":                {with(0, valueWithDSN+1), errVersion},
		"a flipped octet":                {append([]byte{valueVersion, 1}, good[2:]...), errSum},
		"a cut value":                    {good[:len(good)-1], errSum},
		"a cut body":                     {sealed(body[:len(body)-1]), errShort},
		"a cut head":                     {sealed(body[:10]), errShort},
		"octets behind":                  {sealed(append(bytes.Clone(body), 0)), errLong},
		"a code above 65535":             {with(status, 0x80, 0x80, 0x04), errNumber},
		"a number that does not end":     {sealed(append(bytes.Clone(body[:status]), 0xff, 0xff)), errShort},
		"a number beyond 64 bits":        {with(status, bytes.Repeat([]byte{0xff}, 11)...), errShort},
		"a text longer than any":         {with(status+3+5, 0xff, 0x7f), errNumber},
		"more recipients than there are": {with(len(body)-2*idSize-1, 3), errShort},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseDelivery(c.value)
			assert.ErrorIs(t, err, c.want, "it is refused for that reason")
			assert.Zero(t, got, "and nothing of it is taken")
		})
	}
}

// Any octets are refused or a delivery that can be written again; memory is in proportion to them.
func FuzzParseDelivery(f *testing.F) {
	for _, n := range []int{0, 1, 20} {
		d := delivery(n, n)
		v := appendDelivery(nil, &d)
		f.Add(v[:len(v)-sumSize])
	}
	f.Add([]byte{valueVersion})
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = parseDelivery(body)
		v := sealed(body) // or the checksum would let nothing through
		d, err := parseDelivery(v)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(d.Recipients)*idSize+len(d.MX)+len(d.Reply.Text), len(v), "it holds no more than there was")
		again, err := parseDelivery(appendDelivery(nil, &d))
		require.NoError(t, err, "what was read can be written")
		require.Equal(t, d, again, "and read again")
	})
}

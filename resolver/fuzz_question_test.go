package resolver

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzQuestion: a message answers a question only if the codec finds that question in it, alone. What we ask ourselves always does,
// in any case of its letters.
func FuzzQuestion(f *testing.F) {
	for _, name := range []string{"a.example", "x", "_mx.b-c.example", strings.Repeat("a", 63) + ".example"} {
		f.Add(appendQuery(nil, 7, key{name, dns.TypeMX}, 0), name, dns.TypeMX)
		f.Add([]byte(strings.ToUpper(string(appendQuery(nil, 7, key{name, dns.TypeA}, plain)))), name, dns.TypeA)
	}
	// A pointer, a label cut off, no question, two of them.
	f.Add([]byte("\x00\x07\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x0f\x00\x01"), "a", dns.TypeMX)
	f.Add([]byte("\x00\x07\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00\x3fa"), "a", dns.TypeMX)
	f.Add([]byte("\x00\x07\x81\x81\x00\x00\x00\x00\x00\x00\x00\x00"), "a", dns.TypeMX)
	f.Add([]byte("\x00\x07\x81\x80\x00\x02\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x0f\x00\x01\x01a\x00\x00\x0f\x00\x01"), "a", dns.TypeMX)
	f.Fuzz(func(t *testing.T, msg []byte, name string, qtype uint16) {
		if checkName(name) != "" {
			return
		}
		k := key{name, qtype}
		own := appendQuery(nil, 1, k, form(len(msg)%4))
		h, ok := readHeader(own)
		require.True(t, ok && h.answers(own, k), "a question is about itself")
		require.Equal(t, headerSize+k.sectionSize(), len(own)-len(own[headerSize+k.sectionSize():]), "and as long as it says")
		h, ok = readHeader(msg)
		if !ok || !h.answers(msg, k) || h.questions == 0 {
			return
		}
		var first dns.Msg
		question := append([]byte(nil), msg[:headerSize+k.sectionSize()]...)
		binary.BigEndian.PutUint16(question[6:], 0) // the other sections are not looked at
		binary.BigEndian.PutUint32(question[8:], 0)
		require.NoError(t, first.Unpack(question), "the codec reads the question")
		assert.Equal(t, name+".", dns.CanonicalName(first.Question[0].Name), "it is the one that was asked")
		assert.Equal(t, qtype, first.Question[0].Qtype, "of its type")
	})
}

// FuzzRelay: what the configuration may name as a host is a name to ask for, or an address to dial, and reads the same when it is
// written out again.
func FuzzRelay(f *testing.F) {
	for _, s := range []string{"relay.example.org", "relay.example.org:587", "[192.0.2.1]", "[2001:db8::1]:25", "[IPv6:2001:db8::1]:25", "[::ffff:127.0.0.1]",
		"[fe80::1%eth0]", "Gr\u00fc\u00dfe.example:25", ":25", "x:0", "x:65536", "[192.0.2.1", "192.0.2.1]:25", "192.0.2.1", "a:b:c", "x.:25", "[]", "[:25]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseRelay(s)
		if err != nil {
			return
		}
		if r.addr.IsValid() {
			assert.Empty(t, r.addr.Zone(), "an address has no zone: filters would not see it")
			assert.False(t, r.addr.Is4In6(), "nor is it an IPv4 address in disguise")
			assert.Equal(t, literal(r.addr), r.name, "its name is the address")
		} else {
			assert.Empty(t, checkName(r.name), "a name can be asked for")
		}
		again, err := parseRelay(r.name)
		require.NoError(t, err, "what was read can be written")
		assert.Equal(t, relay{name: r.name, addr: r.addr}, again, "and read again")
	})
}

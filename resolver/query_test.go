package resolver

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestQuery(t *testing.T) {
	for _, name := range []string{"example.org", "a", strings.Repeat("a.", 126) + "a", strings.Repeat("b", 63) + ".example"} {
		wire := appendQuery([]byte("before"), 0x1234, key{name, dns.TypeMX}, 0)
		want := new(dns.Msg).SetQuestion(name+".", dns.TypeMX).SetEdns0(udpSize, false)
		want.Id = 0x1234
		packed, err := want.Pack()
		require.NoError(t, err, "the codec should pack the question")
		assert.Equal(t, "before"+string(packed), string(wire), "the query should be what the codec packs")

		old := appendQuery(nil, 0x1234, key{name, dns.TypeMX}, plain)
		want.Extra = nil
		packed, err = want.Pack()
		require.NoError(t, err, "the codec should pack the question")
		assert.Equal(t, packed, old, "without EDNS it should be what the codec packs without")

		want.AuthenticatedData = true
		packed, err = want.Pack()
		require.NoError(t, err, "the codec should pack the question")
		assert.Equal(t, packed, appendQuery(nil, 0x1234, key{name, dns.TypeMX}, wantAD|plain), "with AD it should be what the codec packs with it")
	}
}

func TestHeaderAnswers(t *testing.T) {
	asked := key{"mail.example.org", dns.TypeMX}
	answer := func(name string, qtype, class uint16) *dns.Msg {
		m := new(dns.Msg).SetQuestion(name, qtype)
		m.Question[0].Qclass = class
		m.Response = true
		return m
	}
	refusal := func(rcode int) *dns.Msg {
		return &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Rcode: rcode}}
	}
	two := answer("mail.example.org.", dns.TypeMX, dns.ClassINET)
	two.Question = append(two.Question, two.Question[0])
	for _, c := range []struct {
		rule string
		msg  *dns.Msg
		want bool
	}{
		{"the question itself", answer("mail.example.org.", dns.TypeMX, dns.ClassINET), true},
		{"in another case", answer("MAIL.example.ORG.", dns.TypeMX, dns.ClassINET), true},
		{"another name", answer("mail.example.net.", dns.TypeMX, dns.ClassINET), false},
		{"a longer name", answer("mail.example.org.uk.", dns.TypeMX, dns.ClassINET), false},
		{"a shorter name", answer("mail.example.", dns.TypeMX, dns.ClassINET), false},
		{"another type", answer("mail.example.org.", dns.TypeA, dns.ClassINET), false},
		{"another class", answer("mail.example.org.", dns.TypeMX, dns.ClassCHAOS), false},
		{"two questions", two, false},
		{"no question and no error", refusal(dns.RcodeSuccess), false},
		{"no question and NXDOMAIN", refusal(dns.RcodeNameError), false},
		{"no question and FORMERR", refusal(dns.RcodeFormatError), true},
		{"no question and NOTIMP", refusal(dns.RcodeNotImplemented), true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			packed, err := c.msg.Pack()
			require.NoError(t, err, "the answer should be packed")
			h, ok := readHeader(packed)
			require.True(t, ok, "the header should be read")
			assert.True(t, h.response, "QR should be seen")
			assert.Equal(t, c.want, h.answers(packed, asked), "the question should be compared")
		})
	}
	_, ok := readHeader(make([]byte, headerSize-1))
	assert.False(t, ok, "less than a header should be no message")
}

func TestReadHeader(t *testing.T) {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: 77, Response: true, Truncated: true, Rcode: dns.RcodeRefused}}
	packed, err := m.Pack()
	require.NoError(t, err, "the message should be packed")
	h, ok := readHeader(packed)
	require.True(t, ok, "the header should be read")
	assert.Equal(t, header{id: 77, response: true, truncated: true, rcode: dns.RcodeRefused}, h, "all fields should be read")
}

func BenchmarkQuery(b *testing.B) {
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		buf = appendQuery(buf[:0], 1, key{"mail.example.org", dns.TypeMX}, 0)
	}
}

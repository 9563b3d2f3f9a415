package resolver

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseTexts(t *testing.T) {
	const owner = "_mta-sts.a.example. 300 TXT "
	k := key{"_mta-sts.a.example", dns.TypeTXT}
	for _, c := range []struct{ rule, answer, ns, want string }{
		{rule: "strings of a record are joined", answer: owner + `"v=STSv1;" " id=1"`, want: `found "v=STSv1; id=1" 5m0s`},
		{rule: "several records", answer: owner + "a\n" + owner + "b", want: `found "a" "b" 5m0s`},
		{rule: "an empty string", answer: owner + `""`, want: `found "" 5m0s`},
		{rule: "escapes of the text form are undone", answer: owner + `"a\"b\\c\009\255"`, want: `found "a\"b\\c\t\xff" 5m0s`},
		{rule: "behind a CNAME", answer: "_mta-sts.a.example. 60 CNAME b.example.\nb.example. 300 TXT x", want: `found "x" -> b.example 1m0s`},
		{rule: "a record that is too long is left out", answer: owner + strings.Repeat(`"`+strings.Repeat("x", 255)+`" `, 20) + "\n" + owner + "b", want: `found "b" 5m0s`},
		{rule: "NODATA", ns: soa, want: "noData 1m0s"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			m := answerTo(t, dns.RcodeSuccess, c.answer, c.ns, "")
			assert.Equal(t, c.want, summary(parse(epoch, m, k)), "the answer should be read")
		})
	}
	f := parse(epoch, answerTo(t, dns.RcodeSuccess, strings.Repeat(owner+"x\n", maxTexts+1), "", ""), k)
	assert.Len(t, f.rare.texts, maxTexts, "records beyond the cap should be left out")
}

// FuzzText: a TXT record says the octets that are in it, whatever they are.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "v=STSv1; id=1", `\`, `\0`, `\000`, `"\"`, "\x00\xff\n", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > maxText {
			return
		}
		k := key{"a.example", dns.TypeTXT}
		var data []byte
		for rest := s; len(data) == 0 || rest != ""; {
			n := min(len(rest), 255)
			data = append(append(data, byte(n)), rest[:n]...)
			rest = rest[n:]
		}
		wire := appendQuery(nil, 1, k, plain)
		binary.BigEndian.PutUint16(wire[6:], 1)
		wire = append(wire, "\xc0\x0c\x00\x10\x00\x01\x00\x00\x01\x2c"...)
		wire = append(binary.BigEndian.AppendUint16(wire, uint16(len(data))), data...)
		var m dns.Msg
		require.NoError(t, m.Unpack(wire), "the codec should read it")
		require.Equal(t, []string{s}, parse(epoch, &m, k).rare.texts, "as it was published")
	})
}

package resolver

import (
	"strings"

	"github.com/miekg/dns"
)

// takeText adds a TXT record: its strings, joined (RFC 7208 section 3.3 and RFC 8461 section 3.1 have it so). One that is longer
// than any policy or reporting record, or beyond the cap, is left out.
func (f *facts) takeText(txt *dns.TXT) bool {
	text := unescape(strings.Join(txt.Txt, ""))
	r := f.makeRare()
	if len(text) > maxText || len(r.texts) == maxTexts {
		return true // it exists all the same
	}
	r.texts = append(r.texts, text)
	return true
}

// makeRare returns the facts' rare part, made if there is none yet.
func (f *facts) makeRare() *rare {
	if f.rare == nil {
		f.rare = new(rare)
	}
	return f.rare
}

// unescape undoes the escapes of RFC 1035 section 5.1, in which the codec gives strings: a backslash before an octet, or before
// three digits.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			b.WriteByte(s[i])
		case i+3 < len(s) && isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]):
			b.WriteByte((s[i+1]-'0')*100 + (s[i+2]-'0')*10 + s[i+3] - '0')
			i += 3
		default:
			b.WriteByte(s[i+1])
			i++
		}
	}
	return b.String()
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

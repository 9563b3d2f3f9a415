package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseCaps(t *testing.T) {
	for _, c := range []struct {
		rule string
		text string
		want Caps
	}{
		{"nothing but a name", "mx.example.org", Caps{Name: "mx.example.org"}},
		{"a name and a greeting", "mx.example.org at your service", Caps{Name: "mx.example.org"}},
		{"no text at all", "", Caps{}},
		{"the first line is a name even when it reads like a keyword", "PIPELINING", Caps{Name: "PIPELINING"}},
		{"a nameless first line takes no keyword for a name", "\nPIPELINING", Caps{Pipelining: true}},
		{"every keyword", "x\nPIPELINING\n8BITMIME\nSMTPUTF8\nSTARTTLS\nCHUNKING\nDSN\nENHANCEDSTATUSCODES\nREQUIRETLS\nSIZE 10\nHELP", Caps{
			Name: "x", Pipelining: true, EightBitMIME: true, SMTPUTF8: true, StartTLS: true, Chunking: true, DSN: true,
			EnhancedStatusCodes: true, RequireTLS: true, HasSize: true, Size: 10,
		}},
		{"keywords have no case", "x\npipelining\n8bitmime\nStartTLS\nsize 7", Caps{Name: "x", Pipelining: true, EightBitMIME: true, StartTLS: true, HasSize: true, Size: 7}},
		{"tabs and trailing blanks", "x\nPIPELINING \t\n\tSIZE\t7\t\n  DSN", Caps{Name: "x", Pipelining: true, DSN: true, HasSize: true, Size: 7}},
		{"a CR that was left in the text", "x\nPIPELINING\r\nSIZE 5\r", Caps{Name: "x", Pipelining: true, HasSize: true, Size: 5}},
		{"duplicates", "x\nPIPELINING\nPIPELINING\nDSN\nDSN", Caps{Name: "x", Pipelining: true, DSN: true}},
		{"empty lines", "x\n\n\nDSN\n", Caps{Name: "x", DSN: true}},
		{"parameters that are not understood", "x\nPIPELINING foo=bar", Caps{Name: "x", Pipelining: true}},
		{"a keyword is no prefix", "x\nPIPELININGS\nXDSN\n8BITMIMES", Caps{Name: "x"}},
		{"the name is cleaned", "mx\x1b[2J\xff y", Caps{Name: "mx?[2J?"}},
		{"the name is cut", strings.Repeat("x", 300), Caps{Name: strings.Repeat("x", 255)}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			assert.Equal(t, c.want, ParseCaps(Reply{Code: 250, Text: c.text}), "the offer is understood")
		})
	}
}

func TestParseCapsSize(t *testing.T) {
	for _, c := range []struct {
		rule, line string
		want       int64
	}{
		{"a limit", "SIZE 35882577", 35882577},
		{"the largest number", "SIZE 9223372036854775807", 9223372036854775807},
		{"no number is no limit", "SIZE", 0},
		{"zero is no limit", "SIZE 0", 0},
		{"letters are no limit", "SIZE abc", 0},
		{"an overflow is no limit", "SIZE 99999999999999999999", 0},
		{"one beyond the largest is no limit", "SIZE 9223372036854775808", 0},
		{"a sign is no limit", "SIZE -1", 0},
		{"a plus is no limit", "SIZE +1", 0},
		{"a unit is no limit", "SIZE 10M", 0},
		{"the last of two counts", "SIZE 10\nSIZE 20", 20},
		{"what follows the number is ignored", "SIZE 10 20", 10},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := ParseCaps(Reply{Code: 250, Text: "x\n" + c.line})
			assert.True(t, got.HasSize, "SIZE was offered")
			assert.Equal(t, c.want, got.Size, "the limit is known or none")
		})
	}
}

func TestParseCapsLimits(t *testing.T) {
	for _, c := range []struct {
		rule, line string
		want       Caps
	}{
		{"all three", "LIMITS MAILMAX=20 RCPTMAX=100 RCPTDOMAINMAX=1", Caps{MailMax: 20, RcptMax: 100, RcptDomainMax: 1}},
		{"no case", "limits rcptmax=5", Caps{RcptMax: 5}},
		{"zero is not allowed", "LIMITS RCPTMAX=0", Caps{}},
		{"six digits at most", "LIMITS RCPTMAX=999999 MAILMAX=1000000", Caps{RcptMax: 999999}},
		{"senseless values", "LIMITS RCPTMAX= MAILMAX=abc RCPTDOMAINMAX=-1", Caps{}},
		{"a bad value does not undo a good one", "LIMITS RCPTMAX=5 RCPTMAX=x", Caps{RcptMax: 5}},
		{"unknown limits", "LIMITS FOO=1 RCPTMAX=5 BAR", Caps{RcptMax: 5}},
		{"no limits", "LIMITS", Caps{}},
		{"overflow", "LIMITS RCPTMAX=99999999999999999999", Caps{}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			assert.Equal(t, c.want, ParseCaps(Reply{Code: 250, Text: "\n" + c.line}), "the limits are those of RFC 9422")
		})
	}
}

func TestParseCapsAuth(t *testing.T) {
	for _, c := range []struct {
		rule, lines string
		want        []string
	}{
		{"mechanisms", "AUTH PLAIN LOGIN", []string{"PLAIN", "LOGIN"}},
		{"the old form", "AUTH=LOGIN PLAIN", []string{"LOGIN", "PLAIN"}},
		{"both forms", "AUTH PLAIN LOGIN\nAUTH=PLAIN LOGIN", []string{"PLAIN", "LOGIN"}},
		{"no case", "auth cram-md5\nauth=Scram-SHA-256", []string{"CRAM-MD5", "SCRAM-SHA-256"}},
		{"none", "AUTH", nil},
		{"none in the old form", "AUTH=", nil},
		{"what is no mechanism is left out", "AUTH PLA?IN \xff\x1b LOGIN " + strings.Repeat("X", 21), []string{"LOGIN"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			assert.Equal(t, c.want, ParseCaps(Reply{Code: 250, Text: "x\n" + c.lines}).Auth, "each mechanism stands once, in order")
		})
	}
}

func TestParseCapsOfAReadReply(t *testing.T) {
	wire := "250-mx.example.org Hello\r\n250-8BITMIME\r\n250-AUTH=LOGIN\n250 SIZE 1000 \r\n"
	reply, err := NewReader(strings.NewReader(wire)).ReadReply()
	require.NoError(t, err, "the reply is complete")
	want := Caps{Name: "mx.example.org", EightBitMIME: true, HasSize: true, Size: 1000, Auth: []string{"LOGIN"}}
	assert.Equal(t, want, ParseCaps(reply), "the offer goes from the wire into Caps")
}

// FuzzCaps: whatever the text, what is kept of it is clean and bounded, and no order or repetition of lines matters.
func FuzzCaps(f *testing.F) {
	for _, text := range []string{
		"mx.example.org\nPIPELINING\nSIZE 10240000\nVRFY\nETRN\nSTARTTLS\nAUTH PLAIN LOGIN\nENHANCEDSTATUSCODES\n8BITMIME\nDSN\nSMTPUTF8\nCHUNKING",
		"PIPELINING", "x\nSIZE\nsize abc\nSIZE 99999999999999999999", "x\nLIMITS RCPTMAX=100 MAILMAX=0 RCPTDOMAINMAX=", "x\nAUTH=\nAUTH=A B C\n\t\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := ParseCaps(Reply{Code: 250, Text: text})
		assert.True(t, isClean(c.Name) && len(c.Name) <= maxName, "the name is clean and short")
		assert.True(t, c.Size >= 0 && (c.Size == 0 || c.HasSize), "a size is a size")
		for _, n := range []int{c.RcptMax, c.RcptDomainMax, c.MailMax} {
			assert.True(t, n >= 0 && n <= 999_999, "a limit has six digits at most")
		}
		assert.LessOrEqual(t, len(c.Auth), maxAuth, "mechanisms are bounded")
		for i, name := range c.Auth {
			assert.True(t, isMechanism(name), "a mechanism has a mechanism's name")
			assert.NotContains(t, c.Auth[:i], name, "each mechanism stands once")
		}
		_, rest, _ := strings.Cut(text, "\n")
		assert.Equal(t, c, ParseCaps(Reply{Code: 250, Text: text + "\n" + rest}), "saying all twice changes nothing")
		assert.Equal(t, c, ParseCaps(Reply{Code: 250, Text: text + "\nX-FOO bar"}), "an unknown keyword changes nothing")
	})
}

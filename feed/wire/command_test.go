package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func mustAddress(t *testing.T, unquoted string) Address {
	t.Helper()
	a, err := ParseAddress(unquoted)
	require.NoError(t, err, "the address is good")
	return a
}

func TestAppendCommands(t *testing.T) {
	plain, quoted := mustAddress(t, "a@x.org"), mustAddress(t, "a> SIZE=1@x.org")
	for _, c := range []struct {
		rule string
		got  []byte
		want string
	}{
		{"EHLO", AppendEHLO(nil, "mx.example.org"), "EHLO mx.example.org\r\n"},
		{"EHLO with a literal", AppendEHLO(nil, "[IPv6:2001:db8::1]"), "EHLO [IPv6:2001:db8::1]\r\n"},
		{"HELO", AppendHELO(nil, "mx.example.org"), "HELO mx.example.org\r\n"},
		{"MAIL", AppendMAIL(nil, plain, MailParams{}), "MAIL FROM:<a@x.org>\r\n"},
		{"the null reverse-path", AppendMAIL(nil, Address{}, MailParams{}), "MAIL FROM:<>\r\n"},
		{"SIZE", AppendMAIL(nil, plain, MailParams{Size: 1234}), "MAIL FROM:<a@x.org> SIZE=1234\r\n"},
		{"no SIZE for a negative one", AppendMAIL(nil, plain, MailParams{Size: -1}), "MAIL FROM:<a@x.org>\r\n"},
		{"all parameters", AppendMAIL(nil, plain, MailParams{Size: 1, EightBitMIME: true, SMTPUTF8: true}), "MAIL FROM:<a@x.org> SIZE=1 BODY=8BITMIME SMTPUTF8\r\n"},
		{"a quoted sender", AppendMAIL(nil, quoted, MailParams{}), "MAIL FROM:<\"a> SIZE=1\"@x.org>\r\n"},
		{"RCPT", AppendRCPT(nil, plain, RcptParams{}), "RCPT TO:<a@x.org>\r\n"},
		{"a quoted recipient", AppendRCPT(nil, quoted, RcptParams{}), "RCPT TO:<\"a> SIZE=1\"@x.org>\r\n"},
		{"commands are appended", AppendRCPT([]byte("RSET\r\n"), plain, RcptParams{}), "RSET\r\nRCPT TO:<a@x.org>\r\n"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			assert.Equal(t, c.want, string(c.got), "the command is as RFC 5321 writes it")
		})
	}
}

func TestLongestCommandLine(t *testing.T) {
	a := mustAddress(t, strings.Repeat("x", maxPath-6)+"@x.org")
	line := AppendMAIL(nil, a, MailParams{Size: 1<<63 - 1, EightBitMIME: true, SMTPUTF8: true})
	assert.LessOrEqual(t, len(line), 1000, "no command line has more than 1000 octets")
}

func TestEmissionGuard(t *testing.T) {
	for _, c := range []struct{ rule, arg string }{
		{"CRLF", "a@x.org\r\nRSET"},
		{"CR", "a@x.org\r"},
		{"LF", "a\n@x.org"},
		{"NUL", "a\x00@x.org"},
		{"DEL", "a\x7f@x.org"},
		{"tab", "a\t@x.org"},
		{"a control octet in quotes", "\"a\rb\"@x.org"},
		{"an escaped control octet in quotes", "\"a\\\rb\"@x.org"},
		{"an angle bracket", "a@x.org> SIZE=1"},
		{"the other angle bracket", "a<@x.org"},
		{"a blank", "a@x.org SIZE=1"},
		{"a bracket behind the quotes", `"a">@x.org`},
		{"a bracket behind quotes with an escaped quote", `"a\"">@x.org`},
		{"a bracket behind quotes with an escaped backslash", `"a\\">@x.org`},
		{"quotes without end", `"a@x.org`},
		{"quotes whose end is escaped", `"a\"@x.org`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			bad := Address{text: c.arg, at: 1} // ParseAddress never makes it
			assert.Panics(t, func() { AppendRCPT(nil, bad, RcptParams{}) }, "RCPT does not let it out")
			assert.Panics(t, func() { AppendMAIL(nil, bad, MailParams{}) }, "MAIL does not let it out")
			assert.Panics(t, func() { AppendEHLO(nil, c.arg) }, "EHLO does not let it out")
			assert.Panics(t, func() { AppendHELO(nil, c.arg) }, "HELO does not let it out")
		})
	}
}

func TestEmissionGuardSaysWhoseFault(t *testing.T) {
	defer func() {
		said, ok := recover().(string)
		require.True(t, ok, "the guard panics with a text")
		assert.True(t, strings.HasPrefix(said, "BUG: "), "it is our fault, not a peer's: %q", said)
		assert.True(t, isClean(said), "the text is clean")
	}()
	guarded("a\r\nb\x1b")
}

func TestCommandsWithoutArgument(t *testing.T) {
	assert.Panics(t, func() { AppendEHLO(nil, "") }, "EHLO needs a name")
	assert.Panics(t, func() { AppendHELO(nil, "") }, "HELO needs a name")
	assert.Panics(t, func() { AppendRCPT(nil, Address{}, RcptParams{}) }, "there is no null forward-path")
}

func TestAppendRCPTCostsNothing(t *testing.T) {
	a, b := mustAddress(t, "a b@x.org"), make([]byte, 0, 4096)
	assert.Zero(t, testing.AllocsPerRun(100, func() { AppendRCPT(b, a, RcptParams{}) }), "a command goes into the caller's buffer")
}

// FuzzAddress: what ParseAddress accepts is exactly one command line, which a strict reader takes apart into the same local
// part and domain.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		"a@x.org", "a b@x.org", `a"b\c@x.org`, "a@evil.test@x.org", "a> NOTIFY=NEVER@x.org", "jürgen@bücher.example", "a..b@x.org.", ".@x",
		"a@[192.0.2.1]", "a@[ipv6:::1]", "a\r\n@x", "a@x\x00", "<@>@x", "", "@", "a@-x", "a@x..y", "\"@x.org", "\\@x.org", "a\x7f@x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			require.IsType(t, &AddressError{}, err, "errors are AddressErrors")
			assert.True(t, isClean(err.Error()), "errors are clean")
			return
		}
		checkMail(t, a)
		if a.IsNull() {
			require.Empty(t, s, "only the empty string is the null path")
			return
		}
		line := string(AppendRCPT(nil, a, RcptParams{}))
		local, domain, ok := readPath(t, line)
		require.True(t, ok, "a strict reader takes the line: %q", line)
		at := strings.LastIndexByte(s, '@')
		assert.Equal(t, s[:at], local, "the local part survives")
		assert.Equal(t, strings.TrimSuffix(s[at+1:], "."), domain, "the domain survives")
		assert.Equal(t, domain, a.Domain(), "Domain is what is sent")
		assert.Equal(t, a.String(), a.Local()+"@"+a.Domain(), "the address is its two halves")
	})
}

func checkMail(t *testing.T, a Address) {
	line := AppendMAIL(nil, a, MailParams{Size: 1<<63 - 1, EightBitMIME: true, SMTPUTF8: true})
	assert.LessOrEqual(t, len(line), 1000, "a command line is bounded")
	assert.Equal(t, 1, strings.Count(string(line), "\n"), "a command is one line")
	assert.True(t, strings.HasSuffix(string(line), "> SIZE=9223372036854775807 BODY=8BITMIME SMTPUTF8\r\n"), "its parameters are ours")
}

// readPath reads "RCPT TO:<path>CRLF" by RFC 5321 section 4.1.2 and undoes the quoting.
func readPath(t *testing.T, line string) (local, domain string, ok bool) {
	rest, ok := strings.CutPrefix(line, "RCPT TO:<")
	require.True(t, ok, "the command has its verb")
	if strings.HasPrefix(rest, `"`) {
		local, rest, ok = readQuoted(rest[1:])
	} else {
		local, rest, ok = strings.Cut(rest, "@")
		for atom := range strings.SplitSeq(local, ".") {
			ok = ok && atom != "" && !strings.ContainsAny(atom, "()<>[]:;@\\,\" ")
		}
	}
	domain, end, found := strings.Cut(rest, ">")
	return local, domain, ok && found && end == "\r\n" && !strings.ContainsAny(domain, " \"\\@<(),;")
}

// readQuoted reads a Quoted-string behind its first quote, and the '@' behind it.
func readQuoted(s string) (local, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), strings.TrimPrefix(s[i+1:], "@"), strings.HasPrefix(s[i+1:], "@")
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c < ' ' || c == 0x7f:
			return "", "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

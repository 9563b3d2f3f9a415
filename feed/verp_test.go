package feed

import (
	"strings"
	"testing"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// classic is the template of the manuals.
const classic = "list-bounces+{local}={domain}@lists.example.org"

func TestValidVERP(t *testing.T) {
	for name, v := range map[string]VERP{
		"a template":                         {Sender: "list@example.org", Template: classic},
		"a header alone":                     {Sender: "list@example.org", Header: "X-Recipient: {local}@{domain}"},
		"both, and a length":                 {Sender: "list@example.org", Template: classic, Header: "X-R: {local}", MaxLocal: 200},
		"one star is everybody":              {Sender: "*", Template: classic},
		"a star in the middle":               {Sender: "list-*@example.org", Template: classic},
		"parts of the sender":                {Sender: "*", Template: "{sender_local}+{local}={domain}@{sender_domain}"},
		"a header without any address in it": {Sender: "*", Header: "Precedence: list"},
		"a header without a value":           {Sender: "*", Header: "X-Empty:"},
		"the longest header":                 {Sender: "*", Header: "X: " + strings.Repeat("x", 497)},
	} {
		t.Run(name, func(t *testing.T) { assert.NoError(t, v.Validate(), "the rule can be used") })
	}
}

func TestInvalidVERP(t *testing.T) {
	for name, c := range map[string]struct {
		rule VERP
		want string // in the error
	}{
		"no sender":                           {VERP{Template: classic}, "no sender"},
		"two stars":                           {VERP{Sender: "*@*", Template: classic}, "only one *"},
		"nothing to do":                       {VERP{Sender: "*"}, "neither template nor header"},
		"a negative length":                   {VERP{Sender: "*", Template: classic, MaxLocal: -1}, "must not be negative"},
		"no domain":                           {VERP{Sender: "*", Template: "bounces+{local}={domain}"}, "makes no address"},
		"no local part":                       {VERP{Sender: "*", Template: "@{domain}"}, "makes no address"},
		"a domain that is none":               {VERP{Sender: "*", Template: "{local}={domain}@a..b"}, "makes no address"},
		"without {local}":                     {VERP{Sender: "*", Template: "bounces+{domain}@lists.example.org"}, "without {local} and {domain}"},
		"without {domain}":                    {VERP{Sender: "*", Template: "bounces+{local}@lists.example.org"}, "without {local} and {domain}"},
		"without either":                      {VERP{Sender: "*", Template: "bounces@lists.example.org"}, "without {local} and {domain}"},
		"another name in braces":              {VERP{Sender: "*", Template: "{user}={domain}@lists.example.org"}, "may stand in braces"},
		"a brace that is not closed":          {VERP{Sender: "*", Template: "{local}={domain@lists.example.org"}, "may stand in braces"},
		"a brace that is not opened":          {VERP{Sender: "*", Template: "{local}=domain}@lists.example.org"}, "may stand in braces"},
		"another name in a header's braces":   {VERP{Sender: "*", Header: "X-R: {recipient}"}, "may stand in braces"},
		"a header without a colon":            {VERP{Sender: "*", Header: "X-Recipient"}, "field name and a colon"},
		"a header without a name":             {VERP{Sender: "*", Header: ": {local}"}, "field name and a colon"},
		"RFC 5322: a blank in a field's name": {VERP{Sender: "*", Header: "X Recipient: {local}"}, "field name and a colon"},
		"a field's name in 8 bits":            {VERP{Sender: "*", Header: "X-Empf\u00e4nger: {local}"}, "field name and a colon"},
		"two lines by CRLF":                   {VERP{Sender: "*", Header: "X-R: {local}\r\nBcc: x@example.org"}, "one line"},
		"two lines by LF":                     {VERP{Sender: "*", Header: "X-R: a\nb"}, "one line"},
		"two lines by CR":                     {VERP{Sender: "*", Header: "X-R: a\rb"}, "one line"},
		"a NUL":                               {VERP{Sender: "*", Header: "X-R: a\x00b"}, "one line"},
		"a header too long":                   {VERP{Sender: "*", Header: "X: " + strings.Repeat("x", 498)}, "at most 500 octets"},
		// Its dot is not stuffed, so the next hop takes it away:
		"a header that begins with a dot": {VERP{Sender: "*", Header: ".X: {local}"}, "field name"},
		// The recipient would choose the name of the field, blanks and all:
		"a field's name from an address": {VERP{Sender: "*", Header: "{local}: x"}, "field name"},
	} {
		t.Run(name, func(t *testing.T) { assert.ErrorContains(t, c.rule.Validate(), c.want, "the error says what is wrong") })
	}
}

func TestVERPFillsATemplate(t *testing.T) {
	long := strings.Repeat("x", 64)
	for name, c := range map[string]struct {
		rule            VERP
		sender, to      string // as ParseAddress takes them
		want, wantField string // on the wire
	}{
		"the manuals' example": {VERP{Template: classic}, "list@example.org", "user@example.net",
			"list-bounces+user=example.net@lists.example.org", ""},
		"parts of the sender": {VERP{Template: "{sender_local}+{local}={domain}@{sender_domain}"}, "news@lists.test", "u@one.test",
			"news+u=one.test@lists.test", ""},
		"case is kept": {VERP{Template: classic}, "list@example.org", "User@Example.NET",
			"list-bounces+User=Example.NET@lists.example.org", ""},
		"quotes go around the whole": {VERP{Template: classic}, "list@example.org", "a b@example.net",
			`"list-bounces+a b=example.net"@lists.example.org`, ""},
		"an @ in a local part stays in the local part": {VERP{Template: classic}, "list@example.org", "a@evil.test@example.net",
			`"list-bounces+a@evil.test=example.net"@lists.example.org`, ""},
		"quotes and backslashes are escaped": {VERP{Template: classic}, "list@example.org", `a"\b@example.net`,
			`"list-bounces+a\"\\b=example.net"@lists.example.org`, ""},
		"the sender's quotes too": {VERP{Template: "{sender_local}+{local}={domain}@{sender_domain}"}, "a b@lists.test", "u@one.test",
			`"a b+u=one.test"@lists.test`, ""},
		"an address literal": {VERP{Template: classic}, "list@example.org", "u@[192.0.2.1]",
			`"list-bounces+u=[192.0.2.1]"@lists.example.org`, ""},
		"a sender without rule is kept": {VERP{Header: "X-Recipient: {local}@{domain}"}, "list@example.org", "u@one.test",
			"list@example.org", "X-Recipient: u@one.test\r\n"},
		"braces that an address brings with it mean nothing": {VERP{Template: classic, Header: "X-R: {local} {sender_local}"}, "{domain}@example.org", "{sender_local}@one.test",
			"list-bounces+{sender_local}=one.test@lists.example.org", "X-R: {sender_local} {domain}\r\n"},
		"in a header the recipient's local part has its quotes": {VERP{Header: "X-R: <{local}@{domain}>"}, "list@example.org", "a b@one.test",
			"list@example.org", "X-R: <\"a b\"@one.test>\r\n"},
		"a local part of 64 octets": {VERP{Template: "{local}={domain}@b.test"}, "list@example.org", long[:55] + "@one.test",
			long[:55] + "=one.test@b.test", ""},
		"one of 65 keeps the sender": {VERP{Template: "{local}={domain}@b.test"}, "list@example.org", long[:56] + "@one.test",
			"list@example.org", ""},
		"quotes count": {VERP{Template: "{local}={domain}@b.test"}, "list@example.org", "a " + long[:52] + "@one.test",
			"list@example.org", ""},
		"a longer one where the rule allows it": {VERP{Template: "{local}={domain}@b.test", MaxLocal: 73}, "list@example.org", long + "@one.test",
			long + "=one.test@b.test", ""},
		"a domain that an address makes invalid keeps the sender": {VERP{Template: "b@{local}.{domain}"}, "list@example.org", "a b@one.test",
			"list@example.org", ""},
	} {
		t.Run(name, func(t *testing.T) {
			from, field := c.rule.personal(mustAddress(t, c.sender), mustAddress(t, c.to))
			assert.Equal(t, c.want, from.String(), "the sender is ready for the wire")
			assert.Equal(t, c.wantField, string(field), "so is the header line")
		})
	}
}

func TestVERPMatchesSenders(t *testing.T) {
	for _, c := range []struct {
		name, pattern, sender string
		want                  bool
	}{
		{"the address itself", "list@example.org", "list@example.org", true},
		{"another one", "list@example.org", "lists@example.org", false},
		{"ASCII case makes no difference", "List@Example.org", "lIST@eXAMPLE.ORG", true},
		{"a star for everything", "*", "list@example.org", true},
		{"a star for a local part", "*@example.org", "list@example.org", true},
		{"not at another domain", "*@example.org", "list@example.org.evil.test", false},
		{"not at a subdomain", "*@example.org", "list@sub.example.org", false},
		{"a star for nothing", "list*@example.org", "list@example.org", true},
		{"a star at the end", "list-*", "list-a@example.org", true},
		{"a star in the middle", "list-*-bounces@example.org", "list-a-bounces@example.org", true},
		{"the same octets cannot count twice", "list-*-bounces@example.org", "list-bounces@example.org", false},
		{"quotes are left out", "a b@example.org", "a b@example.org", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := VERP{Sender: c.pattern, Template: classic}
			assert.Equal(t, c.want, v.matches(mustAddress(t, c.sender)), "%q and <%s>", c.pattern, c.sender)
		})
	}
}

// The first rule that matches counts, and none is for bounces.
func TestFirstVERPRuleCounts(t *testing.T) {
	e := newEngine(Config{VERP: []VERP{{Sender: "a@*", Header: "X: 1"}, {Sender: "*@one.test", Header: "X: 2"}}})
	assert.Same(t, &e.config.VERP[0], e.verpFor(mustAddress(t, "a@one.test")), "both match, the first one counts")
	assert.Same(t, &e.config.VERP[1], e.verpFor(mustAddress(t, "b@one.test")), "the second one matches")
	assert.Nil(t, e.verpFor(mustAddress(t, "b@two.test")), "none matches")
	everybody := newEngine(Config{VERP: []VERP{{Sender: "*", Template: classic}}})
	assert.Nil(t, everybody.verpFor(wire.Address{}), "a bounce has no sender and gets none")
}

// recipientOf reads the recipient back from a sender made by classic: what a list manager does with a bounce. A domain has no '=' in
// it, so the last one divides.
func recipientOf(sender wire.Address) (to string, ok bool) {
	local, ok := strings.CutPrefix(strings.TrimSuffix(sender.Unquoted(), "@lists.example.org"), "list-bounces+")
	at := strings.LastIndexByte(local, '=')
	if !ok || at < 0 {
		return "", false
	}
	return local[:at] + "@" + local[at+1:], true
}

// FuzzVERP: whatever the addresses and whatever template validates, the result is an address that may be sent or the sender itself,
// the header is one line, and the classic template's bounces tell whose they are.
func FuzzVERP(f *testing.F) {
	for _, to := range []string{"u@one.test", "a b@one.test", "a@evil.test@one.test", `q"\@one.test`, "{local}@one.test", "gr\u00fc\u00dfe@\u00fcml\u00e4ut.test",
		"u@[IPv6:2001:db8::1]", strings.Repeat("x", 100) + "@one.test", ".@one.test", "a=b=c@one.test"} {
		f.Add("list@example.org", to, classic, "X-Recipient: {local}@{domain}")
		f.Add("a b@lists.test", to, "{sender_local}+{local}={domain}@{sender_domain}", "")
		f.Add("x@y", to, "b@{local}.{domain}", "X: {sender_local}{sender_domain}")
	}
	f.Fuzz(func(t *testing.T, sender, to, template, header string) {
		from, err := wire.ParseAddress(sender)
		recipient, err2 := wire.ParseAddress(to)
		v := VERP{Sender: "*", Template: template, Header: header}
		if err != nil || err2 != nil || from.IsNull() || recipient.IsNull() || v.Validate() != nil {
			return
		}
		testPersonal(t, &v, from, recipient)
	})
}

func testPersonal(t *testing.T, v *VERP, from, to wire.Address) {
	personal, field := v.personal(from, to)
	if personal != from {
		again, err := wire.ParseAddress(personal.Unquoted())
		require.NoError(t, err, "the sender is an address")
		assert.Equal(t, personal, again, "as it stands on the wire")
		assert.LessOrEqual(t, len(personal.Local()), maxLocalPart, "short enough for everybody")
	}
	assert.NotPanics(t, func() { wire.AppendMAIL(nil, personal, wire.MailParams{}) }, "it passes the emission guard")
	if personal != from && v.Template == classic {
		back, ok := recipientOf(personal)
		assert.True(t, ok, "a bounce can be read")
		assert.Equal(t, to.Unquoted(), back, "and tells whose it is")
	}
	if v.Header == "" {
		assert.Empty(t, field, "no header was asked for")
		return
	}
	line, ok := strings.CutSuffix(string(field), "\r\n")
	assert.True(t, ok, "the header line has its end")
	assert.False(t, strings.ContainsAny(line, "\r\n\x00"), "and is one line")
	assert.Contains(t, line, ":", "and a field")
	assert.False(t, strings.HasPrefix(line, "."), "nothing in it needs stuffing")
	assert.LessOrEqual(t, len(field), 1000, "RFC 5321 section 4.5.3.1.6")
}

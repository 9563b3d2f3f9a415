package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// startInput is smtpfeed alone, for tests that are its host MTA themselves, and the exchanger of kept.test. The host knows
// SMTPUTF8, so that no address is refused for its sake.
func startInput(t *testing.T) (*feedd.Daemon, *exchanger) {
	t.Helper()
	mx := startExchanger(t, mxsim.Config{SMTPUTF8: true})
	w := startWorld(t, internet.Config{Domains: 1, Hosts: 1})
	d := feedd.Start(t, feedd.Config{World: w, Routes: map[string][]string{"kept.test": {mx.host}}})
	t.Cleanup(func() { assert.Empty(t, mx.Violations(), "the host finds no fault with smtpfeed's protocol") })
	return d, mx
}

// A row of addresses: what the host MTA writes between the angle brackets, how that is answered, and what the exchanger gets.
var addresses = []struct {
	name, address, params string
	reply                 string // to RCPT
	arrives               string // "" when refused
}{
	{"a plain address", "a@kept.test", "", "250", "a@kept.test"},
	{"case is kept", "Big.A+Tag@KEPT.Test", "", "250", "Big.A+Tag@KEPT.Test"},
	{"the dot that ends a domain is not sent", "a@kept.test.", "", "250", "a@kept.test"},
	{"a quoted blank stays quoted", `"a b"@kept.test`, "", "250", `"a b"@kept.test`},
	{"a quoted quote stays quoted", `"a\"b"@kept.test`, "", "250", `"a\"b"@kept.test`},
	{"a quoted @ does not begin the domain", `"a@evil.test"@kept.test`, "", "250", `"a@evil.test"@kept.test`},
	{"a quoted parameter stays in the address", `"a> NOTIFY=NEVER"@kept.test`, "", "250", `"a> NOTIFY=NEVER"@kept.test`},
	{"dots that need quotes get them", "a..b@kept.test", "", "250", `"a..b"@kept.test`},
	{"a source route is ignored (RFC 5321 section 4.1.1.3)", "@one.test,@two.test:a@kept.test", "", "250", "a@kept.test"},
	{"characters of shells and old routes mean nothing", "-|a%b!c@kept.test", "", "250", "-|a%b!c@kept.test"},
	{"a long local part is for the next hop to judge", strings.Repeat("a", 600) + "@kept.test", "", "250", strings.Repeat("a", 600) + "@kept.test"},
	{"UTF-8 in the local part, declared", "gr\u00fc\u00dfe@kept.test", " SMTPUTF8", "250", "gr\u00fc\u00dfe@kept.test"},

	{"UTF-8 in the local part, not declared", "gr\u00fc\u00dfe@kept.test", "", "550 5.6.7", ""},
	{"UTF-8 in the domain, not declared", "a@gr\u00fc\u00dfe.test", "", "550 5.6.7", ""},
	{"octets that are not UTF-8", "\xff@kept.test", " SMTPUTF8", "550 5.1.3", ""},
	{"NUL", "a\x00b@kept.test", "", "550 5.1.3", ""},
	{"a control character", "a\x01b@kept.test", "", "550 5.1.3", ""},
	{"a quoted control character", "\"a\\\x1bb\"@kept.test", "", "550 5.1.3", ""},
	{"DEL in the domain", "a@kept\x7f.test", "", "550 5.1.3", ""},
	{"a bare CR", "a\rRCPT TO:<b@kept.test>@kept.test", "", "5", ""},
	{"no address", "", "", "501", ""},
	{"no domain", "a", "", "501", ""},
	{"no local part", "@kept.test", "", "501", ""},
	{"an empty domain", "a@", "", "501", ""},
	{"an empty label", "a@kept..test", "", "550 5.1.3", ""},
	{"a blank outside of quotes", "a b@kept.test", "", "501", ""},
	{"a parameter nobody announced", "a@kept.test> NOTIFY=NEVER SIZE=<1", "", "50[014]", ""},
	{"an address literal that is none", "a@[kept.test]", "", "550 5.1.3", ""},
	{"a domain longer than DNS allows", "a@" + strings.Repeat("a.", 150) + "test", "", "550 5.1.3", ""},
	{"an address longer than any command line", strings.Repeat("a", 2000) + "@kept.test", "", "550 5.1.3", ""},
}

func TestAddressesArriveAsMeantOrAreRefused(t *testing.T) {
	d, mx := startInput(t)
	var want []string
	for _, row := range addresses {
		t.Run(row.name, func(t *testing.T) {
			c := lhlo(t, d)
			c.say("MAIL FROM:<"+sender+">"+row.params, "250")
			c.say("RCPT TO:<"+row.address+">", row.reply)
			if row.arrives != "" {
				want = append(want, row.arrives)
				c.say("DATA", "354")
				c.say("Subject: "+row.name+"\r\n\r\n.", "250 2.0.0 .* said: 250 ")
			}
			c.quit()
		})
	}
	assert.Equal(t, want, mx.accepted(), "the exchanger gets the accepted addresses, and no others")
	d.Idle(t)
}

func TestAddressesWithoutARoute(t *testing.T) {
	d, mx := startInput(t)
	c := lhlo(t, d)
	for _, row := range []struct{ name, address, reply string }{
		{"a domain that does not exist", "a@nowhere.example", "550 5.1.2 .*NXDOMAIN"},
		{"an IDN that does not exist is asked for by its A-label", "a@gr\u00fc\u00dfe.example", "550 5.1.2 .*xn--"},
		{"a domain whose servers fail", "a@servfail.example", "451 4.4.3 .*SERVFAIL"},
		{"an address literal where nobody listens", "a@[127.0.0.99]", "451 4.4.1 .*127.0.0.99.*refused"},
	} {
		r := mail{from: sender, to: []string{row.address}, params: " SMTPUTF8", content: "Subject: " + row.name + "\r\n\r\n"}.deliver(c)
		assert.Regexp(t, "^"+row.reply, r[0], row.name)
	}
	c.quit()
	assert.Empty(t, mx.Messages(), "nothing is sent anywhere")
	d.Idle(t)
}

// forged is what would be run as commands by a server that saw the end of the content before it.
const forged = "MAIL FROM:<forged@sender.test>\r\nRCPT TO:<forged@kept.test>\r\nDATA\r\nforged\r\n.\r\n"

// A row of contents: octets as the host MTA sends them, up to its end of data, and the content that arrives.
var contents = []struct{ name, sent, arrives string }{
	{"none", ".\r\n", ""},
	{"one empty line", "\r\n.\r\n", "\r\n"},
	{"dots that begin lines", "..\r\n...\r\n..a\r\n. b\r\n.\r\n", ".\r\n..\r\n.a\r\n b\r\n"},
	{"8-bit that was not declared", "gr\xfc\xdfe\r\n\x80\xff\r\n.\r\n", "gr\xfc\xdfe\r\n\x80\xff\r\n"},
	{"a bare LF ends a line", "a\nb\r\n.\r\n", "a\r\nb\r\n"},
	{"a bare CR ends none", "a\rb\r\n.\r\n", "a b\r\n"},
	{"NUL", "a\x00b\r\n.\r\n", "a b\r\n"},
	{"CR CR LF", "a\r\r\n.\r\n", "a \r\n"},
	{"LF . LF is no end", "a\n.\n" + hosts.Stuff(forged) + ".\r\n", "a\r\n.\r\n" + forged},
	{"LF . CR LF is no end", "a\n.\r\n" + hosts.Stuff(forged) + ".\r\n", "a\r\n.\r\n" + forged},
	{"CR LF . LF is no end", "a\r\n.\n" + hosts.Stuff(forged) + ".\r\n", "a\r\n\r\n" + forged},
	{"CR . CR is no end", "a\r.\r" + hosts.Stuff(forged) + ".\r\n", "a . " + forged},
	{"CR LF NUL . CR LF is no end", "a\r\n\x00.\r\n" + hosts.Stuff(forged) + ".\r\n", "a\r\n .\r\n" + forged},
	{"CR LF . NUL CR LF is no end", "a\r\n.\x00\r\n" + hosts.Stuff(forged) + ".\r\n", "a\r\n \r\n" + forged},
	{"a line of a megabyte", strings.Repeat("x", 1<<20) + "\r\n.\r\n", strings.Repeat("x", 1<<20) + "\r\n"},
	{"a hundred thousand dots", strings.Repeat("..\r\n", 100_000) + ".\r\n", strings.Repeat(".\r\n", 100_000)},
}

func TestContentsArriveAsOneMessageEach(t *testing.T) {
	d, mx := startInput(t)
	c := lhlo(t, d) // one connection for all: no content may leave anything behind
	for n, row := range contents {
		t.Run(row.name, func(t *testing.T) {
			c.t = t
			c.say("MAIL FROM:<"+sender+">", "250")
			c.say("RCPT TO:<a@kept.test>", "250")
			c.say("DATA", "354")
			c.send(row.sent)
			c.expect("250 2.0.0 .* said: 250 ")
			got := mx.contents()
			require.Len(t, got, n+1, "one message arrives")
			require.True(t, row.arrives == got[n], "its content is what was meant: %.300q instead of %.300q", got[n], row.arrives)
		})
	}
	c.t = t
	c.quit()
	assert.Len(t, mx.Messages(), len(contents), "nothing is forged")
	d.Idle(t)
}

func TestCommandsOutOfOrderAreRefusedAndHarmNothing(t *testing.T) {
	d, mx := startInput(t)
	c := lhlo(t, d)
	c.say("RCPT TO:<a@kept.test>", "50[23]")
	c.say("DATA", "50[23]")
	c.say("MAIL FROM:<"+sender+">", "250")
	c.say("MAIL FROM:<forged@sender.test>", "503")
	c.say("DATA", "50[23]") // no recipient
	c.say("RCPT TO:<>", "501")
	c.say("DATA", "50[23]")           // none that was accepted
	c.send("BDAT 6 LAST\r\nQUIT\r\n") // not announced; what follows it is no command
	c.expect("502")
	c.say("HELO host.e2e.test", "50[0-4]")
	c.say("NOOP", "250")
	c.say("RCPT TO:<a@kept.test>", "250")
	c.say("RCPT TO:<b@kept.test>", "250")
	c.say("RSET", "250")
	// What Postfix does: all in one go, up to the farewell. A recipient may stand there twice.
	c.send("MAIL FROM:<" + sender + ">\r\nRCPT TO:<c@kept.test>\r\nRCPT TO:<c@kept.test>\r\nRCPT TO:<d@kept.test>\r\nDATA\r\n")
	for _, code := range []string{"250", "250", "250", "250", "354"} {
		c.expect(code)
	}
	c.send("hello\r\n.\r\nQUIT\r\n")
	for range 3 {
		c.expect("250 2.0.0 .* said: 250 ")
	}
	c.expect("221")
	assert.Equal(t, []string{"c@kept.test", "d@kept.test"}, mx.accepted(), "one transaction was complete, and every recipient gets one copy")
	assert.Equal(t, []string{"hello\r\n"}, mx.contents(), "with its content")
	d.Idle(t)
}

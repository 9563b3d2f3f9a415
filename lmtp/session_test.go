package lmtp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

func TestLHLO(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.connect()
	h.expect("220 feed.example ")
	h.send("LHLO host.example")
	var lines []string
	for {
		line := h.line()
		lines = append(lines, line)
		if line[3] == ' ' {
			break
		}
	}
	assert.Equal(t, []string{
		"250-feed.example",
		"250-PIPELINING",
		"250-8BITMIME",
		"250-ENHANCEDSTATUSCODES",
		"250-SMTPUTF8",
		"250 SIZE 0",
	}, lines, "exactly these extensions are announced: no DSN, no CHUNKING, no AUTH, no STARTTLS, no limit of size or recipients")
}

func TestMail(t *testing.T) {
	tests := []struct{ rule, command, reply string }{
		{"a sender", "MAIL FROM:<a@example.org>", "250 2.1.0 Ok"},
		{"the null reverse-path", "MAIL FROM:<>", "250 2.1.0 Ok"},
		{"parameters of Postfix", "MAIL FROM:<a@example.org> SIZE=1234 BODY=8BITMIME SMTPUTF8", "250 2.1.0 Ok"},
		{"parameters of sendmail", "MAIL From:<a@example.org> SIZE=1234 AUTH=<>", "250 2.1.0 Ok"},
		{"a quoted local part", `MAIL FROM:<"a b"@example.org>`, "250 2.1.0 Ok"},
		{"a control octet is refused (ADR-01)", "MAIL FROM:<\"a\rb\"@example.org>", "550 5.1.7 "},
		{"a bad domain is refused", "MAIL FROM:<a@exa..mple>", "550 5.1.7 "},
		{"octets above 127 without SMTPUTF8 are refused", "MAIL FROM:<ä@example.org>", "550 5.6.7 "},
		{"octets above 127 with SMTPUTF8 are taken", "MAIL FROM:<ä@example.org> SMTPUTF8", "250 2.1.0 Ok"},
		{"DSN parameters are not offered", "MAIL FROM:<a@example.org> RET=HDRS", "504 5.5.4 "},
	}
	f := newFixture(t, Config{})
	h := f.host()
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			h.send(tt.command, "RSET")
			h.expect(tt.reply, "250 2.0.0 ")
		})
	}
}

func TestRcpt(t *testing.T) {
	long := strings.Repeat("l", 300)
	tests := []struct{ rule, path, reply, address, route string }{
		{"as it is", "<User@Example.ORG>", "250 ", "User@Example.ORG", "example.org"},
		{"a source route is stripped (ADR-04)", "<@r1.example,@r2.example:u@example.org>", "250 ", "u@example.org", "example.org"},
		{"a local part of 300 octets passes (ADR-05)", "<" + long + "@example.org>", "250 ", long + "@example.org", "example.org"},
		{"a local part of 1,000 octets is refused (ADR-05)", "<" + strings.Repeat("l", 1000) + "@example.org>", "550 5.1.3 ", "", ""},
		{"percent, bang, dash and plus are opaque (ADR-06)", "<-u%h!x+tag@example.org>", "250 ", "-u%h!x+tag@example.org", "example.org"},
		{"go-smtp unquotes, we quote again", `<"a> NOTIFY=NEVER"@example.org>`, "250 ", `"a> NOTIFY=NEVER"@example.org`, "example.org"},
		{"the domain begins at the last @", `<"a@evil.test"@example.org>`, "250 ", `"a@evil.test"@example.org`, "example.org"},
		{"a final dot of the domain is cut", "<u@example.org.>", "250 ", "u@example.org", "example.org"},
		{"an address literal", "<u@[192.0.2.1]>", "250 ", "u@[192.0.2.1]", "[192.0.2.1]"},
		{"CR in the local part (ADR-01)", "<\"a\rb\"@example.org>", "550 5.1.3 ", "", ""},
		{"NUL in the local part (ADR-01)", "<a\x00b@example.org>", "550 5.1.3 ", "", ""},
		{"NUL in the domain (ADR-07)", "<a@exa\x00mple.org>", "550 5.1.3 ", "", ""},
		{"backslash in the domain (ADR-07)", `<a@exa\mple.org>`, "550 5.1.3 ", "", ""},
		{"quote in the domain (ADR-07)", `<a@exa"mple.org>`, "550 5.1.3 ", "", ""},
		{"comma in the domain (ADR-07)", `<a@exa,mple.org>`, "550 5.1.3 ", "", ""},
		{"empty label (ADR-07)", "<a@example..org>", "550 5.1.3 ", "", ""},
		{"label with a hyphen first (ADR-07)", "<a@-example.org>", "550 5.1.3 ", "", ""},
		{"an address without brackets", "<a@192.0.2.1>", "550 5.1.3 ", "", ""},
		{"octets above 127 without SMTPUTF8", "<a@bücher.example>", "550 5.6.7 ", "", ""},
		{"no domain", "<a>", "501 5.5.2 ", "", ""},
		{"no address", "<>", "501 5.5.2 ", "", ""},
		{"a DSN parameter", "<a@example.org> NOTIFY=NEVER", "504 5.5.4 ", "", ""},
	}
	f := newFixture(t, Config{})
	h := f.host()
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			h.send("MAIL FROM:<>", "RCPT TO:"+tt.path)
			h.expect("250 ", tt.reply)
			if tt.address == "" {
				h.send("RSET")
				h.expect("250 ")
				return
			}
			h.send("DATA", "", ".")
			h.expect("354 ")
			e := f.envelope()
			require.Len(t, e.Recipients, 1, "the recipient was accepted once")
			assert.Equal(t, tt.address, e.Recipients[0].String(), "the address is ready for the wire")
			assert.Equal(t, tt.route, e.Routes[0], "the route is the folded domain")
			deliverAll(e)
			h.expect("250 2.0.0 ")
		})
	}
}

func TestRcptWithSMTPUTF8(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	h.send("MAIL FROM:<> SMTPUTF8 BODY=8BITMIME", "RCPT TO:<ü@bücher.example>", "DATA", ".")
	h.expect("250 ", "250 2.1.5 Ok", "354 ")
	e := f.envelope()
	assert.Equal(t, "ü@bücher.example", e.Recipients[0].String(), "the address is kept")
	assert.Equal(t, "xn--bcher-kva.example", e.Routes[0], "the route has A-labels")
	assert.Equal(t, feed.Params{EightBitMIME: true, SMTPUTF8: true}, e.Params, "the parameters travel with the envelope")
	deliverAll(e)
	h.expect("250 2.0.0 mx1.example[192.0.2.1]:25 said: 250 2.0.0 Ok")
}

func TestRefusalAndHint(t *testing.T) {
	f := newFixture(t, Config{})
	f.mailer.refuse = map[string]*feed.Outcome{"null.example": {
		Class: feed.Failed, Status: wire.Enhanced{Class: 5, Subject: 1, Detail: 10}, Err: errors.New("null.example takes no mail"),
	}}
	h := f.host()
	h.send("MAIL FROM:<>", "RCPT TO:<a@one.example>", "RCPT TO:<b@ONE.example>", "RCPT TO:<c@null.example>", "RCPT TO:<d@two.example>",
		"RCPT TO:<e@one.example>")
	h.expect("250 ", "250 ", "250 ", "550 5.1.10 null.example takes no mail", "250 ", "250 ")
	assert.Equal(t, []string{"one.example", "two.example"}, f.mailer.hinted(), "one hint for each accepted domain")
	h.send("DATA", ".")
	h.expect("354 ")
	e := f.envelope()
	assert.Equal(t, []string{"one.example", "one.example", "two.example", "one.example"}, e.Routes, "refused recipients are not in the envelope")
	assert.Same(t, unsafe.StringData(e.Routes[0]), unsafe.StringData(e.Routes[1]), "recipients of a domain share its string")
	assert.Same(t, unsafe.StringData(e.Routes[0]), unsafe.StringData(e.Routes[3]), "recipients of a domain share its string")
	deliverAll(e)
	h.expect("250 ", "250 ", "250 ", "250 ")
	st := f.server.Stats()
	assert.Equal(t, []uint64{4, 1}, []uint64{st.Accepted, st.Refused}, "recipients are counted")
}

func TestDomainsOfAListAreExpected(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	h.send("MAIL FROM:<>")
	h.expect("250 ")
	for i := range sureFrom {
		assert.Empty(t, f.mailer.expectedSoFar(), "%d recipients may be a probe", i)
		h.send(fmt.Sprintf("RCPT TO:<a@d%d.example>", i))
		h.expect("250 ")
	}
	assert.Len(t, f.mailer.expectedSoFar(), sureFrom, "a list's domains are all expected")
	h.send("RCPT TO:<a@d0.example>", "RCPT TO:<a@late.example>")
	h.expect("250 ", "250 ")
	assert.Equal(t, "late.example", f.mailer.expectedSoFar()[sureFrom], "and so is each new one, once")
	assert.Len(t, f.mailer.hinted(), sureFrom, "the first ones were hinted before")
}

// However an announced envelope ends, it is withdrawn, and before it is sent.
func TestEnvelopesOfAListAreAnnounced(t *testing.T) {
	from, err := wire.ParseAddress("list@example.org")
	require.NoError(t, err)
	for _, row := range []struct {
		name string
		end  func(f *fixture, h *host)
	}{
		{"its content comes", func(f *fixture, h *host) {
			f.mailer.onSend = func(e *feed.Envelope) {
				assert.Zero(t, f.mailer.comingFrom(from), "it is withdrawn before it is sent")
				assert.True(t, e.Announced, "and says that it was announced")
				deliverAll(e)
			}
			h.send("DATA", "Subject: x", "", ".")
			h.expect(append([]string{"354 "}, slices.Repeat([]string{"250 "}, sureFrom)...)...)
		}},
		{"RSET", func(_ *fixture, h *host) { h.send("RSET"); h.expect("250 ") }},
		{"QUIT", func(_ *fixture, h *host) { h.send("QUIT"); h.expect("221 "); h.closed() }},
		{"the host leaves in the content", func(_ *fixture, h *host) { h.send("DATA"); h.expect("354 "); h.conn.Close() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, Config{})
			h := f.host()
			h.send("MAIL FROM:<list@example.org>")
			h.expect("250 ")
			for i := range sureFrom {
				assert.Zero(t, f.mailer.comingFrom(from), "%d recipients may be a probe", i)
				h.send(fmt.Sprintf("RCPT TO:<a@d%d.example>", i))
				h.expect("250 ")
			}
			assert.Equal(t, 1, f.mailer.comingFrom(from), "a list is announced, once")
			row.end(f, h)
			require.Eventually(t, func() bool { return f.mailer.comingFrom(from) == 0 }, realTimeout, time.Millisecond, "and withdrawn")
		})
	}
}

func TestNestedMail(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	h.send("MAIL FROM:<first@example.org>", "RCPT TO:<a@example.org>", "MAIL FROM:<second@example.org>", "RCPT TO:<b@example.org>", "DATA", ".")
	h.expect("250 ", "250 ", "503 5.5.1 ", "250 ", "354 ")
	e := f.envelope()
	assert.Equal(t, "first@example.org", e.From.String(), "the first MAIL counts")
	assert.Len(t, e.Recipients, 2, "the transaction goes on")
	deliverAll(e)
	h.expect("250 ", "250 ")
}

// RFC 2033 section 4.2 and RFC 5321 section 4.1.4.
func TestCommandsOutOfOrder(t *testing.T) {
	tests := []struct {
		rule     string
		commands []string
		replies  []string
	}{
		{"MAIL before LHLO", []string{"MAIL FROM:<>"}, []string{"503 5.5.1 "}},
		{"RCPT before MAIL", []string{"LHLO x", "RCPT TO:<a@example.org>"}, []string{"250 ", "503 5.5.1 "}},
		{"DATA before RCPT", []string{"LHLO x", "MAIL FROM:<>", "DATA"}, []string{"250 ", "250 ", "503 5.5.1 "}},
		{"DATA when all recipients were refused (HOSTS 10)", []string{"LHLO x", "MAIL FROM:<>", "RCPT TO:<a@-x>", "DATA", "QUIT"},
			[]string{"250 ", "250 ", "550 5.1.3 ", "503 5.5.1 ", "221 "}},
		{"DATA behind RSET", []string{"LHLO x", "MAIL FROM:<>", "RCPT TO:<a@example.org>", "RSET", "DATA"},
			[]string{"250 ", "250 ", "250 ", "250 ", "503 5.5.1 "}},
		{"LHLO clears like RSET", []string{"LHLO x", "MAIL FROM:<>", "RCPT TO:<a@example.org>", "LHLO x", "RCPT TO:<b@example.org>"},
			[]string{"250 ", "250 ", "250 ", "250 ", "503 5.5.1 "}},
		{"MAIL behind RSET", []string{"LHLO x", "MAIL FROM:<>", "RSET", "MAIL FROM:<>"}, []string{"250 ", "250 ", "250 ", "250 "}},
		{"NOOP anywhere", []string{"NOOP", "LHLO x", "NOOP", "MAIL FROM:<>", "NOOP", "RCPT TO:<a@example.org>", "NOOP"},
			[]string{"250 ", "250 ", "250 ", "250 ", "250 ", "250 ", "250 "}},
		{"EHLO and HELO are not LMTP", []string{"EHLO x", "HELO x"}, []string{"500 5.5.1 ", "500 5.5.1 "}},
		{"what is not offered", []string{"LHLO x", "STARTTLS", "AUTH PLAIN", "VRFY a", "XFORWARD A=b"},
			[]string{"250 ", "502 ", "523 ", "252 ", "50"}},
	}
	f := newFixture(t, Config{})
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			h := f.connect()
			h.send(tt.commands...) // HST-11: all pipelined
			h.expect("220 ")
			h.expect(tt.replies...)
		})
	}
	f.nothingSent()
}

// HOSTS 10: address probes leave no trace.
func TestProbes(t *testing.T) {
	f := newFixture(t, Config{})
	t.Run("RSET and QUIT behind RCPT", func(t *testing.T) {
		h := f.host()
		h.send("MAIL FROM:<>", "RCPT TO:<a@example.org>", "RSET", "QUIT")
		h.expect("250 ", "250 ", "250 ", "221 ")
		h.closed()
	})
	t.Run("a host that leaves behind our 354", func(t *testing.T) {
		h := f.host()
		h.envelope("a@example.org")
		h.conn.Close()
	})
	t.Run("a host that leaves inside its content", func(t *testing.T) {
		h := f.host()
		h.envelope("a@example.org")
		h.raw("Subject: half\r\n\r\nof it\r\n.")
		h.conn.Close()
	})
	f.server.Drain(t.Context())
	f.nothingSent()
	st := f.server.Stats()
	assert.Zero(t, st.Transactions+st.Connections+st.Bodies, "nothing is left open")
	assert.Zero(t, st.Bytes, "no memory is held")
}

func TestPanicInACommandIsA451(t *testing.T) {
	f := newFixture(t, Config{})
	f.server.config.Mailer = panicking{f.mailer}
	h := f.host()
	h.send("MAIL FROM:<>", "RCPT TO:<a@example.org>", "NOOP")
	h.expect("250 ", "451 4.3.0 ", "250 ")
	assert.EqualValues(t, 1, f.server.Stats().Panics, "the panic is counted")
}

type panicking struct{ *mailer }

func (panicking) Expect(string) {}

func (panicking) Hint(string) { panic("BUG: in the Mailer") }

func (panicking) Announce(wire.Address, feed.Params) {}
func (panicking) Withdraw(wire.Address, feed.Params) {}

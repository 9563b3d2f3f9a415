package lmtp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
)

func TestPlainRecipient(t *testing.T) {
	tests := []struct{ rule, command, mailbox string }{
		{"as Postfix and Exim write it", "RCPT TO:<user@example.org>\r\n", "user@example.org"},
		{"as sendmail writes it", "RCPT To:<user@example.org>\r\n", "user@example.org"},
		{"case is no matter", "rcpt to:<User@Example.ORG>\r\n", "User@Example.ORG"},
		{"every atext octet, and the underscore of some names", "RCPT TO:<a!#$%&'*+-/=?^_`{|}~.1@a_b-c.example>\r\n", "a!#$%&'*+-/=?^_`{|}~.1@a_b-c.example"},
		{"dots where none may be are judged later", "RCPT TO:<.a..@b..>\r\n", ".a..@b.."},
		{"a parameter that is unknown is not plain", "RCPT TO:<user@example.org> SIZE=1\r\n", ""},
		{"nor is a space behind it", "RCPT TO:<user@example.org> \r\n", ""},
		{"nor one before it", "RCPT TO: <user@example.org>\r\n", ""},
		{"nor two in the middle", "RCPT  TO:<user@example.org>\r\n", ""},
		{"nor a LF alone", "RCPT TO:<user@example.org>\n", ""},
		{"nor CR CR LF", "RCPT TO:<user@example.org>\r\r\n", ""},
		{"a quoted local part", "RCPT TO:<\"user\"@example.org>\r\n", ""},
		{"a source route", "RCPT TO:<@a.example:user@example.org>\r\n", ""},
		{"an address literal", "RCPT TO:<user@[192.0.2.1]>\r\n", ""},
		{"two @", "RCPT TO:<user@a@example.org>\r\n", ""},
		{"a > in the local part", "RCPT TO:<us>er@example.org>\r\n", ""},
		{"no brackets", "RCPT TO:user@example.org\r\n", ""},
		{"no local part", "RCPT TO:<@example.org>\r\n", ""},
		{"no domain", "RCPT TO:<user@>\r\n", ""},
		{"no @", "RCPT TO:<user>\r\n", ""},
		{"nothing", "RCPT TO:<>\r\n", ""},
		{"no end", "RCPT TO:<user@example.org\r\n", ""},
		{"control octets in the local part", "RCPT TO:<us\x00er@example.org>\r\n", ""},
		{"control octets in the domain", "RCPT TO:<user@exa\tmple.org>\r\n", ""},
		{"octets above 127", "RCPT TO:<üser@example.org>\r\n", ""},
		{"another command", "MAIL FROM:<user@example.org>\r\n", ""},
		{"a short one", "RCPT\r\n", ""},
		{"an empty one", "\r\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			mailbox, parameters, ok := plainRecipient([]byte(tt.command))
			if ok {
				_, _, ok = new(session).readAsks(parameters)
			}
			if !ok {
				mailbox = nil
			}
			assert.Equal(t, tt.mailbox, string(mailbox), "the mailbox is found if the command is plain")
			assert.Equal(t, tt.mailbox != "", ok, "and only then is it taken")
		})
	}
}

// Whoever takes a recipient, go-smtp or we, it has its place in the order.
func TestPlainAmongOthers(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	h.send("RCPT TO:<early@x.example>", "MAIL FROM:<>", "RCPT TO:<bad@-x>", "RCPT TO:<a@x.example>", `RCPT TO:<"b b"@x.example>`,
		"RCPT TO:<c@x.example>", "RCPT TO:<bad@-x>", "RCPT TO:<d@[192.0.2.1]>", "RCPT TO:<d@x.example> NOTIFY=NEVER",
		"RCPT TO:<e@x.example>", "RCPT  TO:<f@x.example>", "RCPT TO:<a@x.example>", "DATA", ".", "RCPT TO:<late@x.example>")
	h.expect("503 5.5.1 ", "250 2.1.0 ", "550 5.1.3 ", "250 2.1.5 ", "250 2.1.5 ", "250 2.1.5 ", "550 5.1.3 ", "250 2.1.5 ", "504 5.5.4 ",
		"250 2.1.5 ", "250 2.1.5 ", "250 2.1.5 ", "354 ")
	e := f.envelope()
	var got []string
	for _, a := range e.Recipients {
		got = append(got, a.String())
	}
	require.Equal(t, []string{"a@x.example", `"b b"@x.example`, "c@x.example", "d@[192.0.2.1]", "e@x.example", "f@x.example", "a@x.example"}, got,
		"the recipients stand in the order of their commands")
	for i, a := range got {
		settle(e, failed("550 5.1.1 no "+strings.Trim(a, `"`)), i)
	}
	for _, a := range got {
		assert.Contains(t, h.line(), strings.Trim(a, `"`), "each is told its own fate")
	}
	h.expect("503 5.5.1 ")
}

func TestTransactionsDoNotShareRecipients(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	h.send("MAIL FROM:<>", "RCPT TO:<a@one.example>", "RCPT TO:<b@one.example>", "RSET",
		"RCPT TO:<c@one.example>", "MAIL FROM:<>", "RCPT TO:<d@two.example>", "RCPT TO:<e@one.example>", "DATA", ".")
	h.expect("250 ", "250 ", "250 ", "250 ", "503 ", "250 ", "250 ", "250 ", "354 ")
	e := f.envelope()
	assert.Equal(t, []string{"two.example", "one.example"}, e.Routes, "RSET forgets recipients and domains")
	assert.Len(t, e.Recipients, 2, "only those behind the second MAIL")
	deliverAll(e)
	h.expect("250 ", "250 ")
	assert.Equal(t, []string{"one.example", "two.example", "one.example"}, f.mailer.hinted(), "each transaction hints its own domains")
}

func TestPlainRecipientThatPanics(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	h.send("MAIL FROM:<>", "RCPT TO:<a@one.example>")
	h.expect("250 ", "250 ")
	f.server.config.Mailer = panicking{f.mailer}
	h.send("RCPT TO:<b@one.example>", "RCPT TO:<b@two.example>", "RCPT TO:<c@one.example>", "DATA", ".")
	h.expect("250 2.1.5 ", "451 4.3.0 ", "250 2.1.5 ", "354 ")
	e := f.envelope()
	assert.Len(t, e.Recipients, 3, "the others are accepted")
	deliverAll(e)
	h.expect("250 ", "250 ", "250 ")
	assert.EqualValues(t, 1, f.server.Stats().Panics, "the panic is counted")
}

func TestTexts(t *testing.T) {
	var texts texts
	var kept, want []string
	for i := range 3000 {
		text := []byte(strings.Repeat(string(rune('a'+i%26)), i%300))
		want = append(want, string(text))
		kept = append(kept, texts.keep(text))
		clear(text)
	}
	long := strings.Repeat("x", 2*lastBlock)
	kept, want = append(kept, texts.keep([]byte(long)), texts.keep([]byte("end"))), append(want, long, "end")
	assert.Equal(t, want, kept, "what was kept stays as it was, over all blocks")
	small := testing.AllocsPerRun(100, func() { texts.keep([]byte("user@example.org")) })
	assert.Less(t, small, 0.5, "few texts need a block of their own")
}

// A refusal costs its host a line, and never the transaction.
func TestPlainRefusal(t *testing.T) {
	f := newFixture(t, Config{})
	f.mailer.refuse = map[string]*feed.Outcome{"gone.example": failed("550 5.1.2 no such domain")}
	h := f.host()
	h.send("MAIL FROM:<>", "RCPT TO:<a@x.example>", "RCPT TO:<b@gone.example>", "RCPT TO:<c@192.0.2.1>", "DATA", ".")
	h.expect("250 ", "250 2.1.5 Ok", "550 5.1.2 mx1.example[192.0.2.1]:25 said: 550 5.1.2 no such domain", "550 5.1.3 ", "354 ")
	deliverAll(f.envelope())
	h.expect("250 ")
	st := f.server.Stats()
	assert.Equal(t, []uint64{1, 2}, []uint64{st.Accepted, st.Refused}, "both kinds are counted")
}

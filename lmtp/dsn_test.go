package lmtp

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

func TestLHLOWithExtensions(t *testing.T) {
	for _, tt := range []struct {
		rule   string
		config Config
		want   string
	}{
		{"neither", Config{}, ""},
		{"DSN", Config{DSN: true}, "DSN"},
		{"REQUIRETLS", Config{RequireTLS: true}, "REQUIRETLS"},
		{"both", Config{DSN: true, RequireTLS: true}, "REQUIRETLS DSN"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			h := newFixture(t, tt.config).connect()
			h.expect("220 ")
			h.send("LHLO host.example")
			var offered []string
			for line := h.line(); line != "250 SIZE 0"; line = h.line() {
				if line == "250-DSN" || line == "250-REQUIRETLS" {
					offered = append(offered, line[4:])
				}
				require.NotContains(t, line, "CHUNKING", "a chunk would never be taken")
			}
			assert.Equal(t, tt.want, strings.Join(offered, " "), "what is configured is offered, each once")
		})
	}
}

func TestMailDSN(t *testing.T) {
	tests := []struct {
		rule, parameters, reply string
		want                    wire.MailDSN
	}{
		{"nothing", "", "250 ", wire.MailDSN{}},
		{"RET=FULL", "RET=FULL", "250 ", wire.MailDSN{Ret: "FULL"}},
		{"case of RET is no matter", "ret=hdrs", "250 ", wire.MailDSN{Ret: "HDRS"}},
		{"as Postfix writes it", "SIZE=1234 BODY=8BITMIME RET=HDRS ENVID=QQ314159", "250 ", wire.MailDSN{Ret: "HDRS", EnvID: "QQ314159"}},
		{"as sendmail writes it", "SIZE=1234 RET=FULL ENVID=a+2Bb+3D", "250 ", wire.MailDSN{Ret: "FULL", EnvID: "a+b="}},
		{"a blank in ENVID", "ENVID=a+20b", "250 ", wire.MailDSN{EnvID: "a b"}},
		{"ENVID of 100 octets", "ENVID=" + strings.Repeat("x", 100), "250 ", wire.MailDSN{EnvID: strings.Repeat("x", 100)}},
		{"ENVID of 100 octets that were 300", "ENVID=" + strings.Repeat("+2B", 100), "250 ", wire.MailDSN{EnvID: strings.Repeat("+", 100)}},
		{"ENVID of 101", "ENVID=" + strings.Repeat("x", 101), "250 ", wire.MailDSN{}},
		{"ENVID that is empty", "ENVID=", "501 5.5.4 ", wire.MailDSN{}},
		{"a line end in ENVID", "ENVID=a+0D+0ARSET", "501 5.5.4 ", wire.MailDSN{}},
		{"NUL in ENVID", "ENVID=a+00", "501 5.5.4 ", wire.MailDSN{}},
		{"DEL in ENVID", "ENVID=a+7F", "501 5.5.4 ", wire.MailDSN{}},
		{"a bare CR in ENVID", "ENVID=a\rb", "50", wire.MailDSN{}},
		{"an octet above 127 in ENVID", "ENVID=a+80", "501 5.5.4 ", wire.MailDSN{}},
		{"the same, as it is", "ENVID=\xfc", "501 5.5.4 ", wire.MailDSN{}},
		{"xtext without its digits", "ENVID=a+2", "501 5.5.4 ", wire.MailDSN{}},
		{"xtext of small letters", "ENVID=a+2b", "501 5.5.4 ", wire.MailDSN{}},
		{"another RET", "RET=SOME", "501 5.5.4 ", wire.MailDSN{}},
	}
	f := newFixture(t, Config{DSN: true})
	f.mailer.onSend = func(e *feed.Envelope) { f.mailer.sent <- e; deliverAll(e) }
	h := f.host()
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			h.send("MAIL FROM:<s@example.org> " + tt.parameters)
			h.expect(tt.reply)
			if tt.reply != "250 " {
				return
			}
			h.send("RCPT TO:<a@x.example>", "DATA", ".")
			h.expect("250 ", "354 ", "250 ")
			e := f.envelope()
			assert.Equal(t, tt.want, e.Params.DSN, "it is handed over")
			assert.Nil(t, e.Notify, "a recipient that asks for nothing costs nothing")
		})
	}
}

// rcptDSNs are parameters of RCPT, with what becomes of them.
var rcptDSNs = []struct {
	rule, parameters, reply string
	want                    wire.RcptParams
}{
	{"nothing", "", "250 ", wire.RcptParams{}},
	{"ORCPT that is the recipient", "ORCPT=rfc822;u@x.example", "250 ", wire.RcptParams{ORCPT: "rfc822;u@x.example"}},
	{"ORCPT that is another", "ORCPT=rfc822;list@Example.ORG", "250 ", wire.RcptParams{ORCPT: "rfc822;list@Example.ORG"}},
	{"as Postfix writes both", "ORCPT=rfc822;u@x.example NOTIFY=SUCCESS,FAILURE", "250 ", wire.RcptParams{ORCPT: "rfc822;u@x.example", Notify: wire.NotifySuccess | wire.NotifyFailure}},
	{"as sendmail writes both", "NOTIFY=FAILURE,DELAY ORCPT=rfc822;u+2Btag@x.example", "250 ", wire.RcptParams{ORCPT: "rfc822;u+tag@x.example", Notify: wire.NotifyFailure | wire.NotifyDelay}},
	{"case of type and words is no matter", "orcpt=RFC822;u@x.example notify=Success,dElay", "250 ", wire.RcptParams{ORCPT: "rfc822;u@x.example", Notify: wire.NotifySuccess | wire.NotifyDelay}},
	{"NEVER", "NOTIFY=NEVER", "250 ", wire.RcptParams{Notify: wire.NotifyNever}},
	{"all but NEVER", "NOTIFY=DELAY,FAILURE,SUCCESS", "250 ", wire.RcptParams{Notify: wire.NotifySuccess | wire.NotifyFailure | wire.NotifyDelay}},
	{"a quoted local part in ORCPT", `ORCPT=rfc822;"a+20b"@x.example`, "250 ", wire.RcptParams{ORCPT: `rfc822;"a b"@x.example`}},
	{"brackets in ORCPT are text", "ORCPT=rfc822;<u@x.example>", "250 ", wire.RcptParams{ORCPT: "rfc822;<u@x.example>"}},
	{"another type", "ORCPT=X400;u+20v", "250 ", wire.RcptParams{ORCPT: "x400;u v"}},
	{"as Postfix writes one above ASCII", "ORCPT=rfc822;+C3+BCser@x.example NOTIFY=SUCCESS", "250 ", wire.RcptParams{ORCPT: "utf-8;üser@x.example", Notify: wire.NotifySuccess}},
	{"RFC 6533", `ORCPT=utf-8;\x{FC}ser@x.example`, "250 ", wire.RcptParams{ORCPT: "utf-8;üser@x.example"}},
	{"ORCPT of 500 octets", "ORCPT=rfc822;" + strings.Repeat("x", 493), "250 ", wire.RcptParams{ORCPT: "rfc822;" + strings.Repeat("x", 493)}},
	{"ORCPT of 501", "ORCPT=rfc822;" + strings.Repeat("x", 494), "250 ", wire.RcptParams{}},
	{"ORCPT that is 501 as xtext", "ORCPT=rfc822;" + strings.Repeat("x", 491) + "+2B", "250 ", wire.RcptParams{}},
	{"ORCPT of 501 in UTF-8", "ORCPT=utf-8;" + strings.Repeat(`x\x{FC}`, 165), "250 ", wire.RcptParams{}},
	{"NEVER with another", "NOTIFY=NEVER,SUCCESS", "501 5.5.4 ", wire.RcptParams{}},
	{"another with NEVER", "NOTIFY=DELAY,NEVER", "501 5.5.4 ", wire.RcptParams{}},
	{"NEVER twice", "NOTIFY=NEVER,NEVER", "501 5.5.4 ", wire.RcptParams{}},
	{"a word twice", "NOTIFY=SUCCESS,SUCCESS", "501 5.5.4 ", wire.RcptParams{}},
	{"an unknown word", "NOTIFY=ALWAYS", "501 5.5.4 ", wire.RcptParams{}},
	{"no word", "NOTIFY=", "501 5.5.4 ", wire.RcptParams{}},
	{"an empty word", "NOTIFY=SUCCESS,", "501 5.5.4 ", wire.RcptParams{}},
	{"a blank in the list", "NOTIFY=SUCCESS, DELAY", "50", wire.RcptParams{}},
	{"ORCPT without a type", "ORCPT=u@x.example", "501 5.5.4 ", wire.RcptParams{}},
	{"ORCPT without an address", "ORCPT=rfc822;", "501 5.5.4 ", wire.RcptParams{}},
	{"a type that is none", "ORCPT=x_400;u", "501 5.5.4 ", wire.RcptParams{}},
	{"a line end in another type", "ORCPT=x400;u+0D+0A", "250 ", wire.RcptParams{}},
	{"octets above 127 in another type", "ORCPT=x400;u+C3+BC", "250 ", wire.RcptParams{}},
	{"xtext of what is no UTF-8", "ORCPT=rfc822;+C3@x.example", "250 ", wire.RcptParams{}},
	{"xtext of a C1 control", "ORCPT=rfc822;+C2+85@x.example", "250 ", wire.RcptParams{}},
	{"a line end in ORCPT", "ORCPT=rfc822;u@x.example+0D+0ADATA", "250 ", wire.RcptParams{}},
	{"NUL in ORCPT", "ORCPT=rfc822;+00", "250 ", wire.RcptParams{}},
	{"a bare CR in ORCPT", "ORCPT=rfc822;u\r@x.example", "50", wire.RcptParams{}},
	{"a control character in UTF-8", `ORCPT=utf-8;u\x{01}@x.example`, "250 ", wire.RcptParams{}},
	{"DEL in UTF-8", `ORCPT=utf-8;u\x{7F}@x.example`, "250 ", wire.RcptParams{}},
	{"a C1 control in UTF-8", `ORCPT=utf-8;u\x{85}@x.example`, "250 ", wire.RcptParams{}},
	{"a line end in UTF-8", `ORCPT=utf-8;u\x{0D}\x{0A}@x.example`, "501 5.5.4 ", wire.RcptParams{}},
	{"octets that are no UTF-8", "ORCPT=utf-8;\xff@x.example", "250 ", wire.RcptParams{}},
	{"octets above 127 in xtext", "ORCPT=rfc822;\xc3\xbc@x.example", "501 5.5.4 ", wire.RcptParams{}},
	{"one that is left out leaves NOTIFY", "ORCPT=rfc822;+E9 NOTIFY=NEVER", "250 ", wire.RcptParams{Notify: wire.NotifyNever}},
	{"an = that was not encoded", "ORCPT=rfc822;a=b@x.example", "501 5.5.4 ", wire.RcptParams{}},
	{"xtext without its digits", "ORCPT=rfc822;a+b@x.example", "501 5.5.4 ", wire.RcptParams{}},
}

// Whoever reads it, go-smtp for a transaction's first recipient or we, it becomes the same.
func TestRcptDSN(t *testing.T) {
	f := newFixture(t, Config{DSN: true})
	f.mailer.onSend = func(e *feed.Envelope) { f.mailer.sent <- e; deliverAll(e) }
	h := f.host()
	for _, tt := range rcptDSNs {
		for _, before := range []int{0, 1, 3} {
			t.Run(fmt.Sprintf("%s, behind %d others", tt.rule, before), func(t *testing.T) {
				h.send("MAIL FROM:<s@example.org>")
				h.expect("250 ")
				for range before {
					h.send("RCPT TO:<other@x.example>")
					h.expect("250 ")
				}
				command := "RCPT TO:<u@x.example> " + tt.parameters
				h.send(strings.TrimSuffix(command, " "), "RCPT TO:<last@x.example>", "DATA", ".")
				h.expect(tt.reply, "250 ", "354 ")
				e := f.envelope()
				for range e.Recipients {
					h.expect("250 ")
				}
				if tt.want == (wire.RcptParams{}) {
					assert.Nil(t, e.Notify, "nothing is handed over of it")
					return
				}
				want := make([]wire.RcptParams, before+2)
				want[before] = tt.want
				assert.Equal(t, want, e.Notify, "it is handed over with its recipient")
				assert.Equal(t, "u@x.example", e.Recipients[before].String(), "which is the one that stood there")
			})
		}
	}
}

// While it is off, everything is as without it, and no parameter is passed over in silence.
func TestDSNOff(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	h.send("MAIL FROM:<s@example.org> RET=HDRS", "MAIL FROM:<s@example.org> ENVID=x", "MAIL FROM:<s@example.org>")
	h.expect("504 5.5.4 ", "504 5.5.4 ", "250 ")
	h.send("RCPT TO:<a@x.example> NOTIFY=NEVER", "RCPT TO:<a@x.example>", "RCPT TO:<b@x.example> NOTIFY=NEVER", "RCPT TO:<b@x.example> ORCPT=rfc822;b@x.example", "DATA", ".")
	h.expect("504 5.5.4 ", "250 ", "504 5.5.4 ", "504 5.5.4 ", "354 ")
	e := f.envelope()
	assert.Nil(t, e.Notify, "nothing was asked for")
	assert.Len(t, e.Recipients, 1, "and those who did were not taken")
	deliverAll(e)
	h.expect("250 ")
}

// What Postfix sends for a list that it expanded, in one group of commands.
func TestPostfixWithDSN(t *testing.T) {
	f := newFixture(t, Config{DSN: true})
	h := f.host()
	h.send("MAIL FROM:<owner@lists.example> SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=4cXyz01ABC+40host",
		"RCPT TO:<a@x.example> ORCPT=rfc822;list@lists.example NOTIFY=FAILURE",
		"RCPT TO:<b@x.example> ORCPT=rfc822;list@lists.example NOTIFY=FAILURE",
		"RCPT TO:<c+tag@x.example> ORCPT=rfc822;c+2Btag@x.example",
		"RCPT TO:<d@x.example> ORCPT=rfc822;d@x.example NOTIFY=NEVER",
		"RCPT TO:<e@x.example>", "DATA")
	h.expect("250 ", "250 ", "250 ", "250 ", "250 ", "250 ", "354 ")
	h.content("text")
	e := f.envelope()
	assert.Equal(t, feed.Params{EightBitMIME: true, DSN: wire.MailDSN{Ret: "HDRS", EnvID: "4cXyz01ABC@host"}}, e.Params, "what MAIL asked for")
	assert.Equal(t, []wire.RcptParams{
		{Notify: wire.NotifyFailure, ORCPT: "rfc822;list@lists.example"},
		{Notify: wire.NotifyFailure, ORCPT: "rfc822;list@lists.example"},
		{ORCPT: "rfc822;c+tag@x.example"},
		{Notify: wire.NotifyNever, ORCPT: "rfc822;d@x.example"},
		{},
	}, e.Notify, "what each recipient asked for, in their order")
	deliverAll(e)
	h.expect("250 ", "250 ", "250 ", "250 ", "250 ")
	h.send("MAIL FROM:<>", "RCPT TO:<a@x.example>", "DATA", ".")
	h.expect("250 ", "250 ", "354 ")
	assert.Nil(t, f.envelope().Notify, "the next transaction begins with nothing")
}

// Recipients that are go-smtp's keep their parameters, whatever stands in their paths.
func TestAsksOfUnusualPaths(t *testing.T) {
	tests := []struct{ rule, path, to, orcpt string }{
		{"above ASCII", "<ü@x.example>", "ü@x.example", "utf-8;é"},
		{"a quoted local part", `<"a b"@x.example>`, `"a b"@x.example`, "utf-8;é"},
		{"parameters in a quoted local part", `<"a> ORCPT=rfc822;evil"@x.example>`, `"a> ORCPT=rfc822;evil"@x.example`, "utf-8;é"},
		{"quotes in it", `<"a\"> NOTIFY=NEVER"@x.example>`, `"a\"> NOTIFY=NEVER"@x.example`, "utf-8;é"},
		{"a backslash at its end", `<"a\\"@x.example>`, `"a\\"@x.example`, "utf-8;é"},
		{"an address literal", "<a@[192.0.2.1]>", "a@[192.0.2.1]", "utf-8;é"},
		{"two @", "<a@b@x.example>", `"a@b"@x.example`, "utf-8;é"},
		{"a quote in the middle", `<a"> ORCPT=rfc822;evil"@x.example>`, "", ""},
		{"a source route is left to go-smtp, which knows no such original recipient", "<@r:a@x.example>", "", ""},
		{"so is one that seems to end early", `<@"r:"a>`, "", ""},
		{"a blank before it", " <a@x.example>", "", ""},
		{"no brackets", "a@x.example", "", ""},
	}
	f := newFixture(t, Config{DSN: true})
	f.mailer.onSend = func(e *feed.Envelope) { f.mailer.sent <- e; deliverAll(e) }
	h := f.host()
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			h.send("MAIL FROM:<> SMTPUTF8", "RCPT TO:"+tt.path+" ORCPT=rfc822;+C3+A9", "RCPT  TO:<last@x.example>", "DATA", ".")
			h.expect("250 ", map[bool]string{true: "5", false: "250 "}[tt.to == ""], "250 ", "354 ", "250 ")
			e := f.envelope()
			if tt.to == "" {
				require.Len(t, e.Recipients, 1, "it is refused")
				assert.Nil(t, e.Notify, "and nobody else asks for what it asked for")
				return
			}
			h.expect("250 ")
			assert.Equal(t, tt.to, e.Recipients[0].String(), "the path is what it was")
			assert.Equal(t, []wire.RcptParams{{ORCPT: tt.orcpt}, {}}, e.Notify, "and so are its parameters, which are no other recipient's")
		})
	}
}

// asGoSMTP compares what we read of parameters with what go-smtp does: it takes the second form.
func asGoSMTP(t *testing.T, parameters []string) (taken int) {
	one := func(begin string) (lines, handedOver []string) {
		sent := []byte("LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@x.example>\r\n")
		for i, p := range parameters {
			sent = fmt.Appendf(sent, "%s<%d@x.example>%s\r\n", begin, i, p)
		}
		return play(t, Config{DSN: true}, append(sent, "DATA\r\n.\r\n"...), 1<<20)
	}
	_, ours := one("RCPT TO:")
	_, theirs := one("RCPT  TO:")
	for _, r := range ours {
		if m := originalType.FindStringSubmatch(r); m != nil && m[1] != "rfc822" && !slices.Contains(theirs, r) {
			continue // go-smtp does not take other types, nor xtext above ASCII
		}
		if m := leftOut.FindStringSubmatch(r); m != nil && !slices.Contains(theirs, r) && strings.Contains(strings.ToUpper(parameters[atoi(t, m[1])]), "ORCPT=") {
			continue // nor what we leave out
		}
		require.Contains(t, theirs, r, "it means the same to go-smtp")
		taken++
	}
	for _, r := range theirs {
		require.Contains(t, ours, r, "and what go-smtp takes, we do")
	}
	return taken
}

var (
	originalType = regexp.MustCompile(`ORCPT:([^;]+);`)
	leftOut      = regexp.MustCompile(`(\d+)@x\.example \{Notify:.*ORCPT:\}$`)
)

func atoi(t *testing.T, digits string) int {
	n, err := strconv.Atoi(digits)
	require.NoError(t, err, "it is a number")
	return n
}

// No combination of pieces, right or wrong, means one thing to us and another to go-smtp.
func TestAsksAsGoSMTP(t *testing.T) {
	pieces := []string{" ", " ", "  ", "\t", "ORCPT=rfc822;b@x.example", "ORCPT=rfc822;list@y.example", "orcpt=RFC822;c", "ORCPT=utf-8;d", "ORCPT=", "rfc822;", "a+2Bb", "a+b", "+C3+BC",
		"NOTIFY=NEVER", "NOTIFY=SUCCESS", "notify=delay,", ",FAILURE", "NOTIFY", "=", ";", "x", ">", "\x7f", "\r", "\xc3\xbc", "NOTIFY=success,failure,delay", "SIZE=1"}
	r := rand.New(rand.NewPCG(3, 461))
	parameters := make([]string, 3000)
	for i := range parameters {
		p := " "
		for range r.IntN(6) {
			p += pieces[r.IntN(len(pieces))]
		}
		parameters[i] = p
	}
	taken := asGoSMTP(t, parameters)
	assert.Greater(t, taken, 300, "many of them are right")
	assert.Less(t, taken, 2700, "and many are not")
}

// FuzzAsks: what parameters mean does not depend on who reads them.
func FuzzAsks(f *testing.F) {
	for _, tt := range rcptDSNs {
		f.Add(" " + tt.parameters)
	}
	f.Add(" NOTIFY=NEVER NOTIFY=NEVER")
	f.Add(" ORCPT=rfc822;a ORCPT=rfc822;b")
	f.Add("  ORCPT=rfc822;a  NOTIFY=DELAY ")
	f.Fuzz(func(t *testing.T, parameters string) {
		if strings.Contains(parameters, "\n") || len(parameters) > maxLine/2 {
			t.Skip("it is not one line")
		}
		asGoSMTP(t, []string{parameters})
	})
}

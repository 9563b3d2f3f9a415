package lmtp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

func TestStatus(t *testing.T) {
	six := &feed.Via{MX: "mx6.example", Addr: netip.MustParseAddrPort("[2001:db8::1]:25")}
	noAddr := &feed.Via{MX: "mx1.example"}
	tests := []struct {
		rule    string
		outcome *feed.Outcome
		line    string
	}{
		{"delivered: the remote's own reply", delivered("250 2.0.0 Ok: queued as X"), "250 2.0.0 mx1.example[192.0.2.1]:25 said: 250 2.0.0 Ok: queued as X"},
		{"delivered with another 2xx", delivered("251 2.1.5 forwarded"), "250 2.1.5 mx1.example[192.0.2.1]:25 said: 251 2.1.5 forwarded"},
		{"delivered in an earlier attempt (HST-16)", &feed.Outcome{Class: feed.Delivered, Earlier: true, Status: wire.Enhanced{Class: 2}, Reply: reply("250 2.0.0 Ok"), Via: mx1},
			"250 2.0.0 mx1.example[192.0.2.1]:25 said in an earlier attempt: 250 2.0.0 Ok"},
		{"450 stays", deferred("450 4.2.1 greylisted"), "450 4.2.1 mx1.example[192.0.2.1]:25 said: 450 4.2.1 greylisted"},
		{"451 stays", deferred("451 4.3.0 later"), "451 4.3.0 mx1.example[192.0.2.1]:25 said: 451 4.3.0 later"},
		{"452 stays", deferred("452 4.2.2 full"), "452 4.2.2 mx1.example[192.0.2.1]:25 said: 452 4.2.2 full"},
		{"421 becomes 451 (HST-05)", deferred("421 4.7.0 too busy"), "451 4.7.0 mx1.example[192.0.2.1]:25 said: 421 4.7.0 too busy"},
		{"a deferred 5xx becomes 451", &feed.Outcome{Status: wire.Enhanced{Class: 4, Subject: 3, Detail: 2}, Reply: reply("554 no service"), Via: mx1},
			"451 4.3.2 mx1.example[192.0.2.1]:25 said: 554 no service"},
		{"550 stays", failed("550 5.1.1 no such user"), "550 5.1.1 mx1.example[192.0.2.1]:25 said: 550 5.1.1 no such user"},
		{"554 stays", failed("554 5.7.1 spam"), "554 5.7.1 mx1.example[192.0.2.1]:25 said: 554 5.7.1 spam"},
		{"553 becomes 550", failed("553 5.1.3 bad"), "550 5.1.3 mx1.example[192.0.2.1]:25 said: 553 5.1.3 bad"},
		{"521 becomes 550", failed("521 5.3.2 never"), "550 5.3.2 mx1.example[192.0.2.1]:25 said: 521 5.3.2 never"},
		{"an error of ours", ours(feed.Deferred, wire.Enhanced{Class: 4, Subject: 4, Detail: 1}, "connection refused"), "451 4.4.1 mx1.example[192.0.2.1]:25: connection refused"},
		{"IPv6", &feed.Outcome{Class: feed.Failed, Status: wire.Enhanced{Class: 5, Subject: 1, Detail: 1}, Reply: reply("550 5.1.1 no"), Via: six}, "550 5.1.1 mx6.example[2001:db8::1]:25 said: 550 5.1.1 no"},
		{"no address was tried", &feed.Outcome{Status: wire.Enhanced{Class: 4, Subject: 4, Detail: 3}, Err: errors.New("no address"), Via: noAddr}, "451 4.4.3 mx1.example: no address"},
		{"no host was tried", &feed.Outcome{Class: feed.Failed, Status: wire.Enhanced{Class: 5, Subject: 1, Detail: 2}, Err: errors.New("resolver: MX x: NXDOMAIN")}, "550 5.1.2 resolver: MX x: NXDOMAIN"},
		{"nothing is known", &feed.Outcome{}, "451 4.0.0 deferred"},
		{"delivered without a reply", &feed.Outcome{Class: feed.Delivered, Status: wire.Enhanced{Class: 2}}, "250 2.0.0 delivered"},
		{"the enhanced class is the code's", &feed.Outcome{Status: wire.Enhanced{Class: 5, Subject: 1, Detail: 1}, Err: errors.New("x")}, "451 4.0.0 x"},
		{"an enhanced code without bounds", &feed.Outcome{Status: wire.Enhanced{Class: 4, Subject: 65000, Detail: 1}, Err: errors.New("x")}, "451 4.0.0 x"},
		{"a name out of DNS is cleaned", &feed.Outcome{Err: errors.New("x"), Via: &feed.Via{MX: "mx\x1b[2J\r\n.example"}}, "451 4.0.0 mx?[2J .example: x"},
		{"an error is cleaned", &feed.Outcome{Err: errors.New("a\r\n250 2.0.0 b\x00")}, "451 4.0.0 a 250 2.0.0 b?"},
		{"several lines become one (REP-02)", &feed.Outcome{Class: feed.Failed, Reply: wire.Reply{Code: 550, Text: "one\ntwo\x1b[0m"}, Via: mx1}, "550 5.0.0 mx1.example[192.0.2.1]:25 said: 550 one two?[0m"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			s := status(tt.outcome)
			assert.Equal(t, tt.line, fmt.Sprintf("%d %d.%d.%d %s", s.Code, s.EnhancedCode[0], s.EnhancedCode[1], s.EnhancedCode[2], s.Message),
				"the reply is this one line")
		})
	}
}

func TestStatusOverTLS(t *testing.T) {
	const tls13 = "TLSv1.3 TLS_AES_128_GCM_SHA256"
	secured := func(tls, policy string, verified bool) *feed.Via {
		return &feed.Via{MX: mx1.MX, Addr: mx1.Addr, TLS: tls, Policy: policy, Verified: verified}
	}
	tests := []struct {
		rule string
		via  *feed.Via
		how  string
	}{
		{"plaintext", secured("", "", false), ""},
		{"TLS that nobody demanded", secured(tls13, "", false), " (" + tls13 + ")"},
		{"nor is it of use to say that such a certificate was good", secured(tls13, "", true), " (" + tls13 + ")"},
		{"TLS that was demanded, with any certificate", secured(tls13, "required", false), " (" + tls13 + ", required)"},
		{"DANE", secured(tls13, "dane", true), " (" + tls13 + ", dane verified)"},
		{"MTA-STS", secured("TLSv1.2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "mta-sts", true), " (TLSv1.2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, mta-sts verified)"},
		{"a policy without TLS", secured("", "dane", false), ""},
		{"whatever it may be, it is clean", secured("TLS\r\n250 2.0.0 x", "a\x1b", true), " (TLS 250 2.0.0 x, a? verified)"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			o := delivered("250 2.0.0 Ok: queued as X")
			o.Via = tt.via
			assert.Equal(t, "250 2.0.0 mx1.example[192.0.2.1]:25"+tt.how+" said: 250 2.0.0 Ok: queued as X", lineOf(status(o)), "with the remote's words")
			o = ours(feed.Deferred, wire.Enhanced{Class: 4, Subject: 7, Detail: 5}, "certificate of another")
			o.Via = tt.via
			assert.Equal(t, "451 4.7.5 mx1.example[192.0.2.1]:25"+tt.how+": certificate of another", lineOf(status(o)), "and with ours")
		})
	}
	assert.Equal(t, "451 4.7.4 no TLS", lineOf(status(&feed.Outcome{Status: wire.Enhanced{Class: 4, Subject: 7, Detail: 4}, Err: errors.New("no TLS"), Via: &feed.Via{TLS: tls13}})),
		"where no host has a name, nothing is said about it")
}

// Codes of RFC 8689, RFC 7672 and others that bounces shall have.
func TestStatusOfPolicies(t *testing.T) {
	for line, o := range map[string]*feed.Outcome{
		"550 5.7.30 mx1.example[192.0.2.1]:25: x": ours(feed.Failed, wire.Enhanced{Class: 5, Subject: 7, Detail: 30}, "x"),
		"550 5.7.10 mx1.example[192.0.2.1]:25: x": ours(feed.Failed, wire.Enhanced{Class: 5, Subject: 7, Detail: 10}, "x"),
		"451 4.7.4 mx1.example[192.0.2.1]:25: x":  ours(feed.Deferred, wire.Enhanced{Class: 4, Subject: 7, Detail: 4}, "x"),
		"451 4.7.5 mx1.example[192.0.2.1]:25: x":  ours(feed.Deferred, wire.Enhanced{Class: 4, Subject: 7, Detail: 5}, "x"),
	} {
		assert.Equal(t, line, lineOf(status(o)), "the code is told as it is")
	}
}

// The remote's words matter more than how they came.
func TestStatusGivesUpTLSFirst(t *testing.T) {
	via := &feed.Via{MX: mx1.MX, Addr: mx1.Addr, TLS: "TLSv1.3 TLS_AES_128_GCM_SHA256", Policy: "dane", Verified: true}
	how := secured(via)
	for n := range maxText {
		o := delivered("250 2.0.0 " + strings.Repeat("x", n))
		o.Via = mx1
		plain := status(o).Message
		o.Via = via
		over := status(o).Message
		require.LessOrEqual(t, len(over), maxText, "the text is short enough with %d octets of the remote's", n)
		if len(plain)+len(how) <= maxText {
			require.Equal(t, plain, strings.Replace(over, how, "", 1), "all of both is told")
			require.Contains(t, over, how, "where it fits")
		} else {
			require.Equal(t, plain, over, "and else the remote's words as over plaintext")
		}
	}
}

// HOSTS 2 and 3, for whatever a remote may say.
func TestStatusOfAnyReply(t *testing.T) {
	allowed := map[feed.Class][]int{feed.Delivered: {250}, feed.Deferred: {450, 451, 452}, feed.Failed: {550, 554}}
	for class, codes := range allowed {
		for code := 0; code < 600; code++ {
			s := status(&feed.Outcome{Class: class, Reply: wire.Reply{Code: code, Text: "text"}, Via: mx1})
			require.Contains(t, codes, s.Code, "%v with the remote's %d has a code every host understands", class, code)
			require.Equal(t, s.Code/100, s.EnhancedCode[0], "the enhanced class is the code's")
		}
	}
}

// The longest recipient, the longest exchanger and an endless text: still one line below 500 octets, with the remote's code in it.
func TestFinalReplyIsShort(t *testing.T) {
	f := newFixture(t, Config{})
	h := f.host()
	long := strings.Repeat("l", 850) + "@" + strings.Repeat("d", 40) + ".example"
	h.envelope(long)
	h.content("")
	e := f.envelope()
	settle(e, &feed.Outcome{
		Class:  feed.Failed,
		Status: wire.Enhanced{Class: 5, Subject: 999, Detail: 999},
		Reply:  wire.Reply{Code: 554, Enhanced: wire.Enhanced{Class: 5, Subject: 7, Detail: 1}, Text: strings.Repeat("no\n", 30000)},
		Via:    &feed.Via{MX: strings.Repeat("m", 300), Addr: netip.MustParseAddrPort("[2001:db8:1111:2222:3333:4444:5555:6666]:65535")},
	}, 0)
	line := h.line()
	assert.Less(t, len(line)+2, 500, "the line is short")
	assert.True(t, strings.HasPrefix(line, "554 5.999.999 mmm"), "it begins with the codes, not with the recipient: %s", line)
	assert.Contains(t, line, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535 said: 554 5.7.1 no no", "the remote's own code is in it")
	h.send("NOOP")
	h.expect("250 ")
}

func TestFinalReplyHidesTheRecipient(t *testing.T) {
	f := newFixture(t, Config{})
	f.mailer.onSend = deliverAll
	h := f.host()
	h.send("MAIL FROM:<> SMTPUTF8", `RCPT TO:<"<x> y"@x.example>`, "RCPT TO:<ü@x.example>", "DATA", ".")
	h.expect("250 ", "250 2.1.5 Ok", "250 2.1.5 Ok", "354 ")
	h.expect("250 2.0.0 mx1.example[192.0.2.1]:25 said: 250 2.0.0 Ok", "250 2.0.0 mx1.example[192.0.2.1]:25 said: 250 2.0.0 Ok")
}

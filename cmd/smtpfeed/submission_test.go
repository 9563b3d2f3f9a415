package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/tlsrpt"
	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/lmtp"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// hostMTA is an smtpd that takes mail of ours, or none.
func hostMTA(t *testing.T, c mxsim.Config) (*mxsim.Server, string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err, "the host MTA listens")
	s := mxsim.New(c)
	s.Start(l)
	t.Cleanup(s.Close)
	return s, fmt.Sprintf("[127.0.0.1]:%d", l.Addr().(*net.TCPAddr).Port)
}

// submitterTo makes a submitter for a host MTA.
func submitterTo(t *testing.T, host string) *submitter {
	c, err := Parse("f", []byte(fmt.Sprintf("hostname = \"feed.example.test\"\n[dns]\nservers = [\"127.0.0.1:1\"]\n[submission]\nhost = %q\n", host)))
	require.NoError(t, err, "the configuration is good")
	s, err := newSubmitter(c, slog.New(slog.DiscardHandler))
	require.NoError(t, err, "and so is the host")
	t.Cleanup(s.close)
	return s
}

func addressOf(t *testing.T, s string) wire.Address {
	a, err := wire.ParseAddress(s)
	require.NoError(t, err, "it is an address")
	return a
}

// relayed is a delivery of which its sender wants to know.
func relayed(t *testing.T) lmtp.Notice {
	var body wire.BodyWriter
	body.Write([]byte("Subject: hello\r\n\r\nhello\r\n"))
	return lmtp.Notice{From: addressOf(t, "list@example.net"), DSN: wire.MailDSN{EnvID: "QQ314"}, Arrival: time.Unix(1, 0), Body: body.Body(),
		Recipients: []lmtp.NoticeRecipient{{To: addressOf(t, "a@example.test"), ORCPT: "rfc822;b@example.test",
			Outcome: &feed.Outcome{Class: feed.Delivered, Status: wire.Enhanced{Class: 2}, Reply: wire.Reply{Code: 250, Text: "queued"}, Via: &feed.Via{MX: "mx.example.test"}}}}}
}

func TestNoticesGoThroughTheHostMTA(t *testing.T) {
	mta, host := hostMTA(t, mxsim.Config{KeepContent: true})
	s := submitterTo(t, host)
	require.NoError(t, s.notify(relayed(t)), "the host MTA takes it")
	require.Len(t, mta.Messages(), 1, "there is one notification")
	m := mta.Messages()[0]
	assert.Empty(t, m.From, "RFC 3461 section 6.1: from the null reverse-path")
	assert.Equal(t, []string{"list@example.net"}, m.To, "to the sender")
	for _, field := range []string{"Action: relayed", "Final-Recipient: rfc822; a@example.test", "Original-Recipient: rfc822; b@example.test", "Original-Envelope-Id: QQ314",
		"Remote-MTA: dns; mx.example.test", "Subject: hello"} {
		assert.Contains(t, string(m.Content), field, "it says what became of the message")
	}
	first := m
	require.NoError(t, s.notify(relayed(t)), "it is issued again, as when its end is not known")
	again := mta.Messages()[1]
	assert.Equal(t, messageID(first.Content), messageID(again.Content), "it can be told for the same one")
	assert.NotEmpty(t, messageID(first.Content), "by its Message-ID")
	assert.Empty(t, mta.Violations(), "the client did nothing wrong")
}

func messageID(content []byte) string {
	for line := range strings.Lines(string(content)) {
		if id, ok := strings.CutPrefix(line, "Message-ID: "); ok {
			return strings.TrimSpace(id)
		}
	}
	return ""
}

func TestReportsGoThroughTheHostMTA(t *testing.T) {
	mta, host := hostMTA(t, mxsim.Config{KeepContent: true})
	s := submitterTo(t, host)
	require.NoError(t, s.report(t.Context(), tlsrpt.Mail{To: "tls@example.test", Message: []byte("Subject: report\r\n\r\nx\r\n")}), "the host MTA takes it")
	require.Len(t, mta.Messages(), 1, "there is one report")
	assert.Equal(t, []string{"tls@example.test"}, mta.Messages()[0].To, "to whom asked for it")
	assert.Equal(t, "Subject: report\r\n\r\nx\r\n", string(mta.Messages()[0].Content), "as it is")
	assert.Error(t, s.report(t.Context(), tlsrpt.Mail{To: "no address"}), "nobody is no recipient")
}

func TestHostMTAThatDoesNotTakeMail(t *testing.T) {
	const closed = "[127.0.0.1]:1" // nobody is given a port of this kind by chance
	_, refusing := hostMTA(t, mxsim.Config{Rcpt: func(string, int) string { return "550 5.1.1 nobody" }})
	_, full := hostMTA(t, mxsim.Config{Mail: func(string) string { return "452 4.3.1 full" }})
	for rule, c := range map[string]struct{ host, says string }{"it is down": {closed, "refused"}, "it refuses the recipient": {refusing, "nobody"}, "it is full": {full, "full"}} {
		t.Run(rule, func(t *testing.T) {
			assert.ErrorContains(t, submitterTo(t, c.host).notify(relayed(t)), c.says, "the caller is told, and does not wait for ever")
		})
	}
}

func TestSubmissionEndsWithItsCaller(t *testing.T) {
	mute, host := hostMTA(t, mxsim.Config{Mail: func(string) string { return mxsim.Mute }})
	s := submitterTo(t, host)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.report(ctx, tlsrpt.Mail{To: "tls@example.test", Message: []byte("x\r\n")}) }()
	for mute.Stats().Sessions == 0 {
		runtime.Gosched()
	}
	cancel()
	assert.ErrorIs(t, <-ended, context.Canceled, "whoever waits may give up")
}

// What is on its way when the process ends is broken off, and what comes later is refused: nobody hangs.
func TestSubmitterThatIsClosed(t *testing.T) {
	mute, host := hostMTA(t, mxsim.Config{Mail: func(string) string { return mxsim.Mute }})
	s := submitterTo(t, host)
	ended := make(chan error, 1)
	go func() { ended <- s.notify(relayed(t)) }()
	for mute.Stats().Sessions == 0 {
		runtime.Gosched()
	}
	s.close()
	assert.ErrorContains(t, <-ended, "submission.host: ", "what is on its way ends with an error")
	assert.ErrorContains(t, s.notify(relayed(t)), "shutting down", "what comes later too")
	s.close()
	(*submitter)(nil).close() // none is configured
}

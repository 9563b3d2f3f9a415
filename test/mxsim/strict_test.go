package mxsim_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
)

var link0 = netsim.Link{} // no latency: the server's own model is what is looked at

func TestServerRecordsViolations(t *testing.T) {
	const envelope = "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n"
	plain := mxsim.Config{Keywords: []string{}, RTT: rtt}
	far := mxsim.Config{RTT: rtt}
	for name, c := range map[string]struct {
		config mxsim.Config
		say    []string // with half a round trip between, after EHLO was answered
		want   []string
	}{
		"octets behind EHLO":              {far, []string{"EHLO us\r\nMAIL FROM:<>\r\n"}, []string{"talk before the reply to EHLO"}},
		"octets soon behind EHLO":         {far, []string{"EHLO us\r\n", "MAIL FROM:<>\r\n"}, []string{"talk before the reply to EHLO"}},
		"octets in time behind EHLO":      {far, []string{"EHLO us\r\n", "", "MAIL FROM:<>\r\n"}, nil},
		"the body with DATA":              {far, []string{envelope + "body\r\n.\r\n"}, []string{"talk before the reply to DATA"}},
		"the body soon behind DATA":       {far, []string{envelope, "body\r\n.\r\n"}, []string{"talk before the reply to DATA"}},
		"a group behind the dot is legal": {far, []string{envelope, "", "body\r\n.\r\n" + envelope}, nil},
		"octets behind NOOP":              {far, []string{"NOOP\r\nNOOP\r\n"}, []string{"talk before the reply to NOOP"}},
		"octets behind QUIT":              {far, []string{"QUIT\r\nNOOP\r\n"}, []string{"talk behind QUIT"}},
		"pipelining that was not offered": {plain, []string{"MAIL FROM:<>\r\nRCPT TO:<b@y>\r\n"}, []string{"talk before the reply to MAIL (PIPELINING was not offered)"}},
		"no pipelining":                   {plain, []string{"MAIL FROM:<>\r\n", "", "RCPT TO:<b@y>\r\n"}, nil},
		"SIZE that was not offered":       {plain, []string{"MAIL FROM:<> SIZE=1\r\n"}, []string{"MAIL parameter not offered"}},
		"BODY that was not offered":       {plain, []string{"MAIL FROM:<> BODY=8BITMIME\r\n"}, []string{"MAIL parameter not offered"}},
		"SMTPUTF8 that was not offered":   {far, []string{"MAIL FROM:<> SMTPUTF8\r\n"}, []string{"MAIL parameter not offered"}},
		"STARTTLS that was not offered":   {far, []string{"STARTTLS\r\n"}, []string{"STARTTLS was not offered"}},
		"a space behind the colon":        {far, []string{"MAIL FROM: <a@x>\r\n"}, []string{"malformed MAIL"}},
		"no brackets":                     {far, []string{"MAIL FROM:<>\r\nRCPT TO:b@y\r\n"}, []string{"malformed RCPT"}},
		"a recipient without an address":  {far, []string{"MAIL FROM:<>\r\nRCPT TO:<>\r\n"}, []string{"malformed RCPT"}},
		"a recipient that injects":        {far, []string{"MAIL FROM:<>\r\nRCPT TO:<b@y> NOTIFY=NEVER\r\n"}, []string{"malformed RCPT"}},
		"nested MAIL":                     {far, []string{"MAIL FROM:<>\r\nMAIL FROM:<>\r\n"}, []string{"MAIL inside a transaction"}},
		"EHLO without a name":             {far, []string{"EHLO\r\n"}, []string{"EHLO without a name"}},
		"an unknown command":              {far, []string{"BODY\r\n"}, []string{"unknown command"}},
		"bare LF in a command":            {far, []string{"RSET\n"}, []string{"bare LF in a command"}},
		"bare CR in a command":            {far, []string{"MAIL FROM:<a\r@x>\r\n"}, []string{"bare CR in a command", "malformed MAIL"}},
		"a line without end":              {far, []string{strings.Repeat("x", 5000)}, []string{"command line too long"}},
		"bare CR in content":              {far, []string{envelope, "", "a\rb\r\n.\r\n"}, []string{"bare CR in content"}},
		"bare LF in content":              {far, []string{envelope, "", "a\nb\r\n.\r\n"}, []string{"bare LF in content"}},
		"LF dot CRLF is no end":           {far, []string{envelope, "", "a\n.\r\nb\r\n.\r\n"}, []string{"bare LF in content"}},
		"NUL in content":                  {far, []string{envelope, "", "a\x00b\r\n.\r\n"}, []string{"NUL in content"}},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, c.config, func(t *testing.T, s *mxsim.Server, us *client) {
				go io.Copy(io.Discard, us) // replies do not matter here
				time.Sleep(2 * rtt)
				us.say("EHLO us\r\n")
				time.Sleep(2 * rtt)
				for _, text := range c.say {
					us.say(text)
					time.Sleep(rtt / 2)
				}
				time.Sleep(time.Second)
				assert.Equal(t, c.want, rules(s), "the rules broken are recorded, and no others")
				assert.Equal(t, len(c.want), s.Stats().Violations, "and counted")
			})
		})
	}
}

func TestServerRecordsTalkBeforeTheGreeting(t *testing.T) {
	serve(t, mxsim.Config{HoldGreeting: time.Minute}, func(t *testing.T, s *mxsim.Server, c *client) {
		c.say("EHLO us\r\n")
		c.hear("220 mx.example ESMTP", "250-mx.example")
		v := s.Violations()
		if assert.Len(t, v, 1) {
			assert.Equal(t, mxsim.Violation{Session: 1, What: "talk before the reply to connecting", Octets: "EHLO us\r\n"}, v[0])
		}
	})
}

func TestServerKeepsABoundedNumberOfViolations(t *testing.T) {
	serve(t, mxsim.Config{}, func(t *testing.T, s *mxsim.Server, c *client) {
		go io.Copy(io.Discard, c)
		c.say(strings.Repeat("X\r\n", 3000))
		time.Sleep(time.Second)
		assert.Len(t, s.Violations(), 1000, "the first thousand are kept")
		assert.Equal(t, 3000, s.Stats().Violations, "all are counted")
	})
}

// Any split of the same octets must give the same content.
func TestContentIsTheSameForAnySplit(t *testing.T) {
	long := strings.Repeat("z", 9000)
	for i, c := range []struct{ wire, content string }{
		{".\r\n", ""},
		{"\r\n.\r\n", "\r\n"},
		{"a\r\n.\r\n", "a\r\n"},
		{"..\r\n..a\r\nb.\r\n...\r\n.\r\n", ".\r\n.a\r\nb.\r\n..\r\n"},
		{"a\r\n.b\r\n.\r\n", "a\r\nb\r\n"}, // an unstuffed dot is lost, RFC 5321 section 4.5.2
		{"\r\n\r\n\r\n.\r\n", "\r\n\r\n\r\n"},
		{"a\r\n..\r\n.\r\n", "a\r\n.\r\n"},
		{long + "\r\n." + long + "\r\n.\r\n", long + "\r\n" + long + "\r\n"},
		{long + ".\r\n.\r\n", long + ".\r\n"},
	} {
		for _, step := range []int{1, 2, 3, 5, 4095, 4096, 4097, 100000} {
			if step < 5 && len(c.wire) > 1000 {
				continue
			}
			t.Run(fmt.Sprintf("content %d in steps of %d", i, step), func(t *testing.T) {
				serve(t, mxsim.Config{KeepContent: true}, func(t *testing.T, s *mxsim.Server, us *client) {
					us.hello()
					us.say("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n")
					us.hear("250 2.1.0 Ok", "250 2.1.5 Ok", "354 go ahead")
					for w := c.wire; w != ""; {
						k := min(step, len(w))
						us.say(w[:k])
						w = w[k:]
						time.Sleep(time.Millisecond)
					}
					us.hear("250 2.0.0 Ok: queued")
					m := s.Messages()[0]
					assert.Equal(t, c.content, string(m.Content), "the content is unstuffed")
					assert.EqualValues(t, len(c.content), m.Size, "and counted")
					assert.Equal(t, digest(c.content), m.Digest, "and digested")
					assert.Empty(t, s.Violations(), "it broke no rule")
				})
			})
		}
	}
}

func TestServerGivesBackPressureToAClientThatReadsNoReplies(t *testing.T) {
	serve(t, mxsim.Config{RTT: time.Hour}, func(t *testing.T, s *mxsim.Server, c *client) {
		time.Sleep(2 * time.Hour)
		c.SetWriteDeadline(time.Now().Add(time.Minute))
		k, err := io.Copy(c, strings.NewReader(strings.Repeat("RSET\r\n", 1<<20)))
		assert.Error(t, err, "the client cannot write on for ever")
		assert.Less(t, k, int64(2<<20), "the server holds a bounded number of replies")
	})
}

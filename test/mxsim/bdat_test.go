package mxsim_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// chunking is a server that offers what BDAT needs.
var chunking = []string{"PIPELINING", "8BITMIME", "SIZE 0", "CHUNKING"}

func TestServerTakesChunks(t *testing.T) {
	serve(t, mxsim.Config{Keywords: chunking, KeepContent: true, RTT: rtt}, func(t *testing.T, s *mxsim.Server, c *client) {
		c.hello()
		c.say("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n")
		c.hear("250 2.1.0 Ok", "250 2.1.5 Ok")
		c.say("BDAT 6\r\n.one\r\nbdat 7\r\n.\r\n..\r\nBDAT 0 last\r\nMAIL FROM:<a@x>\r\nRCPT TO:<c@y>\r\nRCPT TO:<d@y>\r\n")
		c.hear("250 2.0.0 6 octets received", "250 2.0.0 7 octets received", "250 2.0.0 Ok: queued", "250 2.1.0 Ok", "250 2.1.5 Ok", "250 2.1.5 Ok")
		c.say("BDAT 5 LAST\r\ntwo\r\nQUIT\r\n")
		c.hear("250 2.0.0 Ok: queued", "221 2.0.0 Bye")
		c.end(io.EOF)
		m := s.Messages()
		require.Len(t, m, 2, "both messages are recorded")
		assert.Equal(t, ".one\r\n.\r\n..\r\n", string(m[0].Content), "the octets are kept as they came: no dot is taken away")
		assert.Equal(t, digest(".one\r\n.\r\n..\r\n"), m[0].Digest, "the digest is the content's")
		assert.EqualValues(t, 13, m[0].Size, "so is the size")
		assert.Equal(t, []int{3, 1}, []int{m[0].Chunks, m[1].Chunks}, "the chunks are counted")
		assert.Equal(t, []string{"c@y", "d@y"}, m[1].To, "what rode behind the last chunk is the next transaction")
		assert.Empty(t, s.Violations(), "nothing was wrong")
	})
}

// Any split of the same octets must give the same content, and no fault that is not in it.
func TestChunksAreTheSameForAnySplit(t *testing.T) {
	for i, content := range []string{"", "\r\n", ".\r\n", "a\r\n.\r\nb\r\n", strings.Repeat("z", 9000) + "\r\n." + strings.Repeat("y", 70000) + "\r\n"} {
		for _, step := range []int{1, 2, 3, 5, 4095, 4096, 100000} {
			if step < 5 && len(content) > 1000 {
				continue
			}
			t.Run(fmt.Sprintf("content %d in steps of %d", i, step), func(t *testing.T) {
				serve(t, mxsim.Config{Keywords: chunking, KeepContent: true}, func(t *testing.T, s *mxsim.Server, us *client) { sayInSteps(t, s, us, content, step) })
			})
		}
	}
}

// sayInSteps sends a content in two chunks, cut in the middle, and all of it a few octets at a time.
func sayInSteps(t *testing.T, s *mxsim.Server, us *client, content string, step int) {
	us.hello()
	us.say("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n")
	us.hear("250 2.1.0 Ok", "250 2.1.5 Ok")
	one, two := content[:len(content)/2], content[len(content)/2:]
	for w := fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%s", len(one), one, len(two), two); w != ""; {
		k := min(step, len(w))
		us.say(w[:k])
		w = w[k:]
		time.Sleep(time.Millisecond)
	}
	us.hear(fmt.Sprintf("250 2.0.0 %d octets received", len(one)), "250 2.0.0 Ok: queued")
	m := s.Messages()[0]
	assert.Equal(t, content, string(m.Content), "the content is what was sent")
	assert.EqualValues(t, len(content), m.Size, "and counted")
	assert.Equal(t, digest(content), m.Digest, "and digested")
	assert.Empty(t, s.Violations(), "it broke no rule")
}

// RFC 3030 section 2: octets that belong to a refused BDAT are read and thrown away, whatever they look like.
func TestServerThrowsTheOctetsOfARefusedChunkAway(t *testing.T) {
	no := func(string, int) string { return "550 5.1.1 no" }
	for name, c := range map[string]struct {
		config mxsim.Config
		say    []string // with time for the replies between
		hear   []string
	}{
		"no recipient was accepted": {mxsim.Config{Rcpt: no, Keywords: chunking}, []string{"MAIL FROM:<>\r\nRCPT TO:<b@y>\r\n", "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"},
			[]string{"250 2.1.0 Ok", "550 5.1.1 no", "503 5.5.1 no valid recipients", "250 2.0.0 Ok"}},
		"no MAIL": {mxsim.Config{Keywords: chunking}, []string{"BDAT 6\r\nQUIT\r\nNOOP\r\n"}, []string{"503 5.5.1 need MAIL", "250 2.0.0 Ok"}},
		"RSET ended it": {mxsim.Config{Keywords: chunking}, []string{"MAIL FROM:<>\r\nRCPT TO:<b@y>\r\n", "BDAT 6\r\nhell\r\n", "RSET\r\nBDAT 6 LAST\r\nQUIT\r\n"},
			[]string{"250 2.1.0 Ok", "250 2.1.5 Ok", "250 2.0.0 6 octets received", "250 2.0.0 Ok", "503 5.5.1 need MAIL"}},
		"too big": {mxsim.Config{Keywords: []string{"PIPELINING", "CHUNKING", "SIZE 5"}}, []string{"MAIL FROM:<>\r\nRCPT TO:<b@y>\r\n", "BDAT 6 LAST\r\nabcd\r\n"},
			[]string{"250 2.1.0 Ok", "250 2.1.5 Ok", "552 5.3.4 message too big"}},
		"the hook decides": {mxsim.Config{Keywords: chunking, Final: func(m *mxsim.Message) string { return fmt.Sprint("451 4.3.0 of ", m.Chunks) }},
			[]string{"MAIL FROM:<>\r\nRCPT TO:<b@y>\r\n", "BDAT 0 LAST\r\n"}, []string{"250 2.1.0 Ok", "250 2.1.5 Ok", "451 4.3.0 of 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, c.config, func(t *testing.T, s *mxsim.Server, us *client) {
				us.hello()
				for _, text := range c.say {
					us.say(text)
					time.Sleep(time.Second)
				}
				us.hear(c.hear...)
				for _, m := range s.Messages() {
					assert.False(t, m.Accepted(), "no message was accepted")
				}
			})
		})
	}
}

func TestServerRecordsViolationsOfChunking(t *testing.T) {
	const envelope = "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n"
	far := mxsim.Config{RTT: rtt, Keywords: chunking}
	alone := mxsim.Config{RTT: rtt, Keywords: []string{"CHUNKING"}}
	for name, c := range map[string]struct {
		config mxsim.Config
		say    []string // with half a round trip between, after EHLO was answered
		want   []string
	}{
		"not offered":              {mxsim.Config{RTT: rtt}, []string{envelope, "", "BDAT 6 LAST\r\nQUIT\r\n"}, []string{"BDAT was not offered"}},
		"with the envelope":        {far, []string{envelope + "BDAT 3 LAST\r\na\r\n"}, []string{"BDAT before the replies to RCPT"}},
		"soon behind the envelope": {far, []string{envelope, "BDAT 3 LAST\r\na\r\n"}, []string{"BDAT before the replies to RCPT"}},
		"behind the replies":       {far, []string{envelope, "", "BDAT 3 LAST\r\na\r\n" + envelope, "", "BDAT 3 LAST\r\na\r\n"}, nil},
		"chunks in one group":      {far, []string{envelope, "", "BDAT 3\r\na\r\nBDAT 3 LAST\r\na\r\n"}, nil},
		"DATA behind BDAT":         {far, []string{envelope, "", "BDAT 3\r\na\r\nDATA\r\n"}, []string{"DATA behind BDAT"}},
		"RCPT behind BDAT":         {far, []string{envelope, "", "BDAT 3\r\na\r\nRCPT TO:<c@y>\r\n"}, []string{"RCPT behind BDAT"}},
		"MAIL behind BDAT":         {far, []string{envelope, "", "BDAT 3\r\na\r\nMAIL FROM:<>\r\n"}, []string{"MAIL inside a transaction"}},
		"BDAT behind LAST":         {far, []string{envelope, "", "BDAT 3 LAST\r\na\r\nBDAT 3 LAST\r\na\r\n"}, nil},
		"no size":                  {far, []string{"BDAT\r\n"}, []string{"malformed BDAT"}},
		"a negative size":          {far, []string{"BDAT -1 LAST\r\n"}, []string{"malformed BDAT"}},
		"a size that is none":      {far, []string{"BDAT 99999999999999999999 LAST\r\n"}, []string{"malformed BDAT"}},
		"another word than LAST":   {far, []string{"BDAT 3 LASR\r\n"}, []string{"malformed BDAT"}},
		"a word behind LAST":       {far, []string{"BDAT 3 LAST now\r\n"}, []string{"malformed BDAT"}},
		"bare LF":                  {far, []string{envelope, "", "BDAT 2\r\na\nBDAT 2 LAST\r\n\r\n"}, []string{"bare LF in content"}},
		"bare CR":                  {far, []string{envelope, "", "BDAT 2\r\na\rBDAT 2 LAST\r\n\r\n"}, []string{"bare CR in content"}},
		"CR at the end":            {far, []string{envelope, "", "BDAT 2 LAST\r\na\r"}, []string{"bare CR in content"}},
		"NUL":                      {far, []string{envelope, "", "BDAT 3 LAST\r\n\x00\r\n"}, []string{"NUL in content"}},
		"CRLF in two chunks":       {far, []string{envelope, "", "BDAT 2\r\na\rBDAT 1 LAST\r\n\n"}, nil},
		"alone, its octets follow": {alone, []string{"MAIL FROM:<>\r\n", "", "RCPT TO:<b@y>\r\n", "", "BDAT 3 LAST\r\na\r\n", "", "NOOP\r\n"}, nil},
		"alone, and soon behind it": {alone, []string{"MAIL FROM:<>\r\n", "", "RCPT TO:<b@y>\r\n", "", "BDAT 3 LAST\r\na\r\n", "NOOP\r\n"},
			[]string{"talk before the reply to BDAT (PIPELINING was not offered)"}},
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
			})
		})
	}
}

// RFC 9422 section 4.3 counts the domains of a session, not those of a transaction.
func TestServerLimitsTheDomainsOfASession(t *testing.T) {
	serve(t, mxsim.Config{DomainsPerSession: 2}, func(t *testing.T, s *mxsim.Server, c *client) {
		c.hello()
		c.say("MAIL FROM:<>\r\nRCPT TO:<a@one>\r\nRCPT TO:<b@two>\r\nRCPT TO:<c@ONE>\r\nRCPT TO:<d@three>\r\nRSET\r\n")
		c.hear("250 2.1.0 Ok", "250 2.1.5 Ok", "250 2.1.5 Ok", "250 2.1.5 Ok", "452 4.5.3 too many domains in this session", "250 2.0.0 Ok")
		c.say("MAIL FROM:<>\r\nRCPT TO:<d@three>\r\nRCPT TO:<e@two>\r\n")
		c.hear("250 2.1.0 Ok", "452 4.5.3 too many domains in this session", "250 2.1.5 Ok")
		assert.Equal(t, 2, s.Stats().Refused, "refusals are counted")
	})
}

func TestScriptReadsChunks(t *testing.T) { synctest.Test(t, testScriptReadsChunks) }
func testScriptReadsChunks(t *testing.T) {
	n, l := world(t)
	p := mxsim.Play(l, mxsim.Script{mxsim.Hello("mx", "CHUNKING"), mxsim.DeliverChunked(1),
		mxsim.ReadBDAT(), mxsim.Reply("250 more"), mxsim.ReadBDAT(), mxsim.Reply("250 queued"), mxsim.Bye()})
	c := dial(t, n)
	c.hear("220 mx ESMTP")
	c.say("EHLO us\r\n")
	c.hear("250-mx", "250 CHUNKING")
	c.say("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n")
	c.hear("250 2.1.0 ok", "250 2.1.0 ok")
	c.say("BDAT 6 LAST\r\n.one\r\n")
	c.hear("250 2.0.0 queued")
	c.say("BDAT 5\r\n.\r\nQUBDAT 4 LAST\r\nIT\r\n")
	c.hear("250 more", "250 queued")
	c.say("QUIT\r\n")
	c.hear("221 2.0.0 bye")
	c.end(io.EOF)
	p.Close()
	require.NoError(t, p.Err(), "the client kept to the script")
	r := p.Results()[0]
	require.Len(t, r.Bodies, 2, "a body ends with LAST")
	assert.Equal(t, []string{".one\r\n", ".\r\nQUIT\r\n"}, []string{string(r.Bodies[0]), string(r.Bodies[1])}, "its chunks are put together, as they were on the wire")
	assert.Equal(t, []string{"EHLO us", "MAIL FROM:<a@x>", "RCPT TO:<b@y>", "BDAT 6 LAST", "BDAT 5", "BDAT 4 LAST", "QUIT"}, r.Lines, "octets are no commands")
}

func TestScriptSaysWhatCameInsteadOfAChunk(t *testing.T) {
	for say, want := range map[string]string{
		"DATA\r\n":              `mxsim: step 0, ReadBDAT(): got "DATA"`,
		"BDAT\r\n":              `mxsim: step 0, ReadBDAT(): got "BDAT"`,
		"BDAT 5 LASR\r\n":       `mxsim: step 0, ReadBDAT(): got "BDAT 5 LASR"`,
		"BDAT 5 LAST\r\nab\r\n": `mxsim: step 0, ReadBDAT(): got "BDAT 5 LAST and 4 octets" EOF`,
	} {
		t.Run(say, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, l := world(t)
				p := mxsim.Play(l, mxsim.Script{mxsim.ReadBDAT()})
				us := dial(t, n)
				us.say(say)
				us.Conn.(interface{ CloseWrite() error }).CloseWrite()
				io.Copy(io.Discard, us)
				us.Close()
				p.Close()
				assert.EqualError(t, p.Err().(interface{ Unwrap() error }).Unwrap(), want, "the script says what is wrong")
			})
		})
	}
}

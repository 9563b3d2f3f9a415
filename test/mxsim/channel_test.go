package mxsim_test

import (
	"crypto/tls"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// dialled plays a server in a bubble to a client that dials when it likes.
func dialled(t *testing.T, config func(server *tls.Config) mxsim.Config, f func(t *testing.T, s *mxsim.Server, dial func() *client, trust *tls.Config)) {
	synctest.Test(t, func(t *testing.T) {
		n, l := world(t)
		n.Host(mx.Addr(), netsim.Link{}) // the server's own model is what is looked at
		server, trust := certificate(t)
		s := mxsim.New(config(server))
		s.Start(l)
		t.Cleanup(s.Close)
		f(t, s, func() *client { return dial(t, n) }, trust)
	})
}

// greeted reads the greeting and asks for what is offered.
func (c *client) greeted() (keywords []string) {
	c.hear("220 mx.example ESMTP")
	return c.ehlo()
}

// ehlo asks for what is offered.
func (c *client) ehlo() (keywords []string) {
	c.t.Helper()
	c.say("EHLO us\r\n")
	for {
		line, err := c.r.ReadString('\n')
		require.NoError(c.t, err, "EHLO is answered")
		require.True(c.t, strings.HasPrefix(line, "250"), "with 250: %q", line)
		keywords = append(keywords, strings.TrimSpace(line[4:]))
		if line[3] == ' ' {
			return keywords[1:]
		}
	}
}

// upgraded asks for TLS and makes the handshake.
func (c *client) upgraded(trust *tls.Config) *client {
	c.t.Helper()
	c.say("STARTTLS\r\n")
	c.hear("220 2.0.0 go ahead")
	s, err := c.secure(trust)
	require.NoError(c.t, err, "the handshake succeeds")
	return s
}

// send delivers a message, with whatever parameters.
func (c *client) send(mail, rcpt string) {
	c.t.Helper()
	c.say("MAIL FROM:<a@x>" + mail + "\r\nRCPT TO:<b@y>" + rcpt + "\r\nDATA\r\n")
	c.hear("250 2.1.0 Ok", "250 2.1.5 Ok", "354 go ahead")
	c.say("x\r\n.\r\n")
	c.hear("250 2.0.0 Ok: queued")
}

func TestServerTellsHowAMessageCame(t *testing.T) {
	dialled(t, func(server *tls.Config) mxsim.Config { return mxsim.Config{TLS: server} }, func(t *testing.T, s *mxsim.Server, dial func() *client, trust *tls.Config) {
		trust.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		old := trust.Clone()
		old.MaxVersion, old.ClientSessionCache = tls.VersionTLS12, nil
		for _, config := range []*tls.Config{nil, trust, trust, old} {
			c := dial()
			c.greeted()
			if config != nil {
				c = c.upgraded(config)
				c.ehlo()
			}
			c.send("", "")
			c.Close()
		}
		got := s.Messages()
		assert.Nil(t, got[0].Channel, "in plaintext")
		assert.Equal(t, &mxsim.Channel{Version: "TLS 1.3", Cipher: got[1].Channel.Cipher, ServerName: "mx"}, got[1].Channel, "in TLS")
		assert.True(t, got[2].Channel.Resumed, "with a session that was there")
		assert.Equal(t, "TLS 1.2", got[3].Channel.Version, "in an old version")
		stats := s.Stats()
		assert.Equal(t, [3]int{3, 1, 0}, [3]int{stats.Handshakes, stats.Resumed, stats.Unshaken}, "handshakes are counted")
		assert.Empty(t, s.Violations(), "nothing was wrong")
	})
}

func TestServerForgetsWhatWasSaidBeforeTLS(t *testing.T) {
	config := func(server *tls.Config) mxsim.Config {
		return mxsim.Config{TLS: server, Keywords: []string{"PIPELINING", "SIZE 5"}, TLSKeywords: []string{"8BITMIME"}, RequireTLS: true, OnlyTLS: true, TLSAgain: true}
	}
	dialled(t, config, func(t *testing.T, s *mxsim.Server, dial func() *client, trust *tls.Config) {
		c := dial()
		assert.Equal(t, []string{"PIPELINING", "SIZE 5", "STARTTLS"}, c.greeted(), "before TLS")
		c.say("MAIL FROM:<a@x>\r\n")
		c.hear("530 5.7.0 Must issue a STARTTLS command first")
		c = c.upgraded(trust)
		assert.Equal(t, []string{"8BITMIME", "STARTTLS", "REQUIRETLS"}, c.ehlo(), "inside")
		c.say("STARTTLS\r\n")
		c.hear("503 5.5.1 TLS is active already")
		c.say("MAIL FROM:<a@x> SIZE=1\r\n")
		c.hear("555 5.5.4 unsupported parameter")
		c.say("MAIL FROM:<a@x> REQUIRETLS BODY=8BITMIME\r\n")
		c.hear("250 2.1.0 Ok")
		assert.Equal(t, []string{"STARTTLS inside TLS", "MAIL parameter not offered"}, rules(s), "what only plaintext offered is not offered")
	})
}

func TestServerRefusesTLS(t *testing.T) {
	replies := []string{"454 4.7.0 not now", "421 4.3.2 bye", mxsim.HangUp, mxsim.Abort, "220 2.0.0 go ahead"}
	config := func(server *tls.Config) mxsim.Config {
		return mxsim.Config{TLS: server, Unclean: true,
			StartTLS: func(n int) string { return replies[n-1] },
			Hello: func(_ int, encrypted bool) string {
				if encrypted {
					return "502 5.5.1 what"
				}
				return ""
			}}
	}
	dialled(t, config, func(t *testing.T, s *mxsim.Server, dial func() *client, trust *tls.Config) {
		ask := func() *client {
			c := dial()
			c.greeted()
			c.say("STARTTLS\r\n")
			return c
		}
		c := ask()
		c.hear("454 4.7.0 not now")
		c.send("", "") // goes on in plaintext
		c.Close()
		c = ask()
		c.hear("421 4.3.2 bye")
		c.end(io.EOF)
		ask().end(io.EOF)
		ask().end(syscall.ECONNRESET)
		c = ask()
		c.hear("220 2.0.0 go ahead")
		c, err := c.secure(trust)
		require.NoError(t, err, "the handshake succeeds")
		c.say("EHLO us\r\n")
		c.hear("502 5.5.1 what")
		c.say("QUIT\r\n")
		c.hear("221 2.0.0 Bye")
		c.end(io.EOF)
	})
}

func TestServerSpeaksImplicitTLS(t *testing.T) {
	config := func(server *tls.Config) mxsim.Config { return mxsim.Config{TLS: server, Implicit: true} }
	dialled(t, config, func(t *testing.T, s *mxsim.Server, dial func() *client, trust *tls.Config) {
		c, err := dial().secure(trust)
		require.NoError(t, err, "TLS comes first")
		assert.NotContains(t, c.greeted(), "STARTTLS", "it is not offered inside")
		c.send("", "")
		c.Close()
		plain := dial()
		plain.say("EHLO us\r\n")
		io.Copy(io.Discard, plain)
		plain.Close()
		synctest.Wait()
		assert.True(t, s.Messages()[0].TLS, "the message came encrypted")
		assert.Equal(t, 1, s.Stats().Unshaken, "who does not speak TLS is counted")
	})
}

// TestAHandshakeTakesItsRoundTrips: what a client far away waits for, from STARTTLS to the reply to EHLO.
func TestAHandshakeTakesItsRoundTrips(t *testing.T) {
	for name, c := range map[string]struct {
		version uint16
		again   bool
		want    time.Duration
	}{
		"TLS 1.3":          {tls.VersionTLS13, false, 3 * rtt},
		"TLS 1.3, resumed": {tls.VersionTLS13, true, 3 * rtt},
		"TLS 1.2":          {tls.VersionTLS12, false, 4 * rtt},
		"TLS 1.2, resumed": {tls.VersionTLS12, true, 3 * rtt},
	} {
		t.Run(name, func(t *testing.T) {
			config := func(server *tls.Config) mxsim.Config { return mxsim.Config{TLS: server, RTT: rtt} }
			dialled(t, config, func(t *testing.T, s *mxsim.Server, dial func() *client, trust *tls.Config) {
				trust.MaxVersion, trust.ClientSessionCache = c.version, tls.NewLRUClientSessionCache(1)
				var took time.Duration
				for range 2 {
					us := dial()
					us.greeted()
					began := time.Now()
					us = us.upgraded(trust)
					us.ehlo()
					if took = time.Since(began); !c.again {
						trust.ClientSessionCache = nil
					}
					us.Close()
				}
				assert.Equal(t, c.want, took, "a round trip for STARTTLS, one for each flight, one for EHLO")
			})
		})
	}
}

func TestServerTakesParametersOfNotifications(t *testing.T) {
	config := func(*tls.Config) mxsim.Config { return mxsim.Config{DSN: true} }
	dialled(t, config, func(t *testing.T, s *mxsim.Server, dial func() *client, trust *tls.Config) {
		c := dial()
		assert.Contains(t, c.greeted(), "DSN", "it is offered")
		c.send(" RET=HDRS ENVID=a+2Bb", " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+40y")
		c.send("", "")
		m := s.Messages()[0]
		ret, _ := m.Param("RET")
		orcpt, _ := m.ToParam(0, "orcpt")
		assert.Equal(t, "HDRS rfc822;b+40y", ret+" "+orcpt, "what was asked for is recorded")
		_, given := s.Messages()[1].ToParam(0, "NOTIFY")
		assert.False(t, given, "and what was not, is not")
		for _, bad := range []string{"NOTIFY=NEVER,DELAY", "NOTIFY=DELAY,DELAY", "NOTIFY=", "ORCPT=b@y", "ORCPT=rfc822;a+2", "ORCPT=rfc822;a=b", "SIZE=1"} {
			c.say("MAIL FROM:<>\r\nRCPT TO:<b@y> " + bad + "\r\nRSET\r\n")
			c.hear("250 2.1.0 Ok", "501 5.5.4 parameters of RCPT", "250 2.0.0 Ok")
		}
		for _, bad := range []string{"RET=ALL", "ENVID=", "ENVID=" + strings.Repeat("x", 101)} {
			c.say("MAIL FROM:<> " + bad + "\r\n")
			c.hear("501 5.5.4 parameters of MAIL")
		}
		assert.Len(t, s.Violations(), 10, "each of them is one")
	})
}

package mxsim_test

import (
	"crypto/tls"
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// keyed is a server that knows one user.
func keyed(server *tls.Config) mxsim.Config {
	return mxsim.Config{TLS: server, AuthNeeded: true, Auth: func(user, password string) string {
		if user == "us" && password == "secret" {
			return ""
		}
		return "535 5.7.8 no"
	}}
}

func TestServerKnowsUsers(t *testing.T) {
	for name, lines := range map[string][]string{
		"PLAIN at once": {"AUTH PLAIN " + b64("\x00us\x00secret")},
		"PLAIN":         {"AUTH PLAIN", b64("me\x00us\x00secret")},
		"LOGIN":         {"auth login", b64("us"), b64("secret")},
		"LOGIN at once": {"AUTH LOGIN " + b64("us"), b64("secret")},
	} {
		t.Run(name, func(t *testing.T) {
			dialled(t, keyed, func(t *testing.T, s *mxsim.Server, dial func() *client, trust *tls.Config) {
				c := dial()
				assert.NotContains(t, c.greeted(), "AUTH PLAIN LOGIN", "not in plaintext")
				c = c.upgraded(trust)
				assert.Contains(t, c.ehlo(), "AUTH PLAIN LOGIN", "but inside TLS")
				c.say("MAIL FROM:<a@x>\r\n")
				c.hear("530 5.7.0 Authentication required")
				for i, line := range lines {
					c.say(line + "\r\n")
					if i < len(lines)-1 {
						text, err := c.r.ReadString('\n')
						assert.True(t, err == nil && text[:4] == "334 ", "it asks on: %q", text)
					}
				}
				c.hear("235 2.7.0 welcome")
				c.send("", "")
				assert.Equal(t, "us", s.Messages()[0].User, "the message tells who sent it")
				assert.Empty(t, s.Violations(), "nothing was wrong")
			})
		})
	}
}

func TestServerRefusesCredentials(t *testing.T) {
	config := func(server *tls.Config) mxsim.Config {
		c := keyed(server)
		c.AuthInClear = true
		return c
	}
	dialled(t, config, func(t *testing.T, s *mxsim.Server, dial func() *client, trust *tls.Config) {
		c := dial()
		assert.Contains(t, c.greeted(), "AUTH PLAIN LOGIN", "offered in plaintext, on request")
		for _, e := range []struct{ say, hear string }{
			{"AUTH PLAIN " + b64("\x00us\x00wrong"), "535 5.7.8 no"},
			{"AUTH PLAIN", "334 "},
			{"*", "501 5.7.0 as you like"},
			{"AUTH LOGIN", "334 " + b64("Username:")},
			{"?", "501 5.5.2 no base64"},
			{"AUTH PLAIN " + b64("us"), "501 5.5.2 credentials"},
			{"AUTH CRAM-MD5", "504 5.5.4 no such mechanism"},
			{"AUTH PLAIN " + b64("\x00us\x00secret"), "235 2.7.0 welcome"},
			{"AUTH PLAIN", "503 5.5.1 you are known"},
		} {
			c.say(e.say + "\r\n")
			c.hear(e.hear)
		}
		assert.Equal(t, []string{"credentials that are no base64", "malformed AUTH PLAIN", "a mechanism of AUTH that was not offered", "AUTH after AUTH"}, rules(s),
			"what breaks a rule is recorded; wrong credentials do not")
		plain := dial()
		plain.greeted()
		plain = plain.upgraded(trust)
		plain.say("AUTH PLAIN " + b64("\x00us\x00secret") + "\r\nMAIL FROM:<>\r\n")
		plain.hear("235 2.7.0 welcome", "250 2.1.0 Ok")
		assert.Contains(t, rules(s), "talk before the reply to AUTH", "nothing may ride behind it")
	})
	dialled(t, func(*tls.Config) mxsim.Config { return mxsim.Config{} }, func(t *testing.T, s *mxsim.Server, dial func() *client, trust *tls.Config) {
		c := dial()
		c.say("AUTH PLAIN " + b64("\x00us\x00secret") + "\r\n")
		c.hear("220 mx.example ESMTP", "502 5.5.1 not offered")
		assert.Contains(t, rules(s), "AUTH was not offered", "credentials must not be told to everybody")
	})
}

package feed

import (
	"bytes"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A sharedBuffer takes what several goroutines write.
type sharedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *sharedBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *sharedBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A relayWorld is a world that relays one.test by hosts that the operator named and that want a password. All that is logged and traced is
// kept, for the password must not be in it.
type relayWorld struct {
	*tlsWorld
	who  *Credentials
	said sharedBuffer
}

func inRelayWorld(t *testing.T, who Credentials, f func(t *testing.T, w *relayWorld)) {
	w := &relayWorld{who: &who}
	inTLSWorld(t, func(c *Config) {
		c.TLS.Relays = []Destination{{Domain: "one.test", Mode: TLSVerified, Auth: w.who}}
		c.Log = slog.New(slog.NewTextHandler(&w.said, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Trace = &w.said
	}, func(t *testing.T, tw *tlsWorld) {
		w.tlsWorld = tw
		w.twoDomains(true)
		w.change("one.test", func(rt *resolver.Route) {
			for i := range rt.MX {
				rt.MX[i].Configured = true
			}
		})
		f(t, w)
		w.finish()
		w.secret(t, w.said.String(), "logs and traces")
	})
}

// secret wants the password to be nowhere in a text, in no form in which it is sent.
func (w *relayWorld) secret(t *testing.T, text, where string) {
	for _, form := range []string{w.who.Password, base64.StdEncoding.EncodeToString([]byte(w.who.Password)),
		base64.StdEncoding.EncodeToString([]byte("\x00" + w.who.User + "\x00" + w.who.Password))} {
		assert.NotContains(t, text, form, "the password is not in %s", where)
	}
}

// checks takes these credentials, and no others.
func (w *relayWorld) checks() func(user, password string) string {
	return func(user, password string) string {
		if user == w.who.User && password == w.who.Password {
			return ""
		}
		return "535 5.7.8 no"
	}
}

func TestAuthSaysWhoWeAre(t *testing.T) {
	long := strings.Repeat("0123456789", 60)
	for name, who := range map[string]Credentials{
		"PLAIN by default":       {User: "me", Password: "secret"},
		"LOGIN":                  {User: "me", Password: "secret", Mechanisms: []string{"LOGIN"}},
		"PLAIN of both":          {User: "me", Password: "secret", Mechanisms: []string{"PLAIN", "LOGIN"}},
		"LOGIN of both":          {User: "me", Password: "secret", Mechanisms: []string{"LOGIN", "PLAIN"}},
		"a mechanism unknown":    {User: "me", Password: "secret", Mechanisms: []string{"CRAM-MD5", "LOGIN"}},
		"beyond ASCII":           {User: "m\u00e9", Password: "p\u00e4ssw\u00f6rter \u65e5\u672c"},
		"beyond ASCII, LOGIN":    {User: "m\u00e9", Password: "p\u00e4ssw\u00f6rter \u65e5\u672c", Mechanisms: []string{"LOGIN"}},
		"of 600 octets":          {User: "me", Password: long},
		"of 600 octets by LOGIN": {User: "me", Password: long, Mechanisms: []string{"LOGIN"}},
	} {
		t.Run(name, func(t *testing.T) {
			inRelayWorld(t, who, func(t *testing.T, w *relayWorld) {
				s := w.serve(best, mxsim.Config{TLS: w.server, AuthNeeded: true, Auth: w.checks()})
				require.Equal(t, []string{"delivered"}, w.send(shortContent, "a@one.test").wait(), "mail is relayed")
				assert.Equal(t, who.User, s.Messages()[0].User, "under our name")
				assert.Equal(t, []string{"delivered"}, w.send(againContent, "b@one.test").wait(), "and so is the next one")
				assert.Empty(t, s.Violations(), "the client does nothing wrong")
			})
		})
	}
}

// dialogue is a host that talks to AUTH like this.
func (w *relayWorld) dialogue(offer string, steps ...mxsim.Step) mxsim.Script {
	script := mxsim.Script{mxsim.Hello("mx1.test", "PIPELINING", "STARTTLS"), mxsim.StartTLS(w.server), mxsim.Expect("EHLO "),
		mxsim.Reply("250-mx1.test", "250 "+offer)}
	return append(append(script, steps...), mxsim.StallForever())
}

// RFC 4954 section 4: a line must keep to SMTP's 512 octets; where the initial response makes it longer, that is sent when it is asked for.
func TestLongInitialResponseWaits(t *testing.T) {
	who := Credentials{User: "me", Password: strings.Repeat("0123456789", 60)}
	inRelayWorld(t, who, func(t *testing.T, w *relayWorld) {
		p := w.play(best, w.dialogue("AUTH PLAIN", mxsim.Expect("AUTH PLAIN"), mxsim.Reply("334 "), mxsim.Do("read", func(c net.Conn) error {
			_, err := io.ReadFull(c, make([]byte, base64.StdEncoding.EncodedLen(len("\x00me\x00")+600)+2))
			return err
		}), mxsim.Reply("235 2.7.0 welcome")))
		w.sendIn(time.Minute, shortContent, "a@one.test").wait()
		w.finish()
		require.NotEmpty(t, p.Results(), "there was a session")
		for _, r := range p.Results() {
			for _, line := range r.Lines {
				assert.LessOrEqual(t, len(line)+2, 512, "no command is longer")
			}
		}
	})
}

func TestAuthFails(t *testing.T) {
	for name, c := range map[string]struct {
		offer string
		steps []mxsim.Step
		want  string
	}{
		"refused":               {"AUTH PLAIN", []mxsim.Step{mxsim.Expect("AUTH PLAIN "), mxsim.Reply("535 5.7.8 no"), mxsim.Bye()}, "deferred 4.7.8"},
		"not now":               {"AUTH PLAIN", []mxsim.Step{mxsim.Expect("AUTH PLAIN "), mxsim.Reply("454 4.7.0 not now"), mxsim.Bye()}, "deferred 4.7.0"},
		"not offered":           {"PIPELINING", []mxsim.Step{mxsim.Bye()}, "deferred 4.7.8"},
		"another mechanism":     {"AUTH GSSAPI CRAM-MD5", []mxsim.Step{mxsim.Bye()}, "deferred 4.7.8"},
		"a challenge for PLAIN": {"AUTH PLAIN", []mxsim.Step{mxsim.Expect("AUTH PLAIN "), mxsim.Reply("334 AAAA"), mxsim.Expect("*"), mxsim.Reply("501 5.7.0 ok"), mxsim.Bye()}, "deferred 4.7.8"},
		"no base64":             {"AUTH LOGIN", []mxsim.Step{mxsim.Expect("AUTH LOGIN"), mxsim.Reply("334 %%%"), mxsim.ExpectEnd()}, "deferred 4.5.0"},
		"two replies":           {"AUTH PLAIN", []mxsim.Step{mxsim.Expect("AUTH PLAIN "), mxsim.Reply("235 ok", "250 more"), mxsim.ExpectEnd()}, "deferred 4.5.0"},
		"success without end":   {"AUTH PLAIN", []mxsim.Step{mxsim.Expect("AUTH PLAIN "), mxsim.Reply("250 fine"), mxsim.Bye()}, "deferred 4.7.8"},
		"going away":            {"AUTH PLAIN", []mxsim.Step{mxsim.Expect("AUTH PLAIN "), mxsim.Reply("421 4.3.2 away"), mxsim.Bye()}, "deferred 4.3.2"},
		"the connection ends":   {"AUTH PLAIN", []mxsim.Step{mxsim.Expect("AUTH PLAIN "), mxsim.Drop()}, "deferred 4.4.2"},
		"no answer":             {"AUTH PLAIN", []mxsim.Step{mxsim.Expect("AUTH PLAIN "), mxsim.StallForever()}, "deferred 4.4.2"},
	} {
		t.Run(name, func(t *testing.T) {
			inRelayWorld(t, Credentials{User: "me", Password: "se cret"}, func(t *testing.T, w *relayWorld) {
				p := w.play(best, w.dialogue(c.offer, c.steps...))
				second := w.serve(backup, mxsim.Config{TLS: w.authority.Issue("mx2.test").Config(), AuthNeeded: true,
					Auth: func(string, string) string { return "535 5.7.8 nor here" }})
				d := w.send(shortContent, "a@one.test")
				got := d.wait()
				assert.Contains(t, []string{c.want, "deferred 4.7.8"}, got[0], "mail waits until the operator has seen to it")
				assert.Positive(t, second.Stats().Sessions, "the next host is tried")
				assert.Empty(t, second.Messages(), "and got nothing either")
				assert.NotContains(t, string(p.Results()[0].Read), "MAIL FROM", "no mail is sent by a session that is nobody's")
				w.secret(t, d.settled[0].Outcome.Reason(), "what the host MTA is told")
			})
		})
	}
}

func TestEndlessChallenges(t *testing.T) {
	inRelayWorld(t, Credentials{User: "me", Password: "se cret", Mechanisms: []string{"LOGIN"}}, func(t *testing.T, w *relayWorld) {
		again := mxsim.Reply("334 UGFzc3dvcmQ6")
		steps := []mxsim.Step{mxsim.Expect("AUTH LOGIN"), again, mxsim.Expect(base64.StdEncoding.EncodeToString([]byte("me"))), again,
			mxsim.Expect(base64.StdEncoding.EncodeToString([]byte("se cret"))), again, mxsim.Expect("*"), again, mxsim.Expect("QUIT"), again}
		w.play(best, w.dialogue("AUTH LOGIN", steps...))
		w.serve(backup, mxsim.Config{TLS: w.authority.Issue("mx2.test").Config(), AuthNeeded: true, Auth: w.checks()})
		d := w.send(shortContent, "a@one.test")
		assert.Equal(t, []string{"delivered"}, d.wait(), "the next host takes it")
		assert.Equal(t, "mx2.test", d.via(0), "since the first one never comes to an end")
	})
}

// Servers ask for the name and the password of LOGIN in words of their own, and not all take the name with the command.
func TestLoginWhateverItIsAsked(t *testing.T) {
	word := func(s string) string { return "334 " + base64.StdEncoding.EncodeToString([]byte(s)) }
	user, password := base64.StdEncoding.EncodeToString([]byte("me")), base64.StdEncoding.EncodeToString([]byte("se cret"))
	taken := []mxsim.Step{mxsim.Reply("235 2.7.0 welcome"), mxsim.Expect("MAIL FROM"), mxsim.Reply("250 ok"), mxsim.Expect("RCPT TO"), mxsim.Reply("250 ok"),
		mxsim.Expect("DATA"), mxsim.Reply("354 go"), mxsim.ReadBody(), mxsim.Reply("250 ok")}
	for name, words := range map[string][2]string{
		"as most do":             {word("Username:"), word("Password:")},
		"in small letters":       {word("username"), word("password")},
		"with nothing":           {"334 ", "334 "},
		"as a draft once had it": {word("User Name\x00"), word("Password\x00")},
	} {
		t.Run(name, func(t *testing.T) {
			inRelayWorld(t, Credentials{User: "me", Password: "se cret", Mechanisms: []string{"LOGIN"}}, func(t *testing.T, w *relayWorld) {
				steps := []mxsim.Step{mxsim.Expect("AUTH LOGIN"), mxsim.Reply(words[0]), mxsim.Expect(user), mxsim.Reply(words[1]), mxsim.Expect(password)}
				w.play(best, w.dialogue("AUTH LOGIN", append(steps, taken...)...))
				assert.Equal(t, []string{"delivered"}, w.send(shortContent, "a@one.test").wait(), "mail is relayed")
			})
		})
	}
}

// A mechanism that will not do is no wrong password.
func TestOtherMechanismsAreTried(t *testing.T) {
	for name, refusal := range map[string]string{"RFC 4954 section 4: no such mechanism": "504 5.5.4 no", "section 6: not for this user": "534 5.7.9 too weak"} {
		t.Run(name, func(t *testing.T) {
			inRelayWorld(t, Credentials{User: "me", Password: "se cret"}, func(t *testing.T, w *relayWorld) {
				w.play(best, w.dialogue("AUTH PLAIN LOGIN", mxsim.Expect("AUTH PLAIN "), mxsim.Reply(refusal), mxsim.Expect("AUTH LOGIN"), mxsim.Reply("334 VXNlcm5hbWU6"),
					mxsim.Expect("bWU="), mxsim.Reply("334 UGFzc3dvcmQ6"), mxsim.Expect("c2UgY3JldA=="), mxsim.Reply("235 welcome"), mxsim.Expect("MAIL"), mxsim.Reply("250 ok"), mxsim.Expect("RCPT"), mxsim.Reply("250 ok"),
					mxsim.Expect("DATA"), mxsim.Reply("354 go"), mxsim.ReadBody(), mxsim.Reply("250 queued")))
				assert.Equal(t, []string{"delivered"}, w.send(shortContent, "a@one.test").wait(), "LOGIN does")
			})
		})
	}
}

// An account whose rights were withdrawn is the operator's to mend, as a wrong password is.
func TestRelayThatWantsMore(t *testing.T) {
	for _, reply := range []string{"530 5.7.0 authentication required", "535 5.7.8 no", "538 5.7.11 encrypt"} {
		t.Run(reply, func(t *testing.T) {
			inRelayWorld(t, Credentials{User: "me", Password: "se cret"}, func(t *testing.T, w *relayWorld) {
				w.twoDomains(false)
				w.change("one.test", func(rt *resolver.Route) { rt.MX[0].Configured = true })
				w.play(best, w.dialogue("AUTH PLAIN", mxsim.Expect("AUTH PLAIN "), mxsim.Reply("235 welcome"), mxsim.Expect("MAIL"), mxsim.Reply(reply)))
				assert.Equal(t, []string{"deferred 4.7.8"}, w.sendIn(time.Minute, shortContent, "a@one.test").wait(), "mail waits")
			})
		})
	}
}

// A server that says the credentials back must not bring them into logs, replies and records.
func TestRefusalThatEchoesThePassword(t *testing.T) {
	who := Credentials{User: "me", Password: "correct horse"}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00me\x00correct horse"))
	for name, reply := range map[string]string{"in base64": "no such " + plain, "in clear": "wrong password correct horse"} {
		for _, later := range []struct {
			command string
			replies []string
		}{{"MAIL", []string{"550 5.1.0 "}}, {"MAIL", []string{"no reply "}}, {"RCPT", []string{"250 ok", "550 5.1.1 "}}} {
			t.Run(name+", at "+later.command, func(t *testing.T) {
				inRelayWorld(t, who, func(t *testing.T, w *relayWorld) {
					later.replies[len(later.replies)-1] += reply // the last one repeats them
					w.twoDomains(false)
					w.change("one.test", func(rt *resolver.Route) { rt.MX[0].Configured = true })
					steps := []mxsim.Step{mxsim.Expect("AUTH PLAIN "), mxsim.Reply("235 welcome")}
					for i, reply := range later.replies {
						steps = append(steps, mxsim.Expect([]string{"MAIL", "RCPT"}[i]), mxsim.Reply(reply))
					}
					w.play(best, w.dialogue("AUTH PLAIN", steps...))
					d := w.sendIn(time.Minute, shortContent, "a@one.test")
					assert.NotEqual(t, []string{"delivered"}, d.wait())
					w.secret(t, d.settled[0].Outcome.Reason(), "what the host MTA is told")
				})
			})
		}
		t.Run(name, func(t *testing.T) {
			reply := "535 5.7.8 " + reply
			inRelayWorld(t, who, func(t *testing.T, w *relayWorld) {
				w.play(best, w.dialogue("AUTH PLAIN", mxsim.Expect("AUTH PLAIN "), mxsim.Reply(reply), mxsim.Bye()))
				d := w.send(shortContent, "a@one.test")
				assert.Equal(t, []string{"deferred 4.7.8"}, d.wait(), "mail waits")
				w.secret(t, d.settled[0].Outcome.Reason(), "what the host MTA is told")
			})
		})
	}
}

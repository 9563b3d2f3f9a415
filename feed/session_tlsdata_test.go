package feed

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// inside is everything up to the EHLO reply inside TLS, by this handshake.
func inside(handshake mxsim.Step, keywords ...string) mxsim.Step {
	offer := append([]string{"mx1.test"}, keywords...)
	for i := range offer {
		offer[i] = map[bool]string{true: "250 ", false: "250-"}[i == len(offer)-1] + offer[i]
	}
	return mxsim.Seq(mxsim.Hello("mx1.test", "PIPELINING", "STARTTLS"), mxsim.Invite(), handshake, mxsim.Expect("EHLO "), mxsim.Reply(offer...))
}

// askedInside is everything up to the invitation to send a message for one recipient.
func askedInside(handshake mxsim.Step) mxsim.Step {
	return mxsim.Seq(inside(handshake, "PIPELINING"), mxsim.ExpectAll("MAIL", "RCPT", "DATA"), mxsim.Reply("250 ok", "250 ok", "354 go"))
}

// dottyLines is size octets of lines that begin with dots and have dots alone, of many lengths.
func dottyLines(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%s%s\r\n", []string{"", ".", "..", ". "}[i%4], strings.Repeat("x", i%90))
	}
	return "Subject: x\r\n\r\n" + b.String()
}

func TestLargeBodiesOverTLS(t *testing.T) {
	for _, keywords := range [][]string{{"PIPELINING"}, {"PIPELINING", "CHUNKING"}, {"SIZE 0"}} {
		for _, size := range []int{1 << 10, 16 << 10, 300 << 10, 3 << 20} {
			t.Run(fmt.Sprint(size, keywords), func(t *testing.T) {
				inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
					s := w.serve(best, mxsim.Config{TLS: w.server, Keywords: keywords, KeepContent: true})
					content := dottyLines(size)
					require.Equal(t, []string{"delivered", "delivered"}, w.send(content, "a@one.test", "c@two.test").wait(), "it is delivered")
					m := s.Messages()
					require.Len(t, m, 1, "once")
					assert.True(t, content == string(m[0].Content), "octet for octet")
					assert.Equal(t, size >= 256<<10 && len(keywords) == 2 && keywords[1] == "CHUNKING", m[0].Chunks > 0, "a large one goes by BDAT where that is offered")
					assert.Equal(t, []string{"delivered"}, w.send(againContent, "a@one.test").wait(), "the session goes on")
					assert.Equal(t, 1, w.dials(best), "it is the same one")
					assert.Empty(t, s.Violations(), "the client did nothing wrong")
				})
			})
		}
	}
}

func TestRidingBehindABodyOverTLS(t *testing.T) {
	inTLSWorld(t, func(c *Config) { c.RecipientsPerTransaction = 1 }, func(t *testing.T, w *tlsWorld) {
		w.net.Host(at(best).Addr(), netsim.Link{Latency: 100 * time.Millisecond})
		s := w.serve(best, mxsim.Config{TLS: w.server})
		require.Equal(t, repeated("delivered", 20), w.send(text(40<<10), addresses(20, "one.test")...).wait(), "all are delivered")
		assert.Len(t, s.Messages(), 20, "each once")
		assert.Positive(t, w.snapshot().Pipelined, "commands rode behind bodies")
		assert.Empty(t, s.Violations(), "and the server never lost count")
	})
}

// What is no reply is not taken for one: new keys, records without octets, and tickets in the middle of a body.
func TestRecordsThatAreNoReplies(t *testing.T) {
	for name, c := range map[string]struct{ between, within mxsim.Step }{
		// In the middle of a body a new key cannot be asked for here: its receipt would wait for the lock of a writer, which stops the bubble's clock.
		"new keys":      {mxsim.KeyUpdates(3), mxsim.Stall(0)},
		"empty records": {mxsim.EmptyRecords(5), mxsim.EmptyRecords(5)},
	} {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
				p := w.play(best, mxsim.Script{inside(mxsim.HandshakeSealed(w.server), "PIPELINING"), mxsim.ExpectAll("MAIL", "RCPT", "DATA"), c.between,
					mxsim.Reply("250 ok", "250 ok", "354 go"), c.within, mxsim.ReadOctets(100 << 10), c.within, mxsim.ReadBody(), c.between,
					mxsim.Stall(time.Second), mxsim.Reply("250 ok"), c.between, mxsim.Expect("QUIT")})
				assert.Equal(t, []string{"delivered"}, w.send(text(200<<10), "a@one.test").wait(), "mail is delivered")
				w.finish()
				assert.NoError(t, p.Err(), "the client keeps to the script")
			})
		})
	}
	t.Run("tickets", func(t *testing.T) {
		inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
			w.net.Host(at(best).Addr(), netsim.Link{Latency: 200 * time.Millisecond})
			s := w.serve(best, mxsim.Config{TLS: w.server})
			for i := range 3 {
				assert.Equal(t, []string{"delivered"}, w.send(fmt.Sprint(i, shortContent), "a@one.test").wait(), "mail is delivered")
				time.Sleep(time.Minute)
			}
			assert.Equal(t, 2, s.Stats().Resumed, "the tickets serve")
		})
	})
}

func TestEarlyReplyOverTLS(t *testing.T) {
	for name, c := range map[string]struct{ reply, want string }{
		"refused for good":  {"552 5.3.4 too large", "failed 5.3.4"},
		"refused for now":   {"452 4.3.1 disk full", "deferred 4.3.1"},
		"taken too early":   {"250 fine", "deferred 4.5.0"},
		"goodbye":           {"421 4.3.2 away", "deferred 4.3.2"},
		"nothing of a kind": {"hello", "deferred 4.5.0"},
	} {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
				early := mxsim.Script{askedInside(mxsim.Handshake(w.server)), mxsim.ReadOctets(64 << 10), mxsim.Reply(c.reply), mxsim.StallForever()}
				// Where a server loses count the message is tried once more, command by command.
				alone := mxsim.Script{inside(mxsim.Handshake(w.server), "SIZE 0"), mxsim.Expect("MAIL"), mxsim.Reply("250 ok"), mxsim.Expect("RCPT"), mxsim.Reply("250 ok"),
					mxsim.Expect("DATA"), mxsim.Reply("354 go"), mxsim.ReadOctets(64 << 10), mxsim.Reply(c.reply), mxsim.StallForever()}
				p := w.play(best, early, alone)
				d := w.send(text(8<<20), "a@one.test")
				assert.Equal(t, []string{c.want}, d.wait(), "it is what the reply means, and never a success: %s", d.settled[0].Outcome.Reason())
				w.finish()
				assert.NotContains(t, string(p.Results()[0].Read), "\r\n.\r\n", "no end of data was written")
			})
		})
	}
}

// cutAt ends the connection below TLS in the way that is asked for.
func TestUncertainOverTLS(t *testing.T) {
	for name, end := range map[string]mxsim.Step{"FIN": mxsim.Drop(), "FIN without close_notify": mxsim.DropUnclean(), "RST": mxsim.Reset(), "half a reply": mxsim.Seq(mxsim.Send("250 2.0.0 ok"), mxsim.Drop()),
		"an alert": mxsim.Seq(mxsim.Alert(80), mxsim.Drop()), "garbage for a record": mxsim.Seq(mxsim.Raw("250 ok\r\n"), mxsim.Drop())} {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
				w.twoDomains(true)
				w.play(best, mxsim.Script{askedInside(mxsim.HandshakeSealed(w.server)), mxsim.ReadBody(), end})
				second := w.serve(backup, mxsim.Config{TLS: w.server})
				got := w.send(shortContent, "a@one.test").wait()
				assert.Contains(t, got[0], "uncertain 4.", "the mail may be there")
				assert.Zero(t, second.Stats().Sessions, "so no other host gets it")
			})
		})
	}
}

func TestConnectionEndsInABodyOverTLS(t *testing.T) {
	for name, end := range map[string]mxsim.Step{"FIN": mxsim.Drop(), "FIN without close_notify": mxsim.DropUnclean(), "RST": mxsim.Reset()} {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
				w.twoDomains(true)
				w.play(best, mxsim.Script{askedInside(mxsim.Handshake(w.server)), mxsim.ReadOctets(64 << 10), end})
				second := w.serve(backup, mxsim.Config{TLS: w.server})
				assert.Equal(t, []string{"delivered"}, w.send(text(4<<20), "a@one.test").wait(), "no end of data was written, so another host may have it")
				assert.Len(t, second.Messages(), 1, "once")
			})
		})
	}
}

// A server that greets again inside TLS has lost count: nothing may be taken for the reply to something else.
func TestSecondGreetingInsideTLS(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		again := mxsim.Script{mxsim.Hello("mx1.test", "PIPELINING", "STARTTLS"), mxsim.StartTLS(w.server), mxsim.Reply("220 mx1.test again"), mxsim.Expect("EHLO "),
			mxsim.Stall(time.Second), mxsim.Reply("250 mx1.test"), mxsim.Do("rest", func(c net.Conn) error { _, err := io.Copy(io.Discard, c); _ = err; return nil })}
		p := w.play(best, again, again, clearly())
		d := w.send(shortContent, "a@one.test")
		assert.Contains(t, []string{"deferred 4.5.0", "delivered"}, d.wait()[0], "mail waits, or goes by a session that keeps order")
		w.finish()
		for _, r := range p.Results() {
			if r.Steps <= len(again) && len(r.TLS) > 0 {
				assert.NotContains(t, string(r.Read), "MAIL FROM", "no mail is begun where replies stand in the wrong places")
			}
		}
	})
}

// EHLO inside TLS counts, and nothing that was said before (RFC 3207 section 4.2).
func TestOffersBeforeTLSAreForgotten(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		s := w.serve(best, mxsim.Config{TLS: w.server, Keywords: []string{"PIPELINING", "SIZE 10", "8BITMIME", "DSN", "CHUNKING"}, TLSKeywords: []string{"SIZE 0"}})
		require.Equal(t, []string{"delivered"}, w.send(text(1<<20), "a@one.test").wait(), "the limit of before does not count")
		assert.Zero(t, s.Messages()[0].Chunks, "nor does CHUNKING")
		assert.Empty(t, s.Violations(), "nor PIPELINING")
	})
}

// Opportunistic TLS takes what is left of the last century; where TLS is demanded, TLS 1.2 is the least.
func TestOldVersions(t *testing.T) {
	for name, c := range map[string]struct {
		version uint16
		mode    TLSMode
		want    string
	}{
		"TLS 1.2, demanded":     {tls.VersionTLS12, TLSRequired, "delivered"},
		"TLS 1.0, demanded":     {tls.VersionTLS10, TLSRequired, "deferred 4.7.5"},
		"TLS 1.0, not demanded": {tls.VersionTLS10, TLSOpportunistic, "delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			inTLSWorld(t, func(cc *Config) { cc.TLS.Mode = c.mode }, func(t *testing.T, w *tlsWorld) {
				server := w.server.Clone()
				server.MinVersion, server.MaxVersion = tls.VersionTLS10, c.version
				s := w.serve(best, mxsim.Config{TLS: server})
				assert.Equal(t, []string{c.want}, w.send(text(100<<10), "a@one.test").wait(), "better than nothing, or not good enough")
				for _, m := range s.Messages() {
					assert.True(t, m.TLS, "it is encrypted")
				}
			})
		})
	}
}

package mxsim_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// classical is a client without a post-quantum key share.
func classical(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.CurvePreferences = []tls.CurveID{tls.X25519}
	return c
}

// secure is the client's side of a handshake.
func (c *client) secure(trust *tls.Config) (*client, error) {
	e := tls.Client(c.Conn, trust)
	err := e.Handshake()
	if err != nil {
		c.Close()
	}
	return &client{e, c.t, bufio.NewReader(e)}, err
}

// playTLS plays scripts that are made for a certificate in a bubble, and says what came of them.
func playTLS(t *testing.T, scripts func(*tls.Config) []mxsim.Script, f func(t *testing.T, dial func() *client, trust *tls.Config)) (results []mxsim.Result) {
	synctest.Test(t, func(t *testing.T) {
		n, l := world(t)
		server, trust := certificate(t)
		p := mxsim.Play(l, scripts(server)...)
		t.Cleanup(p.Close) // for tests that go on no further
		f(t, func() *client { return dial(t, n) }, trust)
		time.Sleep(time.Second) // the scripts see how the clients leave
		p.Close()
		results = p.Results()
		assert.Equal(t, 0, n.Open(), "nothing stays open")
	})
	return results
}

func TestHellosAreRead(t *testing.T) {
	r := playTLS(t, func(server *tls.Config) []mxsim.Script {
		s := mxsim.Script{mxsim.ReadHello(), mxsim.Handshake(server), mxsim.Reply("220 inside"), mxsim.Drop()}
		return []mxsim.Script{s, s, s}
	}, func(t *testing.T, dial func() *client, trust *tls.Config) {
		trust.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for _, config := range []*tls.Config{trust, trust, classical(trust)} {
			c, err := dial().secure(config)
			require.NoError(t, err, "the handshake goes on behind a hello that was read")
			c.hear("220 inside")
			c.end(io.EOF)
		}
	})
	for i := range r {
		require.NoError(t, r[i].Err, "connection %d", i)
		assert.Equal(t, "mx", r[i].Hellos[0].ServerName, "SNI is read")
		assert.Equal(t, i == 1 || i == 2, r[i].Hellos[0].Resumes, "a ticket that is offered is seen")
		assert.Equal(t, r[i].Hellos[0].Resumes, r[i].TLS[0].DidResume, "and taken")
	}
	assert.True(t, mxsim.PostQuantum(r[0].Hellos[0]), "Go offers a post-quantum key share")
	assert.False(t, mxsim.PostQuantum(r[2].Hellos[0]), "unless told otherwise")
	assert.True(t, mxsim.LargerThan(1000)(r[0].Hellos[0]), "which is large")
	assert.False(t, mxsim.LargerThan(1000)(r[2].Hellos[0]), "and the other is not")
}

func TestAHelloMayBeRefused(t *testing.T) {
	r := playTLS(t, func(server *tls.Config) []mxsim.Script {
		picky := mxsim.Script{mxsim.RefuseHello(mxsim.PostQuantum, mxsim.Reset()), mxsim.Handshake(server), mxsim.Drop()}
		return []mxsim.Script{picky, picky, {mxsim.RefuseHello(mxsim.Any, mxsim.Alert(40), mxsim.Drop())}, {mxsim.ReadHello()}}
	}, func(t *testing.T, dial func() *client, trust *tls.Config) {
		_, err := dial().secure(trust)
		assert.ErrorIs(t, err, syscall.ECONNRESET, "the large hello is refused")
		c, err := dial().secure(classical(trust))
		assert.NoError(t, err, "the small one is not")
		c.end(io.EOF)
		_, err = dial().secure(trust)
		assert.ErrorContains(t, err, "remote error: tls: handshake failure", "an alert says what it was told to say")
		plain := dial()
		plain.say("EHLO us\r\n")
		plain.end(syscall.ECONNRESET) // with octets that nobody reads
	})
	for i, ok := range []bool{true, true, true, false} {
		assert.Equal(t, ok, r[i].Err == nil, "connection %d: %v", i, r[i].Err)
	}
}

func TestHandshakesGoWrong(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*tls.Config) []mxsim.Step
		want error
	}{
		"cut in its middle":    {func(c *tls.Config) []mxsim.Step { return []mxsim.Step{mxsim.HandshakeCut(200, c), mxsim.Drop()} }, io.ErrUnexpectedEOF},
		"cut before it begins": {func(c *tls.Config) []mxsim.Step { return []mxsim.Step{mxsim.HandshakeCut(0, c), mxsim.Drop()} }, io.EOF},
		"cut and reset":        {func(c *tls.Config) []mxsim.Step { return []mxsim.Step{mxsim.HandshakeCut(200, c), mxsim.Reset()} }, syscall.ECONNRESET},
		"plaintext in its place": {func(*tls.Config) []mxsim.Step {
			return []mxsim.Step{mxsim.ReadHello(), mxsim.Raw("220 what\r\n"), mxsim.Drop()}
		}, tls.RecordHeaderError{}},
		"silence behind ClientHello": {func(*tls.Config) []mxsim.Step { return []mxsim.Step{mxsim.ReadHello(), mxsim.StallForever()} }, errTimeout},
		"an octet a second":          {func(c *tls.Config) []mxsim.Step { return []mxsim.Step{mxsim.HandshakeSlowly(time.Second, c)} }, errTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			playTLS(t, func(server *tls.Config) []mxsim.Script { return []mxsim.Script{c.do(server)} },
				func(t *testing.T, dial func() *client, trust *tls.Config) {
					us := dial()
					us.SetDeadline(time.Now().Add(time.Minute))
					_, err := us.secure(trust)
					us.Close()
					var ne net.Error
					switch {
					case errors.Is(c.want, errTimeout):
						assert.True(t, errors.As(err, &ne) && ne.Timeout(), "%v is a timeout", err)
					case c.want == tls.RecordHeaderError{}:
						assert.ErrorAs(t, err, new(tls.RecordHeaderError), "no TLS")
					default:
						assert.ErrorIs(t, err, c.want, "how the handshake ends")
					}
				})
		})
	}
}

// errTimeout stands for any.
var errTimeout = errors.New("timeout")

func TestAClientWithoutACertificateLearnsItAtItsFirstRead(t *testing.T) {
	r := playTLS(t, func(server *tls.Config) []mxsim.Script {
		server.ClientAuth = tls.RequireAnyClientCert
		return []mxsim.Script{{mxsim.HandshakeFails(server)}}
	}, func(t *testing.T, dial func() *client, trust *tls.Config) {
		c, err := dial().secure(trust)
		require.NoError(t, err, "in TLS 1.3 the client believes that it has succeeded")
		_, err = c.r.ReadByte()
		assert.ErrorContains(t, err, "remote error: tls: certificate required", "and reads an alert")
		c.Close()
	})
	assert.NoError(t, r[0].Err, "the handshake has failed")
}

func TestRecordsOfAnyKind(t *testing.T) {
	start := func(server *tls.Config, steps ...mxsim.Step) mxsim.Script {
		return append(mxsim.Script{mxsim.HandshakeSealed(server), mxsim.Reply("220 first"), mxsim.Expect("EHLO")}, steps...)
	}
	r := playTLS(t, func(server *tls.Config) []mxsim.Script {
		return []mxsim.Script{
			start(server, mxsim.Alert(80), mxsim.StallForever()),
			start(server, mxsim.KeyUpdates(3), mxsim.Reply("250 ok"), mxsim.Bye()),
			start(server, mxsim.KeyUpdates(100), mxsim.StallForever()),
			start(server, mxsim.EmptyRecords(3), mxsim.Reply("250 ok"), mxsim.DropUnclean()),
			start(server, mxsim.Raw("250 ok\r\n"), mxsim.StallForever()),
			{mxsim.Alert(0), mxsim.EmptyRecords(1)},
		}
	}, func(t *testing.T, dial func() *client, trust *tls.Config) {
		hello := func() *client {
			c, err := dial().secure(trust)
			require.NoError(t, err, "the handshake succeeds")
			c.hear("220 first")
			c.say("EHLO us\r\n")
			return c
		}
		fails := func(text, why string) {
			c := hello()
			_, err := c.r.ReadByte()
			assert.ErrorContains(t, err, text, why)
			c.Close()
		}
		fails("internal error", "an encrypted alert")
		c := hello()
		c.hear("250 ok")
		c.say("QUIT\r\n")
		c.hear("221 2.0.0 bye")
		c.end(io.EOF)
		fails("too many", "nobody bears a storm of them")
		c = hello()
		c.hear("250 ok")
		c.end(io.EOF) // crypto/tls takes FIN between two records for an end
		fails("received record with version", "plaintext inside TLS")
		c = dial()
		io.Copy(io.Discard, c)
		c.Close()
	})
	for i, ok := range []bool{true, true, true, true, true, false} {
		assert.Equal(t, ok, r[i].Err == nil, "connection %d: %v", i, r[i].Err)
	}
}

func TestSTARTTLSMayBeFollowedByPlaintext(t *testing.T) {
	r := playTLS(t, func(*tls.Config) []mxsim.Script {
		return []mxsim.Script{{mxsim.Invite(), mxsim.ExpectEnd()}, {mxsim.Expect("STARTTLS"), mxsim.Send("220 go\r\n250 fake\r\n"), mxsim.ExpectEnd()}}
	}, func(t *testing.T, dial func() *client, trust *tls.Config) {
		for _, replies := range [][]string{{"220 2.0.0 go"}, {"220 go", "250 fake"}} {
			c := dial()
			c.say("STARTTLS\r\n")
			c.hear(replies...)
			c.Close()
		}
	})
	assert.NoError(t, r[0].Err, "it may be left to the script what follows")
	assert.NoError(t, r[1].Err, "as may the reply")
}

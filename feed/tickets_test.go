package feed

import (
	"crypto/tls"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A resumed session has the secret of the first one, and need not pay for a post-quantum key exchange of its own; one that is not, when the server
// has forgotten the ticket, is followed by one that does.
func TestResumedSessionsAreQuick(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		key := [32]byte{1}
		var quantum []bool // per handshake: a post-quantum key exchange was offered
		server := &tls.Config{}
		server.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			quantum = append(quantum, slices.Contains(h.SupportedCurves, tls.X25519MLKEM768))
			c := &tls.Config{Certificates: w.server.Certificates}
			c.SetSessionTicketKeys([][32]byte{key})
			return c, nil
		}
		s := w.serve(best, mxsim.Config{TLS: server})
		for i, content := range []string{shortContent, againContent, earlyContent, "4\r\n"} {
			if i == 2 {
				key = [32]byte{2} // a restart: the tickets are void
			}
			require.Equal(t, []string{"delivered"}, w.send(content, "a@one.test").wait(), "mail is delivered")
			time.Sleep(time.Minute)
		}
		var resumed []bool
		for _, m := range s.Messages() {
			resumed = append(resumed, m.Channel.Resumed)
		}
		assert.Equal(t, []bool{true, false, false, true}, quantum, "what each session offered")
		assert.Equal(t, []bool{false, true, false, false}, resumed, "and which were resumed")
	})
}

// Certificates and tickets come from peers: large ones are not kept.
func TestLargeTicketsAreNotKept(t *testing.T) {
	inTLSWorld(t, nil, func(t *testing.T, w *tlsWorld) {
		id := w.authority.IssueOrder(mxsim.Order{Names: []string{"mx1.test"}, Padding: maxTicket})
		s := w.serve(best, mxsim.Config{TLS: id.Config()})
		for _, content := range []string{shortContent, againContent} {
			require.Equal(t, []string{"delivered"}, w.send(content, "a@one.test").wait(), "mail is delivered")
			time.Sleep(time.Minute)
		}
		assert.Equal(t, 2, w.dials(best), "on two sessions")
		assert.Zero(t, s.Stats().Resumed, "of which the second one is new too")
	})
}

// tls.post_quantum = false.
func TestClassicKeyExchange(t *testing.T) {
	for rule, classic := range map[string]bool{"by default a post-quantum one is offered": false, "the operator may spare it": true} {
		t.Run(rule, func(t *testing.T) {
			inTLSWorld(t, func(c *Config) { c.TLS.Classic = classic }, func(t *testing.T, w *tlsWorld) {
				var offered []tls.CurveID
				server := w.server.Clone()
				server.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
					offered = h.SupportedCurves
					return w.server, nil
				}
				w.serve(best, mxsim.Config{TLS: server})
				require.Equal(t, []string{"delivered"}, w.send(shortContent, "a@one.test").wait(), "mail is delivered")
				assert.Equal(t, !classic, slices.Contains(offered, tls.X25519MLKEM768), "what is offered")
			})
		})
	}
}

// tls.tickets bounds how many servers' sessions are remembered.
func TestTicketsAreBounded(t *testing.T) {
	inTLSWorld(t, func(c *Config) { c.TLS.Tickets = 1 }, func(t *testing.T, w *tlsWorld) {
		w.table.set("three.test", "10 mx3.test "+backup)
		first, other := w.serve(best, mxsim.Config{TLS: w.server}), w.serve(backup, mxsim.Config{TLS: w.server.Clone()})
		for _, to := range []string{"a@one.test", "a@three.test", "b@three.test", "b@one.test"} {
			require.Equal(t, []string{"delivered"}, w.send("Subject: "+to+"\r\n\r\n", to).wait(), "mail is delivered")
			time.Sleep(time.Minute)
		}
		assert.EqualValues(t, 1, other.Stats().Resumed, "the last server's session is resumed")
		assert.Zero(t, first.Stats().Resumed, "the one before it is forgotten")
	})
}

package lmtp

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// offersRequireTLS passes LHLO.
func (h *host) offersRequireTLS() (offered bool) {
	h.t.Helper()
	h.expect("220 ")
	h.send("LHLO host.example")
	for line := h.line(); line[3] == '-'; line = h.line() {
		offered = offered || line == "250-REQUIRETLS"
	}
	return offered
}

// RFC 8689 section 2 has it announced on protected connections only.
func TestRequireTLSOverSockets(t *testing.T) {
	m := newMailer()
	s := New(Config{Mailer: m, RequireTLS: true})
	unix := newFixture(t, Config{RequireTLS: true})
	tests := []struct {
		rule    string
		connect func() (*host, *mailer)
	}{
		{"a unix socket", func() (*host, *mailer) { return unix.connect(), unix.mailer }},
		{"the loopback interface", func() (*host, *mailer) {
			theirs, ours := pair(t)
			go s.ServeConn(ours)
			return newHost(t, theirs), m
		}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			h, m := tt.connect()
			require.True(t, h.offersRequireTLS(), "it is offered")
			h.send("MAIL FROM:<s@x.example> REQUIRETLS", "RCPT TO:<a@x.example>", "DATA", ".", "MAIL FROM:<s@x.example>", "RCPT TO:<a@x.example>", "DATA", ".")
			h.expect("250 ", "250 ", "354 ")
			e := <-m.sent
			assert.Equal(t, feed.Params{RequireTLS: true}, e.Params, "and is handed over")
			deliverAll(e)
			h.expect("250 ", "250 ", "250 ", "354 ")
			e = <-m.sent
			assert.Zero(t, e.Params, "for the message that had it, and no other")
			deliverAll(e)
			h.expect("250 ")
		})
	}
	s.Close()
}

func TestRequireTLSIsNotOffered(t *testing.T) {
	refused := func(t *testing.T, h *host) {
		assert.False(t, h.offersRequireTLS(), "it is not offered")
		h.send("MAIL FROM:<s@x.example> REQUIRETLS", "MAIL FROM:<s@x.example>")
		h.expect("504 5.5.4 ", "250 ")
	}
	t.Run("unless it is configured", func(t *testing.T) {
		refused(t, newFixture(t, Config{}).connect())
	})
	t.Run("to another machine", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fixture{t: t, mailer: newMailer()}
			f.server = New(Config{Mailer: f.mailer, RequireTLS: true})
			n, at := netsim.New(), netip.MustParseAddrPort("192.0.2.9:2424")
			l, err := n.Listen(at)
			require.NoError(t, err, "the simulated network has the port")
			f.serve(l)
			c, err := n.Dial(t.Context(), at)
			require.NoError(t, err, "the host can connect")
			require.False(t, c.LocalAddr().(*net.TCPAddr).IP.IsLoopback(), "from outside")
			refused(t, newHost(t, c))
		})
	})
}

type pipeAddr struct{ net.Addr }

func (pipeAddr) Network() string { return "pipe" }

func TestIsPrivate(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }
	tests := []struct {
		rule string
		host net.Addr
		want bool
	}{
		{"a unix socket", &net.UnixAddr{Net: "unix"}, true},
		{"the pipes of a program", pipeAddr{}, true},
		{"127.0.0.1", tcp("127.0.0.1"), true},
		{"all of 127/8", tcp("127.9.9.9"), true},
		{"::1", tcp("::1"), true},
		{"127.0.0.1 on an IPv6 socket", tcp("::ffff:127.0.0.1"), true},
		{"another address", tcp("192.0.2.1"), false},
		{"a private network is a network", tcp("10.0.0.1"), false},
		{"a link-local address", tcp("fe80::1"), false},
		{"no address", &net.TCPAddr{}, false},
		{"another protocol", &net.IPAddr{IP: net.ParseIP("127.0.0.1")}, false},
		{"nothing", nil, false},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, isPrivate(tt.host), tt.rule)
	}
}

func TestTLSOptional(t *testing.T) {
	filler := strings.Repeat("X-Filler: "+strings.Repeat("y", 88)+"\r\n", 100) // 10,000 octets
	tests := []struct {
		rule, message string
		want          bool
	}{
		{"the field", "TLS-Required: No\r\n\r\n", true},
		{"case is no matter", "tls-REQUIRED: nO\r\n\r\n", true},
		{"without a blank", "TLS-Required:No\r\n\r\n", true},
		{"with many", "TLS-Required: \t No \t\r\n\r\n", true},
		{"folded", "TLS-Required:\r\n No\r\n\r\n", true},
		{"below others", "Received: by h id Q1; now\r\n\tfor x\r\nSubject: x\r\nTLS-Required: No\r\nTo: x\r\n\r\ntext\r\n", true},
		{"below many others", filler + filler + "TLS-Required: No\r\n\r\n", true},
		{"too far down", strings.Repeat(filler, 7) + "TLS-Required: No\r\n\r\n", false},
		{"without a body", "Subject: x\r\nTLS-Required: No\r\n", true},
		{"twice", "TLS-Required: No\r\nTLS-Required: No\r\n\r\n", true},
		{"twice, and not the same", "TLS-Required: No\r\nTLS-Required: Yes\r\n\r\n", false},
		{"nor in the other order", "TLS-Required: Yes\r\nTLS-Required: No\r\n\r\n", false},
		{"another value", "TLS-Required: Yes\r\n\r\n", false},
		{"no value", "TLS-Required:\r\n\r\n", false},
		{"more than the value", "TLS-Required: No, thanks\r\n\r\n", false},
		{"the value twice", "TLS-Required: No\r\n No\r\n\r\n", false},
		{"a longer name", "X-TLS-Required: No\r\n\r\n", false},
		{"a name that goes on", "TLS-Required-By: No\r\n\r\n", false},
		{"in another field", "Subject: x\r\n TLS-Required: No\r\n\r\n", false},
		{"in the body only", "Subject: x\r\n\r\nTLS-Required: No\r\n", false},
		{"behind what is no header", "Subject: x\r\nno field\r\nTLS-Required: No\r\n\r\n", false},
		{"in a body without a header", "\r\nTLS-Required: No\r\n\r\n", false},
		{"no message", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			for _, size := range []int{1, 7, 4096, 1 << 20} {
				assert.Equal(t, tt.want, tlsOptional(chunks(tt.message, size)), "in chunks of %d", size)
			}
		})
	}
}

// A field that the search's end cuts is not known.
func TestTLSOptionalIsNotCut(t *testing.T) {
	field := "TLS-Required: No"
	for i := range len(field) + 20 {
		above := "X: " + strings.Repeat("y", tlsOptionalSearch-5-i) + "\r\n"
		message := above + field + "t\r\n\r\n"
		require.False(t, tlsOptional(chunks(message, 4096)), "with %d octets in reach", i)
	}
}

func TestTLSOptionalMessage(t *testing.T) {
	f := newFixture(t, Config{RequireTLS: true})
	h := f.host()
	send := func(mail string) *feed.Envelope {
		h.send(mail, "RCPT TO:<a@x.example>", "DATA")
		h.expect("250 ", "250 ", "354 ")
		h.content("TLS-Required: No", "", "text")
		e := f.envelope()
		deliverAll(e)
		h.expect("250 ")
		return e
	}
	assert.Equal(t, feed.Params{TLSOptional: true}, send("MAIL FROM:<s@x.example>").Params, "the header says it")
	assert.Equal(t, feed.Params{RequireTLS: true}, send("MAIL FROM:<s@x.example> REQUIRETLS").Params, "MAIL outdoes the header (RFC 8689 section 4.1)")
}

// The Mailer counts envelopes that are announced by what it was told: what the header says must not change it.
func TestAnnouncedBeforeTheHeader(t *testing.T) {
	f := newFixture(t, Config{DSN: true})
	h := f.host()
	h.send("MAIL FROM:<s@x.example> ENVID=x")
	h.expect("250 ")
	for range sureFrom {
		h.send("RCPT TO:<a@x.example>")
		h.expect("250 ")
	}
	from, err := wire.ParseAddress("s@x.example")
	require.NoError(t, err, "it is an address")
	told := announced{from, feed.Params{DSN: wire.MailDSN{EnvID: "x"}}}
	assert.Equal(t, map[announced]int{told: 1}, f.mailer.coming, "it is announced with what MAIL said")
	h.send("DATA", "TLS-Required: No", "", ".")
	h.expect("354 ")
	e := f.envelope()
	assert.Equal(t, map[announced]int{told: 0}, f.mailer.coming, "and withdrawn with the same")
	assert.True(t, e.Announced && e.Params.TLSOptional, "though the envelope is another one")
	deliverAll(e)
}

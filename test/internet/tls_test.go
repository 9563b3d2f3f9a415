package internet_test

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"net/http/httptest"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

// trust is a client's configuration that believes the world's authority.
func trust(t *testing.T, w *internet.World) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(w.Roots()), "the world says whom to trust")
	return &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(10)}
}

// secure makes a handshake with host j and greets it again.
func (c *client) secure(trust *tls.Config, j int) (s tls.ConnectionState) {
	c.say("STARTTLS\r\n")
	c.expect("220 ")
	if c.err != nil {
		return s
	}
	trust = trust.Clone()
	trust.ServerName = internet.HostName(j)
	t := tls.Client(c.conn, trust)
	if c.err = t.Handshake(); c.err != nil {
		return s
	}
	c.conn, c.r = t, bufio.NewReader(t)
	c.say("EHLO test\r\n")
	c.expect("250 ")
	return t.ConnectionState()
}

func TestEveryHostHasACertificateOfItsOwn(t *testing.T) {
	for _, kind := range []internet.KeyKind{internet.ECDSA, internet.RSA} {
		t.Run(string(kind), func(t *testing.T) {
			w := start(t, internet.Config{Domains: 10, Hosts: 10, TLS: kind})
			ours := trust(t, w)
			for _, j := range []int{0, 3, 9} {
				m := connect(w, j)
				s := m.secure(ours, j)
				require.NoError(t, m.err, "host %d proves its name", j)
				want := map[internet.KeyKind]x509.PublicKeyAlgorithm{internet.ECDSA: x509.ECDSA, internet.RSA: x509.RSA}[kind]
				assert.Equal(t, want, s.PeerCertificates[0].PublicKeyAlgorithm, "with a key of the kind that was asked for")
				m.quit(t)
			}
			m := connect(w, 1)
			m.secure(ours, 2)
			assert.ErrorContains(t, m.err, internet.HostName(1), "a host has no other name")
		})
	}
}

func TestHandshakesAndChannelsAreCounted(t *testing.T) {
	w := start(t, internet.Config{Domains: 10, Hosts: 10, TLS: internet.ECDSA})
	ours := trust(t, w)
	to := []string{"user1@" + internet.Domain(3)}
	for i, text := range []string{body, body + "second\r\n", body + "third\r\n"} {
		m := connect(w, 3)
		s := m.secure(ours, 3)
		assert.Equal(t, i > 0, s.DidResume, "who comes again can resume the session")
		m.send("list@sender.example", text, to)
		m.quit(t)
	}
	m := connect(w, 3)
	m.send("list@sender.example", body+"clear\r\n", to)
	m.quit(t)
	other := connect(w, 4)
	other.secure(&tls.Config{}, 4)
	require.Error(t, other.err, "who does not trust the authority goes away")
	other.conn.Close()
	require.Eventually(t, func() bool { return w.Report().Unshaken == 1 }, patience, tick, "a handshake that failed is counted as such")
	r := w.Report()
	assert.Equal(t, []int{3, 2}, []int{r.Handshakes, r.Resumed}, "handshakes are, and those that resumed")
	assert.Equal(t, map[string]int{"TLS 1.3 TLS_AES_128_GCM_SHA256": 3, internet.Plaintext: 1}, r.Channels, "and what protected each transaction")
	assert.Zero(t, r.Violations, "nothing was wrong: %v", r.Broken)

	w.Reset()
	r = w.Report()
	assert.Equal(t, []int{0, 0, 0, 0}, []int{r.Handshakes, r.Resumed, r.Unshaken, len(r.Channels)}, "a reset forgets")
}

func TestHostsCanBeParticularAboutTheKeyExchange(t *testing.T) {
	for name, want := range map[string]tls.CurveID{
		"X25519MLKEM768": tls.X25519MLKEM768, "X25519": tls.X25519, "P-256": tls.CurveP256,
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, internet.Config{Domains: 1, Hosts: 1, TLS: internet.ECDSA, KeyExchange: name})
			m := connect(w, 0)
			s := m.secure(trust(t, w), 0)
			require.NoError(t, m.err, "there is one in common")
			assert.Equal(t, want, s.CurveID, "and it is the host's")
			m.quit(t)
		})
	}
}

func TestWithoutTLSNoneIsOffered(t *testing.T) {
	w := start(t, internet.Config{Domains: 1, Hosts: 1})
	assert.Empty(t, w.Roots(), "there is nobody to trust")
	m := connect(w, 0)
	m.say("STARTTLS\r\n")
	m.expect("502 ")
	require.NoError(t, m.err, "STARTTLS is not known")
	assert.Equal(t, 1, w.Report().Violations, "and whoever says it did not look")
}

func TestDNSKnowsOfSecurity(t *testing.T) {
	w := start(t, internet.Config{Domains: 100, Hosts: 10, TLS: internet.ECDSA, TLSA: true, STS: true, AD: true, Port: 0})
	m := connect(w, 7)
	s := m.secure(trust(t, w), 7)
	require.NoError(t, m.err)
	m.quit(t)
	key := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
	at := "_" + numeral(w.Port()) + "._tcp."
	for rule, c := range map[string]struct {
		name  string
		qtype uint16
		rcode int
		want  []string
	}{
		"a host's TLSA record is of its key":     {at + "mx7.hosts.example.", dns.TypeTLSA, 0, []string{at + "mx7.hosts.example. 300 IN TLSA 3 1 1 " + hex.EncodeToString(key[:])}},
		"and nothing else is there":              {at + "mx7.hosts.example.", dns.TypeTXT, 0, nil},
		"nor at another port":                    {"_1._tcp.mx7.hosts.example.", dns.TypeTLSA, dns.RcodeNameError, nil},
		"nor of a host that does not exist":      {at + "mx10.hosts.example.", dns.TypeTLSA, dns.RcodeNameError, nil},
		"a domain has a policy":                  {"_mta-sts.d17.1.example.", dns.TypeTXT, 0, []string{`_mta-sts.d17.1.example. 300 IN TXT "v=STSv1; id=1;"`}},
		"which nobody can fetch":                 {"mta-sts.d17.1.example.", dns.TypeA, dns.RcodeNameError, nil},
		"a domain that does not exist has none":  {"_mta-sts.d100.4.example.", dns.TypeTXT, dns.RcodeNameError, nil},
		"other names with underscores are none":  {"_dmarc.d17.1.example.", dns.TypeTXT, dns.RcodeNameError, nil},
		"TLSA records are of no domain's making": {at + "d17.1.example.", dns.TypeTLSA, dns.RcodeNameError, nil},
	} {
		t.Run(rule, func(t *testing.T) {
			a := ask(t, w, c.name, c.qtype)
			assert.Equal(t, c.rcode, a.Rcode, "the response code")
			assert.Equal(t, c.want, records(a.Answer), "the answer")
			assert.True(t, a.AuthenticatedData, "it is marked as validated")
			assert.Equal(t, len(c.want) == 0, len(a.Ns) == 1, "what is not there can be remembered")
		})
	}
	r := w.Report()
	assert.Equal(t, []int64{4, 4, 1, 9}, []int64{r.TXT, r.TLSA, r.A, r.Questions()}, "questions are counted by type")
}

func TestDNSKnowsOfNoSecurityByDefault(t *testing.T) {
	w := start(t, internet.Config{Domains: 1, Hosts: 1, TLS: internet.ECDSA})
	for _, name := range []string{"_mta-sts.d0.0.example.", "_" + numeral(w.Port()) + "._tcp.mx0.hosts.example."} {
		for _, qtype := range []uint16{dns.TypeTXT, dns.TypeTLSA} {
			a := ask(t, w, name, qtype)
			assert.Equal(t, dns.RcodeNameError, a.Rcode, "%s does not exist", name)
			assert.False(t, a.AuthenticatedData, "and nobody has validated that")
		}
	}
}

func TestControlTellsOfTLS(t *testing.T) {
	w := start(t, internet.Config{Domains: 1, Hosts: 1, TLS: internet.ECDSA})
	m := connect(w, 0)
	m.secure(trust(t, w), 0)
	m.send("list@sender.example", body, []string{"user0@" + internet.Domain(0)})
	m.quit(t)
	s := httptest.NewServer(w.Control())
	defer s.Close()
	text := get(t, s.URL+"/report")
	assert.Contains(t, text, `"tls_handshakes": 1`, "the number of handshakes")
	assert.Contains(t, text, `"TLS 1.3 TLS_AES_128_GCM_SHA256": 1`, "and the transactions by what protected them")
}

package feed

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/dane"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// From a policy to a tls.Config, and what came of the handshake.

// ticketServers is how many servers' sessions can be resumed when Config.TLS says nothing.
const ticketServers = 10_000

// A protection is what a session was found to have.
type protection struct {
	name     string // version and cipher; "" is plaintext
	verified bool   // the certificate is the one that the policy wants
	resumed  bool
	later    bool      // the host refused STARTTLS for now
	quick    bool      // a ticket was at hand, and so a classic key exchange was offered alone
	tickets  *tickets  // of the handshake; nil where none are used
	complain *tlsError // why a policy that is being tested would not have been kept
}

// A tlsError is why a session that was to have TLS has none, or not the one that its policy wants.
type tlsError struct {
	result string        // of RFC 8460 section 4.3
	status wire.Enhanced // of recipients whose policy demands TLS
	hello  bool          // it may be the form of our ClientHello
	again  bool          // the session was resumed, and its certificate is that of the first one: the host may have another by now
	final  bool          // an attack, or a broken server: plaintext must not be tried
	err    error
}

func (e *tlsError) Error() string { return e.err.Error() }

func (e *tlsError) Unwrap() error { return e.err }

// A tlsKit is what all sessions share: the certificates of authorities, and the tickets of servers. It is immutable but for the
// tickets, which have a lock of their own.
type tlsKit struct {
	roots   *x509.CertPool
	classic bool
	tickets tls.ClientSessionCache
	gate    gate
	old     []uint16 // cipher suites of opportunistic TLS
}

func newTLSKit(c TLS) *tlsKit {
	return &tlsKit{roots: c.Roots, classic: c.Classic, gate: newGate(), old: oldSuites(), tickets: tls.NewLRUClientSessionCache(c.Tickets)}
}

// config is the tls.Config for one session. The certificate is looked at in verify and nowhere else, for resumed sessions too: in
// opportunistic TLS none is wrong (RFC 7435), and DANE has rules of its own.
func (k *tlsKit) config(d dial, found *protection) *tls.Config {
	c := &tls.Config{
		ServerName:         d.sni,
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS12,
		VerifyConnection:   func(s tls.ConnectionState) error { return k.verify(d.policy, s, found) },
		// Small records at the beginning are for browsers. Here each would be a system call.
		DynamicRecordSizingDisabled: true,
	}
	if !d.policy.demands() {
		// RFC 7435 section 3: some protection is better than none.
		c.MinVersion, c.CipherSuites = tls.VersionTLS10, k.old
	}
	if !d.reduced {
		c.ClientSessionCache = found.useTickets(k, d)
	}
	// The post-quantum key share makes the ClientHello larger than a packet. Some firewalls drop the second one.
	if k.classic || d.reduced || found.quick {
		c.CurvePreferences = classicCurves()
	}
	return c
}

// classicCurves are the key exchanges of small key shares.
func classicCurves() []tls.CurveID { return []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384} }

// oldSuites are the cipher suites of TLS 1.2 and before that still keep a secret: all but RC4.
func oldSuites() []uint16 {
	var ids []uint16
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if !strings.Contains(s.Name, "RC4") {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// verify decides whether the peer is whom the policy wants.
func (k *tlsKit) verify(p *policy, s tls.ConnectionState, found *protection) error {
	var wrong *tlsError
	switch {
	case p.level == levelDANE:
		wrong = verifyDANE(p, s)
	case p.level == levelVerify, p.testing:
		wrong = k.verifyNames(p, s)
	default:
		return nil
	}
	if wrong == nil {
		found.verified = true
		return nil
	}
	if p.testing {
		found.complain = wrong
		return nil
	}
	wrong.again = s.DidResume
	return wrong
}

func verifyDANE(p *policy, s tls.ConnectionState) *tlsError {
	_, err := dane.Verify(time.Now(), s.PeerCertificates, p.tlsa, p.names)
	if err == nil {
		return nil
	}
	result := "validation-failure"
	var de *dane.Error
	if errors.As(err, &de) {
		result = de.Result
	}
	return &tlsError{result: result, status: status475, err: err}
}

// verifyNames is the verification of the web's PKI, for one of several names.
func (k *tlsKit) verifyNames(p *policy, s tls.ConnectionState) *tlsError {
	switch {
	case len(p.names) == 0:
		return &tlsError{result: "validation-failure", status: status475, err: errors.New("the MTA-STS policy does not name the exchanger")}
	case len(s.PeerCertificates) == 0:
		return &tlsError{result: "validation-failure", status: status475, err: errors.New("the peer has no certificate")}
	}
	leaf := s.PeerCertificates[0]
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: k.roots, Intermediates: between}); err != nil {
		return &tlsError{result: resultOf(err), status: status475, err: errors.New(wire.Clean(plainly(err), 300))} // not err: it holds the peer's certificates
	}
	for _, name := range p.names {
		if hasName(leaf, name) {
			return nil
		}
	}
	return &tlsError{result: "certificate-host-mismatch", status: status475,
		err: errors.New("certificate is not for " + strings.Join(p.names, " or "))}
}

// plainly is why a certificate is not accepted. What the library says of one that has expired has the time of day in it: no two failures
// would be of one kind to those who count them.
func plainly(err error) string {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil {
		return "a certificate is valid only from " + invalid.Cert.NotBefore.UTC().Format(time.RFC3339) + " to " + invalid.Cert.NotAfter.UTC().Format(time.RFC3339)
	}
	return err.Error()
}

// hasName says that the certificate is for a host of this name, or for any below ".example.net".
func hasName(leaf *x509.Certificate, name string) bool {
	suffix, below := strings.CutPrefix(name, ".")
	if !below {
		return leaf.VerifyHostname(name) == nil
	}
	for _, san := range leaf.DNSNames {
		if strings.HasSuffix(strings.ToLower(san), "."+suffix) {
			return true
		}
	}
	return false
}

// resultOf is the result type of RFC 8460 section 4.3.2 for a certificate that was not accepted.
func resultOf(err error) string {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return "certificate-expired"
	}
	var host x509.HostnameError
	if errors.As(err, &host) {
		return "certificate-host-mismatch"
	}
	return "certificate-not-trusted"
}

// handshakeError says what a handshake that failed means.
func handshakeError(err error) *tlsError {
	var own *tlsError
	if errors.As(err, &own) {
		return own
	}
	if !errors.As(err, new(*brokenError)) {
		err = brokenAt(stageHandshake, err)
	}
	return &tlsError{result: "validation-failure", status: status475, hello: true, err: err}
}

// protectionOf names what a handshake has led to.
func protectionOf(s tls.ConnectionState, found protection) protection {
	version := strings.Replace(tls.VersionName(s.Version), "TLS 1", "TLSv1", 1)
	found.name, found.resumed = version+" "+tls.CipherSuiteName(s.CipherSuite), s.DidResume
	if found.quick && !found.resumed {
		found.tickets.spoil() // the next session makes a post-quantum key exchange again
	}
	found.tickets = nil
	return found
}

// sni is the name to ask for: RFC 6066 section 3 allows DNS names only, in A-labels and without a dot behind. Where no name is checked, the
// reduced ClientHello has none: a host has the name that some domain has given it first, and some servers refuse what they do not know.
func (h *host) sni(reduced bool) string {
	name := h.name
	switch {
	case h.policy.sni != "":
		name = h.policy.sni
	case reduced:
		return ""
	}
	if strings.HasPrefix(name, "[") || net.ParseIP(name) != nil {
		return ""
	}
	return name
}
